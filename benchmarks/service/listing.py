"""The list of jobs with thousands in the store: how long its first page takes over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Table, func, select

from benchmarks.service.running import USER, Running
from benchmarks.service.submits import PRESET, LoadError, listed
from benchmarks.service.wire import Wire
from jobs import schema
from jobs.database import Database
from jobs.submit import submit
from service.presets import changed
from service.submission import submission

FILTERS = ("", "?state=queued", f"?user={USER}", "?name=list-77", "?limit=200")
_AT_ONCE = 10_000


def fill(database: Database, jobs: int) -> None:
    """Makes it so many jobs, by copies of one that was submitted."""
    plan = submission(changed(PRESET, {"name": "list"}))
    job_id, _ = submit(database, USER, plan)
    jobs_, stages = schema.jobs, schema.stages
    with database.read() as tx:
        there = int(tx.execute(select(func.count()).select_from(jobs_)).scalar_one())
        job = dict(tx.execute(select(jobs_).where(jobs_.c.id == job_id)).mappings().one())
        of_it = select(stages).where(stages.c.job == job["number"]).order_by(stages.c.position)
        parts = [dict(row) for row in tx.execute(of_it).mappings()]
    copies, more = [], []
    for copy in range(1, jobs - there + 1):
        number = job["number"] + copy
        named = {"number": number, "id": f"{job_id}-{copy}", "name": f"list-{copy}"}
        copies.append({**job, **named})
        for place, part in enumerate(parts, 1):
            new = {"number": parts[-1]["number"] + (copy - 1) * len(parts) + place}
            more.append({**part, **new, "job": number})
    _insert(database, jobs_, copies)
    _insert(database, stages, more)


def listing(server: Running, jobs: int, times: int) -> dict[str, list[float]]:
    """Seconds of the first page by filter, asked one after the other.

    Raises:
        LoadError: another answer than 200, or not all jobs are in the list.
    """
    return asyncio.run(_listing(server, jobs, times))


async def _listing(server: Running, jobs: int, times: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    async with Wire(server.address, server.token) as wire:
        for query in FILTERS:
            found[query] = []
            for _ in range(times):
                answer = await wire.ask("GET", f"/api/v1/jobs{query}")
                if answer.status != 200 or not answer.data["jobs"]:
                    raise LoadError(f"the list {query}: {answer.status} {answer.data}")
                found[query].append(answer.seconds)
        if (count := len({job["id"] for job in await listed(wire)})) != jobs:
            raise LoadError(f"the store has {jobs} jobs, the list {count}")
    return found


def _insert(database: Database, table: Table, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), _AT_ONCE):
        with database.write() as tx:
            tx.execute(table.insert(), rows[start : start + _AT_ONCE])
