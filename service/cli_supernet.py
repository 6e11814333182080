"""`stairprune supernet ...`: train the supernet, estimate a config's accuracy with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Train the weight-sharing supernet and score configs.", no_args_is_help=True)

JobFile = Annotated[Path, typer.Argument(help="Job file (YAML).")]
Runs = Annotated[Path, typer.Option(help="Folder that holds run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def train(job: JobFile, runs: Runs = Path("runs"), json_: Json = False) -> None:
    """Train the job's supernet."""
    from service.cli import job_folder

    done, folder = job_folder(job, runs, "supernet")
    history = done.json("supernet", "history.json")
    if json_:
        typer.echo(json.dumps(history))
    else:
        typer.echo(f"{folder / 'supernet' / 'supernet.safetensors'}: {history[-1]}")


@app.command()
def score(
    job: JobFile,
    config: Annotated[Path, typer.Option(help="Config file (JSON).")],
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Estimate a config's accuracy: an estimate, not what it reaches when trained."""
    from service.cli import job_folder
    from service.pricing import read_config
    from service.stages.supernet import estimator

    done, _ = job_folder(job, runs, "supernet")
    wanted = read_config(config)
    done.full_space().check(wanted)
    estimate = estimator(done)(wanted)
    if json_:
        typer.echo(json.dumps({"estimate": estimate}))
    else:
        typer.echo(f"estimate {estimate:.4f} on the search-validation split")
