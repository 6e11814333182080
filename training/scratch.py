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
from supernet.resnet import ResNet
from training.cached import Numbered, cached
from training.data import Data
from training.hints import Hinted, HintError, Maps, features
from training.images import evaluation_batches
from training.loop import run
from training.losses import distillation_loss
from training.recipe import Recipe
from training.seeds import derived
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
    cache: Path | None = None,
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
        cache: folder for the teacher's logits of all images, see `training.cached`; None to ask it
            in every step.
        limit_images: train on a fixed random sample of that many.
        control: when to save, when to stop.

    Returns:
        History rows of epoch, loss, lr, val_accuracy, and the path of the weights.

    Raises:
        CheckpointError, DivergedError, TrainingStopped: see `training.loop.run`.
        RecipeError: a cache for a recipe that changes images.
        HintError: hints without a teacher of the same stages.
    """
    device = next(net.parameters()).device
    if teacher is not None:
        teacher.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    known = None if cache is None or teacher is None else cached(teacher, data, recipe, cache)
    student = _student(net, teacher, data, recipe, seed)

    def losses(images: Tensor, labels: Tensor, step: int) -> Iterator[Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
            if known is None:
                guide, theirs = _guided(teacher, images)
            else:
                theirs = {}
                labels, guide = known.of(labels)
            logits, own = features(net, images)
        loss = distillation_loss(
            logits.float(),
            labels,
            None if guide is None else guide.float(),
            alpha=recipe.alpha,
            temperature=recipe.temperature,
            label_smoothing=recipe.label_smoothing,
        )
        if isinstance(student, Hinted):
            loss = loss + recipe.hints * student.loss(own, theirs)
        yield loss + recipe.gamma_l1 * scales_l1(net) if recipe.gamma_l1 else loss

    identity = {
        "data": data.fingerprint,
        "teacher": None if teacher is None else weights_hash(teacher),
    }
    task = Task(
        model=student,
        images=data.train if known is None else Numbered(data.train),
        recipe=recipe,
        seed=seed,
        losses=losses,
        evaluate=lambda model: {"val_accuracy": accuracy(model, evaluation_batches(data.val))},
        identity=identity,
        limit_images=limit_images,
        between_epochs=lambda model: zero_smallest(net, recipe.soft_rate),
        repeats=known is None and isinstance(net, ResNet),
    )
    return run(task, folder, progress, control)


def _guided(teacher: nn.Module | None, images: Tensor) -> tuple[Tensor | None, Maps]:
    """The teacher's logits, and the maps of its stages."""
    if teacher is None:
        return None, {}
    with torch.no_grad():
        return features(teacher, images)


def _student(
    net: nn.Module, teacher: nn.Module | None, data: Data, recipe: Recipe, seed: int
) -> nn.Module:
    """What is trained: the network, with regressors where the teacher's stages are hints.

    Raises:
        HintError: hints without a teacher that has the same stages.
    """
    if not recipe.hints:
        return net
    if teacher is None:
        raise HintError("hints need a teacher, and there is none")
    images, _ = data.train.batch(torch.arange(min(2, len(data.train))))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived("regressors", seed))
        return Hinted(net, teacher, images.to(next(net.parameters()).device))
