"""mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019) of a part of a batch, by torchvision.

Draws depend on the seed and on which part it is alone, so a resumed run mixes the same images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import v2

from training.recipe import Optimisation
from training.seeds import derived


def mixed(
    images: Tensor, labels: Tensor, recipe: Optimisation, classes: int, seed: int, *numbers: int
) -> tuple[Tensor, Tensor]:
    """Images and labels as the recipe mixes them; as they are where it does not.

    Where both are asked for, each part is mixed by one of them, drawn evenly.

    Args:
        images: float32 [b, channels, side, side].
        labels: int64 [b].
        numbers: epoch, index of the batch and, where there are several, of the part.

    Returns:
        Images, and either the labels or float32 [b, classes], the share of every class.
    """
    ways: list[v2.Transform] = []
    if alpha := getattr(recipe, "mixup", 0.0):
        ways.append(v2.MixUp(alpha=alpha, num_classes=classes))
    if alpha := getattr(recipe, "cutmix", 0.0):
        ways.append(v2.CutMix(alpha=alpha, num_classes=classes))
    if not ways or len(images) < 2:
        return images, labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived("mixing", seed, *numbers))
        way = ways[int(torch.randint(len(ways), ()))]
        found: tuple[Tensor, Tensor] = way(images, labels)
    return found
