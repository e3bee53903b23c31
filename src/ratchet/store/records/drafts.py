"""Drafts of the playground, and the last answer to each of their columns."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ratchet.domain.playground import ColumnAnswer, Draft, DraftState
from ratchet.errors import Conflict, NotFound
from ratchet.store.records import schema
from ratchet.store.records.engine import Records
from ratchet.store.records.secret import new_id

__all__ = [
    "MOST_DRAFTS",
    "answers_of",
    "change_draft",
    "create_draft",
    "draft_of",
    "drop_draft",
    "keep_answer",
    "list_drafts",
]

MOST_DRAFTS = 100  # of one member: the one that was left alone longest makes room for another
_drafts, _answers = schema.playground_drafts, schema.playground_answers


def list_drafts(records: Records, *, project_id: str, owner: str) -> list[Draft]:
    """A member's own, what was changed last first."""
    query = select(_drafts).where(_drafts.c.project_id == project_id, _drafts.c.owner == owner)
    with records.read() as connection:
        found = [_draft(row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda draft: (-draft.changed, draft.id))


def draft_of(records: Records, draft_id: str, *, project_id: str) -> Draft:
    """Anyone's of the project: who has the address may look, and go on. Raises NotFound."""
    query = select(_drafts).where(_drafts.c.project_id == project_id, _drafts.c.id == draft_id)
    with records.read() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"There is no draft {draft_id!r}.", "It may have been deleted. Begin another.")
    return _draft(row)


def create_draft(
    records: Records, state: DraftState, *, project_id: str, owner: str, title: str, now: int
) -> Draft:
    """Keep a new one. Beyond MOST_DRAFTS the member's oldest goes."""
    draft = Draft(
        id=new_id(),
        project_id=project_id,
        owner=owner,
        title=title,
        state=state,
        revision=1,
        created=now,
        changed=now,
    )
    old = list_drafts(records, project_id=project_id, owner=owner)[MOST_DRAFTS - 1 :]
    with records.write() as connection:
        for each in old:
            connection.execute(delete(_answers).where(_answers.c.draft_id == each.id))
            connection.execute(delete(_drafts).where(_drafts.c.id == each.id))
        connection.execute(
            insert(_drafts).values(**{**msgspec.structs.asdict(draft), "state": _encoded(state)})
        )
    return draft


def change_draft(
    records: Records, draft: Draft, state: DraftState, *, title: str, seen: int, now: int
) -> Draft:
    """Replace what it says. Raises Conflict where somebody has changed it since the revision `seen`."""
    statement = (
        update(_drafts)
        .where(_drafts.c.id == draft.id, _drafts.c.revision == seen)
        .values(state=_encoded(state), title=title, revision=seen + 1, changed=now)
    )
    with records.write() as connection:
        if not connection.execute(statement).rowcount:
            raise Conflict(
                "This draft was changed in another window meanwhile.",
                "Load it again, and make your change once more.",
                code="changed_meanwhile",
            )
    return msgspec.structs.replace(draft, state=state, title=title, revision=seen + 1, changed=now)


def drop_draft(records: Records, draft: Draft) -> None:
    """Delete it with its answers; deleting twice changes nothing."""
    with records.write() as connection:
        connection.execute(delete(_answers).where(_answers.c.draft_id == draft.id))
        connection.execute(delete(_drafts).where(_drafts.c.id == draft.id))


def answers_of(records: Records, draft: Draft) -> dict[int, ColumnAnswer]:
    """The last answer to each column that has one."""
    query = select(_answers).where(_answers.c.draft_id == draft.id)
    with records.read() as connection:
        return {
            row["column_id"]: msgspec.json.decode(row["answer"], type=ColumnAnswer)
            for row in connection.execute(query).mappings()
        }


def keep_answer(records: Records, draft_id: str, column_id: int, answer: ColumnAnswer) -> None:
    """The column's last one; that of a draft which is gone is not kept."""
    own = (_answers.c.draft_id == draft_id) & (_answers.c.column_id == column_id)
    text = msgspec.json.encode(answer).decode()
    try:
        with records.write() as connection:
            connection.execute(delete(_answers).where(own))
            connection.execute(insert(_answers).values(draft_id=draft_id, column_id=column_id, answer=text))
    except IntegrityError:
        return  # the draft was deleted, or another window's answer came at this moment: that one is kept


def _encoded(state: DraftState) -> str:
    return msgspec.json.encode(state).decode()


def _draft(row: RowMapping) -> Draft:
    fields: dict[str, Any] = {name: row[name] for name in Draft.__struct_fields__}
    fields["state"] = msgspec.json.decode(row["state"], type=DraftState)
    return Draft(**fields)
