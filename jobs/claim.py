"""Who runs next on a host: by priority, then age, within users' caps and free devices.

Claims are made one at a time in the whole database, so two executors never see the same free
slot. A stage that does not fit yet keeps the devices it waits for from those behind it, on the one
host that lacks least for it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, replace

from sqlalchemy import Connection, func, select

from jobs import devices, events, lease, schema
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.devices import Host, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stage to be run here and now.

    Attributes:
        gpus: uuids of the GPUs it holds.
        whole_cpu: no other stage runs on the host meanwhile.
    """

    job: str
    stage: str
    lease: lease.Lease
    gpus: tuple[str, ...]
    whole_cpu: bool


def claim(database: Database, host: Host, lasts_s: float, start_s: float) -> Claim | None:
    """Takes the next stage that can run on `host`; None if nothing can.

    Args:
        lasts_s: seconds without a heartbeat after which the claim is void.
        start_s: seconds until the first one.
    """
    with database.write(serial="claim") as tx:
        taken, barred = devices.taken(tx, host.name), _barred(tx)
        most = _Most(gpus=len(host.gpus))
        # The first that does not fit keeps what it waits for, on the host that is nearest to it.
        # There that is the whole CPU, and nothing is left to decide, or all free GPUs, and what
        # needs one is not looked at any more. Other hosts pass by whatever needs as much.
        while host.cpu_free(taken):
            row = tx.execute(_next(host, barred, taken, most)).first()
            if row is None:
                return None
            if (chosen := host.fit(row.cpu, row.gpus, taken)) is not None:
                return _grant(tx, row, host, chosen, (lasts_s, start_s))
            if _nearest(tx, host, row):
                taken |= host.reserve(row.cpu, row.gpus, taken)
            elif row.cpu == "all":
                most = replace(most, whole_cpu=False)
            else:
                most = replace(most, gpus=row.gpus - 1)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Barred:
    """What must wait whatever is free: users at their cap, and keys of stages that run."""

    users: list[int]
    keys: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Most:
    """The largest needs that are still looked at."""

    gpus: int
    whole_cpu: bool = True


def _nearest(tx: Connection, host: Host, stage: AnyRow) -> bool:
    """Whether no other host lacks less for a stage, so that devices are kept for it here.

    If all kept some, a cluster would run half empty for one stage. The nearest gives nothing away
    and so gets nearer, until it fits or another is nearer still.
    """
    executors, slots = schema.executors, schema.slots
    alive = select(*executors.c["host", "cpu_slots", "gpus", "classes"]).where(
        executors.c.expires_at >= now()
    )
    cpu = (slots.c.device == "cpu").label("cpu")
    counted = select(slots.c.host, cpu, func.count().label("held")).group_by(slots.c.host, "cpu")
    held = Counter({(row.host, bool(row.cpu)): row.held for row in tx.execute(counted)})
    lacks = {}
    for row in tx.execute(alive):
        wanted = row.cpu_slots if stage.cpu == "all" else 1
        cpus = row.cpu_slots - held[row.host, True]
        cards = len(row.gpus) - held[row.host, False]
        if len(row.gpus) >= stage.gpus and stage.device in (None, *row.classes):
            lacks[row.host] = (max(0, wanted - cpus) + max(0, stage.gpus - cards), row.host)
    return host.name not in lacks or lacks[host.name] == min(lacks.values())


def _next(host: Host, barred: _Barred, taken: set[Slot], most: _Most) -> AnySelect:
    """The first queued job that its user, its stage and this host's free GPUs allow.

    Not one whose stage another job runs now or has finished: that result will be its own.
    """
    jobs, stages, results = schema.jobs, schema.stages, schema.results
    query = (
        select(
            *jobs.c["number", "id"],
            stages.c.number.label("stage"),
            *stages.c["name", "cpu", "gpus", "device"],
        )
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .outerjoin(results, results.c.key == stages.c.key)
        .where(jobs.c.state == "queued", jobs.c.wanted == "run", jobs.c.not_before <= now())
        .where(stages.c.key.not_in(barred.keys), results.c.key.is_(None))
        .where(stages.c.gpus <= most.gpus, jobs.c.user.not_in(barred.users))
        .where(stages.c.device.is_(None) | stages.c.device.in_(host.classes))
        .order_by(jobs.c.priority.desc(), jobs.c.number)
        .limit(1)
    )
    if not host.gpus_free(taken):
        # Those for the whole CPU are looked at: one that does not fit keeps it.
        query = query.where((stages.c.gpus == 0) | (stages.c.cpu == "all"))
    if not most.whole_cpu:
        query = query.where(stages.c.cpu != "all")
    return query


def _barred(tx: Connection) -> _Barred:
    """Of the whole database."""
    stages, attempts, leases = schema.stages, schema.attempts, schema.leases
    running = (
        select(stages.c.key)
        .join(attempts, attempts.c.stage == stages.c.number)
        .join(leases, leases.c.attempt == attempts.c.number)
    )
    return _Barred(users=_at_cap(tx), keys=list(tx.execute(running).scalars()))


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
    whole = row.cpu == "all"
    return Claim(job=row.id, stage=row.name, lease=granted, gpus=gpus, whole_cpu=whole)
