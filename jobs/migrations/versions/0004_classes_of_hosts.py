"""Classes of hosts, and stages that only hosts of one class may run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("stages", sa.Column("device", sa.String(100)))
    classes = sa.Column("classes", sa.JSON(), nullable=False, server_default="[]")
    op.add_column("executors", classes)
