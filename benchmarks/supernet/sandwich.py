"""What a sandwich step costs beside plain training steps of its own four networks.

    python -m benchmarks.supernet.sandwich [--threads 2] [--rounds 24]

In each round a sandwich step (largest, smallest, two random configs, in-place distillation, one
update of all weights) and one plain step of each of the four networks alone run in turn; who goes
first alternates. Shapes are warm: every network took a step before, as in a plain training. What a
step pays for shapes that it meets the first time is told apart. Prints a table, and writes JSON to
`benchmarks/results/supernet-sandwich.json`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.latency.output import RESULTS, between, show, text, write_json
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from supernet.sliced import SlicedSupernet
from supernet.space import SearchSpace
from training.optimiser import Optimiser
from training.recipe import SupernetRecipe
from training.supernet_loop import losses_of
from training.visits import visited

SETS = 3  # of four configs each
RATIOS = [1 - 0.125 * step for step in range(7)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A network and a batch to step on."""

    name: str
    network: NetworkSpec
    batch: int


CASES = (
    Case(
        name="width 1/4, 28x28, batch 64",
        network=NetworkSpec(width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10),
        batch=64,
    ),
    Case(
        name="width 1/4, 64x64, batch 32",
        network=NetworkSpec(width=0.25, resolution=64, classes=20),
        batch=32,
    ),
    Case(
        name="width 1/2, 32x32, batch 64",
        network=NetworkSpec(width=0.5, resolution=32, classes=10),
        batch=64,
    ),
)


class Steps:
    """One supernet and the plain networks of its configs, each with its own optimiser."""

    def __init__(self, case: Case) -> None:
        torch.manual_seed(0)
        self.recipe = SupernetRecipe(epochs=1, batch=case.batch, lr=0.01, warmup_epochs=0)
        self.space = SearchSpace.from_ratios(case.network, RATIOS)
        self.supernet = SlicedSupernet(self.space).train()
        self.shared = Optimiser(self.supernet, self.recipe)
        self.sets = [self.drawn(step) for step in range(SETS)]
        self.plain: dict[ChannelConfig, tuple[ResNet, Optimiser]] = {}
        for config in dict.fromkeys(config for configs in self.sets for config in configs):
            net = ResNet(case.network, config)
            net.to(memory_format=torch.channels_last)
            self.plain[config] = (net.train(), Optimiser(net, self.recipe))
        size = case.network.resolution
        images = torch.randn(case.batch, case.network.channels, size, size)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(case.network.classes, (case.batch,))

    def drawn(self, step: int) -> list[ChannelConfig]:
        """The four configs of a step."""
        return visited(self.space, self.recipe, 0, step)

    def sandwich(self, configs: list[ChannelConfig]) -> None:
        """One step of supernet training."""
        self.shared.clear()
        found = losses_of(self.supernet, configs, self.images, self.labels, self.recipe)
        for loss in found:
            _backward(loss)
        self.shared.step(0.01)

    def alone(self, config: ChannelConfig) -> None:
        """One step of plain training."""
        net, optimiser = self.plain[config]
        optimiser.clear()
        smoothing = self.recipe.label_smoothing
        loss = functional.cross_entropy(net(self.images), self.labels, label_smoothing=smoothing)
        _backward(loss)
        optimiser.step(0.01)


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Ratio of a case with its 95 % interval (bootstrap over rounds), and milliseconds."""
    steps = Steps(case)
    for configs in steps.sets:
        steps.sandwich(configs)
        for config in configs:
            steps.alone(config)
    shared, plain = [], []
    for number in range(rounds):
        configs = steps.sets[number // 2 % SETS]
        both: dict[bool, float] = {}
        for first in (bool(number % 2), not number % 2):
            if first:
                both[True] = _seconds(lambda c=configs: steps.sandwich(c))  # type: ignore[misc]
            else:
                both[False] = sum(_seconds(lambda c=c: steps.alone(c)) for c in configs)  # type: ignore[misc]
        shared.append(both[True])
        plain.append(both[False])
    unseen = [steps.drawn(1000 + number) for number in range(max(3, rounds // 4))]
    fresh = [_seconds(lambda c=configs: steps.sandwich(c)) for configs in unseen]  # type: ignore[misc]
    # Who goes first pays for it, so a ratio is that of two rounds, one each way.
    ratios = _by_two(shared) / _by_two(plain)
    return {
        "case": case.name,
        "rounds": rounds,
        "ratio": float(np.median(ratios)),
        "ratio_interval": _interval(ratios),
        "sandwich_ms": 1e3 * float(np.median(shared)),
        "plain_sum_ms": 1e3 * float(np.median(plain)),
        "first_use_ms": 1e3 * float(np.median(fresh)),
    }


def _by_two(values: list[float]) -> Any:
    return np.reshape(values, (-1, 2)).sum(1)


def _interval(values: Any) -> list[float]:
    draws = np.random.default_rng(0).choice(values, size=(2000, len(values)))
    return [float(end) for end in np.percentile(np.median(draws, axis=1), [2.5, 97.5])]


def _seconds(step: Callable[[], None]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def _backward(loss: Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]


def main() -> None:
    """Measures every case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=24, help="an even number")
    parser.add_argument("--out", type=Path, default=RESULTS / "supernet-sandwich.json")
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    found = [measure(case, wanted.rounds) for case in CASES]
    rows = [
        [
            row["case"],
            text(row["ratio"], 3),
            between(row["ratio_interval"], 3),
            text(row["sandwich_ms"], 0),
            text(row["plain_sum_ms"], 0),
            text(row["first_use_ms"], 0),
        ]
        for row in found
    ]
    columns = ["", "ratio", "95 %", "sandwich ms", "plain steps ms", "with new shapes ms"]
    show("A sandwich step beside the plain steps of its four networks", columns, rows)
    about = {"threads": wanted.threads, "torch": torch.__version__, "load": os.getloadavg()[0]}
    write_json(wanted.out, {**about, "cases": found})


if __name__ == "__main__":
    main()
