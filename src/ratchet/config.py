"""Reading `ratchet.toml` and the environment. Knows no room: the settings model is handed in.

Environment variables win over the file: `RATCHET_<SECTION>__<KEY>`, with two underscores between levels, e.g.
`RATCHET_STORE__SPANS=clickhouse://…` for `[store] spans`.
"""

from __future__ import annotations

import difflib
import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ratchet.errors import Misconfigured
from ratchet.files import replace_file

__all__ = ["ConfigFile", "describe_problems"]

log = logging.getLogger("ratchet.config")
Settings = TypeVar("Settings", bound=BaseModel)
_PREFIX = "RATCHET_"
_LEVELS = "__"
_ABSENT = (0, 0, 0)


class ConfigFile(Generic[Settings]):
    """A settings file that may not exist, and what the environment adds."""

    def __init__(
        self, path: Path, model: type[Settings], environment: Mapping[str, str], *, copy: Path | None = None
    ) -> None:
        """`copy` is where the last good text is kept, for `read_after_restart`."""
        self.path = path
        self._copy = copy
        self._model = model
        self._environment = environment
        self._stamp: tuple[int, int, int] | None = None

    def read(self) -> Settings:
        """The settings as they are now. Raises Misconfigured, naming each key that is wrong."""
        before, self._stamp = self._stamp, self._look()
        if before is not None and before[1] and not self._stamp[1]:
            # Some editors empty or remove a file before they write it anew; that must not drop every route.
            raise Misconfigured(
                f"{self.path} is {'gone' if self._stamp == _ABSENT else 'empty'}; it was not before.",
                "Put it back, or restart ratchet to go on without it.",
            )
        text = self._text()
        settings = self._settings(text)
        if self._copy is not None:
            self._keep(text, self._copy)
        return settings

    def read_after_restart(self) -> Settings:
        """The settings, or the last good ones where somebody has broken the file since. Raises Misconfigured."""
        try:
            return self.read()
        except Misconfigured as error:
            if self._copy is None or not self._copy.exists():
                raise
            log.error("going on with the last good settings: %s", error)  # noqa: TRY400 - its text says everything
            return self._settings(self._copy.read_text(encoding="utf-8"))

    def changed(self) -> bool:
        """Whether the file looks different from when it was last read."""
        return self._look() != self._stamp

    def _settings(self, text: str) -> Settings:
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{self.path} is not TOML: {error}.", "Correct that line.") from error
        variables = sorted(name for name in self._environment if name.startswith(_PREFIX) and _LEVELS in name)
        for name in variables:
            _set(tree, name, self._environment[name])
        try:
            return self._model.model_validate(tree)
        except ValidationError as error:
            where = " with ".join([str(self.path), *([", ".join(variables)] if variables else [])])
            raise Misconfigured(
                f"{where} can't be used: {describe_problems(error, self._model)}",
                "Correct it; a gateway that runs goes on with its last good settings.",
            ) from error

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"{self.path} can't be read: {error}.", "It has to be a readable UTF-8 file."
            ) from error

    def _keep(self, text: str, copy: Path) -> None:
        """Best effort: without the copy, a restart only has the file itself."""
        try:
            replace_file(copy, text.encode())
        except OSError as error:
            log.warning("the settings could not be remembered for a restart: %s", error)

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return _ABSENT
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def describe_problems(error: ValidationError, model: type[BaseModel]) -> str:
    """Each problem as `key is what was found; what was expected`."""
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            lines.append(f"{key} is not a setting" + _suggestion(problem["loc"], model))
        elif problem["type"] == "missing":
            lines.append(f"{key} is missing")
        elif key.endswith("api_key"):  # never repeat what might be a secret
            lines.append(f"{key}: {_sentence(problem['msg'])}")
        else:
            lines.append(f"{key} is {problem['input']!r}: {_sentence(problem['msg'])}")
    return "; ".join(lines) + "."


def _sentence(message: str) -> str:
    return message.removeprefix("Value error, ").removesuffix(".")


def _suggestion(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """The nearest known name at that place, if one is near."""
    here: Any = model
    for part in location[:-1]:
        here = _inner(here, str(part))
        if here is None:
            return ""
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return ""
    names = list(here.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1)
    return f" (did you mean {close[0]}?)" if close else f" (there are: {', '.join(names)})"


def _inner(here: Any, name: str) -> Any:
    if isinstance(here, type) and issubclass(here, BaseModel):
        field = here.model_fields.get(name)
        here = field.annotation if field else None
        arguments = getattr(here, "__args__", ())
        # dict[str, Model] stands for its values; the next part of the location is the dict's key.
        return _Table(arguments[1]) if len(arguments) == 2 else here
    return here.values if isinstance(here, _Table) else None


class _Table:
    def __init__(self, values: Any) -> None:
        self.values = values


def _set(tree: dict[str, Any], name: str, value: str) -> None:
    *sections, last = name.removeprefix(_PREFIX).lower().split(_LEVELS)
    here = tree
    for section in sections:
        inner = here.setdefault(section, {})
        if not isinstance(inner, dict):
            raise Misconfigured(
                f"{name} is set, but {section} is not a section.", "Unset it, or correct its name."
            )
        here = cast("dict[str, Any]", inner)
    here[last] = _value(value)


def _value(text: str) -> Any:
    """Numbers, booleans and lists as TOML writes them; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
