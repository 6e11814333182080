"""optuna-dashboard at its own paths, behind our guard, for reading: `stairprune serve --studies`.

It hard-codes its paths, so these are routes of the server itself, after all others. Its own page
asks for a laxer content security policy (it evaluates WebGL programs); the other pages keep ours.
"""

from __future__ import annotations

from starlette.routing import Route

from search.studies import storage

PATHS = (
    "/dashboard",
    "/dashboard/{rest:path}",
    "/api/meta",
    "/api/studies",
    "/api/studies/{rest:path}",
    "/csv/{rest:path}",
    "/static/bundle.js",
)


class DashboardError(ValueError):
    """It cannot be shown; the message says why."""


def dashboard(where: str) -> list[Route]:
    """Its routes over the studies of a storage; none of them changes a study.

    Args:
        where: a database by its URL, else a journal file by its path.

    Raises:
        DashboardError: it is not installed.
        SearchError: the storage cannot be opened.
    """
    try:
        from a2wsgi import WSGIMiddleware
        from optuna_dashboard import wsgi
    except ModuleNotFoundError as error:
        raise DashboardError(
            f"--studies needs {error.name}: pip install 'stairprune[dashboard]'"
        ) from None
    shown = WSGIMiddleware(wsgi(storage(where)), workers=2)
    return [Route(path, shown, methods=["GET"], include_in_schema=False) for path in PATHS]
