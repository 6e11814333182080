"""Stores for the tests of jobs: an SQLite file, and a real PostgreSQL server of its own."""

from __future__ import annotations

import atexit
import functools
from pathlib import Path
from typing import Any

from benchmarks.service.postgres import PostgresServer
from jobs import users
from jobs.claim import Claim, claim
from jobs.database import Database
from jobs.devices import Host
from jobs.migrate import upgrade
from jobs.submission import Needs, StageRequest, Submission

HOST = Host(name="here", cpu_slots=2, gpus=("GPU-a",))


@functools.cache
def server() -> PostgresServer:
    """The server of this test run."""
    started = PostgresServer()
    atexit.register(started.remove)
    return started


def new_url(kind: str, folder: Path) -> str:
    """The URL of an empty store of a kind."""
    return f"sqlite:///{folder / 'store.db'}" if kind == "sqlite" else server().url()


def opened(url: str, *names: str) -> Database:
    """A store with its tables and some users."""
    database = Database(url)
    upgrade(database)
    for name in names or ("ann",):
        users.ensure(database, name, most_running=100, most_open=100_000)
    return database


def submission(name: str = "toy", stages: int = 2, **options: Any) -> Submission:
    """A job of some stages in a row; its spec and settings differ by name."""
    names = ("cpu", "gpus", "device", "hosts", "elastic")
    needs = Needs(**{k: options.pop(k) for k in names if k in options})
    requests = tuple(
        StageRequest(
            name=f"s{place}",
            after=(f"s{place - 1}",) if place else (),
            settings={"name": name},
            needs=needs,
        )
        for place in range(stages)
    )
    return Submission(name=name, spec=options.pop("spec", "{}"), stages=requests, **options)


def take(store: Database, host: Host = HOST, lasts_s: float = 60.0) -> Claim:
    """The next stage, which must be there."""
    found = claim(store, host, lasts_s, lasts_s)
    assert found is not None
    return found
