"""Latency predictors side by side, all computed from the same measured table file."""
