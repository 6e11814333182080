"""Networks in eight bits: calibration, Q/DQ files, what each layer costs, which file is best."""
