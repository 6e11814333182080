"""LASSO regression of the next layer's outputs (He et al. 2017, "Channel Pruning").

A channel matters as long as the LASSO keeps it: its importance is the penalty at which it leaves,
as a share of the penalty at which nothing is left. The regression sees samples of one consumer of
each width: the 3x3 of conv1's, conv3 of conv2's, and of a stage's outputs the next block's conv1
that reads them, or the head.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import lars_path_gram
from torch import Tensor, nn
from torch.nn import functional

from supernet.layers import convolutions
from supernet.resnet import ResNet
from training.criterion import Floats, Importance
from training.data import Data
from training.images import evaluation_batches
from training.recipe import Recipe
from training.seeds import generator

IMAGES = 64
SAMPLES = 20  # positions an image, the paper has 10
OUTPUTS = 64  # of the consumer, drawn if it has more


class Plugin:
    """See `Criterion`."""

    summary = "when a LASSO of the next layer's outputs drops a channel (He et al. 2017)"

    def recipe(self, recipe: Recipe) -> Recipe | None:
        return None

    def unavailable(self) -> str | None:
        return None

    def importance(self, net: ResNet, data: Data) -> Importance:
        images, _ = next(evaluation_batches(data.train, IMAGES))
        readers = consumers(net)
        inputs: dict[int, Tensor] = {}
        hooks = [
            reader.register_forward_pre_hook(
                lambda module, given, column=column: inputs.update({column: given[0].detach()})
            )
            for column, reader in readers.items()
        ]
        try:
            with torch.no_grad():
                net.eval()(images.to(net.fc.weight.device))
        finally:
            for hook in hooks:
                hook.remove()
        return {column: path(readers[column], inputs[column]) for column in readers}


def consumers(net: ResNet) -> dict[int, nn.Conv2d | nn.Linear]:
    """By column, the first layer that reads its channels."""
    found: dict[int, nn.Conv2d | nn.Linear] = {}
    modules = net.layers()
    for shape in convolutions(net.network, net.config):
        if shape.reads >= 0:
            found.setdefault(shape.reads, modules[shape.block, shape.part][0])
    found.setdefault(len(net.network.depths), net.fc)
    return found


@torch.no_grad()
def path(reader: nn.Conv2d | nn.Linear, inputs: Tensor) -> Floats:
    """Importance [channels] in [0, 1]: how strong a penalty each input channel withstands.

    Args:
        inputs: [n, channels, h, w], or [n, channels] of a linear layer.
    """
    weight = reader.weight.detach().float()
    patches = _patches(reader, inputs.float())  # [samples, channels, k * k]
    outputs = torch.randperm(len(weight), generator=generator("lasso"))[:OUTPUTS]
    kernels = (
        weight[outputs.to(weight.device)].flatten(2)
        if weight.ndim == 4
        else weight[outputs.to(weight.device)][:, :, None]
    )
    # What each channel adds to each output: the regression has one coefficient a channel.
    shares = torch.einsum("sck,ock->soc", patches, kernels).flatten(0, 1).double()
    target = shares.sum(1)
    shares, target = shares - shares.mean(0), target - target.mean()
    gram, cross = (shares.T @ shares).cpu().numpy(), (shares.T @ target).cpu().numpy()
    alphas, _, coefficients = lars_path_gram(
        cross, gram, n_samples=len(target), method="lasso", alpha_min=0.0
    )
    kept = np.abs(coefficients) > 0
    # The path runs from the strongest penalty to none; a channel is kept up to where it entered.
    entered = np.where(kept.any(1), kept.argmax(1), len(alphas) - 1)
    strongest = max(float(alphas[0]), 1e-30)
    found: Floats = np.where(kept.any(1), alphas[np.maximum(entered - 1, 0)] / strongest, 0.0)
    return found


def _patches(reader: nn.Conv2d | nn.Linear, inputs: Tensor) -> Tensor:
    if isinstance(reader, nn.Linear):
        return inputs[:, :, None]
    n, channels = inputs.shape[:2]
    unfolded = functional.unfold(
        inputs, reader.kernel_size, padding=reader.weight.shape[2] // 2, stride=reader.stride
    )
    places = unfolded.shape[2]
    chosen = torch.randint(places, (min(SAMPLES, places),), generator=generator("lasso", places))
    picked = unfolded[:, :, chosen.to(inputs.device)].view(n, channels, -1, len(chosen))
    return picked.permute(0, 3, 1, 2).flatten(0, 1)
