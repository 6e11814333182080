"""Eight bits: what they cost in accuracy, and what they bring together with pruning."""
