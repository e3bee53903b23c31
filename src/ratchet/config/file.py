"""Reading `ratchet.toml` and the environment. Knows no room: the settings model is handed in.

Environment variables win over the file: `RATCHET_<SECTION>__<KEY>`, with two underscores between levels, e.g.
`RATCHET_STORE__SPANS=clickhouse://…` for `[store] spans`.
"""

from __future__ import annotations

import contextlib
import logging
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from ratchet.config.problems import describe_problems
from ratchet.errors import Misconfigured
from ratchet.files import replace_file

__all__ = ["ConfigFile"]

log = logging.getLogger("ratchet.config")
Settings = TypeVar("Settings", bound=BaseModel)
_PREFIX = "RATCHET_"
_LEVELS = "__"
_ABSENT = (0, 0, 0)  # of a file that isn't there


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
        self._read_text = ""
        self._sources: dict[str, str] = {}

    def read(self) -> Settings:
        """The settings as they are now. Raises Misconfigured, naming each key that is wrong.

        A file that said something when it was last good has to say something: some editors empty or remove a file
        before they write it anew, in any order, and that must not drop every route.
        """
        self._stamp = self._look()
        text = self._text()
        if self._read_text.strip() and not text.strip():
            raise Misconfigured(
                f"{self.path} is {'empty' if self.path.exists() else 'gone'}; it was not before.",
                "Put it back, or restart ratchet to go on without it.",
            )
        settings = self._settings(text)
        self._read_text = text
        return settings

    def keep(self) -> None:
        """Remember what was read last as the last good settings. Best effort: without a copy, a restart only has the
        file itself."""
        if self._copy is None:
            return
        try:
            replace_file(self._copy, self._read_text.encode())
        except OSError as error:
            log.warning("the settings could not be remembered for a restart: %s", error)

    def last_good(self) -> Settings | None:
        """What was kept last; None where nothing was, or where it can't be used."""
        try:
            return self._settings(self._kept())
        except (OSError, UnicodeDecodeError, Misconfigured):
            return None

    def read_after_restart(self) -> Settings:
        """The settings, or the last good ones where somebody has broken, emptied or removed the file since. Raises
        Misconfigured."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            self._read_text = self._kept()
        try:
            return self.read()
        except Misconfigured as error:
            kept = self.last_good()
            if kept is None:
                raise
            log.error("going on with the last good settings: %s", error)  # noqa: TRY400 - its text says everything
            return kept

    def _kept(self) -> str:
        """The text that was kept last. Raises OSError where there is none."""
        if self._copy is None:
            raise FileNotFoundError
        return self._copy.read_text(encoding="utf-8")

    def sources(self) -> Mapping[str, str]:
        """Where each key that was given comes from, as of the last good reading: `{"gateway.host": "RATCHET_GATEWAY__HOST"}`.

        A variable's name, or "" for the file; keys with a default are not in it.
        """
        return self._sources

    def changed(self) -> bool:
        """Whether the file looks different from when it was last read."""
        return self._look() != self._stamp

    def _settings(self, text: str) -> Settings:
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise Misconfigured(f"{self.path} is not TOML: {error}.", "Correct that line.") from error
        sources = dict.fromkeys(_leaves(tree), "")
        variables = sorted(name for name in self._environment if name.startswith(_PREFIX) and _LEVELS in name)
        for name in variables:
            sources[_set(tree, name, self._environment[name])] = name
        try:
            settings = self._model.model_validate(tree)
        except ValidationError as error:
            where = " with ".join([str(self.path), *([", ".join(variables)] if variables else [])])
            raise Misconfigured(
                f"{where} can't be used: {describe_problems(error, self._model)}",
                "Correct it; a gateway that runs goes on with its last good settings.",
            ) from error
        self._sources = sources
        return settings

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(
                f"{self.path} can't be read: {error}.", "It has to be a readable UTF-8 file."
            ) from error

    def _look(self) -> tuple[int, int, int]:
        try:
            found = self.path.stat()
        except OSError:
            return _ABSENT
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted name of every value that is no table."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(cast("dict[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _set(tree: dict[str, Any], name: str, value: str) -> str:
    """Put a variable's value where it belongs; answers the dotted name of that place."""
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
    return ".".join([*sections, last])


def _value(text: str) -> Any:
    """Numbers, booleans and lists as TOML writes them; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
