"""What the training loop is given and gives back: task, control, result.

Knows nothing of how the loop works; `training.loop` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from training.images import ImageSet
from training.recipe import Optimisation

Progress = Callable[[int, int, str], None]
"""(steps done, steps in all, note)."""
Losses = Callable[[Tensor, Tensor, int], Iterator[Tensor]]
"""(images, labels, step) to losses, each on its own graph; the first is the one reported."""

Row = dict[str, float]
Chart = Callable[[int, Row], None]
"""(steps done, values by name); see `training.scalars`."""


def silent(done: int, total: int, note: str) -> None:
    """The progress of nobody watching."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished training.

    Attributes:
        history: per epoch its number from 1, mean loss, last lr, and accuracies on the
            search-validation images after it.
        weights: safetensors file of what the model now holds.
    """

    history: list[Row]
    weights: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to train on what, and how.

    Attributes:
        losses: see `Losses`.
        evaluate: accuracies of a model by name; must not change the model.
        identity: what else decides the result, as JSON values; a folder serves one identity.
        limit_images: train on a fixed random sample of that many.
        between_epochs: changes the model after every epoch but the last, by nothing but its
            present weights.
        repeats: every step computes the same, a single loss; then a GPU is given it as one graph.
    """

    model: nn.Module
    images: ImageSet
    recipe: Optimisation
    seed: int
    losses: Losses
    evaluate: Callable[[nn.Module], Row]
    identity: Mapping[str, Any]
    limit_images: int | None = None
    between_epochs: Callable[[nn.Module], None] = lambda model: None
    repeats: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """How a run saves and ends early; none of it changes the result.

    Attributes:
        stop: asked after every step; True saves and raises `TrainingStopped`.
        chart: told every step's loss, learning rate and images/s, and every epoch's accuracies.
    """

    save_every_steps: int | None = None
    save_every_seconds: float = 60.0
    stop: Callable[[], bool] = lambda: False
    chart: Chart | None = None


DEFAULTS = Control()
