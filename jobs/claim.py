"""Who runs next on a host: by priority, then age, within users' caps and free devices.

Claims are made one at a time in the whole database, so two executors never see the same free
slot. A stage that does not fit yet keeps the devices it waits for from those behind it, on the one
host that lacks least for it.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Select, func, select

from jobs import devices, events, lease, schema
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.devices import Host, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A stage to be run here and now.

    Attributes:
        host: its name.
        gpus: uuids of the GPUs it holds.
        whole_cpu: no other stage runs on the host meanwhile.
    """

    job: str
    stage: str
    host: str
    lease: lease.Lease
    gpus: tuple[str, ...]
    whole_cpu: bool


def claim(database: Database, host: Host, lasts_s: float, start_s: float) -> Claim | None:
    """Takes the next stage that can run on `host`; see `claim_any`."""
    return claim_any(database, [host], lasts_s, start_s)


def claim_any(
    database: Database, hosts: Sequence[Host], lasts_s: float, start_s: float
) -> Claim | None:
    """Takes the next stage that can run on the first of these hosts that can run any; or None.

    What hosts have in common is read once: a hundred that are full cost what one does.

    Args:
        lasts_s: seconds without a heartbeat after which the claim is void.
        start_s: seconds until the first one.
    """
    with database.write(serial="claim") as tx:
        look = _Look(tx)
        for host in hosts:
            if (found := _found(look, host)) is not None:
                row, chosen = found
                return _grant(tx, row, host, chosen, (lasts_s, start_s))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Most:
    """The largest needs that are still looked at."""

    gpus: int
    whole_cpu: bool = True


def _found(look: _Look, host: Host) -> tuple[AnyRow, list[Slot]] | None:
    """The next stage for a host, and what it would hold there."""
    taken, most = set(look.taken[host.name]), _Most(gpus=len(host.gpus))
    # The first that does not fit keeps what it waits for, on the host that is nearest to it.
    # There that is the whole CPU, and nothing is left to decide, or all free GPUs, and what
    # needs one is not looked at any more. Other hosts pass by whatever needs as much.
    while host.cpu_free(taken):
        row = look.next(host, taken, most)
        if row is None:
            return None
        if (chosen := host.fit(row.cpu, row.gpus, taken)) is not None:
            return row, chosen
        if look.nearest(host, row):
            taken |= host.reserve(row.cpu, row.gpus, taken)
        elif row.cpu == "all":
            most = replace(most, whole_cpu=False)
        else:
            most = replace(most, gpus=row.gpus - 1)
    return None


class _Look:
    """What a transaction read, as it stays until something is granted.

    Attributes:
        taken: slots that someone holds, by host.
    """

    def __init__(self, tx: Connection) -> None:
        self.taken = devices.taken(tx)
        self._tx, self._users = tx, _at_cap(tx)
        self._next: dict[tuple[object, ...], AnyRow | None] = {}
        self._lacks: dict[int, dict[str, tuple[int, str]]] = {}

    def next(self, host: Host, taken: set[Slot], most: _Most) -> AnyRow | None:
        """See `_next`; the same for all hosts that are alike in what it asks."""
        key = (host.classes, host.gpus_free(taken), most)
        if key not in self._next:
            self._next[key] = self._tx.execute(_next(host, self._users, taken, most)).first()
        return self._next[key]

    def nearest(self, host: Host, stage: AnyRow) -> bool:
        """Whether no other host lacks less for a stage, so that devices are kept for it here.

        If all kept some, a cluster would run half empty for one stage. The nearest gives nothing
        away and so gets nearer, until it fits or another is nearer still.
        """
        if stage.number not in self._lacks:
            self._lacks[stage.number] = _lacking(self._tx, stage)
        lacks = self._lacks[stage.number]
        return host.name not in lacks or lacks[host.name] == min(lacks.values())


def _lacking(tx: Connection, stage: AnyRow) -> dict[str, tuple[int, str]]:
    """What hosts that answer lack for a stage that could run there: slots, and their names."""
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
    return lacks


def _next(host: Host, at_cap: list[int], taken: set[Slot], most: _Most) -> AnySelect:
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
        .where(stages.c.key.not_in(_running()), results.c.key.is_(None))
        .where(stages.c.gpus <= most.gpus, jobs.c.user.not_in(at_cap))
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


def _running() -> Select[str]:
    """Keys of the stages that run."""
    stages, attempts, leases = schema.stages.alias(), schema.attempts, schema.leases
    return (
        select(stages.c.key)
        .join(attempts, attempts.c.stage == stages.c.number)
        .join(leases, leases.c.attempt == attempts.c.number)
        .where(stages.c.key.is_not(None))
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
    whole = row.cpu == "all"
    return Claim(
        job=row.id, stage=row.name, host=host.name, lease=granted, gpus=gpus, whole_cpu=whole
    )
