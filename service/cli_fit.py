"""`stairprune fit`: top candidates to serious training, outside of a job."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer
from rich.table import Table

from service.console import out as console
from service.console import progress, say


def fit(
    source: Annotated[
        Path,
        typer.Argument(metavar="CANDIDATE", help="A config or a list of them (JSON), or a bundle."),
    ],
    recipe: Annotated[
        Path, typer.Option(help="Recipe file (YAML): network, data, recipe, teacher.")
    ],
    out: Annotated[Path, typer.Option(help="A folder for weights, checkpoints and results.")],
    top: Annotated[int | None, typer.Option(min=1, help="Only the first so many.")] = None,
    parallel: Annotated[
        int, typer.Option(min=1, help="Trainings at a time; with cuda each on its own GPUs.")
    ] = 1,
    estimate_only: Annotated[
        bool, typer.Option("--estimate-only", help="Say what it would take, and end.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train candidates from scratch; the same command continues after an interruption."""
    from service import fits
    from service.fit_spec import load

    spec = load(recipe)
    found = dict(list(fits.candidates(source, spec).items())[:top])
    todo = fits.units(found, spec)
    left = fits.unfinished(todo, out)
    fresh = [unit for unit in left if not (unit.folder(out) / "checkpoints").exists()]
    if fresh or estimate_only:
        forecast = fits.estimated((fresh or todo)[0], spec, out)
        say(_forecast(forecast, len(left), parallel, spec.processes))
    if estimate_only:
        typer.echo(json.dumps(forecast) if json_ else "")
        return
    steps: dict[tuple[str, int], int] = {}
    with progress("fit") as shown:

        def watch(unit: fits.Unit, done: int, total: int, note: str) -> None:
            steps[unit.name, unit.seed] = done
            label = f"{unit.name} seed {unit.seed}: {note}"
            shown(sum(steps.values()), total * len(todo), label)

        result = fits.run(todo, spec, out, parallel, watch)
    if json_:
        typer.echo(json.dumps(result))
        return
    console.print(_shown(result))


def _forecast(found: dict[str, Any], count: int, parallel: int, processes: int) -> str:
    rounds = -(-count // parallel)
    shared = f" in one process, of {processes} that share it" if processes > 1 else ""
    return (
        f"{count} training(s) of {found['steps']:,} steps: about {_time(found['seconds'])} each"
        f"{shared}, {_time(rounds * found['seconds'])} in all, "
        f"{found['bytes'] / 2**30:.1f} GiB each"
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _shown(result: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("candidate", "test accuracy", "seeds"):
        table.add_column(column)
    for name, entry in result.items():
        seeds = " ".join(f"{value:.4f}" for value in entry["test"])
        table.add_row(name, f"{mean(entry['test']):.4f}", seeds)
    return table
