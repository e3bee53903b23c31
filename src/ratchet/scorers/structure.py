"""Is the answer JSON, does it fit a schema, how far is it from the JSON it should be?"""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import jsonschema
import jsonschema.exceptions
from jsonschema.validators import validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.function import FunctionScorer, Result, Unscored
from ratchet.scorers.reading import json_of, json_text, same_scalar
from ratchet.scorers.scorer import Scorer, ScorerAbout, Tools
from ratchet.scorers.settings import PlainSettings, Settings

__all__ = ["JsonDistance", "JsonSchema", "JsonValid", "json_distance"]


class JsonValid(PlainSettings, frozen=True):
    """1 where the answer is JSON; a Markdown code fence around it is allowed unless `bare`."""

    bare: bool = False

    def score(self, case: Case, output: Output) -> Result:
        try:
            json_text(output.text) if self.bare else json_of(output)
        except ValueError as error:
            return Verdict(name="", value=0.0, comment=str(error))
        return True


class JsonSchema(Settings, frozen=True):
    """1 where the answer is JSON that fits `schema`, a JSON Schema (draft 2020-12 unless `$schema` says otherwise).

    Nothing is fetched: a `$ref` must lead into the schema itself.
    """

    schema: dict[str, Any]

    def __post_init__(self) -> None:
        try:
            validator_for(self.schema, jsonschema.Draft202012Validator).check_schema(self.schema)
        except jsonschema.SchemaError as error:
            raise ValueError(f"`schema` is no JSON Schema: {error.message}") from None

    def make(self, about: ScorerAbout, tools: Tools) -> Scorer:
        kind = validator_for(self.schema, jsonschema.Draft202012Validator)
        return FunctionScorer(self.known(about), partial(_fits, kind(self.schema, registry=Registry())))


def _fits(validator: Any, case: Case, output: Output) -> Result:
    try:
        value = json_of(output)
    except ValueError as error:
        return Verdict(name="", value=0.0, comment=f"the answer is no JSON: {error}")
    try:
        found = cast("Any", jsonschema.exceptions.best_match(validator.iter_errors(value)))
    except Unresolvable as error:
        raise Unscored(f"the schema refers to what is not in it: {error.ref}") from None
    if found is None:
        return True
    return Verdict(name="", value=0.0, comment=f"{found.json_path}: {found.message}"[:500])


class JsonDistance(PlainSettings, frozen=True):
    """How much of the answer's tree differs from the reference's: 0 where they are equal, 1 where nothing is.

    An answer that is no JSON is as far as can be: 1.
    """

    def score(self, case: Case, output: Output) -> Result:
        wanted = case.reference
        if isinstance(wanted, str):
            try:
                wanted = json_text(wanted)
            except ValueError:
                raise Unscored("the reference is no JSON") from None
        try:
            value = json_of(output)
        except ValueError as error:
            return Verdict(name="", value=1.0, comment=f"the answer is no JSON: {error}")
        return json_distance(value, wanted)


_MOST_WORK = 4_000_000  # pairs of nodes; above that a comparison would take seconds


def json_distance(one: Any, other: Any) -> float:
    """The share of a tree that must change to become the other, in [0, 1]; symmetric, and 0 for equal trees alone.

    A scalar weighs 1, an object or array what is in it, at least 1. Members of objects are compared by key, members
    of arrays by the cheapest alignment (Wagner & Fischer 1974). What only one tree has must change as a whole, and so
    must a scalar that differs and a node of another kind. The cost is divided by the weight of both trees laid over
    one another. Raises Unscored for trees too large to compare.
    """
    if _weight(one) * _weight(other) > _MOST_WORK:
        raise Unscored("the JSON is too large to compare")
    cost, weight = _differing(one, other)
    return cost / weight


def _weight(tree: Any) -> int:
    if isinstance(tree, dict):
        return max(1, sum(map(_weight, cast("dict[str, Any]", tree).values())))
    if isinstance(tree, list):
        return max(1, sum(map(_weight, cast("list[Any]", tree))))
    return 1


def _differing(one: Any, other: Any) -> tuple[int, int]:
    """Cost, and the weight of both laid over one another; the cost is never more."""
    if isinstance(one, dict) and isinstance(other, dict):
        return _objects(cast("dict[str, Any]", one), cast("dict[str, Any]", other))
    if isinstance(one, list) and isinstance(other, list):
        return _arrays(cast("list[Any]", one), cast("list[Any]", other))
    if isinstance(one, dict | list) or isinstance(other, dict | list):
        larger = max(_weight(one), _weight(other))
        return larger, larger
    return (0 if same_scalar(one, other) else 1), 1


def _objects(one: dict[str, Any], other: dict[str, Any]) -> tuple[int, int]:
    cost = weight = 0
    for key in one.keys() | other.keys():
        if key in one and key in other:
            inner, whole = _differing(one[key], other[key])
        else:
            inner = whole = _weight(one.get(key, other.get(key)))
        cost += inner
        weight += whole
    return cost, max(1, weight)


def _arrays(one: list[Any], other: list[Any]) -> tuple[int, int]:
    added = [_weight(each) for each in other]
    above: list[tuple[int, int]] = [(0, 0)]
    for more in added:
        above.append((above[-1][0] + more, above[-1][1] + more))
    for left in one:
        gone = _weight(left)
        row = [(above[0][0] + gone, above[0][1] + gone)]
        for column, right in enumerate(other):
            inner, whole = _differing(left, right)
            row.append(
                min(
                    (above[column][0] + inner, above[column][1] + whole),
                    (above[column + 1][0] + gone, above[column + 1][1] + gone),
                    (row[column][0] + added[column], row[column][1] + added[column]),
                )
            )
        above = row
    cost, weight = above[-1]
    return cost, max(1, weight)
