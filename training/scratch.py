"""Training one plain network from scratch, with or without a teacher.

L = (1 - alpha) * CE(y, s) + alpha * T^2 * KL(teacher at T || student at T) (Hinton et al. 2015).
Knows nothing of where the network's widths come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from supernet.estimate import accuracy, weights_hash
from training.data import Data
from training.images import evaluation_batches
from training.loop import run
from training.losses import distillation_loss
from training.recipe import Recipe
from training.sparsity import scales_l1, zero_smallest
from training.task import DEFAULTS, Control, Progress, Result, Task, silent


def train(
    net: nn.Module,
    data: Data,
    recipe: Recipe,
    folder: Path,
    *,
    seed: int,
    teacher: nn.Module | None = None,
    limit_images: int | None = None,
    progress: Progress = silent,
    control: Control = DEFAULTS,
) -> Result:
    """Trains `net` in place; on CPU an interrupted call continues exactly.

    Args:
        net: images to logits; its present weights are the start.
        folder: checkpoints, then `weights.safetensors`; one folder a run.
        seed: of data order and augmentation.
        teacher: logits for the same images; put into evaluation mode, never changed.
        limit_images: train on a fixed random sample of that many.
        control: when to save, when to stop.

    Returns:
        History rows of epoch, loss, lr, val_accuracy, and the path of the weights.

    Raises:
        CheckpointError, DivergedError, TrainingStopped: see `training.loop.run`.
    """
    device = next(net.parameters()).device
    if teacher is not None:
        teacher.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
            guide = None
            if teacher is not None:
                with torch.no_grad():
                    guide = teacher(images)
            logits = net(images)
        loss = distillation_loss(
            logits.float(),
            labels,
            None if guide is None else guide.float(),
            alpha=recipe.alpha,
            temperature=recipe.temperature,
            label_smoothing=recipe.label_smoothing,
        )
        yield loss + recipe.gamma_l1 * scales_l1(net) if recipe.gamma_l1 else loss

    identity = {
        "data": data.fingerprint,
        "teacher": None if teacher is None else weights_hash(teacher),
    }
    task = Task(
        model=net,
        images=data.train,
        recipe=recipe,
        seed=seed,
        losses=losses,
        evaluate=lambda model: {"val_accuracy": accuracy(model, evaluation_batches(data.val))},
        identity=identity,
        limit_images=limit_images,
        between_epochs=lambda model: zero_smallest(model, recipe.soft_rate),
    )
    return run(task, folder, progress, control)
