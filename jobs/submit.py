"""Taking jobs in: once per idempotency key, however often and from however many at once."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Connection, Text, bindparam, cast, column, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from jobs import events, schema
from jobs.clock import now
from jobs.database import AnyRow, Database
from jobs.errors import ConflictError, QuotaError, StoreError, SubmissionError, UnknownError
from jobs.states import OPEN
from jobs.submission import Submission, stage_key

MOST_AT_ONCE = 50
_MOST_KEY = 200
_NEAR = 200
"""Submissions of a user are counted one at a time this close to the cap; further off, fewer than
that can be under way at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A submission of a user, with the caller's idempotency key: see `submit`."""

    user: str
    submission: Submission
    key: str | None = None


_TEXTS = {"after": Text(), "settings": Text()}
_STAGES = insert(schema.stages).values(
    {name: bindparam(name, type_=type_) for name, type_ in _TEXTS.items()}
)

Taken = tuple[str, bool]
"""The job's id, and whether it is new."""


def submit(database: Database, user: str, submission: Submission, key: str | None = None) -> Taken:
    """Stores a job; when this returns it is on disk.

    Args:
        key: the caller's idempotency key; the same key with the same submission is the same job.

    Raises:
        ConflictError: the key was used for another submission.
        QuotaError: the user has too many open jobs.
        UnknownError: no such user.
    """
    with database.write() as tx:
        return _insert(tx, [Asked(user=user, submission=submission, key=key)])[0]


def submit_all(database: Database, asked: Sequence[Asked]) -> list[Taken | Exception]:
    """Stores several jobs in one transaction, which costs little more than one job.

    Each is taken, or refused by the error of `submit`: where one cannot be stored, all are tried
    one by one, so that nobody is harmed by what somebody else sent.

    Args:
        asked: at most `MOST_AT_ONCE`.

    Raises:
        StoreError: the store cannot be used at all.
    """
    assert len(asked) <= MOST_AT_ONCE
    if len(asked) > 1:
        try:
            with database.write() as tx:
                return list(_insert(tx, asked))
        except StoreError:
            raise
        except Exception:
            pass  # Whose it is comes out below.
    return [_alone(database, one) for one in asked]


def _alone(database: Database, one: Asked) -> Taken | Exception:
    try:
        return submit(database, one.user, one.submission, one.key)
    except Exception as error:
        return error


def _insert(tx: Connection, asked: Sequence[Asked]) -> list[Taken]:
    for one in asked:
        _check_key(one.key)
    owners = _users(tx, {one.user for one in asked})
    rows = [_job(owners[one.user].number, one) for one in asked]
    numbers = _insert_jobs(tx, rows)
    new = [(numbers[row["id"]], one) for row, one in zip(rows, asked, strict=True)
           if row["id"] in numbers]  # fmt: skip
    added = Counter(one.user for _, one in new)
    for name, owner in owners.items():
        if added[name] and owner.open + added[name] > owner.most_open - _NEAR:
            _check_quota(tx, owner, name)
    if new:
        _insert_stages(tx, [row for job, one in new for row in _stages(job, one)])
        first = [(job, {"name": one.submission.name, "user": one.user}) for job, one in new]
        events.first(tx, "submitted", first)
    return [
        (row["id"], True)
        if row["id"] in numbers
        else (_same(tx, row["user"], one.submission, str(one.key)), False)
        for row, one in zip(rows, asked, strict=True)
    ]


def _check_key(key: str | None) -> None:
    if key is not None and not (1 <= len(key) <= _MOST_KEY and key.isprintable()):
        raise SubmissionError(f"a key must be 1 to {_MOST_KEY} characters, but got {key!r:.120}")


def _users(tx: Connection, names: set[str]) -> dict[str, AnyRow]:
    users, jobs = schema.users, schema.jobs
    count = select(func.count()).where(jobs.c.user == users.c.number, jobs.c.state.in_(OPEN))
    query = select(*users.c["name", "number", "most_open"], count.scalar_subquery().label("open"))
    found = {row.name: row for row in tx.execute(query.where(users.c.name.in_(sorted(names))))}
    if unknown := sorted(names - found.keys()):
        raise UnknownError(f"no user is called {unknown[0]!r:.120}")
    return found


def _job(user: int, one: Asked) -> dict[str, Any]:
    return {
        "id": secrets.token_hex(8),
        "user": user,
        "name": one.submission.name,
        "priority": one.submission.priority,
        "state": "queued",
        "wanted": "run",
        "spec": one.submission.spec,
        "submit_key": one.key,
        "submit_digest": one.submission.digest,
        "most_attempts": one.submission.most_attempts,
        "position": 0,
        "fencing": 0,
        "events": 1,
        "not_before": 0.0,
    }


def _insert_jobs(tx: Connection, rows: list[dict[str, Any]]) -> dict[str, int]:
    """The new jobs' numbers by id; those whose key is taken are left out."""
    jobs = schema.jobs
    insert_ = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    quiet = (
        insert_(jobs)
        .values(created_at=now())
        .on_conflict_do_nothing(index_elements=["user", "submit_key"])
        .returning(jobs.c.id, jobs.c.number)
    )
    return {row.id: row.number for row in tx.execute(quiet, rows)}


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


def _stages(job: int, one: Asked) -> list[dict[str, Any]]:
    rows = [
        {
            "job": job,
            "position": position,
            "name": stage.name,
            "after": json.dumps(stage.after),
            "settings": stage.text,
            "cpu": stage.needs.cpu,
            "gpus": stage.needs.gpus,
            "device": stage.needs.device,
            "hosts": stage.needs.hosts,
            "elastic": stage.needs.elastic,
            "state": "waiting",
            "failures": 0,
            "key": None,
        }
        for position, stage in enumerate(one.submission.stages)
    ]
    first = one.submission.stages[0]
    rows[0]["key"] = stage_key(first.name, first.settings, {})
    return rows


def _insert_stages(tx: Connection, rows: list[dict[str, Any]]) -> None:
    """Rows whose JSON columns are text already."""
    if tx.dialect.name == "sqlite":
        tx.execute(_STAGES, rows)
        return
    # One parameter for all rows: a fifth of the time of as many rows sent one by one.
    found = (
        func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
        .table_valued(
            *(column(name, _TEXTS.get(name, schema.stages.c[name].type)) for name in rows[0])
        )
        .render_derived(with_types=True)
    )
    chosen = [cast(one, JSON) if one.name in _TEXTS else one for one in found.c]
    tx.execute(
        insert(schema.stages).from_select(list(rows[0]), select(*chosen)),
        {"rows": json.dumps(rows)},
    )
