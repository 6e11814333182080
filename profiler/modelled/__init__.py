"""Latencies computed from public figures of GPUs; nothing here times anything."""
