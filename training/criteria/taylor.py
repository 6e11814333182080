"""First-order Taylor expansion of the loss (Molchanov et al. 2019), by torch-pruning."""

from __future__ import annotations

import torch
from torch.nn import functional

from supernet.resnet import ResNet
from training import pruning_groups
from training.criterion import Importance
from training.data import Data
from training.images import evaluation_batches
from training.recipe import Recipe

IMAGES = 512


class Plugin:
    """See `Criterion`."""

    summary = "change of the loss without a channel, to first order (Molchanov et al. 2019)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return None

    def unavailable(self) -> str | None:
        return pruning_groups.unavailable()

    def importance(self, net: ResNet, data: Data) -> Importance:
        from torch_pruning.pruner.importance import GroupTaylorImportance

        net.eval()
        device = net.fc.weight.device
        for images, labels in evaluation_batches(data.train, 64, IMAGES):
            loss = functional.cross_entropy(net(images.to(device)), labels.to(device))
            torch.autograd.backward(loss)
        try:
            return pruning_groups.grouped(net, images[:1].to(device), GroupTaylorImportance())
        finally:
            net.zero_grad()
