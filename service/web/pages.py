"""The pages as shells, and the files they load. Everything else a page shows comes from the API.

Scripts are modules of our own and Plotly's bundle out of its Python package; nothing is fetched
from elsewhere. Only files that were there at the start are served, by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import jinja2
from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from starlette.responses import HTMLResponse, Response

from jobs.errors import UnknownError
from service.version import VERSION

router = APIRouter(include_in_schema=False)
_HERE = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
Id = Annotated[str, InPath(max_length=100)]


@cache
def assets() -> dict[str, Path]:
    """What may be loaded, by name."""
    own = {file.name: file for file in sorted((_HERE / "static").iterdir()) if file.is_file()}
    bundle = Path(str(files("plotly"))) / "package_data" / "plotly.min.js"
    return {**own, bundle.name: bundle}


@cache
def mark() -> str:
    """Changes whenever an asset does, so that browsers may keep the others for good."""
    digest = hashlib.sha256()
    for name, path in assets().items():
        digest.update(f"{name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()[:12]


@cache
def _content(name: str) -> bytes:
    """Read once: Plotly's five megabytes, block by block, would keep a browser waiting."""
    return assets()[name].read_bytes()


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(_HERE / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


def render(template: str, **values: object) -> str:
    """A page's HTML."""
    page = _environment().get_template(f"{template}.html.j2")
    return page.render(mark=mark(), version=VERSION, **values)


Page = Callable[[str, str], HTMLResponse]


# Async, or each would cost a turn in the thread pool.
async def _shell(request: Request) -> Page:
    studies = request.app.state.context.settings.studies is not None
    return lambda name, title: HTMLResponse(render(name, name=name, title=title, studies=studies))


Shell = Annotated[Page, Depends(_shell)]


@router.get("/")
def jobs(page: Shell) -> HTMLResponse:
    """The list of jobs."""
    return page("jobs", "Jobs")


@router.get("/new")
def new(page: Shell) -> HTMLResponse:
    """A new job from a preset."""
    return page("new", "New job")


@router.get("/compare")
def compare(page: Shell) -> HTMLResponse:
    """Jobs side by side."""
    return page("compare", "Compare jobs")


@router.get("/jobs/{job}")
def job(job: Id, page: Shell) -> HTMLResponse:
    """One job."""
    return page("job", "Job")


@router.get("/jobs/{job}/search")
def search(job: Id, page: Shell) -> HTMLResponse:
    """What a job's search found."""
    return page("search", "Search")


@router.get("/jobs/{job}/candidates/{candidate}")
def candidate(job: Id, candidate: Id, page: Shell) -> HTMLResponse:
    """One candidate."""
    return page("candidate", "Candidate")


@router.get("/tables")
def tables(page: Shell) -> HTMLResponse:
    """All latency tables."""
    return page("tables", "Latency tables")


@router.get("/tables/{table}")
def table(table: Id, page: Shell) -> HTMLResponse:
    """One latency table."""
    return page("table", "Latency table")


@router.get("/static/{mark}/{name}")
def static(mark: Id, name: Id) -> Response:
    """A module, the stylesheet, or Plotly."""
    if name not in assets():
        raise UnknownError(f"nothing is served under the name {name!r:.60}")
    media_type = _TYPES.get(assets()[name].suffix, "application/octet-stream")
    return Response(
        _content(name),
        media_type=media_type,
        headers={"cache-control": "private, max-age=31536000, immutable"},
    )
