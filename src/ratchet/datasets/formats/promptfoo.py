"""promptfoo's YAML: its tests become cases, their variables the input.

Taken: `vars` (lists multiplied out, as promptfoo does), `assert`, `description`, `metadata`, and what `defaultTest`
says of these. The first assertion with an answer to expect becomes the reference; all of them are kept as JSON in
the metadata under `promptfoo.assert`, and written out again. A single variable named `input` is a plain input.

Not taken, and named in the notes: prompts, providers, scenarios, scripts and files that tests point at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec
import yaml

from ratchet.datasets.formats.jsonl import text_of
from ratchet.datasets.formats.row import Row, Rows, Unreadable
from ratchet.domain.cases import Case

__all__ = ["ASSERTIONS", "read", "write"]

ASSERTIONS = "promptfoo.assert"
_EXPECTED = ("equals", "factuality", "model-graded-factuality", "similar", "contains", "icontains")
_TAKEN = ("vars", "assert", "description", "metadata")
_MOST_NODES = 5_000_000  # an alias of an alias of an alias is a small file and no small value


# Safe, quick where the C library is there, and a date stays the text that it is.
_Loader: Any = type(
    "_Loader",
    (getattr(yaml, "CSafeLoader", yaml.SafeLoader),),
    {
        "yaml_implicit_resolvers": {
            letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for letter, resolvers in cast("dict[Any, Any]", yaml.SafeLoader.yaml_implicit_resolvers).items()
        }
    },
)


class _Dumper(yaml.SafeDumper):
    """Writes line breaks that are not newlines as escapes: PyYAML reads them back as something else."""

    def represent_str(self, data: str) -> Any:
        style = '"' if any(mark in data for mark in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def read(content: bytes) -> Rows:
    document, places = _load(text_of(content))
    whole: dict[str, Any] = {"tests": document} if isinstance(document, list) else _mapping("", document)
    tests = whole.get("tests")
    if not isinstance(tests, list):
        raise Unreadable(
            "",
            "There is no list of tests." if tests is None else "Its tests are somewhere else.",
            "Give the file whose `tests:` holds the tests themselves.",
        )
    notes = [f"{name} is not taken." for name in whole if name not in ("tests", "defaultTest", "description")]
    default = _mapping("defaultTest", whole.get("defaultTest") or {})
    rows: list[Row] = []
    for test, place in zip(cast("list[Any]", tests), places, strict=True):
        rows.extend(_rows_of(place, _mapping(place, test), default))
    left = {name for test in [default, *cast("list[dict[str, Any]]", tests)] for name in test} - {*_TAKEN}
    notes += [f"{name} of a test is not taken." for name in sorted(left - {"options"})]
    return Rows(rows, notes)


def write(cases: Sequence[Case]) -> bytes:
    tests = [_test(case) for case in cases]
    return cast("Any", yaml).dump(
        {"tests": tests}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110, encoding="utf-8"
    )


def _load(text: str) -> tuple[Any, list[str]]:
    """The document, and where each of its tests stands."""
    loader = _Loader(text)
    try:
        node: Any = loader.get_single_node()
        document: Any = None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).partition("\n")[0]
        place = f"line {mark.line + 1}" if mark else ""
        raise Unreadable(place, f"This is not YAML: {said}.", "Correct the file.") from error
    finally:
        loader.dispose()
    _check_size(document)
    listed: Any = node
    if isinstance(node, yaml.MappingNode):
        listed = next((value for key, value in node.value if key.value == "tests"), None)
    items: list[Any] = listed.value if isinstance(listed, yaml.SequenceNode) else []
    return document, [f"line {item.start_mark.line + 1}" for item in items]


def _check_size(document: Any) -> None:
    waiting, seen = [document], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if isinstance(value, dict):
            waiting.extend(cast("dict[Any, Any]", value).values())
        elif isinstance(value, list):
            waiting.extend(cast("list[Any]", value))
        if seen > _MOST_NODES:
            raise Unreadable("", "Its aliases make it too large.", "Write the tests out.")


def _mapping(place: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(place, "This is not a mapping.", "Write `vars:` and `assert:` under it.")
    return {str(key): inner for key, inner in cast("dict[Any, Any]", value).items()}


def _rows_of(place: str, test: dict[str, Any], default: dict[str, Any]) -> Iterator[Row]:
    variables = {**_named(place, default, "vars"), **_named(place, test, "vars")}
    if not variables:
        raise Unreadable(place, "The test has no vars.", "Give it `vars:`; they become the case's input.")
    asserted = [*_listed(place, default), *_listed(place, test)]
    metadata = {**_named(place, default, "metadata"), **_named(place, test, "metadata")}
    if test.get("description"):
        metadata["description"] = str(test["description"])
    if asserted:
        metadata[ASSERTIONS] = msgspec.json.encode(asserted).decode()
    rest: dict[str, Any] = {"metadata": metadata} if metadata else {}
    reference = _reference(asserted)
    if reference is not None:
        rest["reference"] = reference
    options = {**_named(place, default, "options"), **_named(place, test, "options")}
    for chosen in _combinations(variables, spread=not options.get("disableVarExpansion")):
        pointed = next((name for name, value in chosen.items() if str(value).startswith("file://")), None)
        if pointed is not None:
            raise Unreadable(
                place,
                f"The variable {pointed!r} points at another file.",
                "Write its text into the test.",
            )
        yield Row(place, {"input": chosen["input"] if list(chosen) == ["input"] else chosen, **rest})


def _named(place: str, test: dict[str, Any], name: str) -> dict[str, Any]:
    value = test.get(name)
    if isinstance(value, str):
        raise Unreadable(
            place, f"{name} points at {value!r}.", "Write them into the test; other files are not read."
        )
    return _mapping(place, value) if value else {}


def _listed(place: str, test: dict[str, Any]) -> list[Any]:
    value: Any = test.get("assert") or []
    if not isinstance(value, list):
        raise Unreadable(place, "assert is not a list.", "Write `- type: …` under it.")
    return cast("list[Any]", value)


def _reference(asserted: list[Any]) -> Any:
    """What the first assertion expects, of those that expect an answer or a part of it."""
    expecting = [
        cast("dict[str, Any]", one)
        for one in asserted
        if isinstance(one, dict) and cast("dict[str, Any]", one).get("value") is not None
    ]
    for kind in _EXPECTED:
        for one in expecting:
            if one.get("type") == kind and not str(one["value"]).startswith("file://"):
                return one["value"]
    return None


def _combinations(variables: dict[str, Any], *, spread: bool) -> Iterator[dict[str, Any]]:
    """promptfoo asks once for every combination of the lists' elements."""
    choices: list[list[Any]] = [
        cast("list[Any]", value) if spread and isinstance(value, list) and value else [value]
        for value in variables.values()
    ]
    for chosen in itertools.product(*choices):
        yield dict(zip(variables, chosen, strict=True))


def _test(case: Case) -> dict[str, Any]:
    metadata = dict(case.metadata)
    description = metadata.pop("description", "")
    asserted = metadata.pop(ASSERTIONS, "")
    variables: dict[str, Any]
    if isinstance(case.input, dict):
        variables = cast("dict[str, Any]", case.input)
    else:
        variables = {"input" if isinstance(case.input, str) else "messages": case.input}
    test: dict[str, Any] = {"description": description} if description else {}
    test["vars"] = variables
    if asserted:
        test["assert"] = msgspec.json.decode(asserted)
    elif case.reference is not None:
        test["assert"] = [{"type": "equals", "value": case.reference}]
    if metadata:
        test["metadata"] = metadata
    if list in map(type, variables.values()):
        test["options"] = {"disableVarExpansion": True}
    return test
