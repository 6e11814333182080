"""One file per searcher; a file here is found by name."""
