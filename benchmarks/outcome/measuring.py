"""Every chosen network end to end on the table's target, all in one interleaved run.

Latency does not depend on what the weights are, so that freshly initialised networks are exported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.outcome.study import DENSE, Study
from benchmarks.outcome.work import config_of
from benchmarks.pieces import Row, done
from export.onnx_file import export
from latency_tables.files import replace_with
from latency_tables.table import Measurement
from profiler.collect import compare
from profiler.models import File
from profiler.protocol import Protocol
from service.console import progress
from service.stages.measure import as_json, read_measurement
from supernet.resnet import ResNet

MEASURED = "measured.json"


def measure(study: Study, rows: Path) -> None:
    """Writes `measured.json` into the study's folder: per network the rounds, interleaved."""
    known = done(rows)
    labels = [DENSE, *(label for label, _, _ in study.names() if label in known)]
    files = {label: _exported(study, label, known) for label in labels}
    models = {label: File(str(path)) for label, path in files.items()}
    protocol = Protocol(rounds=study.spec.verify.rounds, seed=study.spec.seed)
    with progress("measure") as shown:
        found = compare(study.job().table().target, models, protocol, shown)
    data = {label: as_json(measurement) for label, measurement in found.items()}
    text = json.dumps(data) + "\n"
    replace_with(study.folder / MEASURED, lambda path: path.write_text(text, encoding="utf-8"))


def measured(study: Study) -> Mapping[str, Measurement]:
    """What `measure` wrote."""
    data: dict[str, Any] = json.loads((study.folder / MEASURED).read_text(encoding="utf-8"))
    return {label: read_measurement(row) for label, row in data.items()}


def _exported(study: Study, label: str, known: dict[str, Row]) -> Path:
    network, path = study.spec.network, study.folder / "onnx" / f"{label}.onnx"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        shape = (study.spec.target.batch, network.channels, network.resolution, network.resolution)
        net = ResNet(network, config_of(study, label, known)).eval()
        part = path.with_suffix(".part")
        export(net, torch.zeros(shape), part)
        part.replace(path)
    return path
