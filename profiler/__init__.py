"""Filling latency tables: backends, the measurement protocol, which points to measure."""
