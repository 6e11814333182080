"""L2 norm of filters after soft filter pruning (He et al. 2018).

After every epoch of training the filters of least norm are set to zero, but may grow again. The
paper then prunes every layer at that rate; here the norms that the training leaves are compared
over all layers, so that the rates follow the limits.
"""

from __future__ import annotations

from dataclasses import replace

from supernet.resnet import ResNet
from training.channels import filters, scored
from training.criterion import Importance
from training.data import Data
from training.recipe import Recipe

RATE = 0.3
"""Of filters zeroed after every epoch, the paper's for ResNet-50."""


class Plugin:
    """See `Criterion`."""

    summary = "L2 norm after training that zeroes the smallest filters (SFP, He et al. 2018)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return replace(recipe, soft_rate=recipe.soft_rate or RATE)

    def unavailable(self) -> str | None:
        return None

    def importance(self, net: ResNet, data: Data) -> Importance:
        return scored(net, lambda column: filters(column).norm(dim=1))
