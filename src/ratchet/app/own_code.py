"""People's own code: callables and scorers behind `module:function`, in the process that a person has started."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from ratchet.errors import InvalidRequest
from ratchet.evals.answering import Callables
from ratchet.evals.suite import own_name

__all__ = ["HandedIn", "OwnCode", "callables", "load_object"]


def load_object(name: str, folders: Sequence[Path] = ()) -> Any:
    """What `module:name` names, with `python:` in front or not. `folders` are looked in before what is installed.

    Raises InvalidRequest where there is no such thing; what the module itself raises on import comes as it is.
    """
    module_name, _, attribute = name.removeprefix("python:").partition(":")
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise  # it is there, and needs something that is not
        places = ", ".join(str(folder) for folder in folders)
        raise InvalidRequest(
            f"There is no module {module_name!r}.",
            f"It was looked for in {places or 'the installed packages'} and among the installed packages.",
            param="python",
        ) from error
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise InvalidRequest(
                f"The module {module_name!r} has no {attribute!r}.",
                "Name a function that is in it.",
                param="python",
            )
        found = getattr(found, step)
    return found


class OwnCode:
    """What a run calls of a person's: objects that were handed in, by name, and otherwise what `module:name` names."""

    def __init__(self, folders: Sequence[Path], objects: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._folders = folders
        self._objects = objects

    def load(self, name: str) -> Any:
        """As `load_object`, which is not asked for what was handed in."""
        own = name.removeprefix("python:")
        return self._objects[own] if own in self._objects else load_object(own, self._folders)

    def function(self, name: str) -> Any:
        """As `load`. Raises InvalidRequest for what can't be called."""
        found = self.load(name)
        if not callable(found):
            raise InvalidRequest(
                f"{name} is no function.", "Name one that takes a case's input.", param="python"
            )
        return found

    def app_version(self, name: str) -> str:
        """What a callable or its module says in `app_version`; "" where neither does."""
        found = self.load(name)
        module = sys.modules.get(getattr(found, "__module__", None) or "")
        return str(getattr(found, "app_version", "") or getattr(module, "app_version", ""))


class HandedIn:
    """Functions that were handed in, by the names that a run knows them by."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def candidate(self, given: Any) -> Any:
        """A candidate as a suite file writes it."""
        if callable(given):
            return {"python": self._name(given)}
        if isinstance(given, Mapping):
            settings = dict(cast("Mapping[str, Any]", given))
            if callable(settings.get("python")):
                settings["python"] = self._name(settings["python"])
            return settings
        return given

    def scorer(self, given: Any) -> Any:
        """A scorer as it was given; a run that is resumed finds it again."""
        if callable(given):
            self.objects[own_name(given)] = given
        return given

    def _name(self, function: Any) -> str:
        name = first = own_name(function)
        number = 1
        while name in self.objects and self.objects[name] is not function:
            number += 1
            name = f"{first}#{number}"
        self.objects[name] = function
        return name


def _in_thread(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # no future takes it: who waits would wait for ever
        raise RuntimeError("StopIteration") from error


def callables(code: OwnCode, threads: int) -> Callables:
    """For the engine: what does not await runs in one of so many threads, with the context of who asked."""
    pool = ThreadPoolExecutor(threads, "candidate")
    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in loaded:
            loaded[name] = code.function(name)
        return loaded[name]

    def in_thread(function: Callable[[], Any]) -> Awaitable[Any]:
        context = contextvars.copy_context()
        return asyncio.get_running_loop().run_in_executor(pool, lambda: context.run(_in_thread, function))

    return Callables(load, in_thread)
