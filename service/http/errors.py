"""Errors as answers: one table from our errors to status codes, one form of body.

A body is `{"error": {"message", "field", "id"}}`. What is no error of ours is answered with its id
alone; the log has the rest.
"""

from __future__ import annotations

import logging
import secrets

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from jobs import errors as jobs
from latency_tables.table import MissingShapeError, TableError, TargetMismatchError
from search.problem import SearchError
from service.spec import SpecError
from supernet.config import ConfigError

_LOG = logging.getLogger("stairprune.http")
STATUS: dict[type[Exception], int] = {
    jobs.SubmissionError: 422,
    jobs.ConflictError: 422,
    jobs.QuotaError: 429,
    jobs.UnknownError: 404,
    jobs.StateError: 409,
    jobs.StoreUnavailableError: 503,
    jobs.StoreFullError: 507,
    jobs.StoreCorruptError: 500,
    SpecError: 422,
    TableError: 422,
    MissingShapeError: 422,
    TargetMismatchError: 422,
    SearchError: 422,
    ConfigError: 422,
}
_LONGEST = 2000


class RefusedError(Exception):
    """A request that is refused by the API itself."""

    def __init__(self, status: int, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.field = status, field


def answer(
    status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error's body."""
    body = {"message": message[:_LONGEST], "field": field, "id": secrets.token_hex(6)}
    return JSONResponse({"error": body}, status, headers)


def install(app: FastAPI) -> None:
    """Registers how errors are answered."""
    for kind in STATUS:
        app.add_exception_handler(kind, _ours)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(Exception, _unknown)


def _ours(request: Request, error: Exception) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    found = answer(status, str(error), getattr(error, "field", None))
    if status >= 500:
        _LOG.error("%s %s: %s", request.method, request.url.path, error)
    return found


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return answer(error.status, str(error), error.field)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return answer(error.status_code, str(error.detail), headers=headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # The first part says where: body, query, path, header.
    field = ".".join(str(part) for part in first["loc"][1:])[:200] or str(first["loc"][0])
    return answer(422, f"{field}: {first['msg']}", field)


def _unknown(request: Request, error: Exception) -> Response:
    mark = secrets.token_hex(6)
    _LOG.exception("%s %s failed, error %s", request.method, request.url.path, mark, exc_info=error)
    body = {"message": f"an error inside the server; its log has it under {mark}", "id": mark}
    return JSONResponse({"error": {**body, "field": None}}, 500)
