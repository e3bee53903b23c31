"""OpenAI evals: JSON Lines with `input` as chat messages and `ideal` as the answer, or the answers, to expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.datasets.formats.jsonl import objects
from ratchet.datasets.formats.row import Rows
from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest

__all__ = ["read", "write"]


def read(content: bytes) -> Rows:
    return Rows(objects(content))


def write(cases: Sequence[Case]) -> bytes:
    return b"".join(msgspec.json.encode(_sample(case)) + b"\n" for case in cases)


def _sample(case: Case) -> dict[str, Any]:
    sample: dict[str, Any] = {"input": _messages(case)}
    if case.reference is not None:
        sample["ideal"] = _ideal(case.reference)
    return sample


def _messages(case: Case) -> Any:
    if isinstance(case.input, str):
        return [{"role": "user", "content": case.input}]
    if isinstance(case.input, list):
        return cast("list[Any]", case.input)
    raise InvalidRequest(
        f"The case {case.id!r} has variables for a prompt as its input, and OpenAI evals know messages only.",
        "Export as jsonl, csv, parquet or promptfoo.",
    )


def _ideal(reference: Any) -> Any:
    """A text or several; any other JSON as its text."""
    if isinstance(reference, str):
        return reference
    if isinstance(reference, list) and all(isinstance(one, str) for one in cast("list[Any]", reference)):
        return cast("list[str]", reference)
    return msgspec.json.encode(reference).decode()
