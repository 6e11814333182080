"""Tiny data, networks and trainings that the tests of `training` share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from supernet.kinds import Kind
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from supernet.source import build
from supernet.space import SearchSpace
from training.checkpoint import Checkpoint, load_latest, save
from training.data import Data
from training.images import MemorySet, Subset
from training.recipe import Recipe, SupernetRecipe
from training.scratch import train
from training.seeds import generator
from training.supernet_loop import train_supernet
from training.task import Control, Progress, Result, silent

TINY = NetworkSpec(depths=(1, 1), width=1 / 16, stem="3x3/1", resolution=8, channels=1, classes=10)
SPACE = SearchSpace.from_ratios(TINY, [1, 0.5])
RECIPE = Recipe(epochs=2, batch=16, lr=0.05, ema=0.9, clip_norm=5.0)
REMOVABLE = SearchSpace.from_ratios(
    replace(TINY, depths=(1, 2)), [1, 0.5], tied=False, removable=True
)
SUPERNET_RECIPE = SupernetRecipe(epochs=2, batch=16, lr=0.02, random_subnets=1)

EVERYTHING = replace(SUPERNET_RECIPE, ema=0.9, clip_norm=5.0, accumulate=2, bf16=True, removal=0.3)


def toy_data(n: int = 80, noise: float = 40.0) -> Data:
    """Ten classes: a bright spot at one of ten places, under noise; `n` images to train on."""
    draws = generator("toy")
    labels = torch.arange(2 * n) % 10
    pixels = torch.rand(2 * n, 1, 8, 8, generator=draws) * noise
    for label in range(10):
        row, column = divmod(label, 4)
        pixels[labels == label, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 2] += 200
    images = MemorySet(
        pixels=pixels.clamp(0, 255).to(torch.uint8),
        labels=labels,
        classes=tuple("0123456789"),
        mean=torch.tensor([0.2]),
        std=torch.tensor([0.3]),
        flip=False,
    )
    train_set, val = Subset(images, torch.arange(n)), Subset(images, torch.arange(n, 2 * n))
    return Data(name="toy", train=train_set, val=val, test=val, fingerprint=f"toy{n},{noise}")


def tiny_net(seed: int = 0) -> ResNet:
    """A dense net of `TINY`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ResNet(TINY, TINY.dense())


def run_scratch(folder: Path, progress: Progress, control: Control) -> Result:
    """Scratch training with everything on: teacher, averaging, clipping, augmentation."""
    return train(
        tiny_net(),
        toy_data(),
        RECIPE,
        folder,
        seed=3,
        teacher=tiny_net(1),
        limit_images=70,
        progress=progress,
        control=control,
    )


def run_mixed(folder: Path, progress: Progress, control: Control) -> Result:
    """The same with parts of a batch, mixup or CutMix, and hints."""
    recipe = replace(RECIPE, accumulate=2, mixup=0.4, cutmix=1.0, hints=0.5)
    return train(
        tiny_net(),
        toy_data(),
        recipe,
        folder,
        seed=3,
        teacher=tiny_net(1),
        progress=progress,
        control=control,
    )


def run_supernet(folder: Path, progress: Progress, control: Control) -> Result:
    """Sandwich training of a tiny supernet."""
    return _run_source("sliced", SUPERNET_RECIPE, folder, progress, control)


def run_options(folder: Path, progress: Progress, control: Control) -> Result:
    """The same with every option: averages, parts of a batch, bfloat16, removal."""
    return _run_source("sliced", EVERYTHING, folder, progress, control)


def run_pruningnet(folder: Path, progress: Progress, control: Control) -> Result:
    """One random config a step of a tiny PruningNet."""
    recipe = replace(SUPERNET_RECIPE, policy="single")
    return _run_source("pruningnet", recipe, folder, progress, control)


def _run_source(
    kind: Kind, recipe: SupernetRecipe, folder: Path, progress: Progress, control: Control
) -> Result:
    space = REMOVABLE if recipe.removal is not None else SPACE
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = build(kind, space)
    return train_supernet(
        supernet,
        space,
        toy_data(),
        recipe,
        folder,
        seed=3,
        progress=progress,
        control=control,
    )


RUNS: dict[str, Callable[[Path, Progress, Control], Result]] = {
    "scratch": run_scratch,
    "mixed": run_mixed,
    "supernet": run_supernet,
    "options": run_options,
    "pruningnet": run_pruningnet,
}


def run_and_die(kind: str, folder: Path, die: str, at: int) -> None:
    """In a process of its own: runs until the `at`-th step or disk sync, then SIGKILL."""
    torch.set_num_threads(1)
    calls = 0

    def count_and_die(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)

    if die == "sync":
        os.fsync = count_and_die  # type: ignore[assignment]
    progress = count_and_die if die == "step" else silent
    RUNS[kind](folder, progress, Control(save_every_steps=2))


def save_for_ever(folder: Path) -> None:
    """Saves checkpoints until it is killed; a tensor tells the step it belongs to."""
    torch.set_num_threads(1)
    latest = load_latest(folder)
    step = 0 if latest is None else latest.step
    while True:
        step += 1
        tensors = {f"t{n}": torch.full((64, 64), float(step)) for n in range(8)}
        save(folder, Checkpoint(step=step, tensors=tensors, state={"step": step}))


class Constant(nn.Module):
    """Logits that ignore the image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        """[n, ...] to [n, classes]."""
        return self.logits.expand(len(x), -1)
