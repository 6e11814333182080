"""Jobs as callers see them: one with its stages and attempts, or pages of many."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from jobs import schema, waiting
from jobs.clock import now
from jobs.database import AnyRow, AnySelect, Database
from jobs.errors import SubmissionError, UnknownError
from jobs.states import ENDED, OPEN, JobState, Wanted

MOST_PER_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job in a list.

    Attributes:
        stage: the current one; the last one of a job that has ended.
        position: its place from 0.
        waits: why it does not run now, None if it runs or has ended.
        done, total: steps of the stage that runs now; both 0 while nothing is known of them.
    """

    id: str
    name: str
    user: str
    state: JobState
    wanted: Wanted
    priority: int
    stage: str
    position: int
    created_at: float
    finished_at: float | None
    error: str | None
    waits: str | None
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageView:
    """A stage; `files` maps names to hashes once it is done."""

    name: str
    state: str
    failures: int
    files: dict[str, str] | None
    reused_from: str | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """A run of a stage; times in seconds since 1970."""

    id: str
    stage: str
    state: str
    host: str
    pid: int | None
    claimed_at: float
    started_at: float | None
    finished_at: float | None
    done: int
    total: int
    note: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail:
    """Everything about a job."""

    job: JobView
    spec: str
    stages: list[StageView]
    attempts: list[AttemptView]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Newest jobs first; `cursor` asks for the next page, None on the last."""

    jobs: list[JobView]
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """A file that a finished stage made; `artifact` is its opaque id."""

    stage: str
    name: str
    artifact: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the attempt is that runs now."""

    attempt: str
    stage: str
    done: int
    total: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the store holds: jobs by state, seconds the oldest has queued, hosts that take work."""

    jobs: dict[str, int]
    oldest_queued_s: float
    executors: int


def page(
    database: Database,
    *,
    user: str | None = None,
    state: str | None = None,
    name: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """One page of jobs.

    Args:
        name: only jobs whose name contains this.
        cursor: of the page before.

    Raises:
        SubmissionError: a filter, limit or cursor that makes no sense.
    """
    jobs, users = schema.jobs, schema.users
    if not 1 <= limit <= MOST_PER_PAGE:
        raise SubmissionError(f"limit must be 1 to {MOST_PER_PAGE}, but got {limit}")
    # Their numbers first, or both databases join and sort thousands to show fifty.
    chosen = select(jobs.c.number).order_by(jobs.c.number.desc()).limit(limit + 1)
    if user is not None:
        owner = select(users.c.number).where(users.c.name == user)
        chosen = chosen.where(jobs.c.user == owner.scalar_subquery())
    if state is not None:
        if state not in (valid := (*OPEN, *ENDED)):
            raise SubmissionError(f"state must be one of {', '.join(valid)}, but got {state!r:.40}")
        chosen = chosen.where(jobs.c.state == state)
    if name is not None:
        chosen = chosen.where(jobs.c.name.contains(name, autoescape=True))
    if cursor is not None:
        chosen = chosen.where(jobs.c.number < _decode(cursor))
    with database.read() as tx:
        numbers = tx.execute(chosen).scalars().all()
        shown = _query().where(jobs.c.number.in_(numbers[:limit])).order_by(jobs.c.number.desc())
        found = _views(tx, tx.execute(shown).all())
    more = len(numbers) > limit
    return Page(jobs=found, cursor=_encode(numbers[limit - 1]) if more else None)


def show(database: Database, job_id: str) -> JobDetail:
    """One job.

    Raises:
        UnknownError: no such job.
    """
    jobs, stages, attempts = schema.jobs, schema.stages, schema.attempts
    columns = stages.c["name", "state", "failures", "files", "reused_from", "error"]
    runs = select(
        *attempts.c["id", "state", "host", "pid", "claimed_at", "started_at", "finished_at"],
        *attempts.c["done", "total", "note", "error"],
        stages.c.name.label("stage"),
    ).join(stages, stages.c.number == attempts.c.stage)
    with database.read() as tx:
        row = tx.execute(_query().add_columns(jobs.c.spec).where(jobs.c.id == job_id)).first()
        if row is None:
            raise UnknownError(f"no job has the id {job_id!r:.60}")
        ordered = select(*columns).where(stages.c.job == row.number).order_by(stages.c.position)
        tried = runs.where(attempts.c.job == row.number).order_by(attempts.c.number)
        return JobDetail(
            job=_views(tx, [row])[0],
            spec=row.spec,
            stages=[StageView(**stage._mapping) for stage in tx.execute(ordered)],
            attempts=[AttemptView(**attempt._mapping) for attempt in tx.execute(tried)],
        )


def view(database: Database, job_id: str) -> JobView:
    """One job as a list shows it.

    Raises:
        UnknownError: no such job.
    """
    if not (found := several(database, [job_id])):
        raise UnknownError(f"no job has the id {job_id!r:.60}")
    return found[job_id]


def several(database: Database, job_ids: Sequence[str]) -> dict[str, JobView]:
    """Jobs by id as a list shows them; those that do not exist are left out."""
    with database.read() as tx:
        rows = tx.execute(_query().where(schema.jobs.c.id.in_(job_ids))).all()
        return {found.id: found for found in _views(tx, rows)}


def progress(database: Database, job_id: str) -> Progress | None:
    """How far the running attempt is; None while none runs."""
    jobs, stages, attempts = schema.jobs, schema.stages, schema.attempts
    query = (
        select(
            attempts.c.id.label("attempt"),
            stages.c.name.label("stage"),
            *attempts.c["done", "total", "note"],
        )
        .join(jobs, jobs.c.number == attempts.c.job)
        .join(stages, stages.c.number == attempts.c.stage)
        .where(jobs.c.id == job_id, attempts.c.finished_at.is_(None))
        .order_by(attempts.c.number.desc())
        .limit(1)
    )
    with database.read() as tx:
        row = tx.execute(query).first()
    return None if row is None else Progress(**row._mapping)


def files(database: Database, job_id: str) -> list[FileView]:
    """What a job's finished stages made, in order.

    Raises:
        UnknownError: no such job.
    """
    jobs, stages, artifacts = schema.jobs, schema.stages, schema.artifacts
    with database.read() as tx:
        number = tx.execute(select(jobs.c.number).where(jobs.c.id == job_id)).scalar()
        if number is None:
            raise UnknownError(f"no job has the id {job_id!r:.60}")
        query = select(stages.c.name, stages.c.files).where(stages.c.job == number)
        made = [
            (stage.name, name, digest)
            for stage in tx.execute(query.order_by(stages.c.position))
            for name, digest in sorted((stage.files or {}).items())
        ]
        wanted = {digest for _, _, digest in made}
        found = select(*artifacts.c["hash", "id", "size"]).where(artifacts.c.hash.in_(wanted))
        known = {row.hash: row for row in tx.execute(found)}
    return [
        FileView(stage=stage, name=name, artifact=known[digest].id, bytes=known[digest].size)
        for stage, name, digest in made
    ]


def counts(database: Database) -> Counts:
    """For dashboards: cheap, whatever the store holds."""
    jobs, executors = schema.jobs, schema.executors
    with database.read() as tx:
        by_state = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        found = {state: int(count) for state, count in tx.execute(by_state)}
        oldest = select(now() - func.min(jobs.c.created_at)).where(jobs.c.state == "queued")
        waits = tx.execute(oldest).scalar()
        alive = select(func.count()).where(executors.c.expires_at > now())
        return Counts(
            jobs={state: found.get(state, 0) for state in (*OPEN, *ENDED)},
            oldest_queued_s=float(waits or 0.0),
            executors=int(tx.execute(alive).scalar_one()),
        )


def _query() -> AnySelect:
    jobs, stages, users = schema.jobs, schema.stages, schema.users
    return (
        select(
            *jobs.c["number", "id", "name", "state", "wanted", "priority", "position"],
            *jobs.c["created_at", "finished_at", "error", "not_before"],
            jobs.c.user.label("owner"),
            users.c.name.label("user"),
            users.c.most_running,
            *stages.c["key", "cpu", "gpus", "device", "hosts", "elastic"],
            stages.c.name.label("stage"),
        )
        .join(users, users.c.number == jobs.c.user)
        .join(stages, (stages.c.job == jobs.c.number) & (stages.c.position == jobs.c.position))
    )


def _views(tx: Connection, rows: list[AnyRow] | Any) -> list[JobView]:
    reasons, steps = waiting.reasons(tx, rows), _steps(tx, rows)
    ours = {"waits", "done", "total"}
    names = [name for name in JobView.__dataclass_fields__ if name not in ours]
    found = []
    for row in rows:
        done, total = steps.get(row.number, (0, 0))
        known = {name: row._mapping[name] for name in names}
        found.append(JobView(**known, waits=reasons.get(row.number), done=done, total=total))
    return found


def _steps(tx: Connection, rows: list[AnyRow] | Any) -> dict[int, tuple[int, int]]:
    """Steps done and in all of the attempts that run, by job."""
    running = [row.number for row in rows if row.state == "running"]
    if not running:
        return {}
    table = schema.attempts
    query = select(*table.c["job", "done", "total"]).where(
        table.c.job.in_(running), table.c.finished_at.is_(None)
    )
    return {row.job: (row.done, row.total) for row in tx.execute(query)}


def _encode(number: int) -> str:
    return base64.urlsafe_b64encode(str(number).encode()).decode()


def _decode(cursor: str) -> int:
    try:
        number = int(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error):
        number = -1
    if not 0 < number < 1 << 62:
        raise SubmissionError(f"cursor must be that of the page before, but got {cursor!r:.60}")
    return number
