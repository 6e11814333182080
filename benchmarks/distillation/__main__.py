"""Distillation against none: the same pruned network, recipe, images and seeds.

    python -m benchmarks.distillation FOLDER [--seeds 5] [--images 10000] [--epochs 8]

Fashion-MNIST at 28x28, quarter-width ResNet50 topology at half of its widths; the teacher is the
dense network trained on all 55,000 images, the student sees a fixed sample of them. Compared on the
10,000 test images: without a teacher, with one (alpha 0.5, T 4), and with hints beside. Gains are
differences per seed, with Student's 95 % interval over seeds. Finished trainings in FOLDER are
kept. Prints a table, and writes JSON to `benchmarks/results/distillation.json`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.latency.output import RESULTS, show, write_json
from supernet.arithmetic import count
from supernet.estimate import accuracy
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.data import Data, load
from training.images import evaluation_batches
from training.recipe import Recipe
from training.scratch import train

NETWORK = NetworkSpec(width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10)
RATIO = 0.5
TEACHER = Recipe(epochs=4, batch=128, lr=0.1, warmup_epochs=0.5)
VARIANTS: dict[str, dict[str, float]] = {
    "no teacher": {},
    "teacher": {"alpha": 0.5, "temperature": 4.0},
    "teacher and hints": {"alpha": 0.5, "temperature": 4.0, "hints": 0.2},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = load("fashion-mnist", path=None, resolution=28, channels=1, val_size=5000, seed=0)
    guide = teacher(data, given.folder / "teacher")
    recipe = Recipe(epochs=given.epochs, batch=128, lr=0.1, warmup_epochs=0.5)
    found = {
        name: [
            student(data, guide, name, replace(recipe, **changes), seed, given)  # type: ignore[arg-type]
            for seed in range(given.seeds)
        ]
        for name, changes in VARIANTS.items()
    }
    reached = accuracy(guide, evaluation_batches(data.test))
    report(found, reached, recipe, given)


def teacher(data: Data, folder: Path) -> ResNet:
    """The dense network, trained on everything."""
    torch.manual_seed(0)
    net = ResNet(NETWORK, NETWORK.dense())
    train(net, data, TEACHER, folder, seed=0)
    return net.eval()


def student(
    data: Data,
    guide: ResNet,
    name: str,
    recipe: Recipe,
    seed: int,
    given: argparse.Namespace,
) -> float:
    """Test accuracy of one training."""
    start = time.perf_counter()
    torch.manual_seed(1000 + seed)
    net = ResNet(NETWORK, NETWORK.uniform(RATIO))
    train(
        net,
        data,
        recipe,
        given.folder / f"{name.replace(' ', '-')}-{seed}",
        seed=seed,
        teacher=guide if VARIANTS[name] else None,
        limit_images=given.images,
    )
    found = accuracy(net, evaluation_batches(data.test))
    print(f"{name}, seed {seed}: {found:.4f} ({time.perf_counter() - start:.0f} s)", flush=True)
    return found


def report(
    found: dict[str, list[float]], reached: float, recipe: Recipe, given: argparse.Namespace
) -> None:
    """Table and JSON."""
    base = np.array(found["no teacher"])
    rows, results = [], {}
    for name, values in found.items():
        gain = 100 * (np.array(values) - base)
        half = float(stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain)) if gain.any() else 0.0
        results[name] = {
            "test": values,
            "mean": float(np.mean(values)),
            "gain_points": {
                "mean": float(gain.mean()),
                "lo": float(gain.mean()) - half,
                "hi": float(gain.mean()) + half,
            },
        }
        gained = f"{gain.mean():+.2f} ({gain.mean() - half:+.2f}..{gain.mean() + half:+.2f})"
        rows.append(
            [
                name,
                f"{np.mean(values):.4f}",
                f"{np.std(values, ddof=1):.4f}",
                gained if half else "-",
            ]
        )
    show(
        f"{given.seeds} seeds, {given.images} images; the teacher reaches {reached:.4f}",
        ["student", "accuracy", "sd", "gain, points (95 %)"],
        rows,
    )
    result: dict[str, Any] = {
        "teacher": reached,
        "student_macs": count(NETWORK, NETWORK.uniform(RATIO))[0],
        "dense_macs": count(NETWORK, NETWORK.dense())[0],
        "images": given.images,
        "recipe": asdict(recipe),
        "variants": VARIANTS,
        "results": results,
    }
    write_json(RESULTS / "distillation.json", result)


if __name__ == "__main__":
    main()
