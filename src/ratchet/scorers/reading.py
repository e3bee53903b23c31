"""What scorers read out of cases and outputs: references as texts, answers as JSON."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from ratchet.domain.cases import Case, Output
from ratchet.scorers.function import Unscored

__all__ = ["json_of", "json_text", "reference_texts", "same_scalar"]

_FENCE = re.compile(r"\s*```[a-zA-Z0-9]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


def reference_texts(case: Case) -> list[str]:
    """The right answers as texts, at least one: a list of texts is several answers of which each is right.

    Raises Unscored where there is none, or where it is an object.
    """
    reference = case.reference
    several = cast("list[Any]", reference) if isinstance(reference, list) else [reference]
    texts = [_text(each) for each in several if each is not None]
    if not texts:
        raise Unscored("the case has no reference")
    return texts


def _text(reference: Any) -> str:
    if isinstance(reference, str):
        return reference
    if isinstance(reference, dict | list):
        raise Unscored("the reference is JSON, and this scorer compares texts; use json_distance")
    return json.dumps(reference)


def json_of(output: Output) -> Any:
    """The answer as JSON, also where it stands in a Markdown code fence. Raises ValueError where it is none."""
    match = _FENCE.fullmatch(output.text)
    return json_text(match[1] if match else output.text)


def json_text(text: str) -> Any:
    """Strict JSON: no NaN, no Infinity, no key twice in an object. Raises ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in an object")
    return made


def same_scalar(one: Any, other: Any) -> bool:
    """JSON's sense of equal: 1 is 1.0, and true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
