"""What members decide about callers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "standings",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_standings"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_standings_project_id_projects", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("project_id", "kind", "name", name="uq_standings_project_id"),
    )
