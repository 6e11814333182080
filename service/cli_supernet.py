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


@app.command()
def propose(
    job: JobFile,
    criteria: Annotated[
        str, typer.Option(help="Pruning criteria, by commas; combined as in l1+fpgm.")
    ] = "l1,fpgm,l1+fpgm",
    score: Annotated[bool, typer.Option(help="Estimate their accuracy with the supernet.")] = True,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """The configs that pruning criteria make of the job's limits, priced and scored."""
    from service.cli import job_folder
    from service.console import progress
    from service.job import tables
    from service.proposals import proposals
    from supernet.arithmetic import encode
    from training.criterion import parts

    names = tuple(criteria.split(","))
    for name in names:
        parts(name)
    done, _ = job_folder(job, runs, "teacher")
    for stage in (*tables(done.spec), *(("supernet",) if score else ())):
        done, _ = job_folder(job, runs, stage)
    problem = done.problem()
    with done.folder.lock(), progress("criteria") as report:
        found = proposals(done, problem, names, report)
        costs = problem.costs(encode(list(found.values())))
        rows = {
            name: {"config": config.to_json(), **{m: float(costs[m][at]) for m in costs}}
            for at, (name, config) in enumerate(found.items())
        }
        if score:
            from service.stages.supernet import estimator

            evaluate = estimator(done)
            for name, config in found.items():
                rows[name]["estimate"] = evaluate(config)
    if json_:
        typer.echo(json.dumps(rows))
        return
    for name, row in rows.items():
        figures = (f"{key} {value:.6g}" for key, value in row.items() if key != "config")
        typer.echo(f"{name}: {', '.join(figures)}")
