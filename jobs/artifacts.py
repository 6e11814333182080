"""Files by the hash of their bytes, and the rows that make them visible.

A file is kept whole first (see `jobs.files`), and only then named by a row; so a row's file is
always whole. Files without a row are swept. Files are named by hashes alone, and callers outside
know an artifact by an opaque id.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from jobs import schema
from jobs.clock import now
from jobs.database import Database
from jobs.errors import StoreCorruptError, StoreError, StoreFullError, UnknownError
from jobs.files import opened

_HASH = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Artifacts:
    """Files whose rows are in `database`."""

    def __init__(self, database: Database, address: str | Path) -> None:
        """Args:
        address: of the files, a folder or URL; see `files.opened`.

        Raises:
            StoreError: an address that cannot be used.
        """
        self.database = database
        self.files = opened(address)

    def put(self, source: Path) -> str:
        """Stores a copy of a file; returns its hash.

        Raises:
            StoreFullError: no space; nothing is left behind.
            StoreError: it cannot be read or written.
        """
        temporary = self.files.temporary()
        try:
            with source.open("rb") as file:
                found, size = _copy(file, temporary)
            # A sweep takes what was written long ago only, so it stays until its row is there.
            self.files.keep(temporary, found)
            with self.database.write(serial="artifacts") as tx:
                _add(tx, found, size)
        except OSError as error:
            kind = StoreFullError if error.errno in _FULL else StoreError
            raise kind(f"cannot store {source.name}: {error.strerror or error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        return found

    def open(self, digest: str) -> BinaryIO:
        """The file for reading.

        Raises:
            UnknownError: never stored.
            StoreCorruptError: stored, but the file is gone or of another size.
        """
        table = schema.artifacts
        if not _HASH.fullmatch(digest):
            raise UnknownError(f"no artifact has the hash {digest!r:.80}")
        with self.database.read() as tx:
            size = tx.execute(select(table.c.size).where(table.c.hash == digest)).scalar()
        if size is None:
            raise UnknownError(f"no artifact has the hash {digest}")
        try:
            file = self.files.open(digest)
        except OSError as error:
            raise StoreCorruptError(f"artifact {digest}: its file is gone ({error})") from error
        if length(file) != size:
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
        with self.database.write(serial="artifacts") as tx:
            known = set(tx.execute(select(schema.artifacts.c.hash)).scalars())
            orphans = [name for name in self.files.older(older_than_s) if name not in known]
            for name in orphans:
                self.files.remove(name)
        return len(orphans)


def length(file: BinaryIO) -> int:
    """Bytes of a file that can be sought in; it is at its start then."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


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
