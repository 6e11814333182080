"""A `JobSpec` as a submission to the job store: its stages, what they need, and where they count.

What is measured is true of one kind of machine only, so its stages carry in their settings this
machine's name, or the class of hosts that measure: another's result is never taken for it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from pydantic_core import to_jsonable_python

from jobs.errors import SubmissionError
from jobs.submission import Needs, StageRequest, Submission
from service.job import Stage, further_stage
from service.pipeline import in_order, stages
from service.spec import JobSpec, TargetSpec

_ON_GPU = ("cuda", "tensorrt")


def submission(spec: JobSpec, until: str | None = None, priority: int = 0) -> Submission:
    """The job that brings `spec` to its end, or to the end of the stage `until`.

    Raises:
        SubmissionError: a priority out of range, or no such stage.
    """
    names = [stage.name for stage in stages(spec)]
    if until is not None and until not in names:
        raise SubmissionError(f"until must be one of {', '.join(names)}, but got {until!r:.60}")
    wanted = in_order(spec, until or names[-1])
    return Submission(
        name=spec.name,
        spec=spec.model_dump_json(),
        stages=tuple(_request(spec, stage) for stage in wanted),
        priority=priority,
    )


def helpers(spec: JobSpec, planned: Submission) -> list[Submission]:
    """Jobs of one stage each, that measure further targets on other hosts while the job goes on.

    What one job runs, others wait for, and what one has finished is not repeated: the job knows
    nothing of its helpers, and without them would measure one target after the other.

    Args:
        planned: the job, by `submission`.
    """
    names = {stage.name for stage in planned.stages}
    targets = {further_stage(name): target for name, target in spec.limits.targets().items()}
    return [
        replace(
            submission(spec, until=stage, priority=planned.priority),
            name=f"{spec.name[: 99 - len(stage)]}.{stage}",
        )
        for stage, target in targets.items()
        if stage in names and target.on not in (None, spec.target.on)
    ]


def _request(spec: JobSpec, stage: Stage) -> StageRequest:
    settings: dict[str, Any] = {"settings": stage.settings(spec)}
    target = None if stage.measures is None else stage.measures(spec)
    if target is not None:
        settings["machine"] = _machine() if target.on is None else ["class", target.on]
    return StageRequest(
        name=stage.name,
        after=stage.after(spec),
        settings=to_jsonable_python(settings),
        needs=stage.needs(spec) if target is None else _measuring(target),
    )


@cache
def _machine() -> list[str | int]:
    from profiler import machine

    return [machine.device(), machine.usable_cores()]


def _measuring(target: TargetSpec) -> Needs:
    """The whole CPU while it is measured, or while it feeds a GPU that is."""
    gpus = int(any(word in target.backend for word in _ON_GPU))
    return Needs(cpu="all", gpus=gpus, device=target.on)
