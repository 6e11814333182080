"""Provable answers: the optimum of an additive accuracy, its bound, and why nothing fits."""
