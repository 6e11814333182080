"""Environment variables that workers are given."""

URL = "STAIRPRUNE_STORE"
FILES = "STAIRPRUNE_ARTIFACTS"
ADDRESS = "STAIRPRUNE_ADDRESS"
"""Of the host, where those on others reach it."""
