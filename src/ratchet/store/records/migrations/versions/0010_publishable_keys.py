"""Keys that live in browsers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("keys") as table:
        table.add_column(sa.Column("publishable", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("origins", sa.JSON(), nullable=False, server_default="[]"))
        table.add_column(sa.Column("signing_secret", sa.String(64), nullable=False, server_default=""))
    with op.batch_alter_table("keys") as table:
        for name in ("publishable", "origins", "signing_secret"):
            table.alter_column(name, server_default=None)
