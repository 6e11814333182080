"""The web page: shells, modules and one stylesheet; it reads the public API only."""
