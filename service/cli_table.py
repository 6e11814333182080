"""`stairprune table ...`: build latency tables, look at them, check them, take them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.console import out, say

app = typer.Typer(help="Build and inspect latency tables.", no_args_is_help=True)

TableFile = Annotated[str, typer.Argument(help="A table file, or the name of a shipped table.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Device = Annotated[
    str | None, typer.Option(help="GPU to model, with --backend modelled: t4, a100, h100 ...")
]


@app.command()
def build(
    file: Annotated[Path, typer.Argument(help="Where to write the table (JSON).")],
    network: Annotated[str, typer.Option(help="resnet50, resnet101 or resnet152.")] = "resnet50",
    resolution: Annotated[int, typer.Option(help="Image side in pixels.", min=8)] = 224,
    backend: Annotated[str, typer.Option(help="Runtime; `stairprune doctor` lists them.")] = (
        "onnxruntime"
    ),
    device: Device = None,
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    batch: Annotated[int, typer.Option(min=1)] = 1,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    lowest: Annotated[float, typer.Option(help="Smallest width, as a share of dense.")] = 0.125,
    points: Annotated[int, typer.Option(help="Most shapes per bottleneck geometry.", min=8)] = 150,
    error: Annotated[
        float, typer.Option(help="Mean error (%) of left-out shapes that is good enough.")
    ] = 2.5,
    chains: Annotated[int, typer.Option(help="Bottlenecks measured in a chain.", min=0)] = 60,
    fit: Annotated[int, typer.Option(help="Whole networks that calibrate.", min=0)] = 100,
    held_out: Annotated[int, typer.Option(help="Whole networks that judge.", min=0)] = 40,
    rounds: Annotated[int, typer.Option(help="Interleaved passes.", min=3)] = 11,
    rows: Annotated[
        Literal["isolated", "in-context"],
        typer.Option(
            help="Blocks in engines of their own, or as differences of chains; tensorrt takes "
            "differences."
        ),
    ] = "isolated",
    json_: Json = False,
) -> None:
    """Measure a table for this machine, every width from --lowest to dense.

    About 12 minutes for ResNet50. Give the same command again after an interruption and it
    continues. With --backend modelled nothing is measured: half a minute for a GPU elsewhere.
    """
    from profiler.plan import Goals
    from service.table_build import Request
    from service.table_build import build as measure

    request = Request(
        network=network,
        resolution=resolution,
        backend=backend,
        device=device,
        precision=precision,
        batch=batch,
        threads=threads,
        lowest=lowest,
        goals=Goals(
            points_per_geometry=points,
            target_error_percent=error,
            chains=chains,
            networks_fit=fit,
            networks_held_out=held_out,
        ),
        rounds=rounds,
        rows=rows,
    )
    measure(request, file)
    show(str(file), json_=json_)


@app.command()
def show(table: TableFile, json_: Json = False) -> None:
    """Target, coverage, stairs, and how well the table predicts whole networks."""
    from latency_tables.shipped import load
    from service.table_view import describe, render

    description = describe(load(table))
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
    what: Annotated[
        Literal["stairs", "networks", "roofline"], typer.Option(help="What to draw.")
    ] = "stairs",
    geometry: Annotated[
        str | None, typer.Option(help="Only this geometry, as `table show` names it.")
    ] = None,
    axis: Annotated[str | None, typer.Option(help="Only this axis; needs --geometry.")] = None,
) -> None:
    """Stairs beside the roofline, predicted against measured networks, or the roofline alone."""
    from latency_tables import plots
    from latency_tables.shipped import load

    loaded = load(table)
    match what:
        case "stairs":
            plots.plot_stairs(loaded, file, geometry=geometry, axis=axis)
        case "networks":
            plots.plot_networks(loaded, file)
        case "roofline":
            plots.plot_roofline(loaded, file)
    typer.echo(str(file))


@app.command()
def validate(table: TableFile, json_: Json = False) -> None:
    """Check a table's coverage, flags, drift and prediction error; exit code 2 on an error."""
    from latency_tables.shipped import load
    from latency_tables.validate import validate as check

    findings = check(load(table))
    if json_:
        typer.echo(json.dumps([{"level": f.level, "text": f.text} for f in findings]))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:8} {finding.text}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(2)


@app.command()
def diff(table: TableFile, other: TableFile, json_: Json = False) -> None:
    """What changed between two tables: targets, latencies, and which right edges moved."""
    from latency_tables.diff import diff as compare
    from latency_tables.shipped import load
    from service.table_diff import render

    found = compare(load(table), load(other))
    if json_:
        typer.echo(json.dumps(found.to_json()))
    else:
        out.print(render(found))


@app.command()
def export(
    table: TableFile,
    file: Annotated[Path, typer.Option("--out", help="A .csv, .parquet or .json file.")],
) -> None:
    """Write a table as CSV, Parquet or JSON."""
    from latency_tables.frames import export as write
    from latency_tables.shipped import load

    write(load(table), file)
    typer.echo(str(file))


@app.command()
def snap(
    table: TableFile,
    config: Annotated[
        str, typer.Option(help="Config file (JSON), or the name of a published config.")
    ],
    file: Annotated[
        Path | None, typer.Option("--out", help="Write the snapped config here.")
    ] = None,
    json_: Json = False,
) -> None:
    """Move a config's widths to right edges: more channels, not slower."""
    from latency_tables.predict import Predictor
    from latency_tables.shipped import load
    from latency_tables.snap import snap as move
    from service.snap_view import describe, named

    loaded = load(table)
    found = move(named(loaded, config), Predictor(loaded))
    result = {**found.to_json(), "origin": loaded.target.origin}
    if file is not None:
        file.write_text(json.dumps(result["config"]) + "\n", encoding="utf-8")
    typer.echo(json.dumps(result) if json_ else describe(found, loaded.target))


@app.command()
def replay(
    table: TableFile,
    config: Annotated[
        list[Path] | None, typer.Option(help="A config file (JSON); may be given several times.")
    ] = None,
    published: Annotated[bool, typer.Option(help="The published configs too.")] = True,
    random: Annotated[
        int, typer.Option(help="This many random networks that the table never saw.", min=0)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Draws the random networks.", min=0)] = 0,
    rounds: Annotated[int, typer.Option(help="Interleaved passes.", min=3)] = 21,
    json_: Json = False,
) -> None:
    """Time configs on this machine, interleaved, against the table's predictions."""
    from latency_tables.shipped import load
    from service import replay as replays
    from service.replay_view import as_json, render

    loaded = load(table)
    configs = replays.published(loaded) if published else {}
    configs |= replays.drawn(loaded, random, seed) if random else {}
    configs |= replays.read_configs(config or [])
    configs = {n: c for n, c in configs.items() if c != loaded.network.dense()}
    say(f"replaying {len(configs)} configs and the dense network")
    found = replays.replay(loaded, configs, rounds)
    if json_:
        typer.echo(json.dumps(as_json(found)))
    else:
        out.print(render(found))


@app.command()
def explain(
    table: TableFile,
    config: Annotated[
        str, typer.Option(help="Config file (JSON), or the name of a published config.")
    ] = "dense",
    block: Annotated[
        str | None, typer.Option(help="Only this piece: stem, stage3.1, head.")
    ] = None,
    json_: Json = False,
) -> None:
    """Tile, waves and bound of every kernel behind a modelled table's figures."""
    from latency_tables.shipped import load
    from service.kernel_view import explain as rows
    from service.kernel_view import render
    from service.snap_view import named

    loaded = load(table)
    wanted = loaded.network.dense() if config == "dense" else named(loaded, config)
    found = rows(loaded, wanted, block)
    if json_:
        typer.echo(json.dumps(found))
    else:
        out.print(render(found))


@app.command()
def shipped(json_: Json = False) -> None:
    """Names and targets of the tables that come with the program."""
    from latency_tables.shipped import load, names

    targets = {name: str(load(name).target) for name in names()}
    if json_:
        typer.echo(json.dumps(targets))
    else:
        for name, target in targets.items():
            typer.echo(f"{name:40} {target}")
