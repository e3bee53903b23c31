"""Faults: how a provider can misbehave, asked for per request or per script.

One fault is written as `name=value; name; …`, for example `status=429; retry-after=2` or `latency=200ms; cut=5`.
A request carries it in the header `x-simulate`, in an extra body field `simulate`, or in `metadata.simulate` where
the wire has free metadata. A script is a list of rules that say which of the coming requests get which fault.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from typing import Any, cast

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.simulator.dice import Dice

__all__ = ["FAULT_NAMES", "NO_FAULT", "Fault", "Rule", "Script", "parse_fault", "parse_rules"]


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What goes wrong with one answer. Times are seconds; counts are chunks of the stream."""

    latency: float | None = None  # before the answer's first byte; None: the model's own pace
    gap: float | None = None  # between chunks
    tokens: int | None = None  # the answer is made exactly this many tokens long
    status: int = 0  # this status with the vendor's error body
    code: str = ""  # the error's code, with `status`
    retry_after: float | None = None
    body: str = ""  # html | empty | malformed | truncated
    content_type: str = ""
    reset: bool = False  # the connection is reset before any header
    empty: bool = False  # an answer with no text
    refusal: bool = False
    content_filter: bool = False
    no_usage: bool = False
    no_finish: bool = False
    no_done: bool = False
    cut: int | None = None  # the connection closes after this many chunks
    stall: int | None = None  # nothing more comes after this many chunks, and the connection stays open
    stall_for: float = 3600.0  # for so long; then the stream goes on
    error: int | None = None  # an error object comes after this many chunks, inside the 200
    garble: int | None = None  # a malformed frame comes after this many chunks; the rest follows
    split: bool = False  # bytes are cut anywhere, also inside a character
    merge: bool = False  # many frames in one write
    crlf: bool = False
    comments: bool = False  # keep-alive comments between frames
    bom: bool = False
    no_space: bool = False  # `data:` without the space


NO_FAULT = Fault()
FAULT_NAMES: dict[str, str] = {name.replace("_", "-"): name for name in Fault.__struct_fields__}
_BODIES = ("html", "empty", "malformed", "truncated")
_SECONDS = {"latency", "gap", "retry_after", "stall_for"}
_COUNTS = {"tokens", "status", "cut", "stall", "error", "garble"}
_TEXTS = {"code", "body", "content_type"}
_DURATION = re.compile(r"^(\d+(?:\.\d+)?)\s*(ms|s|m)?$")
_SCALE = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


def parse_fault(text: str) -> Fault:
    """The fault that `text` describes. Raises InvalidRequest naming the part that was not understood."""
    found: dict[str, Any] = {}
    for part in text.split(";"):
        name, equals, value = part.strip().partition("=")
        if not name:
            continue
        field = FAULT_NAMES.get(name.strip().lower().replace("_", "-"))
        if field is None:
            raise InvalidRequest(
                f"The simulator knows no fault named '{name.strip()}'.",
                f"Known are: {', '.join(sorted(FAULT_NAMES))}.",
            )
        found[field] = _value(field, value.strip() if equals else None)
    return Fault(**found)


def _value(field: str, value: str | None) -> Any:
    shown = field.replace("_", "-")
    if field in _SECONDS:
        match = _DURATION.match(value or "")
        if not match:
            raise InvalidRequest(f"'{shown}' wants a time, not '{value}'.", "Write 200ms, 0.2 or 2s.")
        return float(match[1]) * _SCALE[match[2]]
    if field in _COUNTS:
        if not value or not value.isdigit():
            raise InvalidRequest(f"'{shown}' wants a whole number, not '{value}'.", f"Write {shown}=3.")
        if field == "status" and not 400 <= int(value) <= 599:
            raise InvalidRequest(f"'status' wants 400 to 599, not {value}.", "Write status=429.")
        return int(value)
    if field in _TEXTS:
        if not value or not (value.isascii() and value.isprintable()):
            raise InvalidRequest(f"'{shown}' wants a value in plain characters.", f"Write {shown}=…")
        if field == "body" and value not in _BODIES:
            raise InvalidRequest(f"'body' can't be '{value}'.", f"It is one of: {', '.join(_BODIES)}.")
        return value
    if value not in {None, "", "true", "1", "yes"}:
        raise InvalidRequest(f"'{shown}' takes no value, and has '{value}'.", f"Write just {shown}.")
    return True


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests get `fault`: after `after` matching ones, at most `times`, each with `probability`.

    `model` is a shell pattern, `text` a part of the last user message (letter case does not matter).
    """

    fault: str
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    model: str = "*"
    text: str = ""


def parse_rules(document: Any) -> tuple[Rule, ...]:
    """The rules in a decoded script: a list of rules, or `{"rules": [...]}`. Raises InvalidRequest."""
    if isinstance(document, dict) and "rules" in document:
        document = cast("dict[str, Any]", document)["rules"]
    try:
        rules = msgspec.convert(document, tuple[Rule, ...])
    except msgspec.ValidationError as flaw:
        raise InvalidRequest(
            f"The script is not a list of rules: {flaw}.",
            'Write {"rules": [{"fault": "status=429; retry-after=2", "times": 3, "model": "gpt-*"}]}.',
        ) from None
    for rule in rules:
        parse_fault(rule.fault)
    return rules


class Script:
    """Rules with their counts. The first rule that matches and strikes decides."""

    def __init__(self, rules: Sequence[Rule] = (), *, seed: int = 0) -> None:
        self._rules = [(rule, parse_fault(rule.fault)) for rule in rules]
        self._matched = [0] * len(self._rules)
        self._struck = [0] * len(self._rules)
        self._dice = Dice(f"script {seed}".encode())

    def __bool__(self) -> bool:
        return bool(self._rules)

    def strike(self, model: str, text: Callable[[], str]) -> Fault | None:
        """The fault for a request, or None. `text` is only asked for when a rule wants it."""
        for index, (rule, fault) in enumerate(self._rules):
            if not fnmatch.fnmatchcase(model, rule.model):
                continue
            if rule.text and rule.text.lower() not in text().lower():
                continue
            self._matched[index] += 1
            if self._matched[index] <= rule.after:
                continue
            if rule.times is not None and self._struck[index] >= rule.times:
                continue
            if self._dice.chance(f"{index} {self._matched[index]}", rule.probability):
                self._struck[index] += 1
                return fault
        return None

    def report(self) -> list[dict[str, Any]]:
        """Each rule with how many requests it matched and struck."""
        return [
            {**msgspec.structs.asdict(rule), "matched": matched, "struck": struck}
            for (rule, _), matched, struck in zip(self._rules, self._matched, self._struck, strict=True)
        ]
