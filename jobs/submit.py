"""Taking a job in: once per idempotency key, however often and from however many at once."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from jobs import events, schema
from jobs.clock import now
from jobs.database import AnyRow, Database
from jobs.errors import ConflictError, QuotaError, SubmissionError, UnknownError
from jobs.states import OPEN
from jobs.submission import StageRequest, Submission, stage_key

_MOST_KEY = 200
_NEAR = 200
"""Submissions of a user are counted one at a time this close to the cap; further off, fewer than
that can be under way at once."""


def submit(
    database: Database, user: str, submission: Submission, key: str | None = None
) -> tuple[str, bool]:
    """Stores a job; when this returns it is on disk.

    Args:
        key: the caller's idempotency key; the same key with the same submission is the same job.

    Returns:
        The job's id, and whether it is new.

    Raises:
        ConflictError: the key was used for another submission.
        QuotaError: the user has too many open jobs.
        UnknownError: no such user.
    """
    if key is not None and not (1 <= len(key) <= _MOST_KEY and key.isprintable()):
        raise SubmissionError(f"a key must be 1 to {_MOST_KEY} characters, but got {key!r:.120}")
    with database.write() as tx:
        owner = _user(tx, user)
        number, job_id = _insert(tx, owner.number, submission, key)
        if number is None:
            return _same(tx, owner.number, submission, str(key)), False
        if owner.open > owner.most_open - _NEAR:
            _check_quota(tx, owner, user)
        rows = [_stage(number, place, stage) for place, stage in enumerate(submission.stages)]
        rows[0]["key"] = stage_key(rows[0]["name"], rows[0]["settings"], {})
        tx.execute(insert(schema.stages), rows)
        events.first(tx, number, "submitted", name=submission.name, user=user)
    return job_id, True


def _user(tx: Connection, name: str) -> AnyRow:
    users, jobs = schema.users, schema.jobs
    count = select(func.count()).where(jobs.c.user == users.c.number, jobs.c.state.in_(OPEN))
    query = select(users.c.number, users.c.most_open, count.scalar_subquery().label("open"))
    if (row := tx.execute(query.where(users.c.name == name)).first()) is None:
        raise UnknownError(f"no user is called {name!r:.120}")
    return row


def _insert(
    tx: Connection, user: int, submission: Submission, key: str | None
) -> tuple[int | None, str]:
    """The new job's number and id; no number if the key is taken."""
    insert_ = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    job_id = secrets.token_hex(8)
    row = insert_(schema.jobs).values(
        id=job_id,
        user=user,
        name=submission.name,
        priority=submission.priority,
        state="queued",
        wanted="run",
        spec=submission.spec,
        submit_key=key,
        submit_digest=submission.digest,
        most_attempts=submission.most_attempts,
        position=0,
        fencing=0,
        events=1,
        not_before=0.0,
        created_at=now(),
    )
    quiet = row.on_conflict_do_nothing(index_elements=["user", "submit_key"])
    return tx.execute(quiet.returning(schema.jobs.c.number)).scalar(), job_id


def _same(tx: Connection, user: int, submission: Submission, key: str) -> str:
    table = schema.jobs
    query = select(table.c.id, table.c.submit_digest)
    row = tx.execute(query.where(table.c.user == user, table.c.submit_key == key)).one()
    if row.submit_digest != submission.digest:
        raise ConflictError(
            f"the key {key!r} was used for another submission (job {row.id}); "
            "take a new key for a new job"
        )
    job_id: str = row.id
    return job_id


def _check_quota(tx: Connection, owner: AnyRow, name: str) -> None:
    """Undoes the submission by an error where it is one too many."""
    users, jobs = schema.users, schema.jobs
    # One at a time here, or two could both be the last one allowed.
    one = select(users.c.number).where(users.c.number == owner.number)
    tx.execute(one.with_for_update(key_share=True))
    mine = select(func.count()).where(jobs.c.user == owner.number, jobs.c.state.in_(OPEN))
    if (count := tx.execute(mine).scalar_one()) > owner.most_open:
        raise QuotaError(
            f"{name} has {count - 1} open jobs, and {owner.most_open} are allowed; "
            "wait for some to end or cancel them"
        )


def _stage(job: int, position: int, stage: StageRequest) -> dict[str, Any]:
    return {
        "job": job,
        "position": position,
        "name": stage.name,
        "after": list(stage.after),
        "settings": stage.settings,
        "cpu": stage.needs.cpu,
        "gpus": stage.needs.gpus,
        "state": "waiting",
        "failures": 0,
        "key": None,
    }
