"""What may be asked of a job by its owner: cancel, pause, resume, retry, another priority."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path

from jobs import control, views
from jobs.database import Database
from jobs.users import User
from service.http.bodies import PriorityBody
from service.http.context import Asking, Server
from service.http.errors import RefusedError

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]
Verb = Literal["cancel", "pause", "resume", "retry"]
_VERBS: dict[Verb, Callable[[Database, str], None]] = {
    "cancel": control.cancel,
    "pause": control.pause,
    "resume": control.resume,
    "retry": control.retry,
}


@router.put("/{job}/priority")
def prioritise(job: JobId, body: PriorityBody, server: Server, user: Asking) -> dict[str, Any]:
    """Another priority: -100 (last) to 100 (first)."""
    _require_owner(server.instance.database, job, user)
    control.prioritise(server.instance.database, job, body.priority)
    return asdict(views.view(server.instance.database, job))


@router.post("/{job}/{verb}")
def steer(job: JobId, verb: Verb, server: Server, user: Asking) -> dict[str, Any]:
    """Cancel ends a job; pause stops it until it is resumed; retry runs again what failed.

    What runs is asked to save its state; finished stages stay. A cancelled job may be retried too.
    """
    _require_owner(server.instance.database, job, user)
    _VERBS[verb](server.instance.database, job)
    return asdict(views.view(server.instance.database, job))


def _require_owner(database: Database, job: str, user: User) -> None:
    owner = views.view(database, job).user
    if owner != user.name:
        raise RefusedError(403, f"job {job} belongs to {owner}; only {owner} may change it")
