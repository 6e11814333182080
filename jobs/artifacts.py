"""Files by the hash of their bytes, and the rows that make them visible.

A file is written under a temporary name, synced, renamed, its folder synced, and only then named
by a row; so a row's file is always whole. Files without a row are swept. Paths are made of
hashes alone, and callers outside know an artifact by an opaque id.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from jobs import schema
from jobs.clock import now
from jobs.database import Database
from jobs.errors import StoreCorruptError, StoreError, StoreFullError, UnknownError

_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Artifacts:
    """A folder of files whose rows are in `database`."""

    def __init__(self, database: Database, root: Path) -> None:
        self.database = database
        self.root = root
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)

    def put(self, source: Path) -> str:
        """Stores a copy of a file; returns its hash.

        Raises:
            StoreFullError: no space; nothing is left behind.
            StoreError: it cannot be read or written.
        """
        temporary = self._temporary / secrets.token_hex(8)
        try:
            with source.open("rb") as file:
                found, size = _copy(file, temporary)
            target = self.path(found)
            target.parent.mkdir(exist_ok=True)
            # The row is written while no sweep runs: it would take the file away before.
            with self.database.write(serial="artifacts") as tx:
                temporary.replace(target)
                _sync(target.parent)
                _sync(self.root)
                _add(tx, found, size)
        except OSError as error:
            kind = StoreFullError if error.errno in _FULL else StoreError
            raise kind(f"cannot store {source.name}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return found

    def path(self, digest: str) -> Path:
        """Where the file of a hash lies, whether there or not."""
        if not _HASH.fullmatch(digest):
            raise UnknownError(f"no artifact has the hash {digest!r:.80}")
        return self.root / digest[:2] / digest

    def open(self, digest: str) -> BinaryIO:
        """The file for reading.

        Raises:
            UnknownError: never stored.
            StoreCorruptError: stored, but the file is gone or of another size.
        """
        table, path = schema.artifacts, self.path(digest)
        with self.database.read() as tx:
            size = tx.execute(select(table.c.size).where(table.c.hash == digest)).scalar()
        if size is None:
            raise UnknownError(f"no artifact has the hash {digest}")
        try:
            number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError as error:
            raise StoreCorruptError(f"artifact {digest}: its file is gone ({error})") from error
        file = os.fdopen(number, "rb")
        if os.fstat(number).st_size != size:
            file.close()
            raise StoreCorruptError(f"artifact {digest}: its file does not have {size} bytes")
        return file

    def hash_of(self, artifact_id: str) -> str:
        """The hash behind an opaque id."""
        table = schema.artifacts
        with self.database.read() as tx:
            query = select(table.c.hash).where(table.c.id == artifact_id)
            found: str | None = tx.execute(query).scalar()
        if found is None:
            raise UnknownError(f"no artifact has the id {artifact_id!r:.60}")
        return found

    def ids(self, hashes: Iterable[str]) -> dict[str, str]:
        """Opaque ids by hash; hashes that are not stored are left out."""
        table = schema.artifacts
        query = select(table.c.hash, table.c.id).where(table.c.hash.in_(set(hashes)))
        with self.database.read() as tx:
            return {row.hash: row.id for row in tx.execute(query)}

    def copy(self, digest: str, target: Path) -> None:
        """Writes the file to `target`, checked against its hash.

        Raises:
            StoreCorruptError: its bytes changed since it was stored.
        """
        temporary = target.with_name(target.name + ".tmp")
        with self.open(digest) as file:
            found, _ = _copy(file, temporary)
        if found != digest:
            temporary.unlink()
            raise StoreCorruptError(f"artifact {digest}: its bytes are not what was stored")
        temporary.replace(target)

    def sweep(self, older_than_s: float = 3600.0) -> int:
        """Removes files that no row names; returns how many.

        Args:
            older_than_s: younger ones may belong to a `put` that is under way.
        """
        limit = time.time() - older_than_s
        with self.database.write(serial="artifacts") as tx:
            known = set(tx.execute(select(schema.artifacts.c.hash)).scalars())
            orphans = [
                path
                for path in self.root.glob("*/*")
                if path.name not in known and path.lstat().st_mtime < limit
            ]
            for path in orphans:
                path.unlink()
        return len(orphans)


def require(tx: Connection, hashes: Iterable[str]) -> None:
    """Holds that all are stored.

    Raises:
        UnknownError: one is not.
    """
    wanted, table = set(hashes), schema.artifacts
    query = select(table.c.hash).where(table.c.hash.in_(wanted))
    if missing := sorted(wanted - set(tx.execute(query).scalars())):
        raise UnknownError(f"no artifact has the hash {missing[0]!r:.80}")


def _copy(source: BinaryIO, target: Path) -> tuple[str, int]:
    """Copies to disk, synced; returns hash and size."""
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), size


def _add(tx: Connection, digest: str, size: int) -> None:
    insert = sqlite.insert if tx.dialect.name == "sqlite" else postgresql.insert
    row = insert(schema.artifacts).values(
        hash=digest, id=secrets.token_hex(8), size=size, created_at=now()
    )
    tx.execute(row.on_conflict_do_nothing(index_elements=["hash"]))


def _sync(folder: Path) -> None:
    """Makes renames in a folder last through a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
