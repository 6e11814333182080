"""The server under load: `python -m benchmarks.service [--quick]`.

`stairprune serve` runs as a process of its own, on SQLite and on a PostgreSQL that is started for
this. 100 clients, each with a connection of its own, submit five whole jobs each: `burst` with no
pause, all beginning at once, and `paced` one each a second. Afterwards everything acknowledged is
asked for again under its idempotency key and looked up in the list: a lost or doubled job ends the
benchmark with an error. Then the first page of the list of 10,000 jobs.

Clients, server and database share the machine. No stage runs meanwhile. Does not know what a proxy
or a network adds.

    python -m benchmarks.service [--quick] [--stores sqlite postgresql] [--out FILE]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.latency.output import RESULTS, show, text, write_json
from benchmarks.service.listing import fill, listing
from benchmarks.service.postgres import PostgresServer
from benchmarks.service.running import running
from benchmarks.service.submits import PRESET, Load, check, submits
from service.console import say
from service.version import VERSION

STORES = ("postgresql", "sqlite")
PACES = {"burst": 0.0, "paced": 1.0}
"""Seconds between the submissions of one client."""
FULL, QUICK = (100, 5, 10_000, 50), (10, 2, 300, 5)
"""Clients, submissions of each, jobs in the list, times the list is asked for."""
COLUMNS = (
    "submit", "p50 ms", "p95 ms", "max ms", "jobs/s", "server CPU ms/job", "event loop p99 ms",
)  # fmt: skip


def quantile(seconds: Sequence[float], share: float) -> float:
    """Milliseconds that this share of them does not exceed; of n, the ceil(share n)-th."""
    ordered = sorted(seconds)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] * 1000


def figures(load: Load) -> dict[str, float]:
    """What is told of a load."""
    return {
        "jobs": len(load.ledger),
        "p50_ms": quantile(load.seconds, 0.5),
        "p95_ms": quantile(load.seconds, 0.95),
        "max_ms": quantile(load.seconds, 1.0),
        "jobs_per_s": len(load.ledger) / load.whole_s,
        "server_cpu_ms_per_job": 1000 * load.server_cpu_s / len(load.ledger),
        "client_cpu_ms_per_job": 1000 * load.client_cpu_s / len(load.ledger),
        "event_loop_p99_ms": quantile(load.probes, 0.99),
    }


@contextmanager
def database(kind: str) -> Iterator[str | None]:
    """The URL of an empty store; None for the server's own SQLite file."""
    if kind == "sqlite":
        yield None
        return
    server = PostgresServer()
    try:
        yield server.url()
    finally:
        server.remove()


def measured(kind: str, clients: int, each: int, jobs: int, times: int) -> dict[str, Any]:
    """One store."""
    with (
        tempfile.TemporaryDirectory() as folder,
        database(kind) as url,
        running(Path(folder), url) as server,
    ):
        found: dict[str, Any] = {
            "store": kind,
            "start_s": server.start_s,
            "idle_mb": server.megabytes(),
        }
        submits(server, "warm", 4, 5)
        for name, every_s in PACES.items():
            say(f"{kind}: {clients} clients x {each}, {name}")
            load = submits(server, name, clients, each, every_s)
            check(server, load, name)
            found[name] = figures(load)
        say(f"{kind}: the list of {jobs} jobs")
        fill(server.instance.database, jobs)
        found["first_page"] = [
            {"query": query, "p50_ms": quantile(asked, 0.5), "max_ms": quantile(asked, 1.0)}
            for query, asked in listing(server, jobs, times).items()
        ]
        found["loaded_mb"] = server.megabytes()
    return found


def _show(found: dict[str, Any]) -> None:
    rows = [
        [
            name,
            *(text(found[name][key], 0) for key in ("p50_ms", "p95_ms", "max_ms", "jobs_per_s")),
            text(found[name]["server_cpu_ms_per_job"], 1),
            text(found[name]["event_loop_p99_ms"], 0),
        ]
        for name in PACES
    ]
    title = (
        f"{found['store']}: up in {found['start_s']:.1f} s, {found['idle_mb']:.0f} MB idle, "
        f"{found['loaded_mb']:.0f} MB after the load; none lost, none doubled"
    )
    show(title, COLUMNS, rows)
    pages = [
        [page["query"] or "all", text(page["p50_ms"], 1), text(page["max_ms"], 1)]
        for page in found["first_page"]
    ]
    show("first page of the list", ("filter", "p50 ms", "max ms"), pages)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="10 clients, 300 jobs: half a minute")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    parser.add_argument("--out", type=Path, default=RESULTS / "service-load.json")
    given = parser.parse_args(arguments)
    size = QUICK if given.quick else FULL
    load_before = os.getloadavg()[0]
    stores = [measured(kind, *size) for kind in given.stores]
    for found in stores:
        _show(found)
    result = {
        "benchmark": "service",
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_before": load_before,
        "stairprune": VERSION,
        "preset": PRESET,
        "clients": size[0],
        "submissions_each": size[1],
        "jobs_listed": size[2],
        "stores": stores,
    }
    write_json(given.out, result)


if __name__ == "__main__":
    main()
