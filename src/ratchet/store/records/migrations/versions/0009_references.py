"""Whose reference a case has."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_AT_ONCE = 500


def upgrade() -> None:
    op.add_column(
        "dataset_cases", sa.Column("referenced", sa.String(8), nullable=False, server_default="none")
    )
    cases = sa.table(
        "dataset_cases",
        sa.column("dataset_id"),
        sa.column("case_id"),
        sa.column("since"),
        sa.column("content"),
        sa.column("referenced"),
    )
    connection = op.get_bind()
    found = [
        {"dataset": dataset_id, "case": case_id, "begun": since, "whose": whose}
        for dataset_id, case_id, since, content in connection.execute(
            sa.select(cases.c.dataset_id, cases.c.case_id, cases.c.since, cases.c.content)
        )
        if (whose := _whose(msgspec.json.decode(content))) != "none"
    ]
    change = (
        sa.update(cases)
        .where(
            cases.c.dataset_id == sa.bindparam("dataset"),
            cases.c.case_id == sa.bindparam("case"),
            cases.c.since == sa.bindparam("begun"),
        )
        .values(referenced=sa.bindparam("whose"))
    )
    for start in range(0, len(found), _AT_ONCE):
        connection.execute(change, found[start : start + _AT_ONCE])
    with op.batch_alter_table("dataset_cases") as table:
        table.alter_column("referenced", server_default=None)


def _whose(case: dict[str, Any]) -> str:
    """As the case would be counted today."""
    return "none" if case.get("reference") is None else "model" if case.get("reference_by") else "person"
