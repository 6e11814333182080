"""L1 norm of the weights that make a channel (Li et al. 2017, "Pruning Filters")."""

from __future__ import annotations

from supernet.resnet import ResNet
from training.channels import filters, scored
from training.criterion import Importance
from training.data import Data
from training.recipe import Recipe


class Plugin:
    """See `Criterion`."""

    summary = "L1 norm of a channel's weights (Li et al. 2017)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return None

    def unavailable(self) -> str | None:
        return None

    def importance(self, net: ResNet, data: Data) -> Importance:
        return scored(net, lambda column: filters(column).abs().sum(1))
