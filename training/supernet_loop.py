"""Training a weight-sharing supernet by the sandwich rule with in-place distillation.

Every step trains the largest config on the labels, and the smallest and a few random ones on the
largest's predictions (Yu and Huang 2019, "Universally Slimmable Networks"; Yu et al. 2020,
"BigNAS"). Gradients of all are summed, as in the papers. Knows nothing of the search.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.config import ChannelConfig
from supernet.estimate import accuracy, recalibrate
from supernet.sliced import SlicedSupernet
from supernet.space import SearchSpace
from training.data import Data
from training.files import canonical, sha256
from training.images import evaluation_batches
from training.loop import run
from training.losses import soft_loss
from training.recipe import SupernetRecipe
from training.seeds import derived
from training.task import DEFAULTS, Control, Progress, Result, Row, Task, silent

RECALIBRATION = 512
"""Images that recalibrate batch norm before a sub-network is judged between epochs."""


def train_supernet(
    supernet: SlicedSupernet,
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
        space: where random configs come from; its largest leads, its smallest always takes part.
        folder: checkpoints, then `weights.safetensors`; one folder a run.
        seed: of data order, augmentation and sampled configs.
        limit_images: train on a fixed random sample of that many.
        control: when to save, when to stop.

    Returns:
        History rows of epoch, loss (the largest's), lr, val_accuracy_largest and
        val_accuracy_smallest (extracted and recalibrated), and the path of the weights.

    Raises:
        CheckpointError, DivergedError, TrainingStopped: see `training.loop.run`.
    """
    device = next(supernet.parameters()).device

    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        def logits(config: ChannelConfig) -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
                outputs: Tensor = supernet(images, config)
            return outputs.float()

        leader = logits(space.largest())
        yield functional.cross_entropy(leader, labels, label_smoothing=recipe.label_smoothing)
        for config in followers(space, recipe.random_subnets, seed, step):
            yield soft_loss(logits(config), leader, recipe.temperature)

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


def followers(space: SearchSpace, count: int, seed: int, step: int) -> list[ChannelConfig]:
    """The smallest config and `count` random ones; the same for the same seed and step."""
    rng = np.random.default_rng(derived("subnets", seed, step))
    return [space.smallest(), *(space.sample(rng) for _ in range(count))]


def _judge(model: nn.Module, space: SearchSpace, data: Data) -> Row:
    assert isinstance(model, SlicedSupernet)
    row = {}
    for name, config in (("largest", space.largest()), ("smallest", space.smallest())):
        net = model.extract(config)
        recalibrate(
            net, (images for images, _ in evaluation_batches(data.train, 128, RECALIBRATION))
        )
        row[f"val_accuracy_{name}"] = accuracy(net, evaluation_batches(data.val))
    return row
