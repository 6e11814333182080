"""`stairprune serve`, and `stairprune token`: the server's side of the command line."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

token_app = typer.Typer(help="Tokens and users of a server's store.", no_args_is_help=True)
Folder = Annotated[
    Path, typer.Option(help="Where the server keeps everything.", envvar="STAIRPRUNE_HOME")
]
Stored = Annotated[
    str | None,
    typer.Option(help="Where stored files lie, as s3://BUCKET/PATH; by default in the folder."),
]
Url = Annotated[
    str | None,
    typer.Option(
        help="Database, as postgresql://USER@HOST/NAME; by default SQLite in the folder.",
        envvar="STAIRPRUNE_DATABASE",
    ),
]
HOME = Path.home() / ".local" / "share" / "stairprune"


def serve(
    folder: Folder = HOME,
    url: Url = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8321,
    public_url: Annotated[
        str | None, typer.Option(help="How browsers reach it through a proxy, with https://.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further names under which it may be asked.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="File with a token that is to be valid.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Owner of that token and of the link.")] = None,
    cpu_slots: Annotated[
        int | None, typer.Option(min=1, help="Stages that may share the CPU; by default its cores.")
    ] = None,
    work: Annotated[bool, typer.Option(help="Whether this machine runs stages too.")] = True,
    device_class: Annotated[
        list[str] | None,
        typer.Option(help="What this machine is, as a100, for jobs whose target.on asks for it."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster that runs stages instead of this machine, as http://HEAD:8265."
        ),
    ] = None,
    artifacts: Stored = None,
    keep_logs: Annotated[
        float, typer.Option(min=0, help="Days that logs of ended jobs are kept.")
    ] = 90.0,
    keep_runs: Annotated[
        float, typer.Option(min=0, help="Days that working folders of ended jobs are kept.")
    ] = 7.0,
    studies: Annotated[
        str | None,
        typer.Option(help="Storage (URL or journal file) that optuna-dashboard shows, read-only."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the page and the API, and run jobs on this machine."""
    from service.serve import Serving
    from service.serve import serve as run
    from service.upkeep import Retention

    def say(text: str) -> None:
        typer.echo(text)
        if open_ and text.startswith("open "):
            import webbrowser

            webbrowser.open(text.split()[1])

    run(
        Serving(
            folder=folder,
            url=url,
            host=host,
            port=port,
            public_url=public_url,
            allowed_hosts=tuple(allow_host or ()),
            token_file=token_file,
            user=user or getpass.getuser(),
            cpu_slots=cpu_slots,
            work=work,
            ray=ray,
            artifacts=artifacts,
            classes=tuple(device_class or ()),
            studies=studies,
            retention=Retention(logs=keep_logs, runs=keep_runs),
        ),
        say,
    )


def tidy(
    folder: Folder = HOME,
    url: Url = None,
    artifacts: Stored = None,
    keep_logs: Annotated[float, typer.Option(min=0, help="Days.")] = 90.0,
    keep_runs: Annotated[float, typer.Option(min=0, help="Days.")] = 7.0,
    dry_run: Annotated[bool, typer.Option(help="Only say what would go.")] = False,
) -> None:
    """Clear away old logs and working folders of ended jobs; a running server does so by itself."""
    from service.instance import open_instance
    from service.upkeep import Retention
    from service.upkeep import tidy as clear

    keep = Retention(logs=keep_logs, runs=keep_runs)
    cleared = clear(open_instance(folder, url, artifacts), keep, dry=dry_run)
    if dry_run:
        for path in (*cleared.logs, *cleared.runs):
            typer.echo(path)
    typer.echo(f"{'would clear' if dry_run else 'cleared'} away: {cleared}")


@token_app.command("create")
def create_token(
    user: Annotated[str, typer.Argument(help="Whose token; created if unknown.")],
    folder: Folder = HOME,
    url: Url = None,
    label: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[float | None, typer.Option(min=0.01, help="Days until it ends.")] = None,
) -> None:
    """Print a new token; it is shown this once."""
    from jobs import users
    from service.instance import open_instance

    database = open_instance(folder, url).database
    users.ensure_exists(database, user)
    typer.echo(users.create_token(database, user, label, None if days is None else days * 86400))


@token_app.command("revoke")
def revoke_token(
    token: Annotated[str, typer.Argument(help="The token.")],
    folder: Folder = HOME,
    url: Url = None,
) -> None:
    """Refuse a token from now on."""
    from jobs import users
    from service.instance import open_instance

    if not users.revoke(open_instance(folder, url).database, token):
        raise typer.BadParameter("this token is unknown, or was revoked before")


@token_app.command("user")
def user_caps(
    name: Annotated[str, typer.Argument(help="The user; created if unknown.")],
    folder: Folder = HOME,
    url: Url = None,
    most_running: Annotated[int, typer.Option(min=1, help="Jobs that run at once.")] = 4,
    most_open: Annotated[int, typer.Option(min=1, help="Jobs that have not ended.")] = 1000,
) -> None:
    """Create a user, or change what one may have."""
    from jobs import users
    from service.instance import open_instance

    users.ensure(open_instance(folder, url).database, name, most_running, most_open)
