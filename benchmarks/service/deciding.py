"""How long the scheduler takes to decide: `python -m benchmarks.service.deciding`.

A decision is one claim with 10,000 jobs queued: which runs next on this host. Seven queues, from
the plain one to those made to be slow: all fit; none fits, as all wait for GPUs that are held; the
same in a cluster, where all wait for a whole server of 101; decided for all of its hosts, where all
wait for the GPUs of two servers at once, and where jobs of six kinds wait and no server has enough
free for any; all but the last are of a user at the cap; all but the last wait for a twin that
computes the same stage.
Each decision is undone, so that the next finds the same queue. Both stores, SQLite on this disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, text, update

from benchmarks.latency.output import RESULTS, show, write_json
from benchmarks.latency.output import text as cell
from benchmarks.service.__main__ import STORES, database, quantile
from jobs import advance, claim, executors, schema, users
from jobs.database import Database
from jobs.devices import Host
from jobs.submission import Needs, StageRequest, Submission
from jobs.submit import MOST_AT_ONCE, Asked, submit_all
from service.console import say
from service.instance import open_instance
from service.version import VERSION

JOBS, TIMES = 10_000, 50
LONG_S = 1e6
CLUSTERS = ("cluster", "pairs", "mixed")
NOTHING = ("none fits", *CLUSTERS)
"""Queues of which nothing can run."""
MIXED = (
    *(Needs(gpus=gpus) for gpus in (8, 7, 6, 5)),
    Needs(gpus=5, hosts=2),
    Needs(cpu="all", gpus=1),
)
"""What waits where servers have at most four GPUs of eight left."""
GOAL_MS = 50.0
CROWD, LONE = "crowd", "lone"
SERVERS = 100
"""Beside this host, where there is a cluster."""
HOST = Host(name="bench", cpu_slots=16, gpus=tuple(f"GPU-{n}" for n in range(8)))
OTHERS = [replace(HOST, name=f"another-{n:03}") for n in range(SERVERS)]
QUEUES = {
    "all fit": "a mixed queue on an idle host",
    "none fits": "all need a GPU, and all GPUs are held",
    "user at the cap": "all but the last belong to a user who may run no more",
    "cluster": "all need a whole server of 101, and another lacks as little",
    "pairs": "all need eight GPUs on each of two servers of 101 at once",
    "mixed": "six kinds of needs that no server of 101 has free, decided for all of them",
    "twins": "all but the last wait for a stage that another job computes",
}


def queue(kind: str, number: int) -> tuple[str, Submission]:
    """User and job at this place of a queue of this kind."""
    last = number == JOBS - 1
    gpus = {"none fits": 1, "all fit": number % 3}.get(kind, 0)
    seed = "same" if kind == "twins" and not last else number
    needs = Needs(gpus=gpus)
    if kind == "mixed":
        held = sum(map(held_mixed, range(SERVERS + 1)))
        needs = Needs(gpus=1) if number < held else MIXED[number % len(MIXED)]
    elif kind in CLUSTERS:
        busy, all_ = number < (SERVERS + 1) * len(HOST.gpus), len(HOST.gpus)
        large = Needs(cpu="all", gpus=all_) if kind == "cluster" else Needs(gpus=all_, hosts=2)
        needs = Needs(gpus=1) if busy else large
    stage = StageRequest(name="work", settings={"seed": seed}, needs=needs)
    user = LONE if kind == "user at the cap" and last else CROWD
    return user, Submission(name=f"job-{number}", spec="{}", stages=(stage,))


def held_mixed(server: int) -> int:
    """How many GPUs of a server are held."""
    return 4 + server % 5


def fill(store: Database, kind: str) -> None:
    """Queues the jobs of a kind, and holds what the kind needs held."""
    for user in (CROWD, LONE):
        users.ensure(store, user, most_running=JOBS, most_open=2 * JOBS)
    for start in range(0, JOBS, MOST_AT_ONCE):
        part = [queue(kind, n) for n in range(start, min(start + MOST_AT_ONCE, JOBS))]
        for taken in submit_all(store, [Asked(user=u, submission=s) for u, s in part]):
            if isinstance(taken, Exception):
                raise taken
    if kind in ("none fits", "twins", "user at the cap"):
        # The first one runs; it holds a GPU of eight, or what the others wait for.
        assert decide(store) is not None
    hosts = [HOST]
    if kind in CLUSTERS:
        hosts += OTHERS
        for host in hosts:
            executors.announce(store, host, LONG_S)
    for place, host in enumerate(hosts if kind in NOTHING else ()):
        most = held_mixed(place) if kind == "mixed" else JOBS
        while most and decide(store, host) is not None:
            most -= 1
    if kind == "user at the cap":
        users.ensure(store, CROWD, most_running=1, most_open=2 * JOBS)
    # PostgreSQL does so by itself within a minute; before, it sorts the queue: 28 ms instead of 6.
    with store.write() as tx:
        tx.execute(text("ANALYZE"))


def decide(store: Database, *hosts: Host) -> claim.Claim | None:
    """One decision, for this host if none are given."""
    return claim.claim_any(store, hosts or [HOST], LONG_S, LONG_S)


def undo(store: Database, found: claim.Claim) -> None:
    """Puts a claimed job back where it was."""
    jobs, attempts = schema.jobs, schema.attempts
    with store.write() as tx:
        attempt = tx.execute(select(attempts).where(attempts.c.id == found.lease.attempt)).one()
        for table, column in ((schema.slots, "attempt"), (schema.leases, "attempt")):
            tx.execute(delete(table).where(table.c[column] == attempt.number))
        tx.execute(delete(attempts).where(attempts.c.number == attempt.number))
        tx.execute(
            update(schema.stages)
            .where(schema.stages.c.number == attempt.stage)
            .values(state="waiting")
        )
        tx.execute(update(jobs).where(jobs.c.number == attempt.job).values(state="queued"))


def measure(store: Database, kind: str, times: int) -> dict[str, Any]:
    """Milliseconds of a decision, and of looking for stages that were finished elsewhere."""
    fill(store, kind)
    seconds, reuse = [], []
    for _ in range(times):
        start = time.perf_counter()
        found = decide(store, HOST, *(OTHERS if kind in ("pairs", "mixed") else ()))
        seconds.append(time.perf_counter() - start)
        if (found is None) != (kind in NOTHING):
            raise RuntimeError(f"{kind}: decided for {found}")
        if kind in ("user at the cap", "twins") and queue(kind, JOBS - 1)[1].name != named(
            store, found
        ):
            raise RuntimeError(f"{kind}: decided for {found}, not for the only one that can run")
        if found is not None:
            undo(store, found)
        start = time.perf_counter()
        advance.reuse(store)
        reuse.append(time.perf_counter() - start)
    return {
        "queue": kind,
        "decision_p50_ms": quantile(seconds, 0.5),
        "decision_p95_ms": quantile(seconds, 0.95),
        "decision_max_ms": max(seconds) * 1000,
        "reuse_p95_ms": quantile(reuse, 0.95),
    }


def named(store: Database, found: claim.Claim | None) -> str:
    """The name of the job that was chosen."""
    with store.read() as tx:
        query = select(schema.jobs.c.name).where(schema.jobs.c.id == (found.job if found else ""))
        return str(tx.execute(query).scalar())


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service.deciding",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--out", type=Path, default=RESULTS / "service-deciding.json")
    given = parser.parse_args(arguments)
    load_before, stores = os.getloadavg()[0], []
    for store in STORES:
        found = []
        for kind in QUEUES:
            say(f"{store}: {JOBS} jobs, {QUEUES[kind]}")
            with tempfile.TemporaryDirectory() as folder, database(store) as url:
                opened = open_instance(Path(folder), url).database
                found.append(measure(opened, kind, given.times))
                opened.close()
        stores.append({"store": store, "queues": found})
        columns = ("queue", "p50 ms", "p95 ms", "max ms", "look for finished, p95 ms")
        show(
            store,
            columns,
            [[r["queue"], *(cell(v, 1) for v in list(r.values())[1:])] for r in found],
        )
    write_json(
        given.out,
        {
            "benchmark": "service.deciding",
            "cores": os.cpu_count(),
            "load_before": load_before,
            "stairprune": VERSION,
            "jobs": JOBS,
            "goal_ms": GOAL_MS,
            "stores": stores,
        },
    )


if __name__ == "__main__":
    main()
