"""Were the right tools called, with the right arguments?"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.function import Result, Unscored
from ratchet.scorers.reading import same_scalar
from ratchet.scorers.settings import PlainSettings

__all__ = ["Call", "ToolCalls", "wanted_calls"]


_NAME = re.compile(r"\S{1,128}")  # what has blanks in it is prose


class Call(NamedTuple):
    name: str
    arguments: Any  # None in a reference: any will do


class ToolCalls(PlainSettings, frozen=True):
    """The calls that are right, divided by those wanted or made, whichever are more: 1 where all are right.

    `arguments`: equal, at least the reference's (`subset`), or whatever they are (`any`). `order`: they must come in
    the reference's. Parts: `names` looks at names alone, `arguments` is the share of calls of a right name whose
    arguments are right too.
    """

    arguments: Literal["equal", "subset", "any"] = "equal"
    order: bool = False

    def score(self, case: Case, output: Output) -> Result:
        wanted = wanted_calls(case)
        made = [Call(each.name, _decoded(each.arguments)) for each in output.tool_calls]
        if not wanted and not made:
            why = "no call was wanted, and none was made"
            return [
                Verdict(name="", value=1.0, comment=why),
                Verdict(name=".names", value=1.0, comment=why),
                Verdict(name=".arguments", comment=why),
            ]
        pairs = _in_order if self.order else _in_any_order
        longer = max(len(wanted), len(made))
        right = pairs(wanted, made, self._right)
        named = pairs(wanted, made, _same_name)
        arguments = (
            Verdict(name=".arguments", value=right / named)
            if named
            else Verdict(name=".arguments", comment="no tool that was wanted was called")
        )
        return [
            Verdict(name="", value=right / longer, comment=_told(wanted, made)),
            Verdict(name=".names", value=named / longer),
            arguments,
        ]

    def _right(self, wanted: Call, made: Call) -> bool:
        if wanted.name != made.name:
            return False
        if self.arguments == "any" or wanted.arguments is None:
            return True
        return _fits(wanted.arguments, made.arguments, subset=self.arguments == "subset")


def wanted_calls(case: Case) -> list[Call]:
    """The calls that a case's reference wants.

    It is a list (or one) of names, of `{"name": …, "arguments": {…}}`, or of OpenAI's `{"function": {…}}`; or an object
    with such a list under `tool_calls`. [] wants none. Without `arguments` any will do. Raises Unscored for others.
    """
    reference = case.reference
    if isinstance(reference, dict) and "tool_calls" in reference:
        reference = cast("dict[str, Any]", reference)["tool_calls"]
    each: list[Any] = cast("list[Any]", reference) if isinstance(reference, list) else [reference]
    return [_wanted(one) for one in each]


def _wanted(one: Any) -> Call:
    if isinstance(one, str) and _NAME.fullmatch(one):
        return Call(one, None)
    if isinstance(one, dict):
        call = cast("dict[str, Any]", one)
        inner: Any = call.get("function", call)
        if isinstance(inner, dict) and isinstance(name := cast("dict[str, Any]", inner).get("name"), str):
            return Call(name, _decoded(cast("dict[str, Any]", inner).get("arguments")))
    raise Unscored('the reference is no list of tool calls such as {"name": …, "arguments": {…}}')


def _decoded(arguments: Any) -> Any:
    """Arguments as they are meant, where they came as JSON in a text."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _fits(wanted: Any, made: Any, *, subset: bool) -> bool:
    if isinstance(wanted, dict) and isinstance(made, dict):
        one, other = cast("dict[str, Any]", wanted), cast("dict[str, Any]", made)
        if not subset and one.keys() != other.keys():
            return False
        return all(key in other and _fits(one[key], other[key], subset=subset) for key in one)
    if isinstance(wanted, list) and isinstance(made, list):
        ones, others = cast("list[Any]", wanted), cast("list[Any]", made)
        return len(ones) == len(others) and all(
            _fits(a, b, subset=subset) for a, b in zip(ones, others, strict=True)
        )
    return same_scalar(wanted, made)


def _same_name(wanted: Call, made: Call) -> bool:
    return wanted.name == made.name


def _in_order(wanted: Sequence[Call], made: Sequence[Call], fit: Callable[[Call, Call], bool]) -> int:
    """The most calls that fit in the same order: a longest common subsequence."""
    above = [0] * (len(made) + 1)
    for one in wanted:
        row = [0]
        for column, other in enumerate(made):
            row.append(above[column] + 1 if fit(one, other) else max(above[column + 1], row[column]))
        above = row
    return above[-1]


def _in_any_order(wanted: Sequence[Call], made: Sequence[Call], fit: Callable[[Call, Call], bool]) -> int:
    """The most pairs that fit: a maximum matching by augmenting paths (Kuhn 1955)."""
    taken: dict[int, int] = {}  # by the call made: the one wanted

    def place(one: int, seen: set[int]) -> bool:
        for other, call in enumerate(made):
            if other not in seen and fit(wanted[one], call):
                seen.add(other)
                if other not in taken or place(taken[other], seen):
                    taken[other] = one
                    return True
        return False

    return sum(place(one, set()) for one in range(len(wanted)))


def _told(wanted: Sequence[Call], made: Sequence[Call]) -> str:
    """Which calls are missing and which too many, by name."""
    want, have = Counter(each.name for each in wanted), Counter(each.name for each in made)
    missing, extra = sorted((want - have).elements()), sorted((have - want).elements())
    said = [f"missing: {', '.join(missing)}"] if missing else []
    return "; ".join(said + ([f"not wanted: {', '.join(extra)}"] if extra else []))
