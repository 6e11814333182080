"""`stairprune engine ...`: TensorRT engines as files, on the GPU that is to run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Build and inspect TensorRT engines.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command()
def build(
    source: Annotated[
        str,
        typer.Argument(
            help="An exported ONNX file; or a config (JSON), or resnet50, resnet101, resnet152: "
            "with random weights, for timing only."
        ),
    ],
    file: Annotated[Path, typer.Option("--out", help="A .engine or .plan file.")] = Path(
        "network.engine"
    ),
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of a config fp32, fp16 or int8. Of an fp32 ONNX file fp16; left out, the file's "
            "own types, which is how quantised files are built."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(help="Images of a run: many for throughput, 1 for latency.", min=1)
    ] = 1,
    resolution: Annotated[int, typer.Option(help="Image side of a config.", min=8)] = 224,
    json_: Json = False,
) -> None:
    """Build an engine on this machine's GPU and write it, with a JSON that says what it is."""
    from service.engines import Request, factory_here
    from service.engines import build as make

    request = Request(source=source, precision=precision, batch=batch, resolution=resolution)
    made = make(request, file, factory_here())
    typer.echo(json.dumps(made) if json_ else f"{made['path']}: {made['bytes']} bytes")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="An engine that `engine build` wrote.")],
    json_: Json = False,
) -> None:
    """What built an engine, from what, for which GPU; checks that it is whole."""
    from profiler.trt.plan_file import read

    plan = read(file)
    if json_:
        typer.echo(json.dumps({"sha256": plan.sha256, "facts": dict(plan.facts)}))
        return
    for name, value in {"sha256": plan.sha256, **plan.facts}.items():
        typer.echo(f"{name:24} {value}")
