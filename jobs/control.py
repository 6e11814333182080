"""What people ask of a job: cancel, pause, resume, retry, another priority.

Each is on disk when it returns. A running attempt is stopped by whoever runs it; until then the
job shows what is wanted of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, select, update

from jobs import advance, events, lease, schema
from jobs.database import AnyRow, Database
from jobs.errors import StateError, SubmissionError, UnknownError
from jobs.states import ENDED


def cancel(database: Database, job_id: str) -> None:
    """Ends the job; asked again, nothing happens.

    Raises:
        StateError: it has ended otherwise.
        UnknownError: no such job.
    """
    with _job(database, job_id) as (tx, job):
        if job.state == "cancelled" or job.wanted == "cancel":
            return
        _refuse(job, ENDED, "cancel")
        events.append(tx, job.number, "cancel_asked")
        if job.state == "running":
            _set(tx, job, wanted="cancel")
        else:
            lease.end(tx, job.number, "cancelled")


def pause(database: Database, job_id: str) -> None:
    """Stops the job until it is resumed; what a stage has done so far is kept."""
    with _job(database, job_id) as (tx, job):
        if job.state == "paused" or job.wanted == "pause":
            return
        _refuse(job, ENDED, "pause")
        if job.wanted == "cancel":
            raise StateError(f"job {job.id} is being cancelled and cannot pause")
        events.append(tx, job.number, "pause_asked")
        if job.state == "running":
            _set(tx, job, wanted="pause")
        else:
            lease.pause(tx, job.number)


def resume(database: Database, job_id: str) -> None:
    """Lets a paused job go on."""
    with _job(database, job_id) as (tx, job):
        if job.wanted != "pause":
            _refuse(job, ("queued", "running", *ENDED), "resume")
        events.append(tx, job.number, "resumed")
        _set(tx, job, wanted="run", **({} if job.state == "running" else {"state": "queued"}))


def retry(database: Database, job_id: str) -> None:
    """Runs what failed or was cancelled once more; finished stages stay."""
    with _job(database, job_id) as (tx, job):
        _refuse(job, ("queued", "running", "paused", "succeeded"), "retry")
        stages = schema.stages
        tx.execute(
            update(stages)
            .where(stages.c.job == job.number, stages.c.state != "done")
            .values(state="waiting", failures=0, error=None)
        )
        values = {"state": "queued", "wanted": "run", "error": None, "finished_at": None}
        _set(tx, job, **values, not_before=0.0)
        events.append(tx, job.number, "retried")
        advance.enter(tx, job.number, job.position)


def prioritise(database: Database, job_id: str, priority: int) -> None:
    """Changes the priority of a job that has not ended."""
    if not -100 <= priority <= 100:
        raise SubmissionError(f"priority must be an integer -100 to 100, but got {priority}")
    with _job(database, job_id) as (tx, job):
        _refuse(job, ENDED, "change the priority of")
        _set(tx, job, priority=priority)
        events.append(tx, job.number, "prioritised", priority=priority)


@contextmanager
def _job(database: Database, job_id: str) -> Iterator[tuple[Connection, AnyRow]]:
    table = schema.jobs
    with database.write() as tx:
        query = select(table).where(table.c.id == job_id).with_for_update()
        if (row := tx.execute(query).first()) is None:
            raise UnknownError(f"no job has the id {job_id!r:.60}")
        yield tx, row


def _refuse(job: AnyRow, states: tuple[str, ...], verb: str) -> None:
    if job.state in states:
        raise StateError(f"cannot {verb} job {job.id}: it is {job.state}")


def _set(tx: Connection, job: AnyRow, **values: object) -> None:
    tx.execute(update(schema.jobs).where(schema.jobs.c.number == job.number).values(**values))
