"""`stairprune search ...`: run a job's search, look at searches, compare them, take them elsewhere.

`stairprune search JOB` is short for `stairprune search run JOB`. Looking needs no job, no table and
no network weights: a search's folder holds all that is shown.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.console import out


class _RunByDefault(TyperGroup):
    """A first word that is no verb belongs to `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    help="Search configs within a job's limits, and look at what was found.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path, typer.Argument(help="A search: its folder, its search.json, or a run folder.")
]
Metric = Annotated[
    str | None, typer.Option(help="Cost of the front; by default the latency, else the last.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def run(
    job: Annotated[Path, typer.Argument(help="Job file (YAML); see configs/.")],
    runs: Annotated[Path, typer.Option(help="Folder that holds run folders.")] = Path("runs"),
    json_: Json = False,
) -> None:
    """Search configs within the job's limits (after profile and supernet)."""
    from service.cli import job_folder
    from service.summary import search_result, summarise_search

    done, _ = job_folder(job, runs, "select")
    result = search_result(done)
    if json_:
        typer.echo(json.dumps(result))
    else:
        out.print(summarise_search(result))


@app.command()
def show(folder: Folder, metric: Metric = None, json_: Json = False) -> None:
    """Settings, counts, the best config, the front, and which genes matter."""
    from search.stored import Stored
    from search.views import describe
    from service.search_view import render

    found = describe(Stored.read(folder), metric)
    if json_:
        typer.echo(json.dumps(found))
    else:
        out.print(render(found))


@app.command()
def plot(
    folder: Folder,
    file: Annotated[Path, typer.Option("--out", help="A .png or .html file.")] = Path(
        "search.html"
    ),
    what: Annotated[
        str, typer.Option(help="front, parallel, widths, progress or importance.")
    ] = "front",
    metric: Metric = None,
) -> None:
    """Draw the front, all configs, widths by layer, the progress, or which genes matter."""
    from search.plots import plot as draw
    from search.stored import Stored

    draw(Stored.read(folder), what, file, metric)
    typer.echo(str(file))


@app.command()
def export(
    folder: Folder,
    file: Annotated[
        Path,
        typer.Option("--out", help="A .csv, .parquet or .json file; .db or .log for Optuna."),
    ],
) -> None:
    """Write every candidate as CSV, Parquet or JSON, or as a study for optuna-dashboard."""
    from search.export import export as write
    from search.stored import Stored

    write(Stored.read(folder), file)
    typer.echo(str(file))


@app.command()
def compare(folder: Folder, other: Folder, metric: Metric = None, json_: Json = False) -> None:
    """Two searches side by side: best config, when it was found, hypervolume of the front."""
    from search.stored import Stored
    from search.views import compare as side_by_side
    from service.search_view import render_comparison

    found = side_by_side(Stored.read(folder), Stored.read(other), metric)
    if json_:
        typer.echo(json.dumps(found))
    else:
        out.print(render_comparison(found))


@app.command()
def exact(
    job: Annotated[Path, typer.Argument(help="Job file (YAML); see configs/.")],
    runs: Annotated[Path, typer.Option(help="Folder that holds run folders.")] = Path("runs"),
    front: Annotated[
        str | None, typer.Option(help="Also the proved front against this cost, e.g. latency_ms.")
    ] = None,
    step: Annotated[
        float, typer.Option(help="Relative distance between points of the front; 0: all of it.")
    ] = 0.02,
    json_: Json = False,
) -> None:
    """The proved optimum of a job's search (run first if need be), and the gap of what it found."""
    from service.cli import job_folder
    from service.exact_view import describe, render

    done, _ = job_folder(job, runs, "search")
    found = describe(done.problem(), done.history(), done.spec.search.objective, front, step)
    if json_:
        typer.echo(json.dumps(found))
    else:
        out.print(render(found))


@app.command()
def searchers(json_: Json = False) -> None:
    """Names, one line and options of all searchers."""
    from search.searcher import describe, names

    found: dict[str, dict[str, Any]] = {
        name: {
            "summary": describe(name)[0],
            "options": [
                {"name": o.name, "type": o.type, "default": o.default, "help": o.help}
                for o in describe(name)[1]
            ],
        }
        for name in names()
    }
    if json_:
        typer.echo(json.dumps(found))
        return
    for name, entry in found.items():
        typer.echo(f"{name:12} {entry['summary']}")
        for option in entry["options"]:
            typer.echo(f"    {option['name']:12} {option['help']} ({option['default']!r})")
