"""A cluster in virtual time under the real scheduler: `python -m benchmarks.service.simulated`.

Stages of thousands of jobs begin and end in simulated hours; who runs next is decided by the store
and `jobs.claim` themselves, for all hosts at once, as on real servers. Rivals in plain Python:
`fifo`, where the oldest stage that waits is started first and holds up all behind it, and
`backfill`, where what does not fit is passed by.

The load: users of very different appetite; every job profiles (the whole CPU of a server, one GPU),
trains a supernet (one GPU), searches (a CPU slot) and trains (one or two GPUs), hours each. Told:
GPUs in use until the last job came, hours that jobs wait in all, and how even users fare (Jain's
index over the mean of each user's turnaround / work; 1: all alike).
"""

from __future__ import annotations

import argparse
import heapq
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.output import RESULTS, show, text, write_json
from jobs import attempts, executors, users
from jobs.claim import claim_any
from jobs.database import Database
from jobs.devices import Host, Slot
from jobs.lease import Lease
from jobs.migrate import upgrade
from jobs.submission import Needs, StageRequest, Submission
from jobs.submit import submit
from service.console import say
from service.version import VERSION

GPUS, SLOTS, USERS = 8, 16, 20
TICK_H = 0.1
"""Hours between two looks; decisions in between wait for the next."""
LONG_S = 1e9
STAGES = ("profile", "supernet", "search", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stage: what it needs and how many hours it takes."""

    needs: Needs
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job: who submits it when, and its stages."""

    user: str
    at: float
    pieces: tuple[Piece, ...]

    @property
    def hours(self) -> float:
        """From begin to end, if nothing waits."""
        return sum(piece.hours for piece in self.pieces)


@dataclass(slots=True, kw_only=True)
class Ran:
    """What came of a policy: hours at which jobs ended, GPU hours until the last arrival."""

    ended: dict[int, float] = field(default_factory=dict)
    used: float = 0.0


def load(servers: int, jobs: int, share: float, seed: int = 0) -> list[Work]:
    """Jobs that would keep this share of the GPUs busy, in order of their arrival."""
    rng = np.random.default_rng(seed)
    appetite = 1 / np.arange(1, USERS + 1)
    found = []
    for owner in rng.choice(USERS, size=jobs, p=appetite / appetite.sum()):
        gpus = int(rng.integers(1, 3))
        pieces = (
            Piece(needs=Needs(cpu="all", gpus=1), hours=float(rng.uniform(0.5, 1))),
            Piece(needs=Needs(gpus=1), hours=float(rng.uniform(4, 12))),
            Piece(needs=Needs(), hours=float(rng.uniform(0.3, 1))),
            Piece(needs=Needs(gpus=gpus), hours=float(rng.uniform(6, 24))),
        )
        found.append(Work(user=f"user-{owner}", at=0.0, pieces=pieces))
    wanted = sum(piece.hours * piece.needs.gpus for work in found for piece in work.pieces)
    until = wanted / (share * servers * GPUS)
    times = np.sort(rng.uniform(0, until, size=jobs))
    return [
        Work(user=work.user, at=float(at), pieces=work.pieces)
        for work, at in zip(found, times, strict=True)
    ]


def hosts_of(servers: int) -> list[Host]:
    """Servers alike."""
    cards = tuple(f"GPU-{n}" for n in range(GPUS))
    return [Host(name=f"server-{n:03}", cpu_slots=SLOTS, gpus=cards) for n in range(servers)]


Ask = Callable[[float, set[str]], list[tuple[int, str, Any]]]
"""At this hour, with these hosts changed: what begins now, as job, host and its ticket."""
End = Callable[[Any], None]


def run(works: list[Work], arrive: Callable[[int, Work], None], ask: Ask, end: End) -> Ran:
    """Goes through the hours until every job has ended.

    Raises:
        RuntimeError: jobs wait, nothing runs, and nothing begins.
    """
    ran, at, arrived = Ran(), defaultdict[int, int](int), 0
    running: list[tuple[float, int, str, Any]] = []
    hour, last = 0.0, works[-1].at
    while len(ran.ended) < len(works):
        hour += TICK_H
        changed: set[str] = set()
        while arrived < len(works) and works[arrived].at <= hour:
            arrive(arrived, works[arrived])
            arrived += 1
            changed.add("")
        while running and running[0][0] <= hour:
            over, job, host, ticket = heapq.heappop(running)
            end(ticket)
            changed.add(host)
            at[job] += 1
            if at[job] == len(works[job].pieces):
                ran.ended[job] = over
        for job, host, ticket in ask(hour, changed) if changed else ():
            piece = works[job].pieces[at[job]]
            heapq.heappush(running, (hour + piece.hours, job, host, ticket))
            ran.used += piece.needs.gpus * max(0.0, min(hour + piece.hours, last) - hour)
        if arrived == len(works) and not running and len(ran.ended) < len(works) and not changed:
            raise RuntimeError(f"{len(works) - len(ran.ended)} jobs wait, and nothing runs")
    return ran


class Real:
    """Our store and its claims."""

    def __init__(self, database: Database, works: list[Work], hosts: list[Host]) -> None:
        self.database, self.hosts = database, hosts
        self.jobs: dict[str, int] = {}
        self.seconds: list[float] = []
        for name in {work.user for work in works}:
            users.ensure(database, name, most_running=len(works), most_open=2 * len(works))
        for host in hosts:
            executors.announce(database, host, LONG_S)

    def arrive(self, number: int, work: Work) -> None:
        """Submits."""
        stages = tuple(
            StageRequest(name=name, settings={"job": number}, needs=piece.needs)
            for name, piece in zip(STAGES, work.pieces, strict=True)
        )
        plan = Submission(name=f"job-{number}", spec="{}", stages=stages)
        self.jobs[submit(self.database, work.user, plan)[0]] = number

    def ask(self, hour: float, changed: set[str]) -> list[tuple[int, str, Any]]:
        """Claims until there is nothing for any host, as the scheduler does."""
        begun: list[tuple[int, str, Any]] = []
        while True:
            start = time.perf_counter()
            found = claim_any(self.database, self.hosts, LONG_S, LONG_S)
            self.seconds.append(time.perf_counter() - start)
            if found is None:
                return begun
            begun.append((self.jobs[found.job], found.host, found.lease))

    def end(self, ticket: Lease) -> None:
        """The stage is done."""
        attempts.finish(self.database, ticket, {})


class Plain:
    """Oldest job first, over all hosts at once."""

    def __init__(self, works: list[Work], hosts: list[Host], *, backfill: bool) -> None:
        self.works, self.hosts, self.backfill = works, hosts, backfill
        self.taken: dict[str, set[Slot]] = {host.name: set() for host in hosts}
        self.waiting: list[tuple[int, int]] = []

    def arrive(self, number: int, work: Work) -> None:
        """Queues the first stage."""
        heapq.heappush(self.waiting, (number, 0))

    def ask(self, hour: float, changed: set[str]) -> list[tuple[int, str, Any]]:
        """Starts what fits."""
        begun, passed, hopeless = [], [], set[Needs]()
        while self.waiting:
            number, at = heapq.heappop(self.waiting)
            needs = self.works[number].pieces[at].needs
            placed = None if needs in hopeless else self._place(needs)
            if placed is None:
                passed.append((number, at))
                hopeless.add(needs)
                if not self.backfill:
                    break
                continue
            host, slots = placed
            self.taken[host] |= set(slots)
            begun.append((number, host, (number, at, host, slots)))
        for item in passed:
            heapq.heappush(self.waiting, item)
        return begun

    def end(self, ticket: tuple[int, int, str, list[Slot]]) -> None:
        """Frees the slots and queues the next stage."""
        number, at, host, slots = ticket
        self.taken[host] -= set(slots)
        if at + 1 < len(self.works[number].pieces):
            heapq.heappush(self.waiting, (number, at + 1))

    def _place(self, needs: Needs) -> tuple[str, list[Slot]] | None:
        for host in self.hosts:
            if (slots := host.fit(needs.cpu, needs.gpus, self.taken[host.name])) is not None:
                return host.name, slots
        return None


def figures(works: list[Work], ran: Ran, servers: int) -> dict[str, float]:
    """What is told of a policy."""
    waits = np.array([ran.ended[n] - work.at - work.hours for n, work in enumerate(works)])
    slow: dict[str, list[float]] = defaultdict(list)
    for number, work in enumerate(works):
        slow[work.user].append((ran.ended[number] - work.at) / work.hours)
    means = np.array([np.mean(values) for values in slow.values()])
    return {
        "gpus_in_use": ran.used / (works[-1].at * servers * GPUS),
        "wait_median_h": float(np.median(waits)),
        "wait_p95_h": float(np.quantile(waits, 0.95)),
        "evenness": float(means.sum() ** 2 / (len(means) * (means**2).sum())),
        "all_done_h": max(ran.ended.values()),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service.simulated",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--servers", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--share", type=float, default=0.9, help="GPUs that the load would fill.")
    parser.add_argument("--out", type=Path, default=RESULTS / "service-simulated.json")
    given = parser.parse_args(arguments)
    works, hosts = load(given.servers, given.jobs, given.share), hosts_of(given.servers)
    found: dict[str, dict[str, float]] = {}
    for name in ("fifo", "backfill"):
        plain = Plain(works, hosts, backfill=name == "backfill")
        found[name] = figures(works, run(works, plain.arrive, plain.ask, plain.end), given.servers)
        say(f"{name}: {found[name]}")
    # In memory where there is such a folder: hours are simulated, so no disk is waited for.
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        database = Database(f"sqlite:///{Path(folder) / 'store.db'}")
        upgrade(database)
        real, start = Real(database, works, hosts), time.monotonic()
        ran = run(works, real.arrive, real.ask, real.end)
        spent = time.monotonic() - start
        database.close()
    claims = np.array(real.seconds) * 1000
    found["stairprune"] = figures(works, ran, given.servers)
    rows = [[n, *(text(v, 2) for v in values.values())] for n, values in found.items()]
    columns = ("policy", "GPUs in use", "wait, median h", "95 % h", "evenness", "all done h")
    show(f"{given.servers} servers, {given.jobs} jobs", columns, rows)
    say(f"{len(claims)} claims, {np.quantile(claims, 0.95):.1f} ms (95 %), {spent:.0f} s in all")
    write_json(
        given.out,
        {
            "benchmark": "service.simulated",
            "cores": os.cpu_count(),
            "stairprune": VERSION,
            "servers": given.servers,
            "jobs": given.jobs,
            "share": given.share,
            "policies": found,
            "claims": len(claims),
            "claim_p95_ms": float(np.quantile(claims, 0.95)),
            "seconds": spent,
        },
    )


if __name__ == "__main__":
    main()
