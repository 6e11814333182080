"""Whether the supernet's estimates rank: against networks trained on their own."""
