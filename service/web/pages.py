"""The pages as shells, and the files they load. Everything else a page shows comes from the API.

Scripts are modules of our own and Plotly's bundle out of its Python package; nothing is fetched
from elsewhere. Only files that were there at the start are served, by name.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import jinja2
from fastapi import APIRouter
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


def _page(name: str, title: str) -> HTMLResponse:
    return HTMLResponse(render(name, name=name, title=title))


@router.get("/")
def jobs() -> HTMLResponse:
    """The list of jobs."""
    return _page("jobs", "Jobs")


@router.get("/new")
def new() -> HTMLResponse:
    """A new job from a preset."""
    return _page("new", "New job")


@router.get("/compare")
def compare() -> HTMLResponse:
    """Jobs side by side."""
    return _page("compare", "Compare jobs")


@router.get("/jobs/{job}")
def job(job: Id) -> HTMLResponse:
    """One job."""
    return _page("job", "Job")


@router.get("/jobs/{job}/search")
def search(job: Id) -> HTMLResponse:
    """What a job's search found."""
    return _page("search", "Search")


@router.get("/jobs/{job}/candidates/{candidate}")
def candidate(job: Id, candidate: Id) -> HTMLResponse:
    """One candidate."""
    return _page("candidate", "Candidate")


@router.get("/tables")
def tables() -> HTMLResponse:
    """All latency tables."""
    return _page("tables", "Latency tables")


@router.get("/tables/{table}")
def table(table: Id) -> HTMLResponse:
    """One latency table."""
    return _page("table", "Latency table")


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
