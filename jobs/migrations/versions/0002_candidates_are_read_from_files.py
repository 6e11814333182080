"""Candidates are read from the files of finished stages; their table was never filled."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.drop_table("candidates")
