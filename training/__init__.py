"""Weights: data, recipes, supernet training, scratch training with distillation."""
