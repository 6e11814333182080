"""Who runs next on a host: by priority, then age, within users' caps and free devices.

Claims are made one at a time in the whole database, so two executors never see the same free
slot. A stage that does not fit yet keeps the devices it waits for from those behind it.
"""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from jobs import devices, events, lease, schema
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.devices import Host, Slot

_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stage to be run here and now.

    Attributes:
        gpus: uuids of the GPUs it holds.
    """

    job: str
    stage: str
    lease: lease.Lease
    gpus: tuple[str, ...]


def claim(database: Database, host: Host, lasts_s: float, start_s: float) -> Claim | None:
    """Takes the next stage that can run on `host`; None if nothing can.

    Args:
        lasts_s: seconds without a heartbeat after which the claim is void.
        start_s: seconds until the first one.
    """
    with database.write(serial="claim") as tx:
        taken, at_cap = devices.taken(tx, host.name), _at_cap(tx)
        for start in itertools.count(0, _AT_ONCE):
            rows = tx.execute(_ready(host, at_cap).offset(start)).all()
            for row in rows:
                if not host.cpu_free(taken):  # Every stage needs some of it.
                    return None
                if (chosen := host.fit(row.cpu, row.gpus, taken)) is None:
                    taken |= host.reserve(row.cpu, row.gpus, taken)
                elif (found := _grant(tx, row, host, chosen, (lasts_s, start_s))) is not None:
                    return found
            if len(rows) < _AT_ONCE:
                return None
    return None


def _ready(host: Host, at_cap: list[int]) -> AnySelect:
    """Queued jobs in order that their user and this host allow.

    Without those whose stage another job runs now or has finished: its result will be theirs.
    """
    jobs, stages, results = schema.jobs, schema.stages, schema.results
    twin = stages.alias("twin")
    same = select(twin.c.number).where(twin.c.key == stages.c.key, twin.c.state == "running")
    return (
        select(
            *jobs.c["number", "id"],
            stages.c.number.label("stage"),
            *stages.c["name", "cpu", "gpus"],
        )
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .outerjoin(results, results.c.key == stages.c.key)
        .where(jobs.c.state == "queued", jobs.c.wanted == "run", jobs.c.not_before <= now())
        .where(~same.exists(), results.c.key.is_(None), stages.c.gpus <= len(host.gpus))
        .where(jobs.c.user.not_in(at_cap))
        .order_by(jobs.c.priority.desc(), jobs.c.number)
        .limit(_AT_ONCE)
    )


def _at_cap(tx: Connection) -> list[int]:
    """Users who have as many running jobs as they may."""
    jobs, leases, users = schema.jobs, schema.leases, schema.users
    query = (
        select(users.c.number)
        .join(jobs, jobs.c.user == users.c.number)
        .join(leases, leases.c.job == jobs.c.number)
        .group_by(users.c.number)
        .having(func.count() >= users.c.most_running)
    )
    return list(tx.execute(query).scalars())


def _grant(
    tx: Connection, row: AnyRow, host: Host, chosen: list[Slot], terms: tuple[float, float]
) -> Claim | None:
    attempt_id = secrets.token_hex(8)
    given = lease.grant(tx, row.number, row.stage, attempt_id, host.name, terms)
    if given is None:
        return None
    number, granted = given
    devices.take(tx, host.name, number, chosen)
    events.append(tx, row.number, "claimed", stage=row.name, attempt=attempt_id, host=host.name)
    gpus = tuple(device for device, _ in chosen if device != "cpu")
    return Claim(job=row.id, stage=row.name, lease=granted, gpus=gpus)
