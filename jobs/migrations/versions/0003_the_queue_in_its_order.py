"""The queue in its order: an index that a claim walks instead of sorting all that waits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index(op.f("ix_jobs_state_priority_number"), "jobs")
    op.create_index("ix_jobs_turn", "jobs", ["state", sa.text("priority DESC"), "number"])
