"""Who holds a job: the lease, its fencing number, and its end.

Every claim raises the job's fencing number and so does every end, so a holder that was given up
for dead, and wakes up, writes nothing any more. Functions here work inside a transaction; all
lock the job's row first, so they never wait for each other in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from jobs import advance, events, schema
from jobs.clock import now
from jobs.database import AnyRow
from jobs.errors import StaleLeaseError
from jobs.states import AttemptState

RETRY_S = 1.0
"""Pause before the second attempt of a failed stage; it grows with the square of the failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write about one attempt.

    Attributes:
        attempt: the attempt's id.
    """

    attempt: str
    fencing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Rows of the job, stage and attempt behind a lease, the job's row locked."""

    job: AnyRow
    stage: AnyRow
    attempt: AnyRow


def held(tx: Connection, lease: Lease) -> Held:
    """What the lease is for.

    Raises:
        StaleLeaseError: it is not in force any more.
    """
    attempts, jobs, stages = schema.attempts, schema.jobs, schema.stages
    attempt = tx.execute(select(attempts).where(attempts.c.id == lease.attempt)).first()
    if attempt is not None:
        query = select(jobs).where(jobs.c.number == attempt.job).with_for_update()
        job = tx.execute(query).one()
        if job.fencing == lease.fencing == attempt.fencing and job.state == "running":
            stage = tx.execute(select(stages).where(stages.c.number == attempt.stage)).one()
            return Held(job=job, stage=stage, attempt=attempt)
    raise StaleLeaseError(
        f"attempt {lease.attempt} does not hold its job any more (fencing {lease.fencing}); "
        "nothing was written"
    )


def grant(
    tx: Connection,
    job: int,
    stage: int,
    attempt_id: str,
    host: str,
    terms: tuple[float, float],
) -> tuple[int, Lease] | None:
    """Starts an attempt; returns its row and lease, None if the job is not queued any more.

    Args:
        terms: seconds that the lease lasts after a heartbeat, and until the first one.
    """
    lasts_s, start_s = terms
    jobs, stages = schema.jobs, schema.stages
    raised = (
        update(jobs)
        .where(jobs.c.number == job, jobs.c.state == "queued")
        .values(fencing=jobs.c.fencing + 1, state="running")
        .returning(jobs.c.fencing)
    )
    if (fencing := tx.execute(raised).scalar()) is None:
        return None
    tx.execute(update(stages).where(stages.c.number == stage).values(state="running"))
    row = {"id": attempt_id, "job": job, "stage": stage, "state": "claimed", "host": host}
    row |= {"fencing": fencing, "done": 0, "total": 0, "note": ""}
    created = insert(schema.attempts).values(**row, claimed_at=now())
    number = tx.execute(created.returning(schema.attempts.c.number)).scalar_one()
    new = {"attempt": number, "host": host, "fencing": fencing, "lasts_s": lasts_s}
    tx.execute(insert(schema.leases).values(job=job, **new, expires_at=now() + start_s))
    return number, Lease(attempt=attempt_id, fencing=fencing)


def release(tx: Connection, was: Held, state: AttemptState, error: str | None) -> None:
    """Ends the attempt and frees its devices; whoever holds the old lease writes no more."""
    jobs, attempts = schema.jobs, schema.attempts
    number = was.attempt.number
    tx.execute(
        update(attempts)
        .where(attempts.c.number == number)
        .values(state=state, finished_at=now(), error=error)
    )
    tx.execute(delete(schema.leases).where(schema.leases.c.job == was.job.number))
    tx.execute(delete(schema.slots).where(schema.slots.c.attempt == number))
    tx.execute(
        update(jobs)
        .where(jobs.c.number == was.job.number)
        .values(fencing=jobs.c.fencing + 1, state="queued")
    )


def settle(
    tx: Connection, was: Held, state: AttemptState, error: str, *, counted: bool, wait: bool
) -> None:
    """After an attempt that did not finish its stage: again, or paused, cancelled, failed.

    Args:
        counted: it was the stage's own failure, of which there may be `most_attempts`.
        wait: not at once again.
    """
    release(tx, was, state, error)
    failures = was.stage.failures + counted
    over = failures >= was.job.most_attempts
    stages = schema.stages
    tx.execute(
        update(stages)
        .where(stages.c.number == was.stage.number)
        .values(state="failed" if over else "waiting", failures=failures, error=error)
    )
    number, told = was.job.number, {"stage": was.stage.name, "attempt": was.attempt.id}
    events.append(tx, number, f"attempt_{state}", error=error, **told)
    if was.job.wanted == "cancel":
        end(tx, number, "cancelled")
    elif over:
        end(tx, number, "failed", f"{was.stage.name}: {error}")
    elif was.job.wanted == "pause":
        pause(tx, number)
    elif wait:
        _change(tx, number, not_before=now() + RETRY_S * failures**2)


def finish(tx: Connection, was: Held) -> None:
    """After an attempt that did: the next stage, unless someone wants the job to stop."""
    release(tx, was, "done", None)
    advance.enter(tx, was.job.number, was.stage.position + 1)
    jobs = schema.jobs
    query = select(jobs.c.state).where(jobs.c.number == was.job.number)
    if tx.execute(query).scalar_one() != "queued":
        return
    if was.job.wanted == "cancel":
        end(tx, was.job.number, "cancelled")
    elif was.job.wanted == "pause":
        pause(tx, was.job.number)


def end(tx: Connection, job: int, state: str, error: str | None = None) -> None:
    """The job has ended without success."""
    _change(tx, job, state=state, wanted="run", finished_at=now(), error=error)
    events.append(tx, job, state, **({"error": error} if error else {}))


def pause(tx: Connection, job: int) -> None:
    """The job stays where it is until it is resumed."""
    _change(tx, job, state="paused", wanted="run")
    events.append(tx, job, "paused")


def _change(tx: Connection, job: int, **values: object) -> None:
    tx.execute(update(schema.jobs).where(schema.jobs.c.number == job).values(**values))
