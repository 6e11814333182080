"""Latency tables: list, upload, download, and what they show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from service import table_facts
from service.http.context import Context, Server
from service.http.ranges import plain

router = APIRouter(prefix="/api/v1/tables", tags=["tables"])
TableId = Annotated[str, Path(max_length=100)]
_Block = Annotated[str, Query(max_length=200, description="Geometry of a bottleneck.")]
_Gene = Annotated[str, Query(max_length=40, description="What moves: w, w1, w2, cout, cin.")]


@router.get("")
def list_tables(server: Server) -> list[dict[str, Any]]:
    """All tables: the newest first, shipped ones last."""
    return [asdict(entry) for entry in server.library.entries()]


@router.post(
    "",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
async def upload(
    request: Request, name: Annotated[str, Query(min_length=1, max_length=100)] = "uploaded"
) -> dict[str, Any]:
    """Takes in a table that was measured elsewhere: the file as it is."""
    server: Context = request.app.state.context
    data = await request.body()
    return asdict(await run_in_threadpool(server.library.add, data, name))


@router.get("/{table}")
def show(table: TableId, server: Server) -> dict[str, Any]:
    """What a table covers, its curves in short, and, where it holds a fit, how far to trust it."""
    entry, library = server.library.entry(table), server.library
    loaded = library.table(table)
    found = library.made(
        table,
        "shown",
        lambda: {
            "curves": table_facts.curves(loaded),
            "held_out": None if loaded.fitted is None else table_facts.held_out(loaded),
            "geometries": {name: len(rows) for name, rows in loaded.by_geometry().items()},
        },
    )
    return {**asdict(entry), "target": asdict(loaded.target), **found}


@router.get("/{table}/curve")
def curve(table: TableId, server: Server, block: _Block, gene: _Gene) -> dict[str, Any]:
    """One step-shaped curve with raw rounds and right edges."""
    return table_facts.curve(server.library.table(table), block, gene)


@router.get("/{table}/stairs")
def stairs(table: TableId, server: Server) -> list[dict[str, Any]]:
    """All curves in short, with their right edges."""
    loaded = server.library.table(table)
    return server.library.made(table, "stairs", lambda: table_facts.stairs(loaded))


@router.get("/{table}/held-out")
def held_out(table: TableId, server: Server) -> dict[str, Any] | None:
    """Networks never fitted, predicted against measured; null where none was measured.

    A table without a fit is fitted first, which can take minutes.
    """
    loaded = server.library.table(table)
    return server.library.made(table, "held", lambda: table_facts.held_out(loaded))


@router.get("/{table}/rows")
def rows(
    table: TableId,
    server: Server,
    block: Annotated[str | None, Query(max_length=200)] = None,
    start: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
    limit: Annotated[int, Query(ge=1, le=20_000)] = 1000,
) -> dict[str, Any]:
    """Raw rows, a page at a time."""
    return table_facts.rows(server.library.table(table), block, start, limit)


@router.get("/{table}/roof")
def roof(table: TableId, server: Server) -> dict[str, Any] | None:
    """The roofline with every row; null where it was not measured."""
    loaded = server.library.table(table)
    return server.library.made(table, "roof", lambda: table_facts.roof(loaded))


@router.get("/{table}/diff/{other}")
def diff(
    table: TableId, other: Annotated[str, Path(max_length=100)], server: Server
) -> dict[str, Any]:
    """What differs between two tables: targets, latencies, right edges."""
    from latency_tables.diff import diff as compare

    first, second = server.library.table(table), server.library.table(other)
    return server.library.made(table, f"diff {other}", lambda: compare(first, second).to_json())


@router.get("/{table}/download", response_class=Response)
def download(table: TableId, server: Server) -> Response:
    """The table's file."""
    entry = server.library.entry(table)
    name = plain(entry.name if entry.name.endswith(".json") else f"{entry.name}.json")
    return Response(
        server.library.data(table),
        media_type="application/json",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )
