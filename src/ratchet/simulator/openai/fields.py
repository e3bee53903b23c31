"""What every reader of an OpenAI request asks of a body and of single fields, in OpenAI's words."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.simulator.openai.errors import refusal
from ratchet.simulator.wire import Rejected

__all__ = ["flag", "listed", "number", "object_at", "parsed", "required", "wrong_type"]


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises `Rejected`."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise refusal(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
        ) from None
    if not isinstance(found, dict):
        raise wrong_type(None, "an object", found)
    return cast("dict[str, Any]", found)


def required(param: str) -> Rejected:
    """A field that has to be there is not."""
    return refusal(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def wrong_type(param: str | None, expected: str, value: Any) -> Rejected:
    """A value of another type than `expected`, which is written with its article."""
    subject = f"Invalid type for '{param}'" if param else "Invalid type for the request body"
    return refusal(
        f"{subject}: expected {expected}, but got {_kind_of(value)} instead.",
        param=param,
        code="invalid_type",
    )


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a decimal", str: "a string", list: "an array"}
    return names.get(cast("type[Any]", type(value)), "an object")


def object_at(value: Any, param: str) -> dict[str, Any]:
    """The value as an object. Raises `Rejected` when it is none."""
    if not isinstance(value, dict):
        raise wrong_type(param, "an object", value)
    return cast("dict[str, Any]", value)


def listed(value: Any, param: str, expected: str) -> list[Any]:
    """The value as a list. Raises `Rejected` when it is none; `expected` is written with its article."""
    if not isinstance(value, list):
        raise wrong_type(param, expected, value)
    return cast("list[Any]", value)


def flag(fields: dict[str, Any], name: str) -> bool:
    """A field that is true or false; false when it is not there. Raises `Rejected`."""
    value = fields.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean", value)
    return value


def number(fields: dict[str, Any], name: str, kind: type, low: float | None, high: float | None) -> Any:
    """A number within its bounds, or None. Raises `Rejected`."""
    value = fields.get(name)
    if value is None:
        return None
    word = "integer" if kind is int else "decimal"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise wrong_type(name, f"{'an' if kind is int else 'a'} {word}", value)
    if low is not None and value < low:
        raise refusal(
            f"Invalid '{name}': {word} below minimum value. Expected a value >= {low}, but got {value} instead.",
            param=name,
            code=f"{word}_below_min_value",
        )
    if high is not None and value > high:
        raise refusal(
            f"Invalid '{name}': {word} above maximum value. Expected a value <= {high}, but got {value} instead.",
            param=name,
            code=f"{word}_above_max_value",
        )
    return value
