"""Training the weights of a whole search space, with in-place distillation.

A step visits the configs that `training.visits` names: by the sandwich rule the largest learns from
the labels, and the smallest and a few random ones from the largest's predictions (Yu and Huang
2019, "Universally Slimmable Networks"; Yu et al. 2020, "BigNAS"). Gradients of all are summed, as
in the papers. Knows nothing of the search, nor of how the weights are shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.estimate import accuracy, recalibrate
from supernet.source import WeightSource
from supernet.space import SearchSpace
from training.data import Data
from training.files import canonical, sha256
from training.images import evaluation_batches
from training.loop import run
from training.losses import soft_loss
from training.recipe import SupernetRecipe
from training.task import DEFAULTS, Control, Progress, Result, Row, Task, silent
from training.visits import require_removable, visited

RECALIBRATION = 512
"""Images that recalibrate batch norm before a sub-network is judged between epochs."""


def train_supernet(
    supernet: WeightSource,
    space: SearchSpace,
    data: Data,
    recipe: SupernetRecipe,
    folder: Path,
    *,
    seed: int,
    limit_images: int | None = None,
    progress: Progress = silent,
    control: Control = DEFAULTS,
) -> Result:
    """Trains `supernet` in place; on CPU an interrupted call continues exactly.

    Args:
        space: what the steps visit, see `training.visits`; a part of the supernet's own will do.
        folder: checkpoints, then `weights.safetensors`; one folder a run.
        seed: of data order, augmentation and sampled configs.
        limit_images: train on a fixed random sample of that many.
        control: when to save, when to stop.

    Returns:
        History rows of epoch, loss (of each step's first config), lr, val_accuracy_largest and
        val_accuracy_smallest (extracted and recalibrated), and the path of the weights.

    Raises:
        CheckpointError, DivergedError, TrainingStopped: see `training.loop.run`.
        ConfigError: the recipe removes blocks, but the space keeps them.
    """
    require_removable(space, recipe)

    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        configs = visited(space, recipe, seed, step)
        return losses_of(supernet, configs, images, labels, recipe)

    task = Task(
        model=supernet,
        images=data.train,
        recipe=recipe,
        seed=seed,
        losses=losses,
        evaluate=lambda model: _judge(model, space, data),
        identity={"data": data.fingerprint, "space": sha256(canonical(asdict(space)))},
        limit_images=limit_images,
    )
    return run(task, folder, progress, control)


def losses_of(
    supernet: WeightSource,
    configs: Sequence[ChannelConfig],
    images: Tensor,
    labels: Tensor,
    recipe: SupernetRecipe,
) -> Iterator[Tensor]:
    """The loss of each config on its own graph; the first learns from labels, the others from it.

    A loss is computed when it is asked for, so that one graph at a time needs memory.

    Args:
        images: [n, channels, resolution, resolution].
        labels: int64 [n].
    """

    def logits(config: ChannelConfig) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.bf16):
            outputs: Tensor = supernet(images, config)
        return outputs.float()

    first = logits(configs[0])
    yield functional.cross_entropy(first, labels, label_smoothing=recipe.label_smoothing)
    for config in configs[1:]:
        yield soft_loss(logits(config), first, recipe.temperature)


def _judge(model: nn.Module, space: SearchSpace, data: Data) -> Row:
    assert isinstance(model, WeightSource)
    row = {}
    for name, config in (("largest", space.largest()), ("smallest", space.smallest())):
        net = model.extract(config)
        recalibrate(
            net, (images for images, _ in evaluation_batches(data.train, 128, RECALIBRATION))
        )
        row[f"val_accuracy_{name}"] = accuracy(net, evaluation_batches(data.val))
    return row
