"""One file per runtime; a file here is found by name, without being imported."""
