"""Stage measure: the exported files end to end, interleaved in one run on the target.

On a modelled target there is nothing to run a file on: the same networks are computed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from latency_tables.table import Measurement
from service.console import Report
from service.job import Job, Stage, always
from service.spec import JobSpec
from service.stages.profile import target
from service.store import write_json


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {"target": spec.target.model_dump(exclude_none=True), "verify": spec.verify.model_dump()}


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `measured.json`: name to measurement."""
    from profiler.collect import compare
    from profiler.models import File, Model, Whole
    from profiler.protocol import Protocol

    goal = target(job.spec)
    models: dict[str, Model] = {
        name: Whole(job.spec.network, config)
        if goal.modelled
        else File(str(job.file("export", f"{name}.onnx")))
        for name, config in job.finalists().items()
    }
    protocol = Protocol(rounds=job.spec.verify.rounds, seed=job.spec.seed)
    measured = compare(goal, models, protocol, progress)
    write_json(folder / "measured.json", {name: as_json(m) for name, m in measured.items()})
    return ["measured.json"]


def as_json(measurement: Measurement) -> dict[str, Any]:
    """A measurement with the figure that a budget is held against."""
    return {**asdict(measurement), "ceiling": measurement.ceiling}


def read_measurement(data: dict[str, Any]) -> Measurement:
    """The inverse of `as_json`."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "ceiling"}
    return Measurement(**values)  # type: ignore[arg-type]


STAGE = Stage(
    name="measure",
    summary="the exported networks on the target, end to end",
    after=always("select", "export"),
    settings=settings,
    run=run,
)
