"""What a teacher gives a pruned network."""
