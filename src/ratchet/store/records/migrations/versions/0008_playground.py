"""Drafts of the playground, and the last answers to their columns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "playground_drafts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(320), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_playground_drafts"),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["projects.id"],
            name="fk_playground_drafts_project_id_projects",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_playground_drafts_project_id", "playground_drafts", ["project_id"])
    op.create_table(
        "playground_answers",
        sa.Column("draft_id", sa.String(32), nullable=False),
        sa.Column("column_id", sa.Integer, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("draft_id", "column_id", name="pk_playground_answers"),
        sa.ForeignKeyConstraint(
            ["draft_id"],
            ["playground_drafts.id"],
            name="fk_playground_answers_draft_id_playground_drafts",
            ondelete="CASCADE",
        ),
    )
