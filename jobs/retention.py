"""Which jobs and attempts ended so long ago that what they left behind may go.

Only asks; whoever keeps the files removes them. Ages are by the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from jobs import schema
from jobs.clock import now
from jobs.database import AnySelect, Database

_AT_ONCE = 500


def ended_jobs(database: Database, ids: Sequence[str], older_than_s: float) -> set[str]:
    """Those of these jobs that ended so long ago, or that the store does not know."""
    jobs = schema.jobs
    return _without(database, ids, select(jobs.c.id), jobs.c.id, older_than_s)


def ended_attempts(database: Database, ids: Sequence[str], older_than_s: float) -> set[str]:
    """Those of these attempts whose job ended so long ago, or that the store does not know."""
    jobs, attempts = schema.jobs, schema.attempts
    query = select(attempts.c.id).join(jobs, jobs.c.number == attempts.c.job)
    return _without(database, ids, query, attempts.c.id, older_than_s)


def _without(
    database: Database,
    ids: Sequence[str],
    query: AnySelect,
    column: ColumnElement[Any],
    older_than_s: float,
) -> set[str]:
    """`ids` without what is still needed."""
    finished = schema.jobs.c.finished_at
    needed = query.where(finished.is_(None) | (finished > now() - older_than_s))
    kept: set[str] = set()
    for some in _parts(ids):
        with database.read() as tx:
            kept |= set(tx.execute(needed.where(column.in_(some))).scalars())
    return set(ids) - kept


def _parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(ids), _AT_ONCE):
        yield ids[first : first + _AT_ONCE]
