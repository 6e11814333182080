"""`stairprune serve`: the API and the scheduler of this machine, in one process.

Stopping it stops its workers; their stages go on another time. Killing it harms nothing: workers
record their own results, and the next server finds them.
"""

from __future__ import annotations

import gc
import getpass
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.launcher import LauncherError
from service.http.settings import LOOPBACK, ServerSettings, host_of
from service.upkeep import Retention, keep_tidy

if TYPE_CHECKING:
    import uvicorn

    from jobs.scheduler import Scheduler
    from service.instance import Instance

_DRAIN_S = 3


class ServeError(ValueError):
    """A server that must not be started like this; the message says what to give instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What `stairprune serve` was told.

    Attributes:
        url: of the database; an SQLite file in the folder if None.
        port: 0 for any free one.
        public_url: how browsers reach it through a proxy, as https://prune.example.com.
        token_file: holds a token that is to be valid; needed for a bind beyond this machine, unless
            the store has one already.
        cpu_slots: stages that may share the CPU; None: by the cores.
        work: whether stages are run, on this machine or a cluster.
        classes: of this machine, for stages that ask for one.
        ray: address of a Ray cluster that runs them instead of this machine, as http://head:8265.
        studies: what optuna-dashboard is to show; see `service.http.dashboard`.
        retention: how long what ended jobs leave behind is kept.
    """

    folder: Path
    url: str | None = None
    host: str = "127.0.0.1"
    port: int = 8321
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    user: str = field(default_factory=getpass.getuser)
    cpu_slots: int | None = None
    work: bool = True
    ray: str | None = None
    artifacts: str | None = None
    classes: tuple[str, ...] = ()
    studies: str | None = None
    retention: Retention = field(default_factory=Retention)

    def settings(self) -> ServerSettings:
        """How the API is to answer.

        Raises:
            ServeError: a public URL that is none.
        """
        hosts, secure = {*LOOPBACK, *map(host_of, self.allowed_hosts)}, False
        if self.host not in ("0.0.0.0", "::"):
            hosts.add(host_of(self.host) or self.host)
        if self.public_url is not None:
            parts = urlsplit(self.public_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ServeError(
                    f"--public-url must be like https://prune.example.com, got {self.public_url!r}"
                )
            hosts.add(parts.hostname)
            secure = parts.scheme == "https"
        return ServerSettings(
            hosts=tuple(sorted(hosts - {""})), secure=secure, studies=self.studies
        )


def serve(serving: Serving, say: Callable[[str], None]) -> None:
    """Serves until it is told to stop (SIGINT, SIGTERM).

    Raises:
        ServeError: a bind beyond this machine without a token, a port that is taken, or no address
            of a cluster.
        StoreError: the database cannot be used.
    """
    import uvicorn

    from jobs import users
    from service.access import admit, remember
    from service.http.app import create_app
    from service.instance import open_instance

    _check_cluster(serving)
    settings = serving.settings()
    instance = open_instance(serving.folder, serving.url, serving.artifacts)
    users.ensure_exists(instance.database, serving.user)
    token = admit(instance.database, serving)
    runner = _scheduler(instance, serving)
    listener = _bind(serving)
    address = _address(serving, listener)
    app = create_app(instance, settings)
    context = app.state.context
    remember(address, token)
    code = context.codes.create(serving.user)
    say(f"stairprune serves {address} for {serving.user}, from {instance.folder}")
    say(f"open {serving.public_url or address}/login?code={code} (once, within 10 minutes)")
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = uvicorn.Server(config)
    stop = threading.Event()
    scheduler = threading.Thread(target=runner.run, args=(stop, say), name="scheduler")
    upkeep = threading.Thread(
        target=keep_tidy, args=(instance, serving.retention, stop, say), name="upkeep"
    )
    upkeep.start()
    if serving.work:
        scheduler.start()
    # What the start made stays for good: left out, the collector's pauses are shorter.
    gc.collect()
    gc.freeze()
    try:
        _until_told(server, listener, context.closing)
    finally:
        context.closing.set()
        stop.set()
        upkeep.join()
        if serving.work:
            scheduler.join()
        instance.database.close()


def _scheduler(instance: Instance, serving: Serving) -> Scheduler:
    try:
        return instance.scheduler(serving.cpu_slots, serving.ray, serving.classes)
    except LauncherError as error:
        raise ServeError(str(error)) from None


def _check_cluster(serving: Serving) -> None:
    if serving.ray is None:
        return
    if not serving.ray.startswith(("http://", "https://")):
        raise ServeError(f"--ray must be like http://head:8265, but got {serving.ray!r}")
    if not (serving.url or "").startswith("postgresql"):
        raise ServeError(
            "--ray needs a store that all nodes reach: --url postgresql://USER@HOST/NAME, but got "
            f"{'SQLite in the folder' if serving.url is None else 'another kind'}"
        )


def _until_told(server: uvicorn.Server, listener: socket.socket, closing: threading.Event) -> None:
    """Runs uvicorn until a signal; open streams are told at once, or it would wait for them."""
    handle = server.handle_exit

    def handle_exit(number: int, frame: FrameType | None) -> None:
        closing.set()
        handle(number, frame)

    server.handle_exit = handle_exit  # type: ignore[method-assign, assignment]
    # Uvicorn raises the signal again once it has ended; by then it was heeded.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])


def _bind(serving: Serving) -> socket.socket:
    family = socket.AF_INET6 if ":" in serving.host else socket.AF_INET
    # Named TCP, or asyncio leaves Nagle's delay on: 40 ms for every answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((serving.host, serving.port))
    except OSError as error:
        listener.close()
        raise ServeError(
            f"cannot listen on {serving.host} port {serving.port}: {error.strerror}; "
            "give another --port, or 0 for any free one"
        ) from None
    return listener


def _address(serving: Serving, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = "127.0.0.1" if serving.host in ("0.0.0.0", "::") else serving.host
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
