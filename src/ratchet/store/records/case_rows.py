"""A case as a row: its content as JSON, and what is searched by."""

from __future__ import annotations

from typing import Any

import msgspec

from ratchet.domain.cases import Case, text_of_input

__all__ = ["NEWEST", "REFERENCED", "case_of_row", "referenced", "row_of_case", "tag_pattern"]

NEWEST = 2**31 - 1  # `until` of what no version has replaced yet
REFERENCED = ("person", "model", "none")
_WORDS = 20_000  # characters of a case that a search looks at
_decoder = msgspec.json.Decoder(Case)


def case_of_row(content: str) -> Case:
    return _decoder.decode(content)


def row_of_case(
    case: Case, *, dataset_id: str, since: int, position: int, hash_: str, sketch: bytes
) -> dict[str, Any]:
    return {
        "dataset_id": dataset_id,
        "case_id": case.id,
        "since": since,
        "until": NEWEST,
        "position": position,
        "content": msgspec.json.encode(case).decode(),
        "hash": hash_,
        "split": case.split,
        "origin": case.origin,
        "accepted": case.accepted,
        "referenced": referenced(case),
        "tags": msgspec.json.encode(case.tags).decode() if case.tags else "",
        "words": _words(case),
        "sketch": sketch,
    }


def referenced(case: Case) -> str:
    """Whose reference a case has; one of REFERENCED."""
    return "none" if case.reference is None else "model" if case.reference_by else "person"


def tag_pattern(tag: str) -> str:
    """What stands in the column `tags` where a case has this tag."""
    return msgspec.json.encode(tag).decode()


def _words(case: Case) -> str:
    """Everything that people may look for, in lower case. PostgreSQL takes no NUL in a text."""
    said = [
        case.id,
        text_of_input(case.input),
        text_of_input(case.reference),
        case.previous_answer,
        case.feedback,
        case.source,
        *case.metadata.values(),
        case.context,
    ]
    return "\n".join(filter(None, said))[:_WORDS].casefold().replace("\x00", "")
