"""What searches found, and what is done with it: the front, training, comparison, reports."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response

from jobs import views
from jobs.errors import UnknownError
from service import candidates
from service.compare import compare
from service.http.bodies import Key, TrainBody
from service.http.context import Asking, Server
from service.http.ranges import plain
from service.http.routes.jobs import JobId
from service.training_jobs import train

router = APIRouter(prefix="/api/v1", tags=["candidates"])
CandidateId = Annotated[str, Path(max_length=100)]


@router.get("/jobs/{job}/candidates")
def all_candidates(job: JobId, server: Server) -> dict[str, Any]:
    """Every scored config of a job, with the limits; `front`: not beaten in both."""
    return asdict(candidates.found(server.instance, job))


@router.get("/jobs/{job}/best")
def best(
    job: JobId,
    server: Server,
    under: Annotated[float, Query(gt=0, allow_inf_nan=False, description="Limit of the metric.")],
    metric: Annotated[str, Query(max_length=100)] = candidates.LATENCY,
) -> dict[str, Any]:
    """The highest estimate that costs at most `under`."""
    return asdict(candidates.best(server.instance, job, metric, under))


@router.get("/jobs/{job}/candidates/{candidate}")
def one(job: JobId, candidate: CandidateId, server: Server) -> dict[str, Any]:
    """One candidate, by its id or its name among the finalists."""
    return asdict(candidates.one(server.instance, job, candidate))


@router.get("/jobs/{job}/candidates/{candidate}/onnx", response_class=Response)
def untrained(
    job: JobId,
    candidate: CandidateId,
    server: Server,
    precision: Literal["fp32", "fp16", "int8"] | None = None,
) -> Response:
    """A candidate's network with random weights, to time it elsewhere before any training."""
    # ONNX takes memory that a server which only lists has no need of.
    from service.exporting import untrained as made

    name, data = made(server.instance, job, candidate, precision)
    disposition = f'attachment; filename="{plain(name)}"'
    return Response(
        data,
        media_type="application/octet-stream",
        headers={"content-disposition": disposition},
    )


@router.post("/jobs/{job}/train", status_code=201)
def train_these(
    job: JobId, body: TrainBody, server: Server, user: Asking, answer: Response, key: Key = None
) -> dict[str, Any]:
    """A new job that trains these candidates, and reuses all stages that are the same."""
    new_job, new = train(server.instance, user.name, job, body.candidates, body.priority, key)
    answer.status_code = 201 if new else 200
    return asdict(views.view(server.instance.database, new_job))


@router.get("/jobs/{job}/report")
def report(job: JobId, server: Server) -> dict[str, Any]:
    """The finished job's report."""
    found = candidates.stage_json(server.instance, job, "report", "report.json")
    if found is None:
        raise UnknownError(f"job {job} has no report yet")
    return dict(found)


@router.get("/compare")
def side_by_side(
    server: Server, job: Annotated[list[str], Query(min_length=2, max_length=8)]
) -> list[dict[str, Any]]:
    """Jobs side by side."""
    return compare(server.instance, job)


@router.get("/supernets")
def supernets(server: Server) -> list[dict[str, Any]]:
    """Trained supernets, the newest first."""
    return [asdict(entry) for entry in server.library.supernets()]
