"""Jobs: submit, list, show, and what may be asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from jobs import control, views
from jobs.database import Database
from jobs.submit import submit
from jobs.users import User
from service.http.bodies import Key, PriorityBody, SpecBody, SubmitBody
from service.http.context import Asking, Server
from service.http.errors import RefusedError
from service.submission import submission

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]


@router.post("/check")
def check(body: SpecBody) -> dict[str, Any]:
    """What a job would do, without submitting it."""
    spec = body.parsed()
    planned = submission(spec, body.until)
    return {"name": spec.name, "stages": [stage.name for stage in planned.stages]}


@router.post("", status_code=201, responses={200: {"description": "This key's job, sent again."}})
def submit_job(
    body: SubmitBody, server: Server, user: Asking, answer: Response, key: Key = None
) -> dict[str, Any]:
    """Takes a job in. It is on disk when this answers."""
    database = server.instance.database
    planned = submission(body.parsed(), body.until, body.priority)
    job, new = submit(database, user.name, planned, key)
    answer.status_code = 201 if new else 200
    return asdict(views.view(database, job))


@router.get("")
def list_jobs(
    server: Server,
    user: Annotated[str | None, Query(max_length=100)] = None,
    state: Annotated[str | None, Query(max_length=20)] = None,
    name: Annotated[str | None, Query(max_length=100)] = None,
    limit: Annotated[int, Query(ge=1, le=views.MOST_PER_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=100)] = None,
) -> dict[str, Any]:
    """Jobs, the newest first; `cursor` of an answer asks for the next page."""
    page = views.page(
        server.instance.database, user=user, state=state, name=name, limit=limit, cursor=cursor
    )
    return asdict(page)


@router.get("/{job}")
def show(job: JobId, server: Server) -> dict[str, Any]:
    """A job with its stages and attempts."""
    detail = asdict(views.show(server.instance.database, job))
    return {**detail, "spec": json.loads(detail["spec"])}


@router.get("/{job}/files")
def files(job: JobId, server: Server) -> list[dict[str, Any]]:
    """What finished stages made; each can be fetched from /api/v1/artifacts."""
    return [asdict(file) for file in views.files(server.instance.database, job)]


@router.post("/{job}/cancel")
def cancel(job: JobId, server: Server, user: Asking) -> dict[str, Any]:
    """Ends a job; what runs is stopped."""
    return _do(control.cancel, job, server.instance.database, user)


@router.post("/{job}/pause")
def pause(job: JobId, server: Server, user: Asking) -> dict[str, Any]:
    """Stops a job until it is resumed; what runs saves its state and ends."""
    return _do(control.pause, job, server.instance.database, user)


@router.post("/{job}/resume")
def resume(job: JobId, server: Server, user: Asking) -> dict[str, Any]:
    """Lets a paused job go on."""
    return _do(control.resume, job, server.instance.database, user)


@router.post("/{job}/retry")
def retry(job: JobId, server: Server, user: Asking) -> dict[str, Any]:
    """Runs what failed or was cancelled again; finished stages stay."""
    return _do(control.retry, job, server.instance.database, user)


@router.put("/{job}/priority")
def prioritise(job: JobId, body: PriorityBody, server: Server, user: Asking) -> dict[str, Any]:
    """Another priority: -100 (last) to 100 (first)."""

    def change(database: Database, number: str) -> None:
        control.prioritise(database, number, body.priority)

    return _do(change, job, server.instance.database, user)


def _do(
    verb: Callable[[Database, str], None], job: str, database: Database, user: User
) -> dict[str, Any]:
    """A job changed by its owner."""
    owner = views.view(database, job).user
    if owner != user.name:
        raise RefusedError(403, f"job {job} belongs to {owner}; only {owner} may change it")
    verb(database, job)
    return asdict(views.view(database, job))
