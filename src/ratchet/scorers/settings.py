"""The settings of a scorer as a suite file gives them, checked: every scorer's are a `Settings`."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.scorers.function import FunctionScorer, Result, TallyingScorer
from ratchet.scorers.scorer import Scorer, ScorerAbout, Tally, Tools

__all__ = [
    "PlainSettings",
    "Setting",
    "Settings",
    "TallyingSettings",
    "needed",
    "read_settings",
    "settings_in",
]

T = TypeVar("T")
S = TypeVar("S", bound="Settings")


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every scorer can be told. A subclass adds its own keys, and `__post_init__` raises ValueError for what the
    types don't hold. `name` stands in the verdicts instead of the scorer's own, so that one suite can use a scorer
    twice."""

    name: str = ""

    def known(self, about: ScorerAbout) -> ScorerAbout:
        """What is known about the scorer with these settings."""
        return replace(about, name=self.name or about.name)

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        """The scorer. Raises Misconfigured where it needs a tool that isn't there."""
        raise NotImplementedError


class PlainSettings(Settings, frozen=True):
    """Of a scorer that needs no tools."""

    def score(self, case: Case, output: Output) -> Result:
        raise NotImplementedError

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        return FunctionScorer(self.known(about), self.score)


class TallyingSettings(PlainSettings, frozen=True):
    """Of a scorer with a figure for the whole set."""

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        raise NotImplementedError

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        return TallyingScorer(self.known(about), self.score, self.tally)


def needed(tool: T | None, about: ScorerAbout, what: str) -> T:
    """The tool, or a refusal that says which scorer needs it."""
    if tool is None:
        raise Misconfigured(
            f"The scorer {about.name} needs {what}, and there is none here.", "Run it where there is one."
        )
    return tool


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that a scorer takes. `default` is None where the key is required."""

    key: str
    expected: str  # in words
    required: bool
    default: Any = None


def settings_in(kind: type[Settings]) -> list[Setting]:
    """The keys that a scorer takes, without `name`, which all do."""
    found: list[Setting] = []
    for field in msgspec.structs.fields(kind):
        if field.name == "name":
            continue
        default = field.default_factory() if callable(field.default_factory) else field.default
        found.append(
            Setting(
                field.encode_name, in_words(field.type), field.required, None if field.required else default
            )
        )
    return found


def read_settings(scorer: str, kind: type[S], given: Mapping[str, Any]) -> S:
    """`given` as settings of the scorer so called. A mistake is an InvalidRequest that names scorer and key."""
    try:
        return msgspec.convert(dict(given), type=kind)
    except msgspec.ValidationError as error:
        key, why = _explained(str(error), kind, given)
        raise InvalidRequest(
            f"The scorer {scorer}: {why}.",
            _remedy(scorer, kind),
            param=f"scorers.{scorer}{key and '.' + key}",
        ) from None


def _explained(said: str, kind: type[Settings], given: Mapping[str, Any]) -> tuple[str, str]:
    """The key that is wrong, and what is wrong with it, from msgspec's own words."""
    if match := re.search(r"unknown field `([^`]*)`", said):
        key = match[1]
        near = difflib.get_close_matches(key, [each.key for each in settings_in(kind)], 1)
        return key, f"it has no setting `{key}`" + (f" (did you mean `{near[0]}`?)" if near else "")
    if match := re.search(r"missing required field `([^`]*)`", said):
        return match[1], f"`{match[1]}` is missing"
    if match := re.search(r"^(.*) - at `\$\.([^.\[`]*)(.*)`$", said):
        key = match[2]
        expected = {each.key: each.expected for each in settings_in(kind)}.get(key, "a text")
        return key, f"`{key}` must be {expected}, and is {given.get(key)!r}"
    return "", said.rstrip(".")


def _remedy(scorer: str, kind: type[Settings]) -> str:
    keys = [
        f"`{each.key}` ({each.expected}{', required' if each.required else ''})" for each in settings_in(kind)
    ]
    return f"{scorer} takes {', '.join([*keys, '`name` (a text)'])}."


_WORDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "a list",
    Any: "anything",
}


def in_words(kind: Any) -> str:
    """A type as a person says it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(str(each) for each in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(each) for each in inner if each is not type(None))
    if origin in (list, tuple):
        return f"a list (each {in_words(inner[0])})"
    return _WORDS.get(kind) or _WORDS.get(origin) or getattr(kind, "__name__", str(kind))
