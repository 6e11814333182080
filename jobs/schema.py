"""The tables of the store. `jobs/migrations` brings a database to this state.

Times are seconds since 1970 by the database's clock. `number` is a row's own key and never
leaves the store; `id` is what the outside sees, opaque. A job's spec and a stage's settings are
JSON that nobody here looks into.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

# The key of `alembic_version` belongs to whoever else lives in the database, Optuna for one.
VERSION_TABLE = "stairprune_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Big = BigInteger().with_variant(Integer(), "sqlite")


def _number() -> Column[int]:
    return Column("number", _Big, primary_key=True, autoincrement=True)


def _job(index: bool = False) -> Column[int]:
    key = ForeignKey("jobs.number", ondelete="CASCADE")
    return Column("job", _Big, key, nullable=False, index=index)


users = Table(
    "users",
    metadata,
    _number(),
    Column("name", String(100), nullable=False, unique=True),
    Column("most_running", Integer, nullable=False),
    Column("most_open", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    _number(),
    Column("user", _Big, ForeignKey("users.number"), nullable=False),
    Column("label", String(100), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
)

jobs = Table(
    "jobs",
    metadata,
    _number(),
    Column("id", String(32), nullable=False, unique=True),
    Column("user", _Big, ForeignKey("users.number"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("spec", Text, nullable=False),
    Column("submit_key", String(200)),
    Column("submit_digest", String(64), nullable=False),
    Column("most_attempts", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("fencing", _Big, nullable=False),
    Column("events", Integer, nullable=False),
    Column("not_before", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Column("error", Text),
    UniqueConstraint("user", "submit_key"),
    Index(None, "user", "state"),
)
# The order of the queue: a claim walks it, however many jobs wait.
Index("ix_jobs_turn", jobs.c.state, jobs.c.priority.desc(), jobs.c.number)

stages = Table(
    "stages",
    metadata,
    _number(),
    _job(),
    Column("position", Integer, nullable=False),
    Column("name", String(100), nullable=False),
    Column("after", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("cpu", String(8), nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("device", String(100)),
    Column("hosts", Integer, nullable=False, server_default="1"),
    Column("elastic", Boolean, nullable=False, server_default=false()),
    Column("state", String(16), nullable=False),
    Column("key", String(64)),
    Column("failures", Integer, nullable=False),
    Column("files", JSON),
    Column("reused_from", String(32)),
    Column("error", Text),
    UniqueConstraint("job", "position"),
    UniqueConstraint("job", "name"),
    Index(None, "key"),
)

attempts = Table(
    "attempts",
    metadata,
    _number(),
    Column("id", String(32), nullable=False, unique=True),
    _job(index=True),
    Column("stage", _Big, ForeignKey("stages.number", ondelete="CASCADE"), nullable=False),
    Column("state", String(16), nullable=False),
    Column("host", String(200), nullable=False),
    Column("pid", Integer),
    Column("fencing", _Big, nullable=False),
    Column("claimed_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("done", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("note", Text, nullable=False),
    Column("error", Text),
    Column("meeting", Text),
    Column("joined", Integer, nullable=False, server_default="0"),
)

leases = Table(
    "leases",
    metadata,
    Column(
        "job",
        _Big,
        ForeignKey("jobs.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("attempt", _Big, ForeignKey("attempts.number", ondelete="CASCADE"), nullable=False),
    Column("host", String(200), nullable=False),
    Column("fencing", _Big, nullable=False),
    Column("lasts_s", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

slots = Table(
    "slots",
    metadata,
    Column("host", String(200), primary_key=True),
    Column("device", String(100), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("member", Integer, nullable=False, server_default="0"),
    Column(
        "attempt",
        _Big,
        ForeignKey("attempts.number", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
)

executors = Table(
    "executors",
    metadata,
    Column("host", String(200), primary_key=True),
    Column("cpu_slots", Integer, nullable=False),
    Column("gpus", JSON, nullable=False),
    Column("classes", JSON, nullable=False, server_default="[]"),
    Column("lasts_s", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column(
        "job",
        _Big,
        ForeignKey("jobs.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("size", _Big, nullable=False),
    Column("created_at", Float, nullable=False),
)

results = Table(
    "results",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("stage", String(100), nullable=False),
    Column("files", JSON, nullable=False),
    Column("job", String(32), nullable=False),
    Column("created_at", Float, nullable=False),
)


def _asset(name: str) -> Table:
    """A file that outlives its job, with what is worth knowing before it is opened."""
    return Table(
        name,
        metadata,
        _number(),
        Column("id", String(32), nullable=False, unique=True),
        Column("hash", String(64), ForeignKey("artifacts.hash"), nullable=False, unique=True),
        Column("name", String(200), nullable=False),
        Column("job", String(32)),
        Column("details", JSON, nullable=False),
        Column("created_at", Float, nullable=False),
    )


tables = _asset("tables")
supernets = _asset("supernets")
