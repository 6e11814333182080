"""Jobs: submit, list and show."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from jobs import views
from service.http.bodies import Key, SpecBody, SubmitBody
from service.http.context import Asking, Server
from service.http.submitting import Submitting
from service.submission import submission

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
JobId = Annotated[str, Path(max_length=64)]


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
