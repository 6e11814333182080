"""Leases in force: those of some hosts, those past their time, and giving up on their holders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from jobs import lease, members, schema
from jobs.claim import Member
from jobs.clock import now
from jobs.database import AnySelect, Database
from jobs.errors import StaleLeaseError
from jobs.lease import Lease
from jobs.states import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A lease, where it is held, and what is wanted of its job.

    Attributes:
        hosts: how many the stage runs on; all at once, unless it is elastic.
        others: members beside the worker that there are now.
    """

    lease: Lease
    host: str
    wanted: Wanted
    hosts: int
    elastic: bool
    others: tuple[Member, ...]


def of_hosts(database: Database, hosts: Sequence[str]) -> list[InForce]:
    """All leases of some hosts."""
    return _list(database, _query().where(schema.leases.c.host.in_(hosts)))


def expired(database: Database) -> list[InForce]:
    """Leases past their time, by the database's clock."""
    return _list(database, _query().where(schema.leases.c.expires_at < now()))


def give_up(database: Database, dead: Lease) -> bool:
    """Puts the job back, if its holder still has not answered; False if it has.

    Not counted against the stage: a worker that never came up, or was to stop.
    """
    leases = schema.leases
    with database.write() as tx:
        try:
            was = lease.held(tx, dead)
        except StaleLeaseError:
            return False
        late = select(leases.c.job).where(
            leases.c.job == was.job.number, leases.c.expires_at < now()
        )
        if tx.execute(late).first() is None:
            return False
        error = f"the worker on {was.attempt.host} stopped answering"
        counted = was.attempt.state == "running" and was.job.wanted == "run"
        lease.settle(tx, was, "lost", error, counted=counted, wait=False)
    return True


def _query() -> AnySelect:
    leases, attempts, jobs, stages = schema.leases, schema.attempts, schema.jobs, schema.stages
    return (
        select(
            *attempts.c["id", "number"],
            *leases.c["fencing", "host"],
            jobs.c.wanted,
            *stages.c["hosts", "elastic"],
        )
        .join(attempts, attempts.c.number == leases.c.attempt)
        .join(stages, stages.c.number == attempts.c.stage)
        .join(jobs, jobs.c.number == leases.c.job)
    )


def _list(database: Database, query: AnySelect) -> list[InForce]:
    with database.read() as tx:
        rows = tx.execute(query).all()
        several = [row.number for row in rows if row.hosts > 1]
        there = members.others(tx, several) if several else {}
    return [
        InForce(
            lease=Lease(attempt=row.id, fencing=row.fencing),
            host=row.host,
            wanted=row.wanted,
            hosts=row.hosts,
            elastic=row.elastic,
            others=tuple(there.get(row.number, ())),
        )
        for row in rows
    ]
