"""From stage to stage: a job's current stage gets its key, and a stage done before is not repeated.

`enter` works inside the transaction of whoever finished the stage before.
"""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from jobs import events, schema
from jobs.clock import now
from jobs.database import AnyRow, Database
from jobs.submission import stage_key

_AT_ONCE = 100


def enter(tx: Connection, job: int, position: int) -> None:
    """Makes the stage at `position` the current one, or the first after it not done before.

    With no stage left the job has succeeded.
    """
    table = schema.stages
    query = select(*table.c["position", "name", "state", "after", "settings", "files"])
    rows = tx.execute(query.where(table.c.job == job).order_by(table.c.position)).all()
    files: dict[str, dict[str, str]] = {row.name: row.files for row in rows if row.state == "done"}
    for row in rows[position:]:
        key = stage_key(row.name, row.settings, {name: files[name] for name in row.after})
        result = _result(tx, key)
        if result is None:
            _set(tx, job, row.position, key=key, state="waiting")
            _enter(tx, job, row.position)
            return
        files[row.name] = result.files
        _set(
            tx, job, row.position, key=key, state="done",
            files=result.files, reused_from=result.job,
        )  # fmt: skip
        events.append(tx, job, "stage_reused", stage=row.name, job=result.job)
    _succeed(tx, job)


def reuse(database: Database) -> int:
    """Moves queued jobs past stages that others have finished meanwhile; returns how many moved."""
    jobs, stages, results = schema.jobs, schema.stages, schema.results
    query = (
        select(jobs.c.number, jobs.c.position)
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
        .join(results, results.c.key == stages.c.key)
        .where(jobs.c.state == "queued", jobs.c.wanted == "run")
        .limit(_AT_ONCE)
    )
    with database.read() as tx:
        if tx.execute(query).first() is None:
            return 0
    with database.write() as tx:
        rows = tx.execute(query.with_for_update(of=jobs, skip_locked=True)).all()
        for row in rows:
            enter(tx, row.number, row.position)
    return len(rows)


def _result(tx: Connection, key: str) -> AnyRow | None:
    table = schema.results
    return tx.execute(select(table.c.files, table.c.job).where(table.c.key == key)).first()


def _set(tx: Connection, job: int, position: int, **values: object) -> None:
    table = schema.stages
    tx.execute(
        update(table).where(table.c.job == job, table.c.position == position).values(**values)
    )


def _enter(tx: Connection, job: int, position: int) -> None:
    table = schema.jobs
    tx.execute(update(table).where(table.c.number == job).values(position=position))


def _succeed(tx: Connection, job: int) -> None:
    table = schema.jobs
    tx.execute(
        update(table)
        .where(table.c.number == job)
        .values(state="succeeded", wanted="run", finished_at=now(), error=None)
    )
    events.append(tx, job, "succeeded")
