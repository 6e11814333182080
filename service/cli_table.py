"""`stairprune table ...`: look at latency tables, check them, plot them, take them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from service.console import out

app = typer.Typer(help="Inspect latency tables.", no_args_is_help=True)

TableFile = Annotated[Path, typer.Argument(help="Latency table (JSON).")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def show(table: TableFile, json_: Json = False) -> None:
    """Target, coverage, stairs, and how well the table predicts whole networks."""
    from latency_tables.table import LatencyTable
    from service.table_view import describe, render

    description = describe(LatencyTable.load(table))
    if json_:
        typer.echo(json.dumps(description))
    else:
        out.print(render(description))


@app.command()
def plot(
    table: TableFile,
    file: Annotated[Path, typer.Option("--out", help="A .png or .html file.")] = Path(
        "stairs.html"
    ),
    geometry: Annotated[
        str | None, typer.Option(help="Only this geometry, as `table show` names it.")
    ] = None,
) -> None:
    """Latency against channels, with intervals and right edges."""
    from latency_tables.plots import plot_stairs
    from latency_tables.table import LatencyTable

    plot_stairs(LatencyTable.load(table), file, geometry=geometry)
    typer.echo(str(file))


@app.command()
def validate(table: TableFile, json_: Json = False) -> None:
    """Check a table's coverage, flags, drift and prediction error; exit code 2 on an error."""
    from latency_tables.table import LatencyTable
    from latency_tables.validate import validate as check

    findings = check(LatencyTable.load(table))
    if json_:
        typer.echo(json.dumps([{"level": f.level, "text": f.text} for f in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:8} {finding.text}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(2)


@app.command()
def export(
    table: TableFile,
    file: Annotated[Path, typer.Option("--out", help="A .csv or .parquet file.")],
) -> None:
    """Write a table's rows as CSV or Parquet."""
    from latency_tables.frames import export as write
    from latency_tables.table import LatencyTable

    write(LatencyTable.load(table), file)
    typer.echo(str(file))
