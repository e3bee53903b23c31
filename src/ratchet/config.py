"""Reading `ratchet.toml` and the environment. Knows no room: the settings model is handed in.

Environment variables win over the file: `RATCHET_<SECTION>__<KEY>`, with two underscores between levels, e.g.
`RATCHET_STORE__SPANS=clickhouse://…` for `[store] spans`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ratchet.errors import Misconfigured

__all__ = ["ConfigFile", "describe_problems"]

Settings = TypeVar("Settings", bound=BaseModel)
_PREFIX = "RATCHET_"
_LEVELS = "__"


class ConfigFile(Generic[Settings]):
    """A settings file that may not exist, and what the environment adds."""

    def __init__(self, path: Path, model: type[Settings], environment: Mapping[str, str]) -> None:
        self.path = path
        self._model = model
        self._environment = environment
        self._stamp: tuple[int, int, int] | None = None

    def read(self) -> Settings:
        """The settings as they are now. Raises Misconfigured, naming each key that is wrong."""
        self._stamp = self._look()
        tree = self._file()
        for name, value in sorted(self._environment.items()):
            if name.startswith(_PREFIX) and _LEVELS in name:
                _set(tree, name, value)
        try:
            return self._model.model_validate(tree)
        except ValidationError as error:
            raise Misconfigured(
                f"{self.path} can't be used: {describe_problems(error, self._model)}",
                "Correct it; a gateway that runs goes on with its last good settings.",
            ) from error

    def changed(self) -> bool:
        """Whether the file looks different from when it was last read."""
        return self._look() != self._stamp

    def _file(self) -> dict[str, Any]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"{self.path} can't be read: {error}.", "It has to be a readable UTF-8 file."
            ) from error
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{self.path} is not TOML: {error}.", "Correct that line.") from error

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return (0, 0, 0)
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
