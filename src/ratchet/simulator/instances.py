"""Instances of JSON Schemas (2020-12), filled from what was found. Pure.

Every instance is checked with `jsonschema` before it is used; when no try satisfies the schema the best one is
returned with what is wrong with it. Recursion is bounded: below `_DEEP` levels only what is required is written.
"""

from __future__ import annotations

import functools
import itertools
import re
from typing import Any, cast

import msgspec
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from ratchet.simulator.dice import Dice
from ratchet.simulator.knowing import NOTHING, Knowing
from ratchet.simulator.material import Material
from ratchet.simulator.patterns import Unsupported, matching
from ratchet.simulator.scalars import number_for, text_for
from ratchet.simulator.schemas import Schema, distinct, merged, resolve, type_of
from ratchet.simulator.wording import best_option, suggestion

__all__ = ["instance_of"]

_DEEP, _DEEPEST = 4, 24
_TRIES = 6
_MOST_VALUES = 4000  # written in one try
_MOST_ITEMS = 200  # of a list, and properties of an object
# What `jsonschema` raises for a schema that can't be checked here: a pattern in another dialect, a reference that
# leads nowhere or round in a circle. The registry is empty, so nothing is ever fetched.
_UNCHECKABLE = (re.error, Unresolvable, RecursionError)
_NOWHERE: Registry[Any] = Registry()
_NATURAL_LENGTH = 2


def instance_of(
    schema: Schema,
    material: Material,
    dice: Dice,
    *,
    arguments: bool = False,
    sparse: bool = False,
    knowing: Knowing | None = None,
) -> tuple[Any, str]:
    """`(instance, flaw)`; the flaw is empty when the instance is valid.

    `arguments`: strings come from the conversation rather than from the answer. `sparse`: optional properties are
    left out unless the conversation names something for them. What `knowing` says goes before both.
    """
    validator = _validator(msgspec.json.encode(schema))
    best: tuple[Any, str] = (None, "no instance was found")
    for attempt in range(_TRIES):
        filler = _Filler(
            schema,
            material,
            dice.child(f"try {attempt}"),
            attempt,
            arguments=arguments,
            sparse=sparse,
            knowing=knowing,
        )
        try:
            value = filler.fill(schema, "", 0)
        except _TooMuch as problem:
            return best[0], str(problem)
        except (Unsupported, _Impossible, ArithmeticError, *_UNCHECKABLE) as problem:
            best = best if best[0] is not None else (None, str(problem))
            continue
        flaw = _flaw(validator, value)
        if not flaw:
            return value, ""
        best = (value, flaw)
    return best


@functools.lru_cache(maxsize=256)
def _validator(schema: bytes) -> Draft202012Validator:
    return Draft202012Validator(msgspec.json.decode(schema), registry=_NOWHERE)


def _flaw(validator: Draft202012Validator, value: Any) -> str:
    try:
        found = next(validator.iter_errors(value), None)
    except _UNCHECKABLE as problem:
        return f"the schema can't be checked: {problem}"[:200]
    return "" if found is None else f"{found.json_path}: {found.message[:160]}"


class _Impossible(ValueError):
    """No value can satisfy the schema."""


class _TooMuch(Exception):
    """The schema asks for more than anyone would read."""


class _Filler:
    """One try. Later tries take other branches and leave optional parts out."""

    def __init__(
        self,
        root: Schema,
        material: Material,
        dice: Dice,
        attempt: int,
        *,
        arguments: bool,
        sparse: bool,
        knowing: Knowing | None,
    ) -> None:
        self.root, self.material, self.dice, self.knowing = root, material, dice, knowing
        self.attempt, self.arguments, self.sparse = attempt, arguments, sparse
        self.written = itertools.count(1)

    def fill(self, schema: Schema, name: str, depth: int) -> Any:
        """A value for `schema`; `name` is the property it belongs to."""
        if next(self.written) > _MOST_VALUES:
            raise _TooMuch(f"more than {_MOST_VALUES} values")
        if schema is True:
            return self._text({}, name)
        if schema is False or depth > _DEEPEST:
            raise _Impossible(f"nothing can be written for '{name}'")
        flat = self._flat(schema)
        known = self.knowing.value(name, flat) if self.knowing else NOTHING
        if known is not NOTHING and self._fits(flat, known):
            return known
        for keyword in ("anyOf", "oneOf"):
            if keyword in flat:
                return self._branch(flat, keyword, name, depth)
        if "if" in flat:
            return self._conditional(flat, name, depth)
        if "const" in flat:
            return flat["const"]
        if "enum" in flat:
            options = [option for option in flat["enum"] if self._fits(flat, option)] or list(flat["enum"])
            if not options:
                raise _Impossible(f"no option for '{name}'")
            ranked = best_option(options, name, self.material, self.dice)
            return ranked[min(self.attempt, len(ranked) - 1)]
        return self._typed(flat, name, depth)

    def _typed(self, flat: dict[str, Any], name: str, depth: int) -> Any:
        match type_of(flat, self.attempt):
            case "object":
                return self._object(flat, depth)
            case "array":
                return self._array(flat, name, depth)
            case "integer" | "number" as kind:
                if (
                    isinstance(flat.get("type"), list)
                    and "null" in flat["type"]
                    and not self.material.finds_number(name)
                ):
                    return None
                return number_for(flat, name, kind, self.material, self.dice)
            case "boolean":
                found = [value for value in suggestion(name, self.material) if isinstance(value, bool)]
                return found[0] if found else self.material.kind == "answer"
            case "null":
                return None
            case _:
                return self._text(flat, name)

    def _text(self, flat: dict[str, Any], name: str) -> str:
        return text_for(flat, name, self.material, self.dice, arguments=self.arguments, attempt=self.attempt)

    def _flat(self, schema: Schema) -> dict[str, Any]:
        """The schema with references followed and `allOf` merged in."""
        for _ in range(_DEEPEST):
            if isinstance(schema, bool):
                if schema:
                    return {}
                raise _Impossible("the schema allows nothing")
            parts: list[Schema] = list(schema.get("allOf", ()))
            parts.extend(resolve(self.root, schema[key]) for key in ("$ref", "$dynamicRef") if key in schema)
            if not parts:
                return schema
            flat: Schema = {
                key: value for key, value in schema.items() if key not in {"$ref", "$dynamicRef", "allOf"}
            }
            for part in parts:
                inner = part if isinstance(part, dict) and ("$ref" in part or "$dynamicRef" in part) else None
                # A reference inside `allOf` is followed here: merging two references would lose one of them.
                flat = merged(flat, resolve(self.root, str(inner.get("$ref", "#"))) if inner else part)
            schema = flat
        raise _Impossible("a reference that leads to itself")

    def _branch(self, flat: dict[str, Any], keyword: str, name: str, depth: int) -> Any:
        """The first branch that gives a value that fits the whole; where deep, the shallowest first."""
        rest = {key: value for key, value in flat.items() if key != keyword}
        branches = list(flat[keyword])
        order = list(range(len(branches)))
        if depth >= _DEEP:
            order.sort(key=lambda i: _weight(branches[i]))
        else:
            order.sort(key=lambda i: (_is_null(branches[i]), 0))
            turn = self.attempt % len(order)
            order = order[turn:] + order[:turn]
        last: Any = None
        problem: Exception | None = None
        for i in order:
            try:
                last = self.fill(merged(rest, branches[i]), name, depth + 1)
            except (Unsupported, _Impossible) as found:
                problem = found
                continue
            if self._fits(flat, last):
                return last
            problem = None
        if problem is not None and last is None:
            raise problem
        return last

    def _conditional(self, flat: dict[str, Any], name: str, depth: int) -> Any:
        rest = {key: value for key, value in flat.items() if key not in {"if", "then", "else"}}
        value: Any = None
        for branch in (
            merged(merged(rest, flat["if"]), flat.get("then", True)),
            merged(rest, flat.get("else", True)),
        ):
            try:
                value = self.fill(branch, name, depth + 1)
            except (Unsupported, _Impossible):
                continue
            if self._fits(flat, value):
                return value
        return value

    def _fits(self, schema: Schema, value: Any) -> bool:
        try:
            return Draft202012Validator(self.root, registry=_NOWHERE).evolve(schema=schema).is_valid(value)
        except _UNCHECKABLE:
            return False

    # -- objects and arrays --------------------------------------------------------------------------------------

    def _object(self, flat: dict[str, Any], depth: int) -> dict[str, Any]:
        properties: dict[str, Schema] = flat.get("properties", {})
        required = list(dict.fromkeys(flat.get("required", ())))
        wanted = list(properties) if depth < _DEEP and self.attempt < _TRIES - 2 else []
        most = flat.get("maxProperties")
        made: dict[str, Any] = {}
        for name in [*required, *(name for name in wanted if name not in required)]:
            if name not in required and (
                (self.sparse and not suggestion(name, self.material))
                or (most is not None and len(made) >= most)
            ):
                continue
            try:
                made[name] = self.fill(self._property(flat, name), name, depth + 1)
            except (Unsupported, _Impossible):
                if name in required:
                    raise
        for name, others in flat.get("dependentRequired", {}).items():
            if name in made:
                for other in others:
                    if other not in made:
                        made[other] = self.fill(self._property(flat, other), other, depth + 1)
        self._extra(flat, made, depth)
        order = {name: position for position, name in enumerate(properties)}
        return dict(sorted(made.items(), key=lambda item: order.get(item[0], len(order))))

    def _property(self, flat: dict[str, Any], name: str) -> Schema:
        """The schema of one property, with the patterns that its name matches."""
        found: Schema | None = flat.get("properties", {}).get(name)
        patterns = [
            sub for pattern, sub in flat.get("patternProperties", {}).items() if _found_in(pattern, name)
        ]
        if found is None and not patterns:
            return flat.get("additionalProperties", True)
        result: Schema = True if found is None else found
        for sub in patterns:
            result = merged(result, sub)
        return result

    def _extra(self, flat: dict[str, Any], made: dict[str, Any], depth: int) -> None:
        """As many further properties as `minProperties` asks for."""
        fewest = min(flat.get("minProperties", 0), _MOST_ITEMS)
        patterns = list(flat.get("patternProperties", {}))
        for index in range(fewest * 3):
            if len(made) >= fewest:
                return
            own = self.dice.child(f"key {depth} {index}")
            if patterns:
                name = matching(patterns[index % len(patterns)], own, extra=index // len(patterns))
            elif flat.get("propertyNames"):
                name = str(
                    self.fill(merged(flat["propertyNames"], {"type": "string"}), f"key{index}", depth + 1)
                )
                name = name if name not in made else f"{name}{index}"
            else:
                name = f"extra_{index + 1}"
            if name not in made:
                made[name] = self.fill(self._property(flat, name), name, depth + 1)

    def _array(self, flat: dict[str, Any], name: str, depth: int) -> list[Any]:
        first: list[Schema] = flat.get("prefixItems", [])
        items: Schema = flat.get("items", True)
        fewest = max(flat.get("minItems", 0), flat.get("minContains", 1) if "contains" in flat else 0)
        fewest = min(fewest, _MOST_ITEMS)
        natural = 0 if depth >= _DEEP or items is False else _NATURAL_LENGTH
        natural = min(max(natural, len(first)), 1 if self.attempt >= _TRIES // 2 else natural + len(first))
        known = self.knowing.items(name, flat) if self.knowing else None
        length = max(fewest, natural if known is None else len(known))
        if "maxItems" in flat:
            length = min(length, flat["maxItems"])
        made: list[Any] = []
        for index in range(length):
            schema = first[index] if index < len(first) else items
            if "contains" in flat and index < flat.get("minContains", 1):
                schema = merged(schema, flat["contains"])
            own = _Filler(
                self.root,
                self._narrowed(index),
                self.dice.child(f"item {depth} {index}"),
                self.attempt + (index if flat.get("uniqueItems") else 0),
                arguments=self.arguments,
                sparse=self.sparse,
                knowing=known[index] if known and index < len(known) else self.knowing,
            )
            try:
                made.append(own.fill(schema, name, depth + 1))
            except (Unsupported, _Impossible):
                if index < fewest:
                    raise
                break
        return distinct(made, flat, fewest) if flat.get("uniqueItems") else made

    def _narrowed(self, index: int) -> Material:
        """For the items of a list each takes another sentence of the answer."""
        lines = self.material.sentences
        if len(lines) <= 1:
            return self.material
        line = lines[index % len(lines)]
        return msgspec.structs.replace(
            self.material,
            text=line,
            body=" ".join([*lines[index % len(lines) :], *lines[: index % len(lines)]]),
        )


def _found_in(pattern: str, name: str) -> bool:
    return Draft202012Validator({"pattern": pattern}).is_valid(name)


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and cast("dict[str, Any]", schema).get("type") == "null"


def _weight(schema: Any) -> int:
    """How much a branch is likely to bring with it: null before scalars before arrays before references."""
    if not isinstance(schema, dict):
        return 1
    fields = cast("dict[str, Any]", schema)
    if "$ref" in fields or "allOf" in fields:
        return 4
    kind = fields.get("type")
    return {"null": 0, "array": 2, "object": 3}.get(kind if isinstance(kind, str) else "", 1) + (
        2 if kind == "object" and fields.get("required") else 0
    )
