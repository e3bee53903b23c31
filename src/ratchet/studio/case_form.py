"""The form for one case: what people type, and the fields that it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest

__all__ = ["CaseForm", "filled_form", "read_form", "typed_form"]

_TEXTS = ("previous_answer", "feedback", "context", "source")


class CaseForm(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the fields. `input_json` and `reference_json` say that the text beside them is JSON."""

    input: str = ""
    input_json: bool = False
    reference: str = ""
    reference_json: bool = False
    previous_answer: str = ""
    feedback: str = ""
    context: str = ""
    source: str = ""
    tags: str = ""
    metadata: str = ""
    seen: str = ""
    errors: dict[str, str] = {}


def filled_form(case: Case, *, seen: int) -> CaseForm:
    """The form with a case in it, at a version of its dataset."""
    asked, asked_json = _shown(case.input)
    expected, expected_json = _shown(case.reference)
    return CaseForm(
        input=asked,
        input_json=asked_json,
        reference=expected,
        reference_json=expected_json,
        tags=", ".join(case.tags),
        metadata=_lines(case.metadata),
        seen=str(seen),
        **{name: getattr(case, name) for name in _TEXTS},
    )


def typed_form(typed: Mapping[str, Sequence[str]]) -> CaseForm:
    """The form as somebody sent it."""

    def one(name: str) -> str:
        return "".join(typed.get(name, [])[:1])

    texts: dict[str, Any] = {
        name: one(name) for name in ("input", "reference", "tags", "metadata", "seen", *_TEXTS)
    }
    return CaseForm(input_json=bool(one("input_json")), reference_json=bool(one("reference_json")), **texts)


def read_form(form: CaseForm) -> dict[str, Any]:
    """The fields of a case; what is empty is null. Raises InvalidRequest naming the field."""
    fields: dict[str, Any] = {name: getattr(form, name) or None for name in _TEXTS}
    fields["input"] = _json("input", form.input) if form.input_json else form.input.strip() or None
    fields["reference"] = (
        _json("reference", form.reference) if form.reference_json else form.reference.strip() or None
    )
    fields["tags"] = [tag.strip() for tag in form.tags.split(",") if tag.strip()] or None
    fields["metadata"] = _pairs(form.metadata) or None
    return fields


def _shown(value: Any) -> tuple[str, bool]:
    """A value as text for a field, and whether that is JSON."""
    if value is None or isinstance(value, str):
        return value or "", False
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode(), True


def _json(name: str, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"This is not JSON: {error}.", "Correct it, or untick JSON.", param=name
        ) from error


def _lines(metadata: Mapping[str, str]) -> str:
    """`name: value` lines, or JSON where a name or value would not fit into one."""
    simple = all(
        "\n" not in value and "\n" not in name and ":" not in name and name == name.strip() != ""
        and value == value.strip() and not name.startswith("{")
        for name, value in metadata.items()
    )  # fmt: skip
    if simple:
        return "\n".join(f"{name}: {value}" for name, value in metadata.items())
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2).decode()


def _pairs(text: str) -> dict[str, str]:
    if text.strip().startswith("{"):
        found = _json("metadata", text)
        return cast("dict[str, str]", found)
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        if not colon or not name.strip():
            raise InvalidRequest(
                f"The line {line.strip()[:60]!r} has no name.",
                "Write name: value on each line.",
                param="metadata",
            )
        pairs[name.strip()] = value.strip()
    return pairs
