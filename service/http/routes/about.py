"""The server itself: health, who asks, presets, the schema of a job, metrics."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from jobs import executors
from service.http.context import Asking, Server
from service.presets import presets
from service.spec import JobSpec
from service.version import VERSION

router = APIRouter(prefix="/api/v1", tags=["server"])


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the server answers; needs no token."""
    return {"status": "ok", "version": VERSION}


@router.get("/me")
def me(user: Asking) -> dict[str, Any]:
    """The user of the token."""
    return asdict(user)


@router.get("/presets")
def all_presets() -> list[dict[str, Any]]:
    """The shipped jobs."""
    return [asdict(preset) for preset in presets()]


@router.get("/schema")
def schema() -> dict[str, Any]:
    """JSON schema of a job's spec."""
    return JobSpec.model_json_schema()


@router.get("/searchers")
def searchers() -> list[dict[str, Any]]:
    """Searchers with their options, as a job's `search` section takes them."""
    from search.searcher import describe, names

    return [
        {"name": name, "summary": found[0], "options": [asdict(option) for option in found[1]]}
        for name, found in ((name, describe(name)) for name in names())
    ]


@router.get("/hosts")
def hosts(server: Server) -> list[dict[str, Any]]:
    """Hosts that take work now, and what is held on them."""
    return [asdict(host) for host in executors.capacity(server.instance.database)]


@router.get("/metrics", response_class=Response)
def metrics(server: Server) -> Response:
    """Figures in Prometheus' text format."""
    return Response(server.metrics.text(), media_type=CONTENT_TYPE_LATEST)
