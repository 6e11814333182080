"""What eight bits cost on Fashion-MNIST's full test set, by calibration method.

    python -m benchmarks.int8.accuracy FOLDER [--seeds 3] [--threads 1]

Quarter-width ResNet50 topology at 28x28, dense and at two uniform ratios, trained from scratch on
55,000 images; 500 training images calibrate, 5,000 search-validation images choose the method, and
the 10,000 test images tell what every method cost. Trainings are kept in FOLDER and continue from
there. Prints a table, and writes JSON to `benchmarks/results/int8-accuracy.json`.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.latency.output import RESULTS, show, write_json
from export.int8.choose import calibrated
from export.int8.form import Form, needs_reduced_range
from export.int8.judge import judge
from export.onnx_file import check, export
from export.running import logits
from profiler import machine
from service.stages.quantise import Batches, whole_batches
from supernet.arithmetic import count
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.data import Data, load
from training.recipe import Recipe
from training.scratch import train

NETWORK = NetworkSpec(width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10)
RATIOS = {"dense": 1.0, "uniform 0.70": 0.7, "uniform 0.50": 0.5}
RECIPE = Recipe(epochs=4, batch=128, lr=0.1, warmup_epochs=0.5)
BATCH, CALIBRATION = 100, 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = load("fashion-mnist", path=None, resolution=28, channels=1, val_size=5000, seed=0)
    form = Form(reduce_range=needs_reduced_range(machine.isa_flags()))
    rows = [
        _case(name, ratio, seed, data, form, given.folder, given.threads)
        for seed in range(given.seeds)
        for name, ratio in RATIOS.items()
    ]
    columns = ["net, seed", "fp32", *rows[0]["methods"], "chosen", "its loss, points"]
    title = f"Accuracy on {len(data.test)} test images, fp32 and int8 by calibration"
    show(title, columns, [_shown(row) for row in rows])
    worst = max(row["loss_points"] for row in rows)
    mean = float(np.mean([row["loss_points"] for row in rows]))
    print(f"loss of the chosen method in points: mean {mean:.3f}, worst {worst:.3f}")
    result = {
        "device": machine.device(),
        "form": str(form),
        "recipe": asdict(RECIPE),
        "calibration_images": CALIBRATION,
        "test_images": len(data.test),
        "loss_points": {"mean": mean, "worst": worst},
        "rows": rows,
    }
    write_json(RESULTS / "int8-accuracy.json", result)


def _case(
    name: str, ratio: float, seed: int, data: Data, form: Form, folder: Path, threads: int
) -> dict[str, Any]:
    place = folder / f"{name.replace(' ', '-')}-{seed}"
    start, config = time.perf_counter(), NETWORK.uniform(ratio)
    torch.manual_seed(seed)
    net = ResNet(NETWORK, config)
    train(net, data, RECIPE, place, seed=seed, progress=_tell(place.name))
    net.eval()
    source = place / "net.onnx"
    example, _ = data.val.batch(torch.arange(BATCH))
    export(net, example, source)
    check(net, source, example)
    found = calibrated(
        source,
        place,
        form,
        calibration=whole_batches(data.train, BATCH, CALIBRATION),
        judging=Batches(data.val, BATCH),
        labels=data.val.labels.numpy(),
        threads=threads,
    )
    test, labels = Batches(data.test, BATCH), data.test.labels.numpy()
    reference = logits(source, test, threads=threads)
    judged = {
        method: asdict(judge(reference, logits(path, test, threads=threads), labels))
        for method, path in found.files.items()
    }
    plain = float((reference.argmax(axis=1) == labels).mean())
    return {
        "net": name,
        "seed": seed,
        "macs": count(NETWORK, config)[0],
        "fp32": plain,
        "methods": judged,
        "chosen": found.best,
        "loss_points": 100 * (plain - judged[found.best]["accuracy"]),
        "seconds": time.perf_counter() - start,
    }


def _shown(row: dict[str, Any]) -> list[str]:
    accuracies = [f"{found['accuracy']:.4f}" for found in row["methods"].values()]
    loss = f"{row['loss_points']:+.2f}"
    return [f"{row['net']}, {row['seed']}", f"{row['fp32']:.4f}", *accuracies, row["chosen"], loss]


def _tell(name: str) -> Any:
    last = [0.0]

    def tell(done: int, total: int, note: str) -> None:
        if time.monotonic() - last[0] > 20 or "val" in note:
            last[0] = time.monotonic()
            print(f"{name}: {done}/{total} {note}", flush=True)

    return tell


if __name__ == "__main__":
    main()
