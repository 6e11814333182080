"""Layer-adaptive magnitude (Lee et al. 2021, "LAMP"), by torch-pruning."""

from __future__ import annotations

from supernet.resnet import ResNet
from training import pruning_groups
from training.criterion import Importance
from training.data import Data
from training.images import evaluation_batches
from training.recipe import Recipe


class Plugin:
    """See `Criterion`."""

    summary = "squared norm over those of all channels at least as large (LAMP, Lee et al. 2021)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return None

    def unavailable(self) -> str | None:
        return pruning_groups.unavailable()

    def importance(self, net: ResNet, data: Data) -> Importance:
        from torch_pruning.pruner.importance import LAMPImportance

        images, _ = next(evaluation_batches(data.train, 1))
        return pruning_groups.grouped(net, images.to(net.fc.weight.device), LAMPImportance())
