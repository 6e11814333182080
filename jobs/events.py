"""What happened to a job, numbered from 1 without gaps and never changed: a stream to resume.

An event is written in the transaction of the change it tells of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from jobs import schema
from jobs.clock import now
from jobs.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        at: seconds since 1970 by the database's clock.
    """

    number: int
    kind: str
    data: dict[str, Any]
    at: float


def append(tx: Connection, job: int, kind: str, /, **data: object) -> None:
    """Adds an event; serialised per job by the lock on the job's row."""
    table = schema.jobs
    counted = (
        update(table)
        .where(table.c.number == job)
        .values(events=table.c.events + 1)
        .returning(table.c.events)
    )
    _insert(tx, job, tx.execute(counted).scalar_one(), kind, data)


def first(tx: Connection, kind: str, jobs: Sequence[tuple[int, Mapping[str, object]]]) -> None:
    """Adds event 1 of jobs that were created with this count, each with its data."""
    rows = [{"job": job, "number": 1, "kind": kind, "data": data} for job, data in jobs]
    tx.execute(insert(schema.events).values(at=now()), rows)


def _insert(tx: Connection, job: int, number: int, kind: str, data: dict[str, object]) -> None:
    tx.execute(insert(schema.events).values(job=job, number=number, kind=kind, data=data, at=now()))


def after(database: Database, job_id: str, number: int = 0, limit: int = 1000) -> list[Event]:
    """Events of a job after `number`, oldest first; empty for an unknown job."""
    table, jobs = schema.events, schema.jobs
    query = (
        select(table.c.number, table.c.kind, table.c.data, table.c.at)
        .join(jobs, jobs.c.number == table.c.job)
        .where(jobs.c.id == job_id, table.c.number > number)
        .order_by(table.c.number)
        .limit(limit)
    )
    with database.read() as tx:
        return [Event(**row._mapping) for row in tx.execute(query)]
