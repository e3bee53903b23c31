"""What scorers read out of cases and outputs: references as texts, answers as JSON."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from ratchet.domain.cases import Case, Output
from ratchet.scorers.function import Unscored

__all__ = ["json_of", "reference_texts"]

_FENCE = re.compile(r"^\s*```[a-zA-Z0-9]*\s*\n(.*?)\n?```\s*$", re.DOTALL)


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
    text = output.text
    if match := _FENCE.match(text):
        text = match[1]
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
