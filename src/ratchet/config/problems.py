"""Mistakes in settings and forms, in plain words: which key, what was found, what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel, BeforeValidator, ValidationError

__all__ = ["Problem", "describe_problems", "expectation", "problems_of", "shaped", "without_password"]

_PASSWORD = re.compile(r"(://[^/@:\s]*):[^/@\s]+@")


def shaped(pattern: str, expected: str) -> BeforeValidator:
    """For `Annotated[str, …]`: text that matches the whole of `pattern`; otherwise, and where it is no text at all,
    people read `expected …`."""
    compiled = re.compile(pattern)

    def check(value: object) -> str:
        if not isinstance(value, str) or compiled.fullmatch(value) is None:
            raise ValueError(f"expected {expected}")
        return value

    return BeforeValidator(check)


def without_password(text: str) -> str:
    """`text` with the passwords of its addresses left out."""
    return _PASSWORD.sub(r"\1:…@", text)


class Problem(msgspec.Struct, frozen=True):
    """One wrong key: its dotted name ("" for the whole), and a sentence without its first word or full stop."""

    key: str
    expected: str
    found: str | None = None  # as a person would quote it; None where it is missing, or may be a secret

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.key} {self.expected}" if self.key else self.expected
        return f"{self.key} is {self.found}: {self.expected}"


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Each mistake that `model` found, in its own order. What may be one thing or another is one mistake."""
    found: dict[tuple[str, str | None], Problem] = {}
    for each in error.errors(include_url=False):
        problem = _problem(dict(each), model)  # pyright: ignore[reportArgumentType] - a TypedDict of pydantic's
        place = problem.key, problem.found
        before = found.get(place)
        found[place] = problem if before is None else _either(before, problem)
    return list(found.values())


def _either(one: Problem, other: Problem) -> Problem:
    words = other.expected.removeprefix("expected ")
    return one if words in one.expected else Problem(one.key, f"{one.expected}, or {words}", one.found)


def describe_problems(error: ValidationError, model: type[BaseModel]) -> str:
    """Each problem as `key is what was found: what was expected`."""
    return "; ".join(str(problem) for problem in problems_of(error, model)) + "."


def _problem(found: dict[str, Any], model: type[BaseModel]) -> Problem:
    location, within = _followed(found["loc"], model)
    key = ".".join(str(step) for step in location)
    kind: str = found["type"]
    if kind == "extra_forbidden":
        return Problem(key, "is not a setting" + _suggestion(str(location[-1]), within))
    if kind == "missing":
        return Problem(key, "is missing")
    if not location:
        return Problem("", expectation(found))
    # Never repeat what might be a secret, nor a whole table.
    secret = any(word in key for word in ("api_key", "headers", "password", "secret"))
    if secret or isinstance(found["input"], dict):
        return Problem(key, f"can't be used: {expectation(found)}")
    return Problem(key, expectation(found), without_password(repr(found["input"])))


def expectation(found: Mapping[str, Any]) -> str:
    """What one of pydantic's errors asks for, in words of our own: `expected a number above 0`."""
    kind: str = found["type"]
    context: Mapping[str, Any] = found.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):
        return _sentence(str(context.get("error") or found["msg"]))
    for begin, words in _WORDS:
        if kind.startswith(begin):
            return words if isinstance(words, str) else words(context)
    return _sentence(str(found["msg"])).lower()


def _above(words: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda context: f"expected a number {words} {_plain_number(context[name])}"


def _characters(context: Mapping[str, Any]) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    if least == 1:
        return "expected some text"
    return f"expected at least {least} characters" if least else f"expected at most {most:,} characters"


def _entries(words: str, name: str) -> Callable[[Mapping[str, Any]], str]:
    def told(context: Mapping[str, Any]) -> str:
        bound: int = context[name]
        return f"expected at {words} {bound:,} {'entry' if bound == 1 else 'entries'}"

    return told


def _places(context: Mapping[str, Any]) -> str:
    return f"expected a number with no more than {context['decimal_places']} digits after the point"


# By how pydantic's names of its errors begin; the first that fits.
_WORDS: tuple[tuple[str, str | Callable[[Mapping[str, Any]], str]], ...] = (
    ("greater_than_equal", _above("of at least", "ge")),
    ("greater_than", _above("above", "gt")),
    ("less_than_equal", _above("of at most", "le")),
    ("less_than", _above("below", "lt")),
    ("url_", "expected an address such as https://host/v1"),
    ("literal_error", lambda context: f"expected {context['expected']}"),
    ("enum", lambda context: f"expected {context['expected']}"),
    ("too_short", _entries("least", "min_length")),
    ("too_long", _entries("most", "max_length")),
    ("string_too_", _characters),
    ("string_pattern_mismatch", lambda context: f"expected text that matches {context['pattern']}"),
    ("missing", "expected a value"),
    ("extra_forbidden", "there is no such field"),
    ("float", "expected a number"),
    ("decimal_max_places", _places),
    ("decimal", "expected a number"),
    ("finite_number", "expected a finite number"),
    ("int", "expected a whole number"),
    ("bool", "expected true or false"),
    ("string", "expected text"),
    ("list", "expected a list"),
    ("dict", "expected a table"),
    ("model_type", "expected a table"),
    ("model_attributes_type", "expected an object"),
    ("json_invalid", "expected JSON"),
    ("datetime", "expected a moment such as 2026-01-31T09:30"),
)


def _plain_number(value: Any) -> str:
    return (
        f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removesuffix(".")


def _suggestion(name: str, within: Any) -> str:
    """The nearest known name at that place, if one is near."""
    if not _is_model(within):
        return ""
    names = list(within.model_fields)
    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (there are: {', '.join(names)})"


def _followed(steps: Sequence[int | str], model: type[BaseModel]) -> tuple[tuple[int | str, ...], Any]:
    """The place that a person knows, and the type around its last step; None where that is not known.

    Pydantic also writes down which of several types a value was tried as, and that it is about a table's key.
    """
    location: list[int | str] = []
    within: Any = None
    here: Any = model
    for step in steps:
        if step == "[key]":
            continue
        choices = _choices(here)
        if len(choices) > 1:  # the step is the name of one of them
            here = next((each for each in choices if getattr(each, "__name__", "") == step), None)
            continue
        within = choices[0] if choices else None
        here = _inner(within, step)
        location.append(step)
    return tuple(location), within


def _choices(annotation: Any) -> list[Any]:
    """What a value of that type may be, but for nothing at all."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        return [choice for each in get_args(annotation) for choice in _choices(each)]
    return [] if annotation is NoneType else [annotation]


def _inner(here: Any, step: int | str) -> Any:
    """The type at `step` of a model, a table or a list; None where that is not known."""
    if _is_model(here):
        field = here.model_fields.get(str(step))
        return field.annotation if field else None
    arguments = get_args(here)
    return arguments[-1] if arguments and get_origin(here) in (dict, list, Mapping, Sequence) else None


def _is_model(here: Any) -> bool:
    return isinstance(here, type) and issubclass(here, BaseModel)
