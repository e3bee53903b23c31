"""Rendering: a template and variables in, messages out. Compiled once, rendered as often as it is asked for.

Templates can neither call into Python nor read anything but their variables. A variable that is missing, or that the
template does not know, is an error that names it; the limits bound what a rendering takes, in time and in memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import minijinja

from ratchet.domain.prompts import Template, TemplateMessage
from ratchet.errors import InvalidRequest
from ratchet.prompts.filters import FILTERS, GONE, MOST_CHARACTERS, as_json
from ratchet.prompts.tags import Flaw, outline

__all__ = ["CompiledTemplate", "compile_template"]

MOST_TEMPLATE = 256 << 10
"""Characters of one message's template."""
_FUEL = 100_000  # instructions of one message
_LOOPED = 64 << 20  # characters of plain text that loops may write: fuel times the longest text in one
_GLOBALS = frozenset({"range"})
_NO_GLOBALS = ("cycler", "debug", "dict", "joiner", "lipsum", "namespace")

_room: ContextVar[int] = ContextVar("room")  # characters that the rendering under way may still write


class _TooLong(ValueError):
    pass


class CompiledTemplate:
    """`required` and `optional` are the variables it takes, by name. Thread-safe."""

    __slots__ = ("_environment", "_examples", "_examples_at", "_roles", "optional", "required")

    def __init__(self, template: Template) -> None:
        """Raises InvalidRequest, naming the message and the line."""
        self._roles = [each.role for each in template.messages]
        self._examples = [
            TemplateMessage(role=role, content=content)
            for each in template.examples
            for role, content in (("user", each.input), ("assistant", each.output))
        ]
        system = [number for number, role in enumerate(self._roles) if role == "system"]
        self._examples_at = system[-1] + 1 if system else 0
        self._environment, used, optional = _compiled([each.content for each in template.messages])
        self.required = tuple(sorted(used - optional))
        self.optional = tuple(sorted(used & optional))

    def render(self, variables: Mapping[str, Any], *, who: str = "The prompt") -> list[TemplateMessage]:
        """The messages, examples among them. One that renders to nothing but space is left out.

        Raises InvalidRequest where a variable is missing, superfluous or of the wrong kind; `who` begins its sentence.
        """
        self._check(variables, who)
        messages: list[TemplateMessage] = []
        token = _room.set(MOST_CHARACTERS)
        try:
            for number, role in enumerate(self._roles):
                if number == self._examples_at:
                    messages += self._examples
                content = self._rendered(number, variables, who)
                if content.strip():
                    messages.append(TemplateMessage(role=role, content=content))
        finally:
            _room.reset(token)
        return messages if self._examples_at < len(self._roles) else messages + self._examples

    def _rendered(self, number: int, variables: Mapping[str, Any], who: str) -> str:
        try:
            content = self._environment.render_template(str(number), **variables)
        except (minijinja.TemplateError, ValueError, TypeError, RecursionError) as error:
            raise _not_rendered(who, number, error) from error
        if len(content) > MOST_CHARACTERS:
            raise _not_rendered(who, number, _TooLong())
        return content

    def _check(self, variables: Mapping[str, Any], who: str) -> None:
        missing = [name for name in self.required if name not in variables]
        if missing:
            raise InvalidRequest(
                f"{who} needs the {_named(missing)}, and the request doesn't give {_it(missing)}.",
                f"Add {_it(missing)} to `variables`. {self.expectation}",
                code="missing_variable",
                param=f"variables.{missing[0]}",
            )
        known = {*self.required, *self.optional}
        superfluous = [name for name in variables if name not in known]
        if superfluous:
            close = difflib.get_close_matches(superfluous[0], known, n=1)
            hint = f"Did you mean `{close[0]}`? " if close else ""
            raise InvalidRequest(
                f"{who} has no {_named(superfluous)}.",
                f"{hint}Take {_it(superfluous)} out of `variables`. {self.expectation}",
                code="unknown_variable",
                param=f"variables.{superfluous[0]}",
            )

    @property
    def expectation(self) -> str:
        """Which variables it takes, as a sentence."""
        if not self.required and not self.optional:
            return "It takes no variables."
        parts = [f"takes {_listed(self.required)}"] if self.required else []
        parts += [f"may take {_listed(self.optional)}"] if self.optional else []
        return f"It {' and '.join(parts)}."


def compile_template(template: Template) -> CompiledTemplate:
    """Raises InvalidRequest for a message that is no template, naming it and the line."""
    return CompiledTemplate(template)


def _compiled(sources: list[str]) -> tuple[minijinja.Environment, frozenset[str], frozenset[str]]:
    """An environment with every source under its number, the variables they use and those they can do without."""
    used: set[str] = set()
    optional: set[str] = set()
    looped = 1
    environment = _environment()
    for number, source in enumerate(sources):
        where = f"messages[{number}].content"
        if len(source) > MOST_TEMPLATE:
            raise InvalidRequest(
                f"Message {number + 1} has {len(source):,} characters; the limit is {MOST_TEMPLATE:,}.",
                "Hand the long part in as a variable.",
                param=where,
            )
        try:
            read = outline(source)
            environment.add_template(str(number), source)
            used |= environment.undeclared_variables_in_template(str(number)) - _GLOBALS
        except Flaw as flaw:
            raise _not_compiled(number, flaw.line, flaw.problem, flaw.remedy) from flaw
        except minijinja.TemplateError as error:
            raise _not_compiled(number, error.line, _said(error), "Correct the template there.") from error
        optional |= read.optional
        looped = max(looped, read.looped)
    environment.fuel = min(_FUEL, _LOOPED // looped)
    return environment, frozenset(used), frozenset(optional)


def _environment() -> minijinja.Environment:
    environment = minijinja.Environment(
        undefined_behavior="strict",
        auto_escape_callback=lambda _name: False,
        debug=False,
        pycompat=False,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalizer=_within_limits,
    )
    for name in GONE:
        environment.remove_filter(name)
    for name in _NO_GLOBALS:
        environment.remove_global(name)
    for name, function in FILTERS.items():
        environment.add_filter(name, function)
    return environment


def _within_limits(value: Any) -> Any:
    """Counts what a tag writes. Values that are no text are written as JSON, as models read it best."""
    if value is None or isinstance(value, bool):
        value = {None: "", True: "true", False: "false"}[value]
    elif isinstance(value, (dict, list, tuple)):
        value = as_json(value)
    if isinstance(value, str):
        room = _room.get(MOST_CHARACTERS) - len(value)
        if room < 0:
            raise _TooLong
        _room.set(room)
    return value


def _not_compiled(number: int, line: int | None, problem: str, remedy: str) -> InvalidRequest:
    where = f", line {line}" if line else ""
    return InvalidRequest(
        f"Message {number + 1}{where}: {problem}.",
        remedy,
        code="invalid_template",
        param=f"messages[{number}].content",
    )


def _not_rendered(who: str, number: int, error: Exception) -> InvalidRequest:
    line = error.line if isinstance(error, minijinja.TemplateError) else None
    where = f"message {number + 1}" + (f", line {line}" if line else "")
    if isinstance(error, _TooLong):
        said = f"it becomes longer than {MOST_CHARACTERS:,} characters"
    elif isinstance(error, minijinja.TemplateError) and error.kind == "OutOfFuel":
        said = "it takes too many steps"
    else:
        said = _said(error)
    return InvalidRequest(
        f"{who} can't be rendered with these variables: {where}: {said}.",
        "Send values of the kinds that the template expects there.",
        code="invalid_variable",
        param="variables",
    )


def _said(error: Exception) -> str:
    """minijinja's own sentence, without the excerpt that follows it and the name that it knows the message by."""
    first = str(error).split("\n", 1)[0]
    return first.rpartition(" (in ")[0] or first


def _named(names: list[str]) -> str:
    return f"variable{'' if len(names) == 1 else 's'} {_listed(names)}"


def _it(names: list[str]) -> str:
    return "it" if len(names) == 1 else "them"


def _listed(names: Iterable[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
