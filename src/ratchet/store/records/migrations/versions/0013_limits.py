"""Limits, segments and budgets that are declared in the studio."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for table in ("limits", "segments", "budgets"):
        op.create_table(
            table,
            sa.Column("name", sa.String(100), nullable=False),
            sa.Column("project_id", sa.String(64), nullable=False),
            sa.Column("settings", sa.JSON, nullable=False),
            sa.Column("created", sa.BigInteger, nullable=False),
            sa.Column("created_by", sa.String(320), nullable=False),
            sa.Column("updated", sa.BigInteger, nullable=False),
            sa.Column("updated_by", sa.String(320), nullable=False),
            sa.PrimaryKeyConstraint("name", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                ["project_id"], ["projects.id"], name=f"fk_{table}_project_id_projects", ondelete="CASCADE"
            ),
        )
        op.create_index(f"ix_{table}_project_id", table, ["project_id"])
