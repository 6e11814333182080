"""One router per file, found by walking this folder."""
