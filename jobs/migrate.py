"""Brings a database to the current schema; run at every start, by as many at once as like."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from jobs.database import Database
from jobs.errors import StoreError
from jobs.schema import VERSION_TABLE


def upgrade(database: Database, to: str = "head") -> None:
    """Creates the tables, or changes those of an older version.

    Args:
        to: the version wanted; another than the newest is for tests.

    Raises:
        StoreCorruptError: see `Database.check`.
        StoreError: the database was written by a newer stairprune.
    """
    database.check()
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    with database.write(serial="migrate") as tx:
        found = revision(tx)
        if found == scripts.get_current_head():
            return
        if found is not None and found not in {s.revision for s in scripts.walk_revisions()}:
            raise StoreError(
                f"{database}: its schema {found!r} is of a newer stairprune; upgrade stairprune"
            )
        config.attributes["connection"] = tx
        command.upgrade(config, to)


def revision(tx: Connection) -> str | None:
    """The schema's version, None for a database without our tables."""
    context = MigrationContext.configure(tx, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
