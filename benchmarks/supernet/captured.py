"""Training steps as one CUDA graph beside the same steps kernel by kernel, on a GPU.

    python -m benchmarks.supernet.captured [--rounds 11] [--steps 20]

Forward, backward and update of plain networks, batches on the GPU already. The two ways alternate;
figures are milliseconds a step, the median over rounds and its 95 % bootstrap interval. Prints a
table, and writes JSON to `benchmarks/results/training-captured.json`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from benchmarks.search.spaces import RESULTS, write
from profiler.stats import paired_ratio
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.captured import Captured
from training.optimiser import Optimiser
from training.recipe import Recipe
from training.task import Losses

CASES = {
    "width 1/4, 28x28, batch 512": (
        NetworkSpec(width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10),
        512,
    ),
    "width 1/4, 64x64, batch 128": (NetworkSpec(width=0.25, resolution=64, classes=20), 128),
    "ResNet50, 224x224, batch 64": (NetworkSpec(), 64),
}
WAYS = ("kernels", "graph")


def losses_of(net: ResNet, bf16: bool) -> Losses:
    """Cross entropy of the network."""

    def losses(images: Tensor, labels: Tensor, step: int):  # type: ignore[no-untyped-def]
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            logits = net(images)
        yield functional.cross_entropy(logits.float(), labels)

    return losses


def step_of(way: str, network: NetworkSpec, batch: int, bf16: bool) -> Callable[[], object]:
    """One training step."""
    torch.manual_seed(0)
    net = ResNet(network, network.dense()).cuda().to(memory_format=torch.channels_last).train()
    side = network.resolution
    images = torch.randn(batch, network.channels, side, side, device="cuda")
    images = images.to(memory_format=torch.channels_last)
    labels = torch.randint(network.classes, (batch,), device="cuda")
    optimiser = Optimiser(net, Recipe(epochs=1, batch=batch, lr=1e-4, warmup_epochs=0))
    losses = losses_of(net, bf16)
    graph = Captured(net, losses, images, labels) if way == "graph" else None

    def step() -> None:
        optimiser.clear()
        if graph is not None:
            graph(images, labels)
        else:
            (loss,) = losses(images, labels, 0)
            loss.backward()  # type: ignore[no-untyped-call]
            loss.item()
        optimiser.step(1e-4)

    return step


def measured(network: NetworkSpec, batch: int, given: argparse.Namespace) -> dict[str, Any]:
    """Rounds of both ways, in milliseconds a step."""
    steps = {way: step_of(way, network, batch, given.bf16) for way in WAYS}
    rounds: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(given.rounds + 1):
        for way in WAYS if number % 2 else WAYS[::-1]:
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(given.steps):
                steps[way]()
            torch.cuda.synchronize()
            if number:  # the first round warms up
                rounds[way].append(1e3 * (time.perf_counter() - start) / given.steps)
    ratio = paired_ratio(rounds["kernels"], rounds["graph"])
    return {"ms": rounds, "times_faster": asdict(ratio)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bf16", action="store_true")
    given = parser.parse_args()
    table = Table("case", "kernels, ms", "graph, ms", "times faster")
    found = {}
    for name, (network, batch) in CASES.items():
        found[name] = row = measured(network, batch, given)
        medians = [sorted(row["ms"][way])[given.rounds // 2] for way in WAYS]
        ratio = row["times_faster"]
        shown = f"{ratio['median']:.2f} ({ratio['lo']:.2f} to {ratio['hi']:.2f})"
        table.add_row(name, *(f"{value:.2f}" for value in medians), shown)
    Console().print(table)
    where = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    write(RESULTS / "training-captured.json", {**where, "bf16": given.bf16, "cases": found})


if __name__ == "__main__":
    main()
