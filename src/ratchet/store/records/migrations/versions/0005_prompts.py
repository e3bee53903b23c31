"""Prompts, their versions and comments, and what their labels serve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "prompts",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompts"),
        sa.UniqueConstraint("project_id", "name", name="uq_prompts_project_id"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_prompts_project_id_projects", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("prompt_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("template", sa.JSON, nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("parent", sa.Integer, nullable=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_versions"),
        sa.UniqueConstraint("prompt_id", "number", name="uq_prompt_versions_prompt_id"),
        _of_prompt("prompt_versions"),
    )
    op.create_table(
        "prompt_comments",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("prompt_id", sa.String(32), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("author", sa.String(320), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_prompt_comments"),
        _of_prompt("prompt_comments"),
    )
    op.create_index("ix_prompt_comments_prompt_id", "prompt_comments", ["prompt_id"])
    op.create_table(
        "releases",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("prompt_id", sa.String(32), nullable=False),
        sa.Column("label", sa.String(40), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("split", sa.JSON, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.String(320), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("gate_run_id", sa.String(64), nullable=False),
        sa.Column("restores", sa.Integer, nullable=False),
        sa.Column("canary", sa.JSON(none_as_null=True)),
        sa.PrimaryKeyConstraint("id", name="pk_releases"),
        sa.UniqueConstraint("prompt_id", "label", "number", name="uq_releases_prompt_id"),
        _of_prompt("releases"),
    )


def _of_prompt(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["prompt_id"], ["prompts.id"], name=f"fk_{table}_prompt_id_prompts", ondelete="CASCADE"
    )
