"""The doors, and the only place that wires the rooms: job spec, pipeline, command line, report."""
