"""Fields as people write them, checked and made a case."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ratchet.domain.cases import Case, content_hash
from ratchet.errors import InvalidRequest

__all__ = ["ALIASES", "ORIGINS", "SPLITS", "Unfit", "case_of", "cases_of", "input_id", "with_ids"]

ALIASES = {"expected": "reference", "ideal": "reference", "output": "reference"}
SPLITS = ("train", "dev", "test")
ORIGINS = ("hand", "file", "trace", "feedback", "playground", "synthetic")
_LONGEST_ID = 200
_TEXTS = ("previous_answer", "feedback", "context", "source", "trace_id", "span_id", "reference_by")
_FIELDS = frozenset(Case.__struct_fields__)


class Unfit(Exception):
    """A field that can't be taken: which one, what is wrong, what to do."""

    def __init__(self, field: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.remedy = remedy


def case_of(fields: Mapping[str, Any], *, origin: str = "file") -> Case:
    """A checked case. `origin` is what it says where the fields don't. An id that is not there is "".

    A field that no case has goes to the metadata, as text. Raises Unfit.
    """
    own = _renamed(fields)
    others = {name: own.pop(name) for name in list(own) if name not in _FIELDS}
    checked: dict[str, Any] = {
        "id": _id(own.get("id")),
        "input": _input(own.get("input"), others),
        "metadata": _metadata(own.get("metadata"), others),
        "tags": _tags(own.get("tags")),
        "origin": _one_of("origin", own.get("origin"), ORIGINS) or origin,
        "split": _one_of("split", own.get("split"), SPLITS),
        "accepted": _flag("accepted", own.get("accepted")),
    }
    if own.get("reference") is not None:
        checked["reference"] = _json("reference", own["reference"])
    for name in _TEXTS:
        checked[name] = _text(name, own.get(name))
    return Case(**checked)


def cases_of(fields: Sequence[Mapping[str, Any]], *, origin: str = "file") -> list[Case]:
    """Cases as a program has them. Raises InvalidRequest naming the case and the field."""
    cases: list[Case] = []
    for number, one in enumerate(fields):
        try:
            cases.append(case_of(one, origin=origin))
        except Unfit as error:
            place = f"cases.{number}.{error.field}"
            raise InvalidRequest(f"{place}: {error.message}", error.remedy, param=place) from error
    return cases


def input_id(case: Case) -> str:
    """The id of a case that brings none: 16 hex digits of its input and context, so the same question keeps it."""
    said = msgspec.json.encode([case.input, case.context], order="sorted")
    return hashlib.sha256(said).hexdigest()[:16]


def with_ids(cases: Sequence[Case]) -> list[Case]:
    """Every case with an id of its own: those that bring none get one that their content gives.

    By input and context; where another case asks the same, by everything; a copy gets a number behind that.
    """
    taken = {case.id for case in cases if case.id}
    identified: list[Case] = []
    for case in cases:
        identity = case.id or _free_id(case, taken)
        taken.add(identity)
        identified.append(msgspec.structs.replace(case, id=identity))
    return identified


def _free_id(case: Case, taken: set[str]) -> str:
    own = input_id(case)
    if own not in taken:
        return own
    own = content_hash(case)[:16]
    number, free = 1, own
    while free in taken:
        number += 1
        free = f"{own}-{number}"
    return free


def _renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    own: dict[str, Any] = {}
    said: dict[str, str] = {}
    for name, value in fields.items():
        meant = ALIASES.get(name, name)
        if meant in said:
            raise Unfit(
                name, f"{said[meant]!r} and {name!r} say the same thing.", "Leave one of the two out."
            )
        said[meant] = name
        own[meant] = value
        if meant not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.88)
            if near:
                raise Unfit(
                    name,
                    f"There is no field {name!r}.",
                    f"Write {near[0]!r} if you mean that, or put {name!r} under metadata.",
                )
    return own


def _id(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_ID or not value.strip():
        raise Unfit("id", f"It is {_shown(value)}.", f"Give a text of at most {_LONGEST_ID} characters.")
    return value


def _input(value: Any, others: Mapping[str, Any]) -> Any:
    if value is None:
        found = f"; there are {', '.join(others)}" if others else ""
        raise Unfit("input", f"There is no input{found}.", 'Name what is asked "input".')
    if value in ("", [], {}):
        raise Unfit("input", "It is empty.", "Write what is asked, or take the case out.")
    if isinstance(value, list):
        for message in cast("list[Any]", value):
            if not isinstance(message, dict) or not isinstance(
                cast("dict[str, Any]", message).get("role"), str
            ):
                raise Unfit(
                    "input",
                    "It is a list of something else than messages.",
                    'Write messages such as {"role": "user", "content": "…"}.',
                )
    elif not isinstance(value, str | dict):
        raise Unfit(
            "input",
            f"It is {_shown(value)}.",
            "Give a text, a list of chat messages, or an object of variables for a prompt.",
        )
    return _json("input", value)


def _json(field: str, value: Any) -> Any:
    """`value` as JSON has it: what a Parquet file or YAML holds beyond that becomes text."""
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))
    except (TypeError, ValueError, RecursionError) as error:
        raise Unfit(field, f"It can't be written as JSON: {error}.", "Give text or JSON.") from error


def _metadata(value: Any, others: Mapping[str, Any]) -> dict[str, str]:
    if value is not None and not isinstance(value, dict):
        raise Unfit("metadata", f"It is {_shown(value)}.", 'Give an object such as {"language": "en"}.')
    found: dict[str, Any] = {**others, **cast("dict[str, Any]", value or {})}
    return {str(name): _as_text(name, inner) for name, inner in found.items() if inner is not None}


def _as_text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    found = _json(name, value)
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _tags(value: Any) -> list[str]:
    if value is None:
        return []
    listed = cast("list[Any]", value) if isinstance(value, list) else [value]
    for tag in listed:
        if not isinstance(tag, str):
            raise Unfit("tags", f"It holds {_shown(tag)}.", 'Give a list of texts such as ["billing"].')
    return list(dict.fromkeys(cast("list[str]", listed)))


def _text(field: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unfit(field, f"It is {_shown(value)}.", "Give a text.")
    return value


def _flag(field: str, value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise Unfit(field, f"It is {_shown(value)}.", "Give true or false.")
    return value


def _one_of(field: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value is None or value == "":
        return ""
    if value not in allowed:
        raise Unfit(field, f"It is {_shown(value)}.", f"It is one of {', '.join(allowed)}, or left out.")
    return cast("str", value)


def _shown(value: Any) -> str:
    """A value in a sentence, cut where it is long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    text = text if len(text) <= 40 else text[:39] + "…"
    return repr(text) if isinstance(value, str) else text
