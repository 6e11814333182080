"""One given config through a job's recipe: train it, export it. For configs from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.console import progress
from service.job import Job
from service.pricing import read_config
from service.store import RunError, digest
from supernet.config import ChannelConfig


def place(folder: Path, config: ChannelConfig) -> Path:
    """Where a config's own training lives, by the config's hash."""
    return folder / "configs" / digest(config.to_json())[:12]


def train(job: Job, folder: Path, path: Path, start: str | None = None) -> dict[str, Any]:
    """Trains the config in `path` with the job's recipe, distilled from the job's teacher.

    Args:
        start: a pruning criterion; the training fine-tunes the channels that it keeps of a trained
            network then, instead of starting anew.
    """
    from service.proposals import pruned
    from service.stages.teacher import teacher
    from service.stages.train import train_config

    config = read_config(path)
    job.spec.network.check(config)
    home = place(folder, config)
    with job.folder.lock(), progress("train") as report:
        net = None
        if start is not None:
            home = home / f"from-{start}"
            net = pruned(job, config, start, report)
        outcome = train_config(job, config, home, 0, teacher(job), job.data(), report, net)
    return {"folder": str(home), "test": outcome["test"]}


def export(job: Job, folder: Path, path: Path) -> dict[str, Any]:
    """Exports the config in `path`, trained before.

    Raises:
        RunError: it was not.
    """
    import torch

    from export.onnx_file import check
    from export.onnx_file import export as write
    from supernet.resnet import ResNet
    from supernet.weights import load_weights

    config = read_config(path)
    source = place(folder, config) / "weights.safetensors"
    if not source.exists():
        raise RunError(f"{path}: no trained weights of this config; run train --config first")
    net = ResNet(job.spec.network, config).eval()
    load_weights(net, source)
    images, _ = job.data().test.batch(torch.arange(job.spec.target.batch), None)
    target = source.with_name("model.onnx")
    write(net, images, target)
    return {"file": str(target), "max_relative_difference": check(net, target, images)}


def describe(result: dict[str, Any]) -> str:
    """A result as lines of `key: value`."""
    return "\n".join(f"{key}: {value}" for key, value in result.items())
