"""What outlives a job: latency tables and supernets."""

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
from jobs.database import AnySelect, Database
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
    with database.read() as tx:
        rows = tx.execute(_query(kind).order_by(_KINDS[kind].c.number.desc()).limit(limit))
        return [Asset(**row._mapping) for row in rows]


def asset(database: Database, kind: Kind, asset_id: str) -> Asset:
    """One by its id.

    Raises:
        UnknownError: no such asset.
    """
    with database.read() as tx:
        row = tx.execute(_query(kind).where(_KINDS[kind].c.id == asset_id)).first()
    if row is None:
        raise UnknownError(f"none of the {kind} has the id {asset_id!r:.60}")
    return Asset(**row._mapping)


def _query(kind: Kind) -> AnySelect:
    return select(*_KINDS[kind].c["id", "hash", "name", "job", "details", "created_at"])
