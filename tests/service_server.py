"""A real server for tests: an instance in a folder, uvicorn in a thread, jobs run if wanted."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from jobs import users
from jobs.scheduler import Scheduler
from service.client.client import Client
from service.http.app import create_app
from service.http.context import Context
from service.http.settings import ServerSettings
from service.instance import Instance, open_instance
from service.spec import load

MINI = Path(__file__).parent / "mini.yaml"


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and the token of its user `ann`."""

    address: str
    token: str
    instance: Instance
    context: Context

    def client(self) -> Client:
        """A client under ann's token."""
        return Client(self.address, self.token)


def mini(**changes: Any) -> dict[str, Any]:
    """The smallest job as a spec; sections given are changed key by key."""
    spec = load(MINI).model_dump(mode="json")
    for section, values in changes.items():
        if isinstance(values, dict):
            spec[section].update(values)
        else:
            spec[section] = values
    return spec


def modelled(**changes: Any) -> dict[str, Any]:
    """A job whose table is computed and whose search maximises MACs: seconds, and no torch."""
    target = {"backend": "modelled", "device": "a100", "precision": "int8", "batch": 128}
    search = {"objective": "macs", **changes.pop("search", {})}
    return mini(target=target, search=search, **changes)


def instance_in(folder: Path, url: str | None = None) -> tuple[Instance, str]:
    """A new instance with the users ann and bob, and ann's token."""
    instance = open_instance(folder, url)
    for name in ("ann", "bob"):
        users.ensure(instance.database, name, most_running=100, most_open=100_000)
    return instance, users.create_token(instance.database, "ann")


@contextmanager
def scheduling(scheduler: Scheduler) -> Iterator[None]:
    """A scheduler in a thread, as the server has it."""
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def served(
    instance: Instance, token: str, *, work: bool = False, settings: ServerSettings | None = None
) -> Iterator[Server]:
    """The server over an instance, on any free port."""
    app = create_app(instance, settings or ServerSettings(poll_s=0.05))
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    threads = [threading.Thread(target=server.run, args=([listener],), daemon=True)]
    stop = threading.Event()
    if work:
        threads.append(threading.Thread(target=instance.scheduler(cpu_slots=2).run, args=(stop,)))
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield Server(address=address, token=token, instance=instance, context=app.state.context)
    finally:
        app.state.context.closing.set()
        server.should_exit = True
        stop.set()
        for thread in threads:
            thread.join()


def workers_find_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that worker processes import what these tests do."""
    root = str(MINI.parent.parent)
    monkeypatch.setenv("PYTHONPATH", root + os.pathsep + os.environ.get("PYTHONPATH", ""))
