"""Jobs side by side: limits, what was found, what it cost, how long it took."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jobs import views
from jobs.errors import StateError, SubmissionError
from service import candidates
from service.instance import Instance

MOST = 8


def compare(instance: Instance, jobs: Sequence[str]) -> list[dict[str, Any]]:
    """One entry per job, in the order given.

    Raises:
        UnknownError: one is unknown.
        SubmissionError: fewer than two or too many.
    """
    distinct = list(dict.fromkeys(jobs))
    if not 2 <= len(distinct) <= MOST:
        raise SubmissionError(f"2 to {MOST} different jobs are compared, but got {len(distinct)}")
    return [_side(instance, job) for job in distinct]


def _side(instance: Instance, job: str) -> dict[str, Any]:
    detail = views.show(instance.database, job)
    spec = json.loads(detail.spec)
    seconds: dict[str, float] = {}
    for attempt in detail.attempts:
        if attempt.started_at is not None and attempt.finished_at is not None:
            took = attempt.finished_at - attempt.started_at
            seconds[attempt.stage] = seconds.get(attempt.stage, 0.0) + took
    side: dict[str, Any] = {
        "id": job,
        "name": detail.job.name,
        "state": detail.job.state,
        "searcher": spec["search"]["searcher"],
        "target": spec["target"],
        "seconds": seconds,
        "reused": [stage.name for stage in detail.stages if stage.reused_from],
        "budget": None,
        "best": None,
        "finalists": [],
    }
    try:
        found = candidates.found(instance, job)
    except StateError:
        return side
    side["budget"] = found.budget
    if found.candidates:
        top = max(found.candidates, key=lambda c: c.figures["estimate"] or 0.0)
        side["best"] = {"id": top.id, "figures": top.figures}
    side["finalists"] = [
        {"name": c.finalist, "id": c.id, "figures": c.figures}
        for c in found.candidates
        if c.finalist
    ] + [{"name": name, "id": None, "figures": o["figures"]} for name, o in found.others.items()]
    return side
