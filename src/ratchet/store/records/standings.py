"""Standings: what members have decided about callers."""

from __future__ import annotations

import math

from sqlalchemy import RowMapping, delete, insert, or_, select

from ratchet.domain.standings import Action, Standing, checked_subject
from ratchet.errors import InvalidRequest, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.keys import GATEWAY_TOPIC
from ratchet.store.records.secret import new_id

__all__ = ["drop_standing", "list_standings", "live_standings", "put_standing"]

_LONGEST = 500  # characters of a reason or a note


def put_standing(
    records: Records,
    *,
    project_id: str,
    kind: str,
    name: str,
    action: Action,
    now: int,
    by: str,
    factor: float = 1.0,
    reason: str = "",
    note: str = "",
    until: int | None = None,
) -> Standing:
    """Decide about a subject; what was decided before gives way. Gateways follow within a second. Raises InvalidRequest."""
    kept_kind, kept_name = checked_subject(kind, name)
    _check(action, factor, reason, note, until, now)
    made = Standing(
        id=new_id(),
        project_id=project_id,
        kind=kept_kind,
        name=kept_name,
        action=action,
        factor=factor if action == "raise" else 1.0,
        reason=reason.strip(),
        note=note.strip(),
        until=until,
        created=now,
        created_by=by,
    )
    columns = schema.standings.c
    with records.write(GATEWAY_TOPIC) as connection:
        connection.execute(
            delete(schema.standings).where(
                columns.project_id == project_id, columns.kind == kept_kind, columns.name == kept_name
            )
        )
        row = {field: getattr(made, field) for field in Standing.__struct_fields__}
        connection.execute(insert(schema.standings).values(**row))
    return made


def _check(action: Action, factor: float, reason: str, note: str, until: int | None, now: int) -> None:
    if action == "raise" and not (math.isfinite(factor) and 0.001 <= factor <= 1000):
        raise InvalidRequest(
            f"Limits can't be multiplied with {factor}.", "Give a factor from 0.001 to 1000.", param="factor"
        )
    if action == "raise" and factor == 1:
        raise InvalidRequest(
            "raise needs a factor: what limits are multiplied with.",
            "Give one, such as 3; 1 changes nothing.",
            param="factor",
        )
    if action != "raise" and factor != 1:
        raise InvalidRequest(
            f"A factor is for raise, and this is {action}.", "Leave it out, or decide raise.", param="factor"
        )
    for field, text in (("reason", reason), ("note", note)):
        if len(text) > _LONGEST:
            raise InvalidRequest(
                f"The {field} has {len(text)} characters.", f"Give {_LONGEST} at most.", param=field
            )
    if until is not None and until <= now:
        raise InvalidRequest(
            "The standing would have ended already.", "Give a moment in the future.", param="until"
        )


def drop_standing(records: Records, *, project_id: str, standing_id: str) -> Standing:
    """Take a decision back. Raises NotFound."""
    columns = schema.standings.c
    mine = (columns.project_id == project_id) & (columns.id == standing_id)
    with records.write(GATEWAY_TOPIC) as connection:
        row = connection.execute(select(schema.standings).where(mine)).mappings().first()
        if row is None:
            raise NotFound(
                f"There is no standing {standing_id!r}.", "`ratchet standing list` shows those there are."
            )
        connection.execute(delete(schema.standings).where(mine))
    return _standing(row)


def list_standings(records: Records, *, project_id: str) -> list[Standing]:
    """Of a project, newest first, those that have ended too."""
    columns = schema.standings.c
    query = (
        select(schema.standings)
        .where(columns.project_id == project_id)
        .order_by(columns.created.desc(), columns.id)
    )
    with records.read() as connection:
        return [_standing(row) for row in connection.execute(query).mappings()]


def live_standings(records: Records, *, now: int) -> list[Standing]:
    """Every project's that have not ended: what a gateway needs to know."""
    columns = schema.standings.c
    query = (
        select(schema.standings).where(or_(columns.until.is_(None), columns.until > now)).order_by(columns.id)
    )
    with records.read() as connection:
        return [_standing(row) for row in connection.execute(query).mappings()]


def _standing(row: RowMapping) -> Standing:
    return Standing(**{field: row[field] for field in Standing.__struct_fields__})
