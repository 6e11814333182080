"""Stages that run on several hosts at once: which slots are whose, and where the members meet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("stages", sa.Column("hosts", sa.Integer(), nullable=False, server_default="1"))
    op.add_column(
        "stages",
        sa.Column("elastic", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column("slots", sa.Column("member", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("attempts", sa.Column("meeting", sa.Text()))
    joined = sa.Column("joined", sa.Integer(), nullable=False, server_default="0")
    op.add_column("attempts", joined)
