"""How important channels are: one criterion a file, found by walking this folder."""
