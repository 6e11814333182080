"""A small bundle of a network trained on digits, made without a job; used by tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bundle.claims import Accuracy, Claims, DataClaim, Interval, Latency, identity, text
from bundle.manifest import CLAIMS, INT8, ONNX, WEIGHTS
from bundle.writing import seal
from export.int8.calibration import ranges
from export.int8.files import quantise
from export.int8.form import Form
from export.onnx_file import export
from export.running import logits
from profiler.backend import load as backend
from profiler.stats import wilson
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from supernet.weights import save_weights
from training.data import Data, load
from training.images import evaluation_batches
from training.recipe import Recipe
from training.scratch import train

NETWORK = NetworkSpec(
    depths=(2, 1), width=0.125, stem="3x3/1", resolution=8, channels=1, classes=10
)
CONFIG = ChannelConfig(7, (24, 40), ((3, 8), (5, 5), (16, 9)))
BATCH = 8


def make(folder: Path) -> Path:
    """Trains, exports, quantises and claims; returns the sealed folder."""
    place = folder / "bundle"
    place.mkdir(parents=True)
    data = load("digits", path=None, resolution=8, channels=1, val_size=200, seed=0)
    torch.manual_seed(0)
    net = ResNet(NETWORK, CONFIG)
    train(net, data, Recipe(epochs=3, batch=50, lr=0.1, augment=False), folder / "run", seed=0)
    save_weights(net, place / WEIGHTS)
    batches = [data.test.batch(torch.arange(n * BATCH, (n + 1) * BATCH))[0] for n in range(40)]
    export(net, batches[0], place / ONNX)
    images = [batch.contiguous().numpy() for batch in batches]
    quantise(place / ONNX, place / INT8, ranges(place / ONNX, images, "max"), Form())
    labels = data.test.labels.numpy()
    shares = {
        name: float((logits(place / file, _all(data)).argmax(axis=1) == labels).mean())
        for name, file in (("fp32", ONNX), ("int8", INT8))
    }
    macs, params = count(NETWORK, CONFIG)
    one = Interval(median=1.0, lo=0.01, hi=1.1)
    target = backend("onnxruntime").target("fp32", BATCH, 1)
    made = Claims(
        name="test/found-1",
        network={**asdict(NETWORK), "depths": list(NETWORK.depths)},
        config=CONFIG.to_json(),
        macs=macs,
        params=params,
        data=DataClaim(
            name="digits", resolution=8, channels=1, validation=200, limit=None, seed=0,
            fingerprint=data.fingerprint,
        ),
        accuracy={
            "fp32": Accuracy(**share(shares["fp32"], len(labels))),
            "int8": Accuracy(**share(shares["int8"], len(labels))),
        },
        estimate=0.5,
        latency=(Latency(precision="fp32", target=identity(target), ms=one, times_dense=one),),
        table=None,
    )  # fmt: skip
    (place / CLAIMS).write_text(text(made), encoding="utf-8")
    for name in ("recipe.yaml", "README.md", "NOTICE.txt"):
        (place / name).write_text("nothing\n", encoding="utf-8")
    (place / "environment.json").write_text("{}\n", encoding="utf-8")
    seal(place)
    return place


def share(test: float, n: int) -> dict[str, Any]:
    """An accuracy claim."""
    lo, hi = wilson(test, n)
    return {"test": test, "n": n, "lo": lo, "hi": hi}


def edit(folder: Path, **changes: object) -> None:
    """Changes claims of a bundle, and seals it again."""
    data = json.loads((folder / CLAIMS).read_text(encoding="utf-8"))
    (folder / CLAIMS).write_text(json.dumps({**data, **changes}), encoding="utf-8")
    seal(folder)


def _all(data: Data) -> Iterator[npt.NDArray[np.float32]]:
    return (batch.contiguous().numpy() for batch, _ in evaluation_batches(data.test, BATCH))
