"""Scale of batch norm after sparse training (Liu et al. 2017, "Network Slimming")."""

from __future__ import annotations

from dataclasses import replace

import torch

from supernet.resnet import ResNet
from training.channels import scored
from training.criterion import Importance
from training.data import Data
from training.recipe import Recipe

PENALTY = 1e-4
"""Of the scales' L1 norm, as in the paper."""


class Plugin:
    """See `Criterion`; scales are comparable as they are, as every layer's input is normalised."""

    summary = "batch norm's scale after training with an L1 penalty on it (Liu et al. 2017)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return replace(recipe, gamma_l1=recipe.gamma_l1 or PENALTY)

    def unavailable(self) -> str | None:
        return None

    def importance(self, net: ResNet, data: Data) -> Importance:
        return scored(
            net,
            lambda column: torch.stack([w.norm.weight.abs() for w in column]).mean(0),
            relative=False,
        )
