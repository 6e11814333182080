"""Stored files by their opaque ids. Only what the store lists is served."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from service.http.context import Server
from service.http.ranges import respond

router = APIRouter(prefix="/api/v1/artifacts", tags=["files"])


@router.head("/{artifact}", response_class=Response, include_in_schema=False)
@router.get("/{artifact}", response_class=Response)
def artifact(
    artifact: Annotated[str, Path(max_length=64)],
    server: Server,
    name: Annotated[str, Query(max_length=200, description="Offered for saving.")] = "file",
    wanted: Annotated[str | None, Header(alias="Range", max_length=200)] = None,
    known: Annotated[str | None, Header(alias="If-None-Match", max_length=500)] = None,
) -> Response:
    """A file, whole or in part."""
    digest = server.instance.artifacts.hash_of(artifact)
    return respond(server.instance.artifacts.open(digest), name, digest, wanted, known)
