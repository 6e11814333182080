"""Distance to the other filters of the layer (He et al. 2019, "FPGM").

A filter near the geometric median of its layer can be replaced by the others, however large it is.
"""

from __future__ import annotations

import torch

from supernet.resnet import ResNet
from training.channels import filters, scored
from training.criterion import Importance
from training.data import Data
from training.recipe import Recipe


class Plugin:
    """See `Criterion`."""

    summary = "distance to a layer's other filters (FPGM, He et al. 2019)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return None

    def unavailable(self) -> str | None:
        return None

    def importance(self, net: ResNet, data: Data) -> Importance:
        return scored(net, lambda column: torch.cdist(filters(column), filters(column)).sum(1))
