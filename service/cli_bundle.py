"""`stairprune verify` and `stairprune bundle ...`: what came out of a job, here or elsewhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from service.console import out, progress

app = typer.Typer(help="Bundles of trained networks.", no_args_is_help=True)
Source = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle: archive or folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_STYLE = {"pass": "green", "fail": "red", "not checked": "yellow"}


def verify(
    source: Source,
    data: Annotated[
        str | None, typer.Option(help="Data set to check accuracies on; the bundle's own if unset.")
    ] = None,
    path: Annotated[Path | None, typer.Option(help="Where its images are.")] = None,
    latency: Annotated[bool, typer.Option("--latency", help="Measure too; a minute.")] = False,
    json_: Json = False,
) -> None:
    """Hold a bundle to its claims on this machine. Exit code 1: a claim failed; 2: no bundle."""
    from bundle.reading import opened
    from bundle.verify import verify as checks_of

    with opened(source) as bundle, progress("verify") as shown:
        given = None if data is None and path is None else (data or bundle.claims.data.name, path)
        checks = list(checks_of(bundle, data=given, latency=latency, progress=shown))
        name = bundle.claims.name
    if json_:
        typer.echo(json.dumps({"name": name, "checks": [asdict(check) for check in checks]}))
    else:
        table = Table(title=Text(name), title_justify="left", box=None, pad_edge=False)
        for column in ("claim", "verdict", "claimed", "found", "note"):
            table.add_column(column)
        for check in checks:
            verdict = Text(check.verdict, _STYLE[check.verdict])
            rest = map(Text, (check.claimed, check.found, check.note))
            table.add_row(Text(check.claim), verdict, *rest)
        out.print(table)
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(1)


def loadgen(
    source: Source,
    scenario: Annotated[str, typer.Option(help="single-stream or offline.")] = "single-stream",
    precision: Annotated[str, typer.Option(help="fp32 or int8.")] = "int8",
    seconds: Annotated[float, typer.Option(min=0.5, help="Least time; MLPerf asks for 600.")] = 60,
    queries: Annotated[
        int, typer.Option(min=1, help="Least queries of single-stream; MLPerf asks for 1024.")
    ] = 1024,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Images at a time, offline.")] = 8,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    data: Annotated[
        str | None, typer.Option(help="Data set of the images; the bundle's own if unset.")
    ] = None,
    path: Annotated[Path | None, typer.Option(help="Where its images are.")] = None,
    logs: Annotated[Path, typer.Option(help="A folder for LoadGen's logs.")] = Path("loadgen"),
    json_: Json = False,
) -> None:
    """A bundle's file under MLPerf's load generator: MLPerf-style figures, no MLPerf result."""
    from bundle.driving import drive_bundle
    from bundle.reading import opened

    with opened(source) as bundle:
        found = drive_bundle(
            bundle, scenario, precision, logs, seconds=seconds, queries=queries, batch=batch,
            threads=threads, data=data, path=path,
        )  # fmt: skip
    if json_:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        out.print(f"{name}: {value}", highlight=False)


@app.command()
def show(source: Source, json_: Json = False) -> None:
    """What a bundle claims, after its files were checked."""
    from bundle.reading import opened

    with opened(source) as bundle:
        claims = bundle.claims
    if json_:
        typer.echo(claims.model_dump_json(by_alias=True))
        return
    # Not the README inside: what it says is held against nothing.
    from service.bundling import readme

    typer.echo(readme(claims))


@app.command()
def extract(
    source: Source, to: Annotated[Path, typer.Argument(help="A folder that is not there yet.")]
) -> None:
    """A bundle's files as a folder, after they were checked."""
    from bundle.manifest import BundleError
    from bundle.reading import opened

    if to.exists():
        raise BundleError(f"{to} is there already; choose another folder")
    with opened(source) as bundle:
        try:
            with tempfile.TemporaryDirectory(dir=to.parent) as place:
                shutil.copytree(bundle.folder, Path(place) / "bundle")
                (Path(place) / "bundle").replace(to)
        except OSError as error:
            raise BundleError(f"{to} cannot be written: {error.strerror or error}") from None
    out.print(str(to))


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="An extracted bundle.")],
    path: Annotated[Path, typer.Argument(help="The archive to write.")],
) -> None:
    """An extracted bundle as one archive again."""
    from bundle.manifest import BundleError
    from bundle.reading import opened
    from bundle.writing import pack as write

    with opened(folder) as bundle:
        try:
            write(bundle.folder, path)
        except OSError as error:
            raise BundleError(f"{path} cannot be written: {error.strerror or error}") from None
    out.print(str(path))
