"""Quantisation-aware fine-tuning of a finalist, and its ONNX file; see `training.fake_quant`."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from export.int8.form import Form
from export.onnx_file import check, export
from service.console import Report
from service.job import Job
from service.stages.export import weights
from supernet.resnet import ResNet
from supernet.weights import load_weights
from training.data import Data
from training.fake_quant import Rounded
from training.scratch import train


def finetuned(job: Job, name: str, folder: Path, data: Data, form: Form, progress: Report) -> Path:
    """Trains a finalist while it is rounded; itself in floating point is the teacher.

    Returns:
        An ONNX file in floating point, of weights that stand rounding better; it continues from
        its checkpoints after an interruption.
    """
    recipe = job.spec.quantise.finetune
    assert recipe is not None
    net = ResNet(job.spec.network, job.finalists()[name])
    load_weights(net, weights(job, name))
    teacher, batch = copy.deepcopy(net), job.spec.target.batch
    count = min(job.spec.quantise.images, len(data.train))
    starts = range(0, count, 64)
    parts = (torch.arange(start, min(start + 64, count)) for start in starts)
    rounded = Rounded(
        net, (data.train.batch(part)[0] for part in parts), reduce_range=form.reduce_range
    )
    train(
        rounded,
        data,
        recipe,
        folder / name / "finetuning",
        seed=job.spec.seed,
        teacher=teacher,
        progress=lambda done, total, note: progress(done, total, f"{name} finetuning {note}"),
    )
    path = folder / f"{name}.finetuned.onnx"
    images, _ = data.val.batch(torch.arange(batch))
    plain = rounded.plain()
    export(plain, images, path)
    check(plain, path, images)
    return path
