"""Stage measure: the exported files end to end, interleaved in one run on the target.

A network is measured in the precision of the target; where the job quantises, the files of the
other precision run in the same passes, so that eight bits and pruning can be told apart.

On a modelled target there is nothing to run a file on: the same networks are computed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from latency_tables.table import Measurement
from service.console import Report
from service.job import Job, Stage, always, own_target
from service.spec import JobSpec
from service.stages.profile import target
from service.store import write_json

OTHER = " (other precision)"


def settings(spec: JobSpec) -> object:
    """What decides the result."""
    return {"target": spec.target.model_dump(exclude_none=True), "verify": spec.verify.model_dump()}


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `measured.json`, name to measurement, and `other.json`, the same in the precision
    that is not the target's."""
    from profiler.collect import compare
    from profiler.models import File, Model, Whole
    from profiler.protocol import Protocol

    goal, names = target(job.spec), job.finalists()
    models: dict[str, Model]
    if goal.modelled:
        models, other = {n: Whole(job.spec.network, config) for n, config in names.items()}, {}
    else:
        first, second = files(job, list(names))
        models = {name: File(str(path)) for name, path in first.items()}
        other = {f"{name}{OTHER}": File(str(path)) for name, path in second.items()}
    protocol = Protocol(rounds=job.spec.verify.rounds, seed=job.spec.seed)
    measured = compare(goal, {**models, **other}, protocol, progress)
    write_json(folder / "measured.json", {name: as_json(measured[name]) for name in models})
    found = {name.removesuffix(OTHER): as_json(measured[name]) for name in other}
    write_json(folder / "other.json", {"precision": other_precision(job.spec), "networks": found})
    return ["measured.json", "other.json"]


def files(job: Job, names: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Files in the precision of the target, and in the other one where there are any."""
    plain = {name: job.file("export", f"{name}.onnx") for name in names}
    if other_precision(job.spec) is None:
        return plain, {}
    whole = {name: job.file("quantise", f"{name}.int8.onnx") for name in names}
    return (whole, plain) if job.spec.target.precision == "int8" else (plain, whole)


def other_precision(spec: JobSpec) -> str | None:
    """Of the files that are measured beside those of the target's precision."""
    from profiler.backend import load

    if not spec.quantise.enabled or "int8" not in load(spec.target.backend).precisions:
        return None
    return "fp32" if spec.target.precision == "int8" else "int8"


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
    after=always("select", "export", "quantise"),
    settings=settings,
    run=run,
    measures=own_target,
)
