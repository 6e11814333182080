"""One database, SQLite or PostgreSQL: connections, transactions, and errors in our words.

Knows nothing of jobs. `read` sees one state of the database; `write` is all or nothing, and what
it did is on disk when it returns. SQLite has one writer at a time, who asks for that place at the
start (BEGIN IMMEDIATE), so that nobody fails half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from jobs.errors import StoreCorruptError, StoreError, StoreFullError, StoreUnavailableError
from jobs.gate import Gate

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]
Serial = Literal["claim", "artifacts", "migrate"]
_PLACES: dict[Serial, int] = {"claim": 7_301_001, "artifacts": 7_301_002, "migrate": 7_301_003}
_BUSY_S = 30.0
_WRITERS = 4  # transactions of one process at once; more only wait for each other
_CORRUPT = ("not a database", "malformed", "invalid page", "could not read block")
_FULL = ("database or disk is full", "no space left")


class Database:
    """A pool of connections; safe to share between threads, not across a fork.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.

    Raises:
        StoreError: another kind of URL, or its driver is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = _parse(url)
        self.sqlite = parsed.get_backend_name() == "sqlite"
        try:
            self.engine = _sqlite(parsed) if self.sqlite else _postgresql(parsed)
        except ImportError:
            raise StoreError(
                "PostgreSQL needs the extra [postgresql]: pip install 'stairprune[postgresql]'"
            ) from None
        self._writers = Gate(1 if self.sqlite else _WRITERS)

    def __repr__(self) -> str:
        return f"Database({self.engine.url.render_as_string(hide_password=True)})"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with self._errors(), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, serial: Serial | None = None, durable: bool = True) -> Iterator[Connection]:
        """A transaction that writes; committed at the end, undone on an exception.

        Args:
            serial: only one of these at a time, in the whole database.
            durable: False where the loss of the last moments before a power cut is no harm.
        """
        with self._errors(), self._writers, self.engine.connect() as connection:
            if self.sqlite:
                connection.execution_options(begin="IMMEDIATE", durable=durable)
            with connection.begin():
                if not self.sqlite and not durable:
                    connection.execute(text("SET LOCAL synchronous_commit = off"))
                if not self.sqlite and serial is not None:
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_PLACES[serial]})"))
                yield connection

    def check(self) -> None:
        """Reads an SQLite file through, page by page; PostgreSQL checks its own pages.

        Raises:
            StoreCorruptError: damaged.
        """
        if not self.sqlite:
            return
        with self.read() as tx:
            found = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise StoreCorruptError(f"{self.engine.url.database}: damaged ({found}); {_REMEDY}")

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeoutError as error:
            raise StoreUnavailableError(f"the store is overloaded: {error}") from error
        except DBAPIError as error:
            if (ours := _translate(error)) is not None:
                raise ours from error
            raise


_REMEDY = "restore it from a backup"


def _translate(error: DBAPIError) -> StoreError | None:
    """Our error for what the outside world did; None for what only a bug can do."""
    line = " ".join(str(error.orig).split())
    lower = line.lower()
    if any(sign in lower for sign in _CORRUPT):
        return StoreCorruptError(f"the database is damaged ({line}); {_REMEDY}")
    if any(sign in lower for sign in _FULL):
        return StoreFullError(f"no space is left for the database ({line})")
    # SQLite calls a missing table operational; that is a bug, and waiting would not help.
    if isinstance(error, OperationalError) and not lower.startswith("no such"):
        return StoreUnavailableError(f"the store does not answer: {line}")
    return None


def _parse(url: str) -> URL:
    rule = "a store must be sqlite:///FILE or postgresql://USER@HOST/NAME"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"{rule}, but got something that is no URL") from None
    name = parsed.get_backend_name()
    if name == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if name != "sqlite":
        raise StoreError(f"{rule}, but got one of {name!r}")
    if parsed.database in (None, "", ":memory:"):
        raise StoreError(f"{rule}, but got an SQLite database without a file")
    return parsed


def _postgresql(url: URL) -> Engine:
    return create_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": "stairprune"},
    )


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=8, max_overflow=8, connect_args={"timeout": _BUSY_S})

    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None  # We say BEGIN ourselves, below.
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        level = "FULL" if options.get("durable", True) else "NORMAL"
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.exec_driver_sql(f"BEGIN {options.get('begin', 'DEFERRED')}")

    return engine
