"""Who runs next on a host: by priority, then age, within users' caps and free devices.

Claims are made one at a time in the whole database, so two executors never see the same free
slot. A stage that does not fit yet keeps the devices it waits for from those behind it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from jobs import devices, events, lease, schema
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.devices import Host, Slot

_LOOK_AT = 100


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
        taken = devices.taken(tx, host.name)
        running = _running(tx)
        for row in tx.execute(_ready()).all():
            if running.get(row.user, 0) >= row.most_running or not host.can(row.cpu, row.gpus):
                continue
            elif (chosen := host.fit(row.cpu, row.gpus, taken)) is not None:
                return _grant(tx, row, host, chosen, (lasts_s, start_s))
            else:
                taken |= host.reserve(row.cpu, row.gpus, taken)
    return None


def _ready() -> AnySelect:
    """Queued jobs in order, without those whose stage another job runs now or has finished."""
    jobs, stages, users, results = schema.jobs, schema.stages, schema.users, schema.results
    twin = stages.alias("twin")
    same = select(twin.c.number).where(twin.c.key == stages.c.key, twin.c.state == "running")
    return (
        select(
            *jobs.c["number", "id", "user"],
            stages.c.number.label("stage"),
            *stages.c["name", "cpu", "gpus"],
            users.c.most_running,
        )
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .join(users, users.c.number == jobs.c.user)
        .outerjoin(results, results.c.key == stages.c.key)
        .where(jobs.c.state == "queued", jobs.c.wanted == "run", jobs.c.not_before <= now())
        .where(~same.exists(), results.c.key.is_(None))
        .order_by(jobs.c.priority.desc(), jobs.c.number)
        .limit(_LOOK_AT)
        .with_for_update(of=jobs, skip_locked=True)
    )


def _running(tx: Connection) -> dict[int, int]:
    """Running jobs by user."""
    jobs, leases = schema.jobs, schema.leases
    query = select(jobs.c.user, func.count()).join(leases, leases.c.job == jobs.c.number)
    return {row.user: row[1] for row in tx.execute(query.group_by(jobs.c.user))}


def _grant(
    tx: Connection, row: AnyRow, host: Host, chosen: list[Slot], terms: tuple[float, float]
) -> Claim:
    attempt_id = secrets.token_hex(8)
    number, granted = lease.grant(tx, row.number, row.stage, attempt_id, host.name, terms)
    devices.take(tx, host.name, number, chosen)
    events.append(tx, row.number, "claimed", stage=row.name, attempt=attempt_id, host=host.name)
    gpus = tuple(device for device, _ in chosen if device != "cpu")
    return Claim(job=row.id, stage=row.name, lease=granted, gpus=gpus)
