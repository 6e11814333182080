"""`capacity_check`: does this data need the capacity that pruning takes away?

Where the largest and the smallest config end equally accurate, every ranking between them is
noise, whatever the search does. So both are trained alone, briefly and more than once, and judged
on the search-validation images; the test images stay untouched.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.data import Data
from training.recipe import Recipe
from training.scratch import train
from training.seeds import derived
from training.task import DEFAULTS, Control, Progress, silent

CLEAR = 2.0
"""Standard errors by which the means must differ."""


class CapacityError(ValueError):
    """A capacity check that could not tell anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Accuracies (fractions) of stand-alone trainings, one per seed, and what they tell.

    Attributes:
        images: search-validation images each accuracy rests on.
        difference: mean of the largest minus mean of the smallest.
        noise: standard error of the difference: spread between seeds and the binomial error of
            the images, added in quadrature.
        tells_apart: the difference exceeds twice the noise.
    """

    largest: tuple[float, ...]
    smallest: tuple[float, ...]
    images: int
    difference: float
    noise: float
    tells_apart: bool

    def verdict(self) -> str:
        """One line for people."""
        means = [statistics.fmean(runs) for runs in (self.largest, self.smallest)]
        numbers = (
            f"largest {means[0]:.4f}, smallest {means[1]:.4f}, difference "
            f"{self.difference:+.4f} with standard error {self.noise:.4f}"
        )
        if self.tells_apart:
            return f"this data tells configs apart: {numbers}"
        return f"this data cannot tell configs apart, so any ranking of them is noise: {numbers}"


def capacity_check(
    network: NetworkSpec,
    largest: ChannelConfig,
    smallest: ChannelConfig,
    data: Data,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    folder: Path,
    images: int | None = None,
    device: str = "cpu",
    progress: Progress = silent,
    control: Control = DEFAULTS,
) -> Capacity:
    """Trains both configs once per seed; an interrupted call continues.

    Args:
        seeds: of weights, data order and augmentation; at least two, all different.
        images: train on only that many.
        device: as torch names it.

    Raises:
        CapacityError: fewer than two seeds.
        CheckpointError, DivergedError, TrainingStopped: see `training.loop.run`.
    """
    if len(set(seeds)) < 2 or len(set(seeds)) != len(seeds):
        raise CapacityError(f"seeds must be two or more different numbers, but got {list(seeds)}")
    runs = [
        (name, config, seed)
        for seed in seeds
        for name, config in (("largest", largest), ("smallest", smallest))
    ]
    found: dict[str, list[float]] = {"largest": [], "smallest": []}
    for number, (name, config, seed) in enumerate(runs):
        label = f"{name}, seed {seed}"
        with torch.random.fork_rng():
            torch.manual_seed(derived("weights", seed))
            net = ResNet(network, config).to(device)
        result = train(
            net,
            data,
            recipe,
            folder / f"{name}-{seed}",
            seed=seed,
            limit_images=images,
            progress=_part(progress, number, len(runs), label),
            control=control,
        )
        found[name].append(result.history[-1]["val_accuracy"])
    return judge(found["largest"], found["smallest"], len(data.val))


def judge(largest: Sequence[float], smallest: Sequence[float], images: int) -> Capacity:
    """What accuracies of the two configs, each measured on the same `images`, tell.

    The binomial error is not divided by the number of seeds, because all share the same images.
    """
    difference = statistics.fmean(largest) - statistics.fmean(smallest)
    variance = 0.0
    for runs in (largest, smallest):
        mean = statistics.fmean(runs)
        variance += statistics.variance(runs) / len(runs) + mean * (1 - mean) / images
    noise = math.sqrt(variance)
    return Capacity(
        largest=tuple(largest),
        smallest=tuple(smallest),
        images=images,
        difference=difference,
        noise=noise,
        tells_apart=difference > CLEAR * noise,
    )


def _part(progress: Progress, number: int, parts: int, label: str) -> Progress:
    return lambda done, total, note: progress(
        number * total + done, parts * total, f"{label}: {note}"
    )
