"""One file per pipeline stage, in the order they run."""
