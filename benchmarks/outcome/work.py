"""The work of the study in pieces: a teacher, a supernet, the choice of a method, one network.

Each piece is given the rows of the pieces before and returns its own; what later pieces need beside
it lies in the study's folder.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.outcome import methods
from benchmarks.outcome.images import read
from benchmarks.outcome.study import DENSE, Study
from search.searcher import Evaluator
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.estimate import Estimator, accuracy
from supernet.resnet import ResNet
from supernet.source import build
from supernet.weights import load_weights, save_weights
from training.data import Data
from training.images import evaluation_batches
from training.scratch import train
from training.supernet_loop import train_supernet

Row = dict[str, Any]
Rows = Mapping[str, Row]
TEACHER, SUPERNET = "teacher.safetensors", "supernet.safetensors"


def teacher(rows: Rows, study: Study, device: str) -> Row:
    """The dense network, trained on the labels alone."""
    data, start = _data(study, device), time.perf_counter()
    torch.manual_seed(study.spec.seed)
    net = ResNet(study.spec.network, study.spec.network.dense()).to(device)
    folder = study.folder / "teacher"
    train(net, data, study.spec.train.teacher, folder, seed=study.spec.seed)
    save_weights(net, study.folder / TEACHER)
    return {"test": accuracy(net, evaluation_batches(data.test)), **_since(start)}


def supernet(rows: Rows, study: Study, device: str) -> Row:
    """The supernet of all widths, which every method that looks at estimates looks at."""
    data, start = _data(study, device), time.perf_counter()
    spec, space = study.spec.supernet, study.job().full_space()
    torch.manual_seed(study.spec.seed)
    source = build(spec.kind, space).to(device)
    folder = study.folder / "supernet"
    result = train_supernet(source, space, data, spec.recipe, folder, seed=study.spec.seed)
    save_weights(source, study.folder / SUPERNET)
    return {"history": result.history, **_since(start)}


def choice(rows: Rows, study: Study, device: str, method: str, speedup: float) -> Row:
    """The config of a method at a budget, with what it is predicted to cost."""
    start = time.perf_counter()
    judge = functools.partial(_judge, study, device)
    folder = study.folder / "searches" / f"{method}-{speedup:g}"
    match method:
        case "found":
            guide, data = _teacher(study, "cpu"), _data(study, "cpu")
            config = methods.found(study, speedup, judge, folder, guide, data)
        case "random":
            config = methods.random(study, speedup, judge, folder)
        case "macs":
            config = methods.macs(study, speedup, judge, folder)
        case "uniform":
            config = methods.uniform(study, speedup)
        case _:
            guide = _teacher(study, "cpu")
            config = methods.criterion(study, speedup, method, guide, _data(study, "cpu"))
    costs = study.job().problem().costs(encode([config]))
    found = {metric: float(values[0]) for metric, values in costs.items()}
    return {"config": config.to_json(), "predicted": found, **_since(start)}


def net(rows: Rows, study: Study, device: str, label: str, seed: int) -> Row:
    """One network from scratch, taught by the teacher: its accuracy on the test images."""
    data, start = _data(study, device), time.perf_counter()
    number = study.spec.seed + 1000 * (seed + 1)
    torch.manual_seed(number)
    student = ResNet(study.spec.network, config_of(study, label, rows)).to(device)
    folder = study.folder / "nets" / f"{label}-{seed}"
    guide, recipe = _teacher(study, device), study.spec.train.recipe
    train(student, data, recipe, folder, seed=number, teacher=guide)
    shutil.rmtree(folder, ignore_errors=True)
    return {"test": accuracy(student, evaluation_batches(data.test)), **_since(start)}


def config_of(study: Study, label: str, rows: Rows) -> ChannelConfig:
    """The config of a network, by its name; `rows` of the choices made."""
    if label == DENSE:
        return study.spec.network.dense()
    return ChannelConfig.from_json(rows[label]["config"])


def _judge(study: Study, device: str) -> Evaluator:
    data, spec = _data(study, device), study.spec.supernet
    source = build(spec.kind, study.job().full_space())
    load_weights(source, study.folder / SUPERNET)
    batches = evaluation_batches(data.train, limit=spec.recalibration_images)
    seen = [images for images, _ in batches]
    return Estimator(source.to(device), seen, list(evaluation_batches(data.val)))


def _teacher(study: Study, device: str) -> ResNet:
    guide = ResNet(study.spec.network, study.spec.network.dense())
    load_weights(guide, study.folder / TEACHER)
    return guide.eval().to(device)


def _data(study: Study, device: str) -> Data:
    torch.set_num_threads(study.spec.cpu_threads or 1)
    return read(study, device)


def _since(start: float) -> dict[str, float]:
    return {"seconds": time.perf_counter() - start}
