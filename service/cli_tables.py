"""`stairprune tables ...`: the latency tables of a server."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from service.cli_jobs import Json, Server, connect
from service.console import out

app = typer.Typer(help="Latency tables of a server.", no_args_is_help=True)
TableId = Annotated[str, typer.Argument(metavar="TABLE", help="A table's id.")]


@app.command("list")
def list_(server: Server = None, json_: Json = False) -> None:
    """All tables: the newest first, shipped ones last."""
    with connect(server) as client:
        found = client.tables()
    if json_:
        typer.echo(json.dumps([asdict(table) for table in found]))
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("table", "name", "from", "rows", "networks", "target"):
        shown.add_column(
            column,
            justify="right" if column in ("rows", "networks") else "left",
            no_wrap=column == "table",
            min_width=16 if column == "table" else None,
        )
    for table in found:
        facts = table.details
        counts = (str(facts["rows"]), str(facts["networks"]))
        shown.add_row(table.id, table.name, table.job or "upload", *counts, facts["summary"])
    out.print(shown)


@app.command()
def show(table: TableId, server: Server = None, json_: Json = False) -> None:
    """A table's curves and right edges, and how far to trust it."""
    from service.table_view import held_out_in_words

    with connect(server) as client:
        found = client.table(table)
        found["curves"] = client.stairs(table)
    if json_:
        typer.echo(json.dumps(found))
        return
    shown = Table(box=None, pad_edge=False)
    for column in ("block", "gene", "points", "right edges"):
        shown.add_column(column)
    for curve in found["curves"]:
        edges = " ".join(map(str, curve["right_edges"])) or "none found"
        shown.add_row(curve["block"], curve["gene"], str(curve["points"]), edges)
    out.print(found["details"]["summary"])
    if held := found["held_out"]:
        out.print(held_out_in_words(held["errors"], found["details"]["origin"]))
    out.print(shown)


@app.command()
def curve(
    table: TableId,
    block: Annotated[str, typer.Argument(help="Geometry, as `tables show` lists it.")],
    gene: Annotated[str, typer.Argument(help="What moves: w, w1, w2, cout, cin.")],
    server: Server = None,
    json_: Json = False,
) -> None:
    """One step-shaped curve."""
    with connect(server) as client:
        found = client.curve(table, block, gene)
    if json_:
        typer.echo(json.dumps(found))
        return
    for width, ms in zip(found["widths"], found["ms"], strict=True):
        mark = "  right edge" if width in found["right_edges"] else ""
        typer.echo(f"{width:>6}  {ms:10.5f} ms{mark}")


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(help="A table file (JSON).", exists=True)],
    name: Annotated[
        str | None, typer.Option(help="Shown in lists; the file's if not given.")
    ] = None,
    server: Server = None,
    json_: Json = False,
) -> None:
    """Hand in a table that was measured elsewhere."""
    with connect(server) as client:
        found = client.upload_table(file, name)
    typer.echo(json.dumps(asdict(found)) if json_ else found.id)


@app.command()
def download(
    table: TableId,
    target: Annotated[Path, typer.Option("--out", help="Where to save it.")],
    server: Server = None,
) -> None:
    """Save a table's file."""
    with connect(server) as client:
        client.download_table(table, target)
    typer.echo(str(target))


@app.command()
def diff(
    table: TableId,
    other: Annotated[str, typer.Argument(help="Another table's id.")],
    server: Server = None,
    json_: Json = False,
) -> None:
    """What differs between two tables."""
    with connect(server) as client:
        found = client.diff(table, other)
    if json_:
        typer.echo(json.dumps(found))
        return
    rows, edges = found["rows"], [e for e in found["edges"] if e["moved"] or e["gone"] or e["new"]]
    typer.echo(f"{rows['count']} common rows, second / first {rows['median']:.3f}")
    for edge in edges:
        moved = ", ".join(f"{a}->{b}" for a, b in edge["moved"])
        typer.echo(f"{edge['geometry']} {edge['axis']}: moved {moved or 'none'}")
