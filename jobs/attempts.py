"""What a worker says about its attempt. Every write needs the lease to be in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobs import events, lease, schema
from jobs.artifacts import require
from jobs.clock import now
from jobs.database import Database
from jobs.lease import Held, Lease
from jobs.states import Wanted

_LONGEST = 4000  # characters of an error or note that are kept
_STEPS = 200  # progress events per attempt, at most about


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a worker has to do.

    Attributes:
        finished: names and hashes of the files of the job's finished stages, by stage.
        lasts_s: seconds without a heartbeat after which the lease is void.
        hosts: how many run the stage.
        meet: tells the members on other hosts where this one is, as JSON text.
    """

    job: str
    name: str
    spec: str
    stage: str
    finished: dict[str, dict[str, str]]
    lasts_s: float
    hosts: int = 1
    meet: Callable[[str], None] = lambda place: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an attempt is; `total` is 0 while unknown."""

    done: int = 0
    total: int = 0
    note: str = ""


def begin(database: Database, mine: Lease, pid: int) -> Work:
    """The worker is there."""
    attempts = schema.attempts
    with database.write() as tx:
        now_held = lease.held(tx, mine)
        tx.execute(
            update(attempts)
            .where(attempts.c.number == now_held.attempt.number)
            .values(state="running", pid=pid, started_at=now())
        )
        lasts_s = _renew(tx, now_held)
        events.append(
            tx, now_held.job.number, "started", stage=now_held.stage.name, attempt=mine.attempt
        )
        stages = schema.stages
        done = select(stages.c.name, stages.c.files).where(
            stages.c.job == now_held.job.number, stages.c.state == "done"
        )
        finished = {row.name: row.files for row in tx.execute(done.order_by(stages.c.position))}
    return Work(
        job=now_held.job.id,
        name=now_held.job.name,
        spec=now_held.job.spec,
        stage=now_held.stage.name,
        finished=finished,
        lasts_s=lasts_s,
        hosts=now_held.stage.hosts,
    )


def beat(database: Database, mine: Lease, progress: Progress) -> Wanted:
    """The worker still lives; returns what is wanted of the job.

    Raises:
        StaleLeaseError: the attempt is over; stop working.
    """
    with database.write(durable=False) as tx:
        now_held = lease.held(tx, mine)
        _renew(tx, now_held)
        _note(tx, now_held, progress)
    wanted: Wanted = now_held.job.wanted
    return wanted


def finish(
    database: Database, mine: Lease, files: Mapping[str, str], progress: Progress | None = None
) -> None:
    """The stage is done, exactly once; other jobs may use its result from now on.

    Args:
        files: names and hashes; their artifacts were put before.
        progress: the last one.
    """
    with database.write() as tx:
        now_held = lease.held(tx, mine)
        if progress is not None:
            _note(tx, now_held, progress)
        require(tx, files.values())
        stages = schema.stages
        tx.execute(
            update(stages)
            .where(stages.c.number == now_held.stage.number)
            .values(state="done", files=dict(files), error=None)
        )
        _share(tx, now_held, files)
        events.append(
            tx, now_held.job.number, "stage_done", stage=now_held.stage.name, attempt=mine.attempt
        )
        lease.finish(tx, now_held)


def fail(database: Database, mine: Lease, error: str) -> None:
    """The stage failed by its own fault."""
    with database.write() as tx:
        was = lease.held(tx, mine)
        lease.settle(tx, was, "failed", error[-_LONGEST:], counted=True, wait=True)


def interrupt(database: Database, mine: Lease, reason: str) -> None:
    """The attempt was stopped from outside; the stage goes on later where it was."""
    with database.write() as tx:
        was = lease.held(tx, mine)
        lease.settle(tx, was, "interrupted", reason[:_LONGEST], counted=False, wait=False)


def _renew(tx: Connection, now_held: Held) -> float:
    leases = schema.leases
    renewed = (
        update(leases)
        .where(leases.c.job == now_held.job.number)
        .values(expires_at=now() + leases.c.lasts_s)
        .returning(leases.c.lasts_s)
    )
    lasts_s: float = tx.execute(renewed).scalar_one()
    return lasts_s


def _note(tx: Connection, now_held: Held, progress: Progress) -> None:
    """Keeps the progress; an event only where it moved by a step that can be seen."""
    before = now_held.attempt
    if (before.done, before.total, before.note) == (progress.done, progress.total, progress.note):
        return
    values = {"done": progress.done, "total": progress.total, "note": progress.note[:_LONGEST]}
    attempts = schema.attempts
    tx.execute(update(attempts).where(attempts.c.number == before.number).values(**values))
    share = max(progress.total, 1) / _STEPS
    if progress.total != before.total or int(progress.done / share) != int(before.done / share):
        events.append(tx, now_held.job.number, "progress", stage=now_held.stage.name, **values)


def _share(tx: Connection, now_held: Held, files: Mapping[str, str]) -> None:
    """The first result of a key stays; a second one of the same inputs is as good."""
    insert_ = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    row = insert_(schema.results).values(
        key=now_held.stage.key,
        stage=now_held.stage.name,
        files=dict(files),
        job=now_held.job.id,
        created_at=now(),
    )
    tx.execute(row.on_conflict_do_nothing(index_elements=["key"]))
