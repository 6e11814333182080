"""Jobs on a server: submit, watch, steer, and hand candidates to training.

Each verb is one call of the API. The server and the token come from `--server`, from the
environment, or from the file that `stairprune serve` leaves for its own user.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.console import out

if TYPE_CHECKING:
    from service.client.client import Client
    from service.client.replies import Job

Server = Annotated[str | None, typer.Option(help="Address, as http://HOST:PORT.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id.")]
Priority = Annotated[int, typer.Option(min=-100, max=100, help="Higher ones run first.")]
Watch = Annotated[bool, typer.Option(help="Follow the job until it ends.")]
_FAILED = 1


def connect(server: str | None) -> Client:
    """The client of the server that is meant."""
    from service.client.client import Client
    from service.client.where import find

    return Client(*find(server))


def submit(
    job: Annotated[str, typer.Argument(help="A job file (YAML), or the name of a preset.")],
    until: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    priority: Priority = 0,
    key: Annotated[
        str | None, typer.Option(help="The same key with the same job is one job.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Only say what the job would do.")] = False,
    watch: Watch = False,
    server: Server = None,
    json_: Json = False,
) -> None:
    """Hand a job to the server."""
    body: dict[str, Any] = {"until": until} if until else {}
    if Path(job).exists() or Path(job).suffix in (".yaml", ".yml"):
        from service.spec import load

        body["spec"] = load(Path(job)).model_dump(mode="json")
    else:
        body["preset"] = job
    with connect(server) as client:
        if check:
            _print(client.check(**body), json_, lambda d: ", ".join(d["stages"]))
            return
        done = client.submit(key=key, priority=priority, **body)
        _print_job(done, json_)
        if watch:
            _follow(client, done.id)


def jobs(
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="queued, running, paused, succeeded, failed or cancelled."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only names that contain this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Of the page before.")] = None,
    server: Server = None,
    json_: Json = False,
) -> None:
    """List jobs, the newest first."""
    from service.jobs_view import listing

    with connect(server) as client:
        page = client.jobs(user=user, state=state, name=name, limit=limit, cursor=cursor)
    if json_:
        typer.echo(json.dumps(asdict(page)))
        return
    out.print(listing(page.jobs))
    if page.cursor:
        typer.echo(f"more: --cursor {page.cursor}")


def hosts(server: Server = None, json_: Json = False) -> None:
    """Machines that take work now, and what is held on them."""
    from service.jobs_view import machines

    with connect(server) as client:
        found = client.hosts()
    if json_:
        typer.echo(json.dumps([asdict(host) for host in found]))
        return
    out.print(machines(found))


def show(job: JobId, server: Server = None, json_: Json = False) -> None:
    """A job's stages, attempts, and why it waits."""
    from service.jobs_view import detail

    with connect(server) as client:
        found = client.show(job)
    if json_:
        typer.echo(json.dumps(asdict(found)))
    else:
        out.print(detail(found))


def logs(
    job: JobId,
    attempt: Annotated[str | None, typer.Option(help="Its id; the newest if not given.")] = None,
    member: Annotated[
        int, typer.Option(min=0, help="Of a stage on several hosts; 0 is the worker.")
    ] = 0,
    follow: Annotated[bool, typer.Option(help="Go on until the attempt ends.")] = False,
    last: Annotated[int, typer.Option(min=1, max=1 << 20, help="Bytes from the end.")] = 1 << 16,
    server: Server = None,
) -> None:
    """What an attempt printed."""
    with connect(server) as client:
        if not follow:
            sys.stdout.write(client.log(job, attempt, last, member))
            return
        for text in client.follow_log(job, attempt, member):
            sys.stdout.write(text)
            sys.stdout.flush()


def watch(job: JobId, server: Server = None) -> None:
    """Follow a job until it ends; exit code 1 where it does not succeed."""
    with connect(server) as client:
        _follow(client, job)


def cancel(job: JobId, server: Server = None, json_: Json = False) -> None:
    """End a job; what runs is stopped."""
    _verb(server, json_, lambda client: client.cancel(job))


def pause(job: JobId, server: Server = None, json_: Json = False) -> None:
    """Stop a job until it is resumed."""
    _verb(server, json_, lambda client: client.pause(job))


def resume(job: JobId, server: Server = None, json_: Json = False) -> None:
    """Let a paused job go on."""
    _verb(server, json_, lambda client: client.resume(job))


def retry(job: JobId, server: Server = None, json_: Json = False) -> None:
    """Run what failed or was cancelled again; finished stages stay."""
    _verb(server, json_, lambda client: client.retry(job))


def prioritise(
    job: JobId,
    priority: Annotated[int, typer.Argument(min=-100, max=100)],
    server: Server = None,
    json_: Json = False,
) -> None:
    """Change a job's priority."""
    _verb(server, json_, lambda client: client.prioritise(job, priority))


def candidates(
    job: JobId,
    under: Annotated[
        float | None, typer.Option(help="Only the best that costs at most this.")
    ] = None,
    metric: Annotated[str, typer.Option(help="What --under limits.")] = "latency_ms",
    all_: Annotated[bool, typer.Option("--all", help="Not only the front and finalists.")] = False,
    export: Annotated[
        str | None,
        typer.Option(metavar="CANDIDATE", help="Save its untrained network, to time it elsewhere."),
    ] = None,
    target: Annotated[Path | None, typer.Option("--out", help="Where to save it.")] = None,
    server: Server = None,
    json_: Json = False,
) -> None:
    """What a job's search found."""
    from service.jobs_view import figures

    with connect(server) as client:
        if export is not None:
            file = target or Path(f"{job}-{export}-untrained.onnx")
            client.export(job, export, file)
            typer.echo(json.dumps({"file": str(file)}) if json_ else f"saved {file}")
            return
        if under is not None:
            found = [client.best(job, under, metric)]
            whole: Any = asdict(found[0])
        else:
            reply = client.candidates(job)
            found = [c for c in reply.candidates if all_ or c.front or c.finalist]
            whole = asdict(reply)
    if json_:
        typer.echo(json.dumps(whole))
    else:
        out.print(figures(found))


def train(
    job: str,
    chosen: list[str],
    priority: int,
    follow: bool,
    server: str | None,
    json_: bool,
) -> None:
    """Hands candidates of a server's job to training; see `service.cli.train`."""
    with connect(server) as client:
        done = client.train(job, chosen, priority)
        _print_job(done, json_)
        if follow:
            _follow(client, done.id)


def download(
    job: JobId,
    name: Annotated[
        str | None, typer.Argument(help="A file, as STAGE/NAME; none: list all.")
    ] = None,
    target: Annotated[Path | None, typer.Option("--out", help="Where to save it.")] = None,
    server: Server = None,
    json_: Json = False,
) -> None:
    """List the files of a job's finished stages, or save one."""
    from service.client.errors import NotFoundError

    with connect(server) as client:
        files = client.files(job)
        if name is None:
            lines = "\n".join(f"{f.bytes:>12,}  {f.stage}/{f.name}" for f in files)
            typer.echo(json.dumps([asdict(f) for f in files]) if json_ else lines)
            return
        match = [f for f in files if f"{f.stage}/{f.name}" == name]
        if not match:
            known = ", ".join(f"{f.stage}/{f.name}" for f in files) or "none yet"
            raise NotFoundError(f"job {job} has no file {name!r}; it has: {known}")
        place = target or Path(Path(name).name)
        client.download(match[0].artifact, place)
        typer.echo(json.dumps({"file": str(place)}) if json_ else str(place))


def compare(
    chosen: Annotated[list[str], typer.Argument(metavar="JOB...", help="2 to 8 jobs.")],
    server: Server = None,
    json_: Json = False,
) -> None:
    """Jobs side by side: limits, best estimate, finalists, time."""
    from service.jobs_view import beside

    with connect(server) as client:
        found = client.compare(chosen)
    if json_:
        typer.echo(json.dumps(found))
    else:
        out.print(beside(found))


def _verb(server: str | None, json_: bool, call: Callable[[Client], Job]) -> None:
    with connect(server) as client:
        _print_job(call(client), json_)


def _print_job(job: Job, json_: bool) -> None:
    def line(data: dict[str, Any]) -> str:
        waits = f": {data['waits']}" if data["waits"] else ""
        return f"{data['id']}  {data['name']}  {data['state']}{waits}"

    _print(asdict(job), json_, line)


def _print(data: Any, json_: bool, line: Callable[[Any], str]) -> None:
    typer.echo(json.dumps(data) if json_ else line(data))


def _follow(client: Client, job: str) -> None:
    """Progress on standard error until the job ends."""
    from service.console import progress, say

    with progress(job) as shown:
        for event in client.events(job):
            data = event.data
            if event.kind == "progress":
                shown(data["done"], data["total"], f"{data['stage']}: {data['note']}")
            else:
                stage = f" {data['stage']}" if "stage" in data else ""
                say(f"{event.kind}{stage}")
    ended = client.show(job).job
    typer.echo(f"{ended.id} {ended.state}{': ' + ended.error if ended.error else ''}")
    if ended.state != "succeeded":
        raise typer.Exit(_FAILED)


VERBS: tuple[Callable[..., None], ...] = (
    submit,
    jobs,
    hosts,
    show,
    watch,
    logs,
    cancel,
    pause,
    resume,
    retry,
    prioritise,
    candidates,
    download,
    compare,
)
"""The verbs that `service.cli` takes over as they are."""
