"""The members of a stage that runs on several hosts: who they are, and where they meet.

One lease covers all: the worker that holds it is number 0, the others end once it is over. They
find each other by what the worker writes down here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update

from jobs import devices, events, lease, schema
from jobs.claim import Member
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.devices import Host, Slot
from jobs.errors import StaleLeaseError
from jobs.lease import Lease
from jobs.look import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A member that an elastic stage has got."""

    lease: Lease
    member: Member
    whole_cpu: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """What a member has to know.

    Attributes:
        place: JSON text of the worker; None until it is ready.
        lasts_s: seconds that the lease lasts without a heartbeat.
    """

    job: str
    spec: str
    stage: str
    place: str | None
    lasts_s: float


def process_id(attempt: str, member: int) -> str:
    """What a launcher knows the process of a member by, and what its log is called.

    The attempt's id is all before the first dot, see `service.upkeep`.
    """
    return f"{attempt}.{member}" if member else attempt


def others(tx: Connection, attempts: Collection[int]) -> dict[int, list[Member]]:
    """All but the worker, by attempt."""
    slots = schema.slots
    query = select(*slots.c["attempt", "member", "host", "device"]).where(
        slots.c.attempt.in_(attempts), slots.c.member > 0
    )
    held = defaultdict[tuple[int, int, str], list[str]](list)
    for row in tx.execute(query.order_by(slots.c.member, slots.c.device)):
        held[row.attempt, row.member, row.host].append(row.device)
    found = defaultdict[int, list[Member]](list)
    for (attempt, number, host), names in held.items():
        gpus = tuple(name for name in names if name != "cpu")
        found[attempt].append(Member(number=number, host=host, gpus=gpus))
    return found


def meet(database: Database, mine: Lease, place: str) -> None:
    """The worker is ready; members find it at `place`.

    Raises:
        StaleLeaseError: the attempt is over.
    """
    with database.write() as tx:
        number = lease.held(tx, mine).attempt.number
        table = schema.attempts
        tx.execute(update(table).where(table.c.number == number).values(meeting=place))


def meeting(database: Database, theirs: Lease) -> Meeting:
    """What there is to know for a member of an attempt.

    Raises:
        StaleLeaseError: the attempt is over, or shall be.
    """
    attempts, jobs, stages, leases = schema.attempts, schema.jobs, schema.stages, schema.leases
    query = (
        select(jobs.c.id, jobs.c.spec, stages.c.name, attempts.c.meeting, leases.c.lasts_s)
        .join(jobs, jobs.c.number == attempts.c.job)
        .join(stages, stages.c.number == attempts.c.stage)
        .join(leases, leases.c.attempt == attempts.c.number)
        .where(attempts.c.id == theirs.attempt, jobs.c.fencing == theirs.fencing)
        # A worker has one lease's time to be heard again after the database was away.
        .where(jobs.c.wanted == "run", leases.c.expires_at + leases.c.lasts_s >= now())
    )
    with database.read() as tx:
        row = tx.execute(query).first()
    if row is None:
        raise StaleLeaseError(f"attempt {theirs.attempt} is over; its members end")
    return Meeting(
        job=row.id, spec=row.spec, stage=row.name, place=row.meeting, lasts_s=row.lasts_s
    )


def lose(database: Database, theirs: Lease, member: Member, reason: str) -> None:
    """A member of an elastic stage is gone; its devices are free, and another may come.

    Raises:
        StaleLeaseError: the attempt is over.
    """
    slots = schema.slots
    with database.write() as tx:
        held = lease.held(tx, theirs)
        mine = (slots.c.attempt == held.attempt.number) & (slots.c.member == member.number)
        tx.execute(delete(slots).where(mine))
        told = {"stage": held.stage.name, "attempt": theirs.attempt, "host": member.host}
        events.append(tx, held.job.number, "member_lost", error=reason, **told)


def extend(
    database: Database, hosts: Sequence[Host], without: Collection[str] = ()
) -> Joined | None:
    """One more member for a stage that may have one, where nothing else waits for the devices.

    Args:
        without: ids of attempts that get none.
    """
    with database.write(serial="claim") as tx:
        look = Look(tx, hosts)
        for row in tx.execute(_elastic()).all():
            if row.id in without:
                continue
            there = others(tx, [row.attempt])[row.attempt]
            used = {row.host, *(member.host for member in there)}
            for host in hosts if len(there) < row.hosts - 1 else ():
                if host.name not in used and row.device in (None, *host.classes):
                    chosen = host.fit(row.cpu, row.gpus, look.kept(host))
                    if chosen is not None and not look.wanted(host, ()):
                        return _join(tx, row, host, chosen)
    return None


def in_the_way(database: Database, hosts: Sequence[Host]) -> tuple[Lease, Member] | None:
    """A member of an elastic stage whose devices another stage waits for, by now."""
    by_name = {host.name: host for host in hosts}
    with database.read() as tx:
        rows = tx.execute(_elastic()).all()
        there = others(tx, [row.attempt for row in rows])
        look = Look(tx, hosts)
        for row in reversed(rows):
            for member in reversed(there.get(row.attempt, ())):
                if (host := by_name.get(member.host)) is not None and look.wanted(
                    host, _held(tx, row.attempt, member)
                ):
                    return Lease(attempt=row.id, fencing=row.fencing), member
    return None


def _held(tx: Connection, attempt: int, member: Member) -> list[Slot]:
    slots = schema.slots
    query = select(slots.c.device, slots.c.slot).where(
        slots.c.attempt == attempt, slots.c.member == member.number
    )
    return [(row.device, row.slot) for row in tx.execute(query)]


def _elastic() -> AnySelect:
    """Attempts of elastic stages, in the order of their jobs."""
    attempts, jobs, stages, leases = schema.attempts, schema.jobs, schema.stages, schema.leases
    return (
        select(
            *attempts.c["id", "host", "fencing", "joined"],
            attempts.c.number.label("attempt"),
            *stages.c["name", "cpu", "gpus", "device", "hosts"],
            jobs.c.number.label("job"),
        )
        .select_from(leases)
        .join(attempts, attempts.c.number == leases.c.attempt)
        .join(stages, stages.c.number == attempts.c.stage)
        .join(jobs, jobs.c.number == attempts.c.job)
        .where(stages.c.elastic, stages.c.hosts > 1, jobs.c.wanted == "run")
        .order_by(jobs.c.priority.desc(), jobs.c.number)
    )


def _join(tx: Connection, row: AnyRow, host: Host, chosen: Sequence[Slot]) -> Joined:
    # No number comes twice: a launcher starts no process twice under one name.
    attempts, number = schema.attempts, row.joined + 1
    tx.execute(update(attempts).where(attempts.c.number == row.attempt).values(joined=number))
    gpus = devices.take(tx, host.name, row.attempt, chosen, number)
    told = {"stage": row.name, "attempt": row.id, "host": host.name}
    events.append(tx, row.job, "member_joined", **told)
    return Joined(
        lease=Lease(attempt=row.id, fencing=row.fencing),
        member=Member(number=number, host=host.name, gpus=gpus),
        whole_cpu=row.cpu == "all",
    )
