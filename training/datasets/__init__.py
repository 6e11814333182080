"""One dataset a file; found by walking this folder."""
