"""Stars that members give to models, and imported leaderboard scores."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "model_stars",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("member", sa.String(320), nullable=False),
        sa.Column("stars", sa.Integer, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "model", "member", name="pk_model_stars"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_model_stars_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "model_hints",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("benchmark", sa.String(150), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("date", sa.String(10), nullable=False),
        sa.Column("listed_as", sa.String(200), nullable=False),
        sa.Column("imported", sa.BigInteger, nullable=False),
        sa.Column("imported_by", sa.String(320), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "model", "benchmark", "source", name="pk_model_hints"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_model_hints_project_id_projects", ondelete="CASCADE"
        ),
    )
