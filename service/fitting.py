"""One training of one candidate, as a process of its own; started by `service.fits`.

Over several machines that share FOLDER, by hand:

    torchrun --nnodes 2 --nproc-per-node 8 ... -m service.fitting SPEC.json CONFIG.json SEED FOLDER
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from service.fit_spec import FitSpec
from service.fits import RESULT
from service.store import write_json
from supernet.config import ChannelConfig
from supernet.estimate import accuracy
from supernet.resnet import ResNet
from supernet.weights import save_weights
from training.data import Data, load
from training.errors import TrainingStopped
from training.images import evaluation_batches
from training.recipe import decides
from training.scalars import tensorboard
from training.scratch import train
from training.stopping import on_sigterm
from training.task import Control
from training.teachers import teacher

WARM, TIMED = 2, 4
"""Steps of an estimate."""


def main() -> None:
    """The process; `--estimate` behind the arguments only tells what it would take."""
    torch.set_float32_matmul_precision("high")
    spec_path, config_path, seed, folder = sys.argv[1:5]
    spec = FitSpec.model_validate_json(Path(spec_path).read_bytes())
    config = ChannelConfig.from_json(json.loads(Path(config_path).read_bytes()))
    if spec.cpu_threads is not None:
        torch.set_num_threads(spec.cpu_threads)
    if "--estimate" in sys.argv[5:]:
        print(json.dumps(estimate(spec, config, Path(folder))), flush=True)
        return
    fit(spec, config, int(seed), Path(folder))


def fit(spec: FitSpec, config: ChannelConfig, number: int, folder: Path) -> None:
    """Trains, and writes `weights.safetensors` and `result.json`; continues where it was stopped.

    Args:
        number: repetition; it sets weights and data order.
    """
    leads = int(os.environ.get("RANK", "0")) == 0
    folder.mkdir(parents=True, exist_ok=True)
    data, net, guide = prepared(spec, config, number)
    chart = tensorboard(folder / "tensorboard") if spec.tensorboard and leads else nullcontext()
    with chart as written, on_sigterm() as asked:
        result = train(
            net,
            data,
            spec.recipe,
            folder / "checkpoints",
            seed=spec.seed + 1000 * (number + 1),
            teacher=guide,
            cache=cache_of(spec, folder),
            progress=lambda done, total, note: print(json.dumps([done, total, note]), flush=True),
            control=Control(stop=asked, chart=written, save_every_seconds=spec.save_every_seconds),
        )
    if not leads:
        return
    save_weights(net, folder / "weights.safetensors")
    outcome = {
        "config": config.to_json(),
        "recipe": decides(spec.recipe),
        "seed": number,
        "history": result.history,
        "test": accuracy(net, evaluation_batches(data.test)),
        "n": len(data.test),
    }
    write_json(folder / RESULT, outcome)


def cache_of(spec: FitSpec, folder: Path) -> Path | None:
    """Where the teacher's answers are kept: beside the candidates, which share them."""
    return folder.parent.parent if spec.teacher is not None and spec.teacher.cache else None


def prepared(
    spec: FitSpec, config: ChannelConfig, number: int
) -> tuple[Data, ResNet, nn.Module | None]:
    """Images, the untrained network on its device, and the teacher."""
    network = spec.network
    data = load(
        spec.data.name,
        path=spec.data.path,
        resolution=network.resolution,
        channels=network.channels,
        val_size=spec.data.validation,
        limit=spec.data.limit,
        seed=spec.seed,
    )
    torch.manual_seed(spec.seed + 1000 * (number + 1))
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    net = ResNet(network, config).to(f"cuda:{rank}" if spec.device == "cuda" else "cpu")
    given = spec.teacher
    guide = None if given is None else teacher(given.weights, network, timm=given.timm)
    return data, net, guide


def estimate(spec: FitSpec, config: ChannelConfig, folder: Path) -> dict[str, Any]:
    """What a training takes, from a few real steps; of one process, times nothing.

    Evaluation at the end of each epoch is not in it.
    """
    data, net, guide = prepared(spec, config, 0)
    times: list[float] = []
    total = 0

    def progress(done: int, of: int, note: str) -> None:
        nonlocal total
        times.append(time.perf_counter())
        total = of

    with tempfile.TemporaryDirectory() as place:
        try:
            stop = Control(stop=lambda: len(times) >= WARM + TIMED)
            train(
                net, data, spec.recipe, Path(place), seed=0, teacher=guide,
                cache=cache_of(spec, folder), progress=progress, control=stop,
            )  # fmt: skip
        except TrainingStopped:
            pass
    step = (times[-1] - times[WARM - 1]) / (len(times) - WARM)
    peak = (
        torch.cuda.max_memory_allocated()
        if spec.device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {"steps": total, "seconds_per_step": step, "seconds": step * total, "bytes": peak}


if __name__ == "__main__":
    main()
