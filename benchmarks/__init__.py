"""Side-by-side measurements against other methods and packages."""
