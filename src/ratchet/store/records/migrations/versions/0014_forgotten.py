"""Whose answers caches are to forget."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "forgotten",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name_hash", sa.String(32), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name_hash", name="pk_forgotten"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_forgotten_project_id_projects", ondelete="CASCADE"
        ),
    )
