"""`Recipe` and `SupernetRecipe`: how to train, checked at birth; and the learning-rate schedule.

Knows nothing of data, networks or files.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

Policy = Literal["sandwich", "single"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

_RANGES = {
    "epochs": (1, math.inf),
    "batch": (1, math.inf),
    "lr": (0, 100),
    "momentum": (0, 0.9999),
    "weight_decay": (0, 1),
    "warmup_epochs": (0, math.inf),
    "label_smoothing": (0, 0.9999),
    "ema": (0, 0.99999),
    "clip_norm": (0, math.inf),
    "alpha": (0, 1),
    "temperature": (0.01, 1000),
    "accumulate": (1, 4096),
    "gamma_l1": (0, 1),
    "soft_rate": (0, 0.99),
    "mixup": (0, 100),
    "cutmix": (0, 100),
    "hints": (0, 10_000),
    "random_subnets": (0, 64),
    "removal": (0, 1),
}
_WHOLE = ("epochs", "batch", "accumulate", "random_subnets")


class RecipeError(ValueError):
    """A recipe with a value outside its range; the message names the field and the range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """What both kinds of training share: SGD with Nesterov momentum, cosine with warm-up.

    Attributes:
        epochs: passes over the training images.
        batch: images a step; the remainder of an epoch is dropped.
        lr: peak learning rate.
        momentum: of SGD; 0 turns Nesterov off with it.
        weight_decay: on convolution and fc weights, never on batch norm or biases.
        warmup_epochs: epochs of linear growth from 0 to `lr`; may be a fraction.
        label_smoothing: of the cross entropy with hard labels.
        ema: decay of the averaged weights that become the result; 0 for none.
        clip_norm: largest norm of the gradient; 0 for no limit.
        augment: random shifts, crops and flips, as the dataset allows.
        bf16: run convolutions and matrix products in bfloat16.
        accumulate: parts of the batch, one after the other, before an update; batch norm sees a
            part at a time.
    """

    epochs: int
    batch: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    ema: float = 0.0
    clip_norm: float = 0.0
    augment: bool = True
    bf16: bool = False
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name, low)
            if value is None and name == "removal":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not low <= value <= high or not math.isfinite(value):
                raise RecipeError(f"{low} <= {name} <= {high} must hold, but got {value!r}")
            if name in _WHOLE and not isinstance(value, int):
                raise RecipeError(f"{name} must be a whole number, but got {value!r}")
        if self.lr == 0:
            raise RecipeError("lr must be > 0, but got 0")
        if self.accumulate > self.batch:
            raise RecipeError(
                f"accumulate <= batch must hold, but got {self.accumulate} and {self.batch}"
            )
        if self.warmup_epochs >= self.epochs:
            raise RecipeError(
                f"warmup_epochs < epochs must hold, but got {self.warmup_epochs} and {self.epochs}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Optimisation):
    """Training of one plain network, with or without a teacher.

    Attributes:
        alpha: weight of the teacher's soft labels against the hard ones; unused without a teacher.
        temperature: of both softmaxes in the distillation term.
        gamma_l1: weight of the L1 norm of batch norm's scales in the loss (network slimming).
        soft_rate: share of every convolution's filters set to zero after each epoch but the last,
            those of least L2 norm (soft filter pruning); they may grow again.
        mixup: its Beta distribution's parameter; 0 for none. See `training.mixing`.
        cutmix: likewise.
        hints: weight of the difference to the teacher's stages in the loss. See `training.hints`.
    """

    alpha: float = 0.5
    temperature: float = 4.0
    gamma_l1: float = 0.0
    soft_rate: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    hints: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetRecipe(Optimisation):
    """Training of a network that holds many configs.

    Attributes:
        policy: what a step visits; "sandwich" the largest, the smallest and random configs, all
            but the first taught by the largest; "single" one random config.
        random_subnets: sampled configs a step of the sandwich.
        temperature: of the in-place distillation.
        removal: chance that a random config loses a removable block; where it is not set, no
            block is as likely as each of the block's widths.
    """

    policy: Policy = "sandwich"
    random_subnets: int = 2
    temperature: float = 1.0
    removal: float | None = None

    def __post_init__(self) -> None:
        # Dataclasses with slots are made anew, so `super()` without arguments finds the old class.
        Optimisation.__post_init__(self)
        if self.policy not in POLICIES:
            raise RecipeError(
                f"policy must be one of {', '.join(POLICIES)}, but got {self.policy!r}"
            )


@lru_cache(maxsize=256)  # Most jobs have the same few, and a server is asked for many a second.
def decides(recipe: Optimisation) -> dict[str, Any]:
    """What of a recipe decides the result, as JSON values, only to be read.

    Fields that came later and are off are left out, so that older results stay valid.
    """
    found = asdict(recipe)
    return {k: v for k, v in found.items() if v or k not in ("mixup", "cutmix", "hints")}


def learning_rate(recipe: Optimisation, step: int, steps_per_epoch: int) -> float:
    """Learning rate of `step` (from 0): linear warm-up, then a cosine down to nearly 0.

    It is > 0 and <= `recipe.lr` at every step (Loshchilov and Hutter 2017, without restarts).
    """
    total = recipe.epochs * steps_per_epoch
    warmup = min(round(recipe.warmup_epochs * steps_per_epoch), total - 1)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
