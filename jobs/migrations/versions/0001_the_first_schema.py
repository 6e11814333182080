"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("size", Big, nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_artifacts")),
        sa.UniqueConstraint("id", name=op.f("uq_artifacts_id")),
    )
    op.create_table(
        "executors",
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("cpu_slots", sa.Integer(), nullable=False),
        sa.Column("gpus", sa.JSON(), nullable=False),
        sa.Column("lasts_s", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_executors")),
    )
    op.create_table(
        "results",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=100), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_results")),
    )
    op.create_table(
        "users",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("most_running", sa.Integer(), nullable=False),
        sa.Column("most_open", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "jobs",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user", Big, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.String(length=16), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("submit_key", sa.String(length=200), nullable=True),
        sa.Column("submit_digest", sa.String(length=64), nullable=False),
        sa.Column("most_attempts", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("fencing", Big, nullable=False),
        sa.Column("events", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.Float(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.number"], name=op.f("fk_jobs_user")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_jobs_id")),
        sa.UniqueConstraint("user", "submit_key", name=op.f("uq_jobs_user_submit_key")),
    )
    op.create_index(op.f("ix_jobs_state_priority_number"), "jobs", ["state", "priority", "number"])
    op.create_index(op.f("ix_jobs_user_state"), "jobs", ["user", "state"])

    op.create_table(
        "supernets",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("job", sa.String(length=32), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["artifacts.hash"], name=op.f("fk_supernets_hash")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_supernets")),
        sa.UniqueConstraint("hash", name=op.f("uq_supernets_hash")),
        sa.UniqueConstraint("id", name=op.f("uq_supernets_id")),
    )
    op.create_table(
        "tables",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("job", sa.String(length=32), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["hash"], ["artifacts.hash"], name=op.f("fk_tables_hash")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tables")),
        sa.UniqueConstraint("hash", name=op.f("uq_tables_hash")),
        sa.UniqueConstraint("id", name=op.f("uq_tables_id")),
    )
    op.create_table(
        "tokens",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("user", Big, nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.number"], name=op.f("fk_tokens_user")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
    )
    op.create_table(
        "candidates",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("job", Big, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.number"], name=op.f("fk_candidates_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_candidates")),
        sa.UniqueConstraint("id", name=op.f("uq_candidates_id")),
        sa.UniqueConstraint("job", "name", name=op.f("uq_candidates_job_name")),
    )
    op.create_table(
        "events",
        sa.Column("job", Big, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.number"], name=op.f("fk_events_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", "number", name=op.f("pk_events")),
    )
    op.create_table(
        "stages",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("job", Big, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("cpu", sa.String(length=8), nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=True),
        sa.Column("reused_from", sa.String(length=32), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.number"], name=op.f("fk_stages_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_stages")),
        sa.UniqueConstraint("job", "name", name=op.f("uq_stages_job_name")),
        sa.UniqueConstraint("job", "position", name=op.f("uq_stages_job_position")),
    )
    op.create_index(op.f("ix_stages_key"), "stages", ["key"])

    op.create_table(
        "attempts",
        sa.Column("number", Big, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("job", Big, nullable=False),
        sa.Column("stage", Big, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("fencing", Big, nullable=False),
        sa.Column("claimed_at", sa.Float(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.number"], name=op.f("fk_attempts_job"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["stage"], ["stages.number"], name=op.f("fk_attempts_stage"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_attempts")),
        sa.UniqueConstraint("id", name=op.f("uq_attempts_id")),
    )
    op.create_index(op.f("ix_attempts_job"), "attempts", ["job"])

    op.create_table(
        "leases",
        sa.Column("job", Big, autoincrement=False, nullable=False),
        sa.Column("attempt", Big, nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("fencing", Big, nullable=False),
        sa.Column("lasts_s", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.number"], name=op.f("fk_leases_attempt"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job"], ["jobs.number"], name=op.f("fk_leases_job"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_leases")),
    )
    op.create_index(op.f("ix_leases_expires_at"), "leases", ["expires_at"])

    op.create_table(
        "slots",
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("device", sa.String(length=100), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", Big, nullable=False),
        sa.ForeignKeyConstraint(
            ["attempt"], ["attempts.number"], name=op.f("fk_slots_attempt"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("host", "device", "slot", name=op.f("pk_slots")),
    )
    op.create_index(op.f("ix_slots_attempt"), "slots", ["attempt"])
