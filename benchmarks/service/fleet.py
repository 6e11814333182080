"""The store under 100 servers of 8 GPUs with 10,000 jobs queued: `benchmarks.service.fleet`.

The real scheduler decides for all hosts; its launcher hands what it starts to synthetic workers,
which do all that real ones do in the store and nothing else: they begin, beat every four seconds
with their progress, and finish after a while, so that others start. Told are how long those calls
take, how late beats come, how long a turn of the scheduler takes once all run, and whether a lease
was ever lost. Scheduler, workers and PostgreSQL share this machine.
"""

from __future__ import annotations

import argparse
import heapq
import os
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from sqlalchemy import text

from benchmarks.latency.output import RESULTS, show, write_json
from benchmarks.latency.output import text as cell
from benchmarks.service.__main__ import database, quantile
from benchmarks.service.deciding import HOST, JOBS, SERVERS
from jobs import attempts, users
from jobs.attempts import Progress
from jobs.database import Database
from jobs.devices import Host
from jobs.errors import StaleLeaseError
from jobs.launcher import Launch
from jobs.lease import Lease
from jobs.logs import Logs
from jobs.scheduler import Scheduler
from jobs.settings import Settings
from jobs.submission import Needs, StageRequest, Submission
from jobs.submit import MOST_AT_ONCE, Asked, submit_all
from service.console import say
from service.instance import open_instance
from service.version import VERSION

USER, BEAT_S, WORKERS = "fleet", 4.0, 2
MEAN_S = 120.0
"""Of a stage, so that nearly seven of 800 end in a second."""


class FleetLauncher:
    """See `Launcher`; every worker runs in one of two processes."""

    leaves = True

    def __init__(self, servers: int, started: list[Any]) -> None:
        self._hosts = [replace(HOST, name=f"server-{n:03}") for n in range(servers)]
        self._started, self._count = started, 0

    def hosts(self) -> list[Host]:
        """All, always."""
        return self._hosts

    def start(self, launch: Launch) -> None:
        """Tells the next process."""
        attempt, fencing = launch.command
        self._started[self._count % WORKERS].put((attempt, int(fencing)))
        self._count += 1

    def ended(self, attempt: str) -> int | None:
        """Never known: leases tell."""
        return None

    def alive(self, attempt: str) -> bool:
        """Nothing can be left of it."""
        return False

    def ask_to_end(self, attempt: str) -> None:
        """Nobody listens."""

    def kill(self, attempt: str) -> bool:
        """There is nothing to kill."""
        return True


def work(url: str, started: Any, told: Any, stop: Any, seed: int) -> None:
    """One process of synthetic workers, until `stop`; tells seconds by kind of call."""
    store, chance = Database(url), random.Random(seed)
    seconds: dict[str, list[float]] = defaultdict(list)
    due: list[tuple[float, str, int, float]] = []  # when, attempt, fencing, its end
    lost = 0

    def timed(kind: str, call: Callable[[], object]) -> None:
        nonlocal lost
        start = time.monotonic()
        try:
            call()
        except StaleLeaseError:
            lost += 1
        seconds[kind].append(time.monotonic() - start)

    while not stop.is_set():
        try:
            attempt, fencing = started.get(timeout=max(0.0, min(0.05, _next(due))))
            mine = Lease(attempt=attempt, fencing=fencing)
            timed("begin", lambda mine=mine: attempts.begin(store, mine, 1))  # type: ignore[misc]
            first, end = chance.uniform(0, BEAT_S), chance.expovariate(1 / MEAN_S)
            heapq.heappush(
                due, (time.monotonic() + first, attempt, fencing, time.monotonic() + end)
            )
        except Empty:
            pass
        while due and due[0][0] <= time.monotonic() and not stop.is_set():
            when, attempt, fencing, end = heapq.heappop(due)
            mine = Lease(attempt=attempt, fencing=fencing)
            seconds["beat late"].append(time.monotonic() - when)
            if when >= end:
                timed("finish", lambda mine=mine: attempts.finish(store, mine, {}))  # type: ignore[misc]
                continue
            at = Progress(done=int(1000 * (1 - (end - when) / MEAN_S)), total=1000, note="step")
            timed("beat", lambda mine=mine, at=at: attempts.beat(store, mine, at))  # type: ignore[misc]
            heapq.heappush(due, (when + BEAT_S, attempt, fencing, end))
    told.put((dict(seconds), lost))
    store.close()


def _next(due: list[tuple[float, str, int, float]]) -> float:
    return due[0][0] - time.monotonic() if due else 1.0


def fill(store: Database, count: int) -> None:
    """Queues jobs of one stage with a GPU."""
    users.ensure(store, USER, most_running=count, most_open=2 * count)
    for start in range(0, count, MOST_AT_ONCE):
        part = [
            Submission(
                name=f"job-{n}",
                spec="{}",
                stages=(StageRequest(name="work", settings={"seed": n}, needs=Needs(gpus=1)),),
            )
            for n in range(start, min(start + MOST_AT_ONCE, count))
        ]
        for taken in submit_all(store, [Asked(user=USER, submission=one) for one in part]):
            if isinstance(taken, Exception):
                raise taken
    # PostgreSQL does so by itself within a minute.
    with store.write() as tx:
        tx.execute(text("ANALYZE"))


def measured(servers: int, count: int, seconds: float) -> dict[str, Any]:
    """The figures, after all GPUs were taken."""
    context = get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, database("postgresql") as url:
        assert url is not None
        store = open_instance(Path(folder), url).database
        fill(store, count)
        started = [context.Queue() for _ in range(WORKERS)]
        told, stop = context.Queue(), context.Event()
        processes = [
            context.Process(target=work, args=(url, started[n], told, stop, n))
            for n in range(WORKERS)
        ]
        for process in processes:
            process.start()
        settings = Settings(command=(), heartbeat_s=BEAT_S, start_s=120.0)
        launcher = FleetLauncher(servers, started)
        scheduler = Scheduler(store, launcher, Logs(Path(folder) / "logs"), settings)
        all_taken, turns = _run(scheduler, seconds, servers * len(HOST.gpus))
        stop.set()
        parts = [told.get() for _ in processes]
        for process in processes:
            process.join()
        store.close()
    calls: dict[str, list[float]] = defaultdict(list)
    for part, _ in parts:
        for kind, found in part.items():
            calls[kind] += found
    return {
        "servers": servers,
        "gpus": servers * len(HOST.gpus),
        "jobs": count,
        "seconds": seconds,
        "all_gpus_taken_s": all_taken,
        "leases_lost": sum(lost for _, lost in parts),
        "turns": _figures(turns),
        **{kind: _figures(found) for kind, found in sorted(calls.items())},
    }


def _run(scheduler: Scheduler, seconds: float, gpus: int) -> tuple[float, list[float]]:
    """Turns of the scheduler as it makes them itself; how long until all GPUs were held."""
    begun, turns, over, taken = time.monotonic(), [], threading.Event(), 0.0
    started = Counter[str]()
    grant = scheduler.launcher.start

    def counted(launch: Launch) -> None:
        started["all"] += 1
        grant(launch)

    scheduler.launcher.start = counted  # type: ignore[method-assign]
    while not over.is_set():
        start = time.monotonic()
        scheduler.tick()
        if not taken and started["all"] >= gpus:
            taken = time.monotonic() - begun
            say(f"all GPUs are held after {taken:.0f} s")
        elif taken:
            turns.append(time.monotonic() - start)
        if taken and time.monotonic() - begun - taken >= seconds:
            over.set()
        time.sleep(scheduler.settings.tick_s)
    return taken, turns


def _figures(seconds: list[float]) -> dict[str, float]:
    return {
        "count": len(seconds),
        "p50_ms": quantile(seconds, 0.5),
        "p95_ms": quantile(seconds, 0.95),
        "p99_ms": quantile(seconds, 0.99),
        "max_ms": quantile(seconds, 1.0),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", type=int, default=SERVERS)
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "service-fleet.json")
    given = parser.parse_args()
    load_before = os.getloadavg()[0]
    found = measured(given.servers, given.jobs, given.seconds)
    kinds = [kind for kind, row in found.items() if isinstance(row, dict)]
    show(
        f"{found['gpus']} GPUs, {found['leases_lost']} leases lost",
        ("call", "count", "p50 ms", "p95 ms", "p99 ms", "max ms"),
        [[kind, *(cell(v, 1) for v in found[kind].values())] for kind in kinds],
    )
    about = {"benchmark": "service.fleet", "cores": os.cpu_count(), "stairprune": VERSION}
    write_json(given.out, {**about, "load_before": load_before, **found})


if __name__ == "__main__":
    main()
