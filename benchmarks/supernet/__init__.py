"""What modelled tables are good for: their steps, and searches that know them."""
