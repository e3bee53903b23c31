"""YAML as JSON sees it: no dates, no `yes`, no octal numbers, no duplicate keys, and the line of every key.

YAML 1.1, which PyYAML speaks, reads `1e-3` as a text, `no` as false and `2024-01-01` as a date. Here only what JSON
would read as a number, true, false or null is one; every other plain word is a text.
"""

from __future__ import annotations

import re
from typing import Any, cast

import yaml

__all__ = ["Misread", "dump", "load"]

_MOST = 100_000
_BOOL = re.compile(r"true|false")
_INT = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", re.IGNORECASE)
_NULL = re.compile(r"null|~|")


class Misread(ValueError):
    """`line` counts from 1; `key` is the path of what is wrong, "" where the text is no YAML at all."""

    def __init__(self, line: int, problem: str, key: str = "") -> None:
        super().__init__(problem)
        self.line, self.problem, self.key = line, problem, key


def _with_resolvers(kind: Any) -> Any:
    kind.yaml_implicit_resolvers = {}
    kind.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(rf"(?:{_BOOL.pattern})$"), list("tf"))
    kind.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(rf"(?:{_INT.pattern})$"), list("-0123456789")
    )
    kind.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(rf"(?:{_FLOAT.pattern})$", re.IGNORECASE),
        list("-+.0123456789"),
    )
    kind.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(rf"(?:{_NULL.pattern})$"), ["n", "~", ""])
    return kind


def _integer(_loader: yaml.SafeLoader, node: Any) -> int:
    return int(node.value)


class _Loader(yaml.SafeLoader):
    pass


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True  # a value that stands there twice is written twice


_with_resolvers(_Loader)
_with_resolvers(_Dumper)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if not value.isprintable():  # line ends of all kinds among them
        plain = all(line.isprintable() and line == line.rstrip() for line in value.split("\n"))
        style = "|" if plain and value.strip() and not value[0].isspace() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(value: Any) -> str:
    """Keys in their order; texts of several lines as such."""
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


def load(text: str, *, first_line: int = 1) -> tuple[Any, dict[str, int]]:
    """The value, and the line of each key and entry by its path (`examples[0].input`). Raises Misread."""
    lines: dict[str, int] = {}
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # characters that no YAML may hold
        raise Misread(first_line, str(error).split("\n", 1)[0]) from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _look(node, "", lines, first_line)
        return cast("Any", loader.construct_document(node)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Misread((mark.line if mark else 0) + first_line, error.problem or "it is not YAML") from error
    except yaml.YAMLError as error:
        raise Misread(first_line, str(error).split("\n", 1)[0]) from error
    except RecursionError as error:
        raise Misread(
            first_line, "it is nested too deeply, or an alias (`*name`) stands inside what it names"
        ) from error
    except Misread:
        raise
    except ValueError as error:
        raise Misread(first_line, str(error)) from error
    finally:
        loader.dispose()


def _look(node: yaml.Node, path: str, lines: dict[str, int], first_line: int) -> None:
    if len(lines) > _MOST:  # a few aliases of aliases make millions
        raise Misread(first_line, f"it has more than {_MOST:,} keys and entries, aliases written out")
    if isinstance(node, yaml.SequenceNode):
        for number, entry in enumerate(cast("list[yaml.Node]", node.value)):
            where = f"{path}[{number}]"
            lines[where] = entry.start_mark.line + first_line
            _look(entry, where, lines, first_line)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            line = key.start_mark.line + first_line
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise Misread(line, "a key has to be a text; put it in quotes", path)
            name = str(key.value)
            where = f"{path}.{name}" if path else name
            if name in seen:
                raise Misread(line, f"`{name}` stands there twice", where)
            seen.add(name)
            lines[where] = line
            _look(value, where, lines, first_line)
