"""A `JobSpec` as a submission to the job store: its stages, what they need, and where they count.

What is measured is true of one kind of machine only, so its stages carry in their settings this
machine's name, or the class of hosts that measure: another's result is never taken for it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic_core import to_jsonable_python

from jobs.errors import SubmissionError
from jobs.submission import Needs, StageRequest, Submission
from service.job import Stage
from service.pipeline import STAGES, in_order
from service.spec import JobSpec

_MEASURE = ("profile", "select", "measure")
_ON_GPU = ("cuda", "tensorrt")


def submission(spec: JobSpec, until: str | None = None, priority: int = 0) -> Submission:
    """The job that brings `spec` to its end, or to the end of the stage `until`.

    Raises:
        SubmissionError: a priority out of range, or no such stage.
    """
    names = [stage.name for stage in STAGES]
    if until is not None and until not in names:
        raise SubmissionError(f"until must be one of {', '.join(names)}, but got {until!r:.60}")
    wanted = in_order(spec, until or STAGES[-1].name)
    return Submission(
        name=spec.name,
        spec=spec.model_dump_json(),
        stages=tuple(_request(spec, stage) for stage in wanted),
        priority=priority,
    )


def _request(spec: JobSpec, stage: Stage) -> StageRequest:
    settings: dict[str, Any] = {"settings": stage.settings(spec)}
    if stage.name in _MEASURE:
        on = spec.target.on
        settings["machine"] = _machine() if on is None else ["class", on]
    return StageRequest(
        name=stage.name,
        after=stage.after(spec),
        settings=to_jsonable_python(settings),
        needs=_needs(spec, stage.name),
    )


@cache
def _machine() -> list[str | int]:
    from profiler import machine

    return [machine.device(), machine.usable_cores()]


def _needs(spec: JobSpec, stage: str) -> Needs:
    """The whole CPU while it is measured, or while it feeds a GPU that is."""
    if stage not in _MEASURE:
        return Needs()
    gpus = int(any(word in spec.target.backend for word in _ON_GPU))
    return Needs(cpu="all", gpus=gpus, device=spec.target.on)
