"""What outlives a job: latency tables, supernets, and the candidates of a search."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from jobs import schema
from jobs.artifacts import require
from jobs.clock import now
from jobs.database import Database
from jobs.errors import UnknownError

Kind = Literal["tables", "supernets"]
_KINDS = {"tables": schema.tables, "supernets": schema.supernets}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A shared file.

    Attributes:
        job: id of the job that made it, None for an upload.
    """

    id: str
    hash: str
    name: str
    job: str | None
    details: dict[str, Any]
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """A config that a search proposes, with its figures by name."""

    id: str
    name: str
    config: dict[str, Any]
    figures: dict[str, Any]


def register(
    database: Database,
    kind: Kind,
    digest: str,
    name: str,
    details: Mapping[str, object],
    job: str | None = None,
) -> str:
    """Lists an artifact as a shared asset; listed before, it keeps its id, which is returned."""
    table = _KINDS[kind]
    row = {"hash": digest, "name": name[:200], "job": job, "details": dict(details)}
    with database.write() as tx:
        require(tx, [digest])
        insert = sqlite.insert if database.sqlite else postgresql.insert
        new = insert(table).values(id=secrets.token_hex(8), created_at=now(), **row)
        tx.execute(new.on_conflict_do_nothing(index_elements=["hash"]))
        found: str = tx.execute(select(table.c.id).where(table.c.hash == digest)).scalar_one()
    return found


def assets(database: Database, kind: Kind, limit: int = 1000) -> list[Asset]:
    """The newest shared assets first."""
    table = _KINDS[kind]
    query = select(*table.c["id", "hash", "name", "job", "details", "created_at"])
    with database.read() as tx:
        rows = tx.execute(query.order_by(table.c.number.desc()).limit(limit))
        return [Asset(**row._mapping) for row in rows]


def hash_of(database: Database, kind: Kind, asset_id: str) -> str:
    """The hash of an asset's file.

    Raises:
        UnknownError: no such asset.
    """
    table = _KINDS[kind]
    with database.read() as tx:
        found: str | None = tx.execute(select(table.c.hash).where(table.c.id == asset_id)).scalar()
    if found is None:
        raise UnknownError(f"none of the {kind} has the id {asset_id!r:.60}")
    return found


def set_candidates(
    database: Database, job_id: str, found: Mapping[str, tuple[object, object]]
) -> None:
    """Keeps the job's candidates by name: config and figures, both JSON; told again, replaced."""
    table = schema.candidates
    with database.write() as tx:
        query = select(schema.jobs.c.number).where(schema.jobs.c.id == job_id)
        if (job := tx.execute(query).scalar()) is None:
            raise UnknownError(f"no job has the id {job_id!r:.60}")
        insert = sqlite.insert if database.sqlite else postgresql.insert
        for name, (config, figures) in found.items():
            row = insert(table).values(
                id=secrets.token_hex(8),
                job=job,
                name=name,
                config=config,
                figures=figures,
                created_at=now(),
            )
            changed = {"config": config, "figures": figures}
            tx.execute(row.on_conflict_do_update(index_elements=["job", "name"], set_=changed))


def candidates(database: Database, job_id: str) -> list[CandidateRow]:
    """A job's candidates in the order they were kept."""
    table, jobs = schema.candidates, schema.jobs
    query = (
        select(*table.c["id", "name", "config", "figures"])
        .join(jobs, jobs.c.number == table.c.job)
        .where(jobs.c.id == job_id)
        .order_by(table.c.number)
    )
    with database.read() as tx:
        return [CandidateRow(**row._mapping) for row in tx.execute(query)]
