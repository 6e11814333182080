"""What can go wrong while training."""

from __future__ import annotations


class TrainingError(RuntimeError):
    """A training that cannot go on."""


class DivergedError(TrainingError, ArithmeticError):
    """A loss or a weight became NaN or infinite; nothing of it was kept."""


class TrainingStopped(RuntimeError):
    """Stopped on request, after saving; the same call continues."""
