"""What is said of models: stars of members, and scores of public leaderboards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from ratchet.domain.stars import MOST_STARS, Hint, Star
from ratchet.errors import InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records

__all__ = ["give_stars", "keep_hints", "list_hints", "list_stars", "take_back_stars"]

_LONGEST_COMMENT = 2000
_stars, _hints = schema.model_stars, schema.model_hints


def list_stars(records: Records, *, project_id: str, model: str = "") -> list[Star]:
    """Every member's stars, the newest change first; of one model where it is named."""
    query = select(_stars).where(_stars.c.project_id == project_id)
    if model:
        query = query.where(_stars.c.model == model)
    with records.read() as connection:
        rows = connection.execute(query).mappings().all()
    return sorted((_star(row) for row in rows), key=lambda star: (-star.changed, star.model, star.member))


def give_stars(
    records: Records, *, project_id: str, model: str, member: str, stars: int, comment: str, now: int
) -> Star:
    """A member's stars for a model; given again, the new ones count. Raises InvalidRequest."""
    if not 1 <= stars <= MOST_STARS:
        raise InvalidRequest(f"stars is {stars}.", f"Give 1 to {MOST_STARS} stars.", param="stars")
    comment = comment.strip()
    if len(comment) > _LONGEST_COMMENT:
        raise InvalidRequest(
            f"The comment has {len(comment):,} characters.",
            f"Use at most {_LONGEST_COMMENT:,}.",
            param="comment",
        )
    star = Star(model=model, member=member, stars=stars, comment=comment, created=now, changed=now)
    with records.write() as connection:
        _upsert(
            connection, _stars, [{"project_id": project_id, **_row(star)}], ("stars", "comment", "changed")
        )
    return star


def take_back_stars(records: Records, *, project_id: str, model: str, member: str) -> None:
    """Raises NotFound where there are none."""
    theirs = delete(_stars).where(
        _stars.c.project_id == project_id, _stars.c.model == model, _stars.c.member == member
    )
    with records.write() as connection:
        if not connection.execute(theirs).rowcount:
            raise NotFound(f"You have given {model} no stars.", "There is nothing to take back.")


def list_hints(records: Records, *, project_id: str, model: str = "") -> list[Hint]:
    """Every imported score, by model, benchmark and source; of one model where it is named."""
    query = select(_hints).where(_hints.c.project_id == project_id)
    if model:
        query = query.where(_hints.c.model == model)
    with records.read() as connection:
        rows = connection.execute(query).mappings().all()
    return sorted((_hint(row) for row in rows), key=lambda hint: (hint.model, hint.benchmark, hint.source))


def keep_hints(records: Records, hints: Sequence[Hint], *, project_id: str) -> None:
    """Keep scores, all or none; one for the same model, benchmark and source is replaced."""
    if not hints:
        return
    rows = [{"project_id": project_id, **_row(hint)} for hint in hints]
    with records.write() as connection:
        _upsert(connection, _hints, rows, ("score", "date", "listed_as", "imported", "imported_by"))


def _upsert(
    connection: Connection, table: Table, rows: list[dict[str, Any]], replaced: tuple[str, ...]
) -> None:
    """Insert; where a row of the same key is there already, replace those columns."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    changes = {name: statement.excluded[name] for name in replaced}
    keys = [column.name for column in table.primary_key]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changes), rows)


def _row(value: Star | Hint) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _star(row: RowMapping) -> Star:
    return Star(**{name: row[name] for name in Star.__struct_fields__})


def _hint(row: RowMapping) -> Hint:
    return Hint(**{name: row[name] for name in Hint.__struct_fields__})
