"""Jobs: submit, list, show, and what may be asked of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from jobs import control, views
from jobs.database import Database
from jobs.users import User
from service.http.bodies import Key, PriorityBody, SpecBody, SubmitBody
from service.http.context import Asking, Server
from service.http.errors import RefusedError
from service.http.submitting import Submitting
from service.submission import submission

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]
Verb = Literal["cancel", "pause", "resume", "retry"]
_VERBS: dict[Verb, Callable[[Database, str], None]] = {
    "cancel": control.cancel,
    "pause": control.pause,
    "resume": control.resume,
    "retry": control.retry,
}


@router.post("/check")
def check(body: SpecBody) -> dict[str, Any]:
    """What a job would do, without submitting it."""
    spec = body.parsed()
    planned = submission(spec, body.until)
    return {"name": spec.name, "stages": [stage.name for stage in planned.stages]}


@router.post(
    "",
    status_code=201,
    response_model=dict[str, Any],
    responses={200: {"description": "This key's job, sent again."}},
)
async def submit_job(body: SubmitBody, server: Server, user: Asking, key: Key = None) -> Response:
    """Takes a job in. It is on disk when this answers."""
    sent = Submitting(body=body, user=user.name, key=key)
    job, new = await server.submissions.ask(sent)
    # Written here, since FastAPI would look through the answer value by value first.
    text = json.dumps(job)
    return Response(text, 201 if new else 200, media_type="application/json")


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
