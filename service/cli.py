"""The command line. torch is imported only by the verbs that train or export.

Results go to standard output (`--json` for machines), progress to standard error. An error of
our own is one line and exit code 2; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from service import (
    cli_bundle,
    cli_engine,
    cli_fit,
    cli_jobs,
    cli_search,
    cli_serve,
    cli_supernet,
    cli_table,
    cli_tables,
)
from service.console import err, out, say

app = typer.Typer(
    name="stairprune",
    help="Latency-aware channel pruning for ResNet50-class networks: pruned means faster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cli_table.app, name="table")
app.add_typer(cli_supernet.app, name="supernet")
app.add_typer(cli_engine.app, name="engine")
app.add_typer(cli_search.app, name="search")
app.add_typer(cli_tables.app, name="tables")
app.add_typer(cli_bundle.app, name="bundle")
app.command()(cli_fit.fit)
app.command()(cli_bundle.verify)
app.command()(cli_bundle.loadgen)
app.command()(cli_serve.serve)
app.command()(cli_serve.tidy)
for verb in cli_jobs.VERBS:
    app.command()(verb)
app.add_typer(cli_serve.token_app, name="token")

JobFile = Annotated[Path, typer.Argument(help="Job file (YAML); see configs/.")]
Runs = Annotated[Path, typer.Option(help="Folder that holds run folders.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Device = cli_table.Device

_OURS = {
    "supernet", "latency_tables", "export", "bundle", "profiler", "training", "search", "jobs",
    "service",
}  # fmt: skip


def main() -> None:
    """Entry point of the `stairprune` command."""
    # Threads that spin while they wait slow training tenfold as soon as another process runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app()
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _OURS:
            raise
        text = " ".join(str(error).split())
        err.print(f"stairprune: {text}", style="red", highlight=False, markup=False)
        sys.exit(2)


def job_folder(job: Path, runs: Path, until: str | None) -> tuple[Any, Path]:
    """Runs a job's stages up to `until`; returns the job and its folder."""
    from service.pipeline import run as run_pipeline
    from service.spec import load

    spec = load(job)
    folder = runs / spec.name
    return run_pipeline(spec, folder, until), folder


@app.command()
def run(
    job: JobFile,
    runs: Runs = Path("runs"),
    until: Annotated[
        str | None, typer.Option(help="Stop after this stage (and what it needs).")
    ] = None,
    json_: Json = False,
) -> None:
    """Do the whole job: profile, supernet, search, train, export, measure, report.

    Give the same command again after an interruption and it continues.
    """
    _, folder = job_folder(job, runs, until)
    if until is not None:
        return
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    if json_:
        typer.echo(json.dumps(report))
    else:
        from service.summary import summarise

        out.print(summarise(report))
        say(f"report: {folder / 'report.html'}")


@app.command()
def price(
    config: Annotated[
        str, typer.Option(help="Config file (JSON), or resnet50, resnet101, resnet152.")
    ],
    table: Annotated[
        str | None, typer.Option(help="Latency table to price with: a file, or a shipped one.")
    ] = None,
    job: Annotated[
        Path | None, typer.Option(help="Take the network (stem, resolution ...) from this job.")
    ] = None,
    json_: Json = False,
) -> None:
    """MACs, params and, with a table, the predicted latency of a config."""
    from service.pricing import price as price_config

    result = price_config(config, table, job)
    if json_:
        typer.echo(json.dumps(result))
        return
    typer.echo(f"MACs    {result['macs']:>16,}   multiply-adds of convolutions and fc")
    typer.echo(f"params  {result['params']:>16,}")
    if latency := result.get("latency_ms"):
        from service.table_view import held_out_in_words

        typer.echo(
            f"latency {latency['predicted']:>13.3f} ms   upper bound {latency['upper']:.3f} ms "
            f"(holds for {result['bound']['coverage']:.0%}), {result['target']}"
        )
        typer.echo(f"        {held_out_in_words(result['held_out'], result['origin'])}")


@app.command()
def profile(
    job: Annotated[
        Path | None, typer.Argument(help="Job file: measure its whole table. Or use --block.")
    ] = None,
    block: Annotated[
        str | None, typer.Option(help="One block of the network, such as stage3.1, stem, head.")
    ] = None,
    width: Annotated[
        str, typer.Option(help="What varies: w (both inner widths), w1, w2, cin or cout.")
    ] = "w=56..104",
    network: Annotated[str, typer.Option(help="resnet50, resnet101 or resnet152.")] = "resnet50",
    resolution: Annotated[int, typer.Option(help="Image side in pixels.", min=8)] = 224,
    backend: Annotated[str, typer.Option(help="Runtime; `stairprune doctor` lists them.")] = (
        "onnxruntime"
    ),
    device: Device = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    batch: Annotated[int, typer.Option(min=1)] = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Interleaved passes.", min=3)] = 60,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the measured rows as a table.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the staircase (.png or .html).")] = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Measure a job's latency table, or the staircase of a single block."""
    from service import staircase

    if (job is None) == (block is None):
        raise staircase.StaircaseError("give either a job file or --block, and not both")
    if job is not None:
        _, folder = job_folder(job, runs, "profile")
        cli_table.show(str(folder / "profile" / "table.json"), json_=json_)
        return
    measured = staircase.measure(
        staircase.Request(
            network=network,
            resolution=resolution,
            block=str(block),
            width=width,
            backend=backend,
            device=device,
            precision=precision,
            batch=batch,
            threads=threads,
            rounds=rounds,
        )
    )
    if out_file is not None:
        measured.table.save(out_file)
    if plot is not None:
        staircase.plot(measured, plot)
    if json_:
        typer.echo(json.dumps(staircase.as_json(measured)))
    else:
        out.print(staircase.render(measured))


@app.command()
def train(
    job: Annotated[str, typer.Argument(help="Job file (YAML), or the id of a job on a server.")],
    chosen: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CANDIDATE...]", help="Of a job on a server: which to train."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Train this config (JSON) with the job's recipe, not the finalists."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="With --config: fine-tune what this pruning criterion keeps, as l1."),
    ] = None,
    runs: Runs = Path("runs"),
    priority: cli_jobs.Priority = 0,
    watch: cli_jobs.Watch = False,
    server: cli_jobs.Server = None,
    json_: Json = False,
) -> None:
    """Train the job's finalists, or one given config, from scratch with distillation.

    With candidates, a server is asked for a new job that trains them.
    """
    if chosen:
        cli_jobs.train(job, chosen, priority, watch, server, json_)
        return
    from service import single

    if start is not None and config is None:
        from service.spec import SpecError

        raise SpecError(f"--start {start} needs --config, the widths to cut the network to")
    if config is not None:
        result = single.train(*job_folder(Path(job), runs, "teacher"), config, start)
    else:
        done, _ = job_folder(Path(job), runs, "train")
        result = done.json("train", "accuracy.json")
    typer.echo(json.dumps(result) if json_ else single.describe(result))


@app.command()
def export(
    job: JobFile,
    config: Annotated[
        Path | None, typer.Option(help="Export this config, trained before by `train --config`.")
    ] = None,
    runs: Runs = Path("runs"),
    json_: Json = False,
) -> None:
    """Write the job's trained networks as ONNX files and check them against torch."""
    from service import single

    if config is not None:
        result = single.export(*job_folder(job, runs, "teacher"), config)
    else:
        done, folder = job_folder(job, runs, "export")
        result = {
            "files": [str(folder / "export" / f"{name}.onnx") for name in done.finalists()],
            **done.json("export", "check.json"),
        }
    typer.echo(json.dumps(result) if json_ else single.describe(result))


@app.command()
def doctor(
    job: Annotated[Path | None, typer.Argument(help="Say what this job would lack here.")] = None,
    json_: Json = False,
) -> None:
    """Say what this machine can do: CPU, runtimes, GPU, data sets."""
    from service.doctor import examine, missing, render
    from service.spec import load

    findings = examine()
    lacks = missing(load(job)) if job is not None else []
    if json_:
        typer.echo(json.dumps({"machine": findings, "missing": lacks}))
    else:
        out.print(render(findings, lacks))
    if lacks:
        raise typer.Exit(2)


if __name__ == "__main__":
    main()
