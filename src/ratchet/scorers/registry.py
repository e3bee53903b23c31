"""From what a suite file says to a scorer."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.scorers.builtin import BUILTIN
from ratchet.scorers.function import FunctionScorer, scorer
from ratchet.scorers.loading import load
from ratchet.scorers.scorer import Scorer, ScorerAbout, Tools
from ratchet.scorers.settings import Setting, Settings, read_settings, settings_in

__all__ = ["list_scorers", "make_scorer", "make_scorers", "read_spec", "route_of", "scorer_settings"]

PYTHON = "python:"


def list_scorers() -> list[ScorerAbout]:
    """What is known about every built-in scorer. Loads none of them."""
    return [each.about for each in BUILTIN.values()]


def scorer_settings(name: str) -> list[Setting]:
    """The keys that a built-in scorer takes, besides `name`."""
    return settings_in(_settings_of(name))


def make_scorers(specs: Sequence[Any], tools: Tools) -> list[Scorer]:
    """The scorers of a suite. Two may not write verdicts of one name."""
    made = [make_scorer(spec, tools) for spec in specs]
    seen: set[str] = set()
    for each in made:
        if each.about.name in seen:
            raise InvalidRequest(
                f"Two scorers of the suite are called {each.about.name}.",
                "Give one of them another `name`.",
                param="scorers",
            )
        seen.add(each.about.name)
    return made


def make_scorer(spec: Any, tools: Tools) -> Scorer:
    """The scorer that `spec` names.

    `contains`, `{regex: {pattern: …}}`, `python:module:function`, or (from Python) a scorer or a function itself.
    Raises InvalidRequest for a mistake in the spec, Misconfigured where a tool is missing.
    """
    if callable(spec):
        return _own(spec, getattr(spec, "__name__", "a scorer"))
    name, settings = _parts(spec)
    if name.startswith(PYTHON):
        return _python(name, settings, tools)
    name, checked = read_spec(spec)
    return checked.make(BUILTIN[name].about, tools)


def read_spec(spec: Any) -> tuple[str, Settings]:
    """The name of the built-in scorer that `spec` is about, and its settings, checked. Raises InvalidRequest."""
    name, settings = _parts(spec)
    return name, read_settings(name, _settings_of(name), settings)


def route_of(spec: Any) -> str | None:
    """What a built-in judge asks: a route or `provider/model`. None for every other scorer. Raises InvalidRequest."""
    if callable(spec) or _parts(spec)[0].startswith(PYTHON):
        return None
    return getattr(read_spec(spec)[1], "route", None)


def _settings_of(name: str) -> type[Settings]:
    if name not in BUILTIN:
        near = difflib.get_close_matches(name.lower(), BUILTIN, 1)
        raise InvalidRequest(
            f"There is no scorer {name!r}.",
            f"Did you mean {near[0]}?"
            if near
            else f"There are {', '.join(sorted(BUILTIN))}, and python:module:function.",
            param="scorers",
        )
    return load(BUILTIN[name].where)


def _parts(spec: Any) -> tuple[str, Mapping[str, Any]]:
    """Name and settings."""
    if isinstance(spec, str):
        return spec, {}
    if isinstance(spec, Mapping):
        pairs = cast("Mapping[Any, Any]", spec)
        if len(pairs) == 1:
            name, settings = next(iter(pairs.items()))
            if settings is None:
                return str(name), {}
            if isinstance(settings, Mapping):
                return str(name), {
                    str(key): value for key, value in cast("Mapping[Any, Any]", settings).items()
                }
            raise InvalidRequest(
                f"The settings of the scorer {name} must be an object, and are {settings!r}.",
                f"Write {{{name}: {{key: value}}}}.",
                param=f"scorers.{name}",
            )
        raise InvalidRequest(
            f"A scorer is one name with its settings; here are {len(pairs)}: {', '.join(map(str, pairs))}.",
            "Put each scorer on a line of its own, its settings one level deeper.",
            param="scorers",
        )
    raise InvalidRequest(
        f"A scorer must be a name, or a name with settings, and is {spec!r}.",
        "Write `- contains` or `- regex: {pattern: …}`.",
        param="scorers",
    )


def _python(name: str, settings: Mapping[str, Any], tools: Tools) -> Scorer:
    if set(settings) - {"name"}:
        raise InvalidRequest(
            f"The scorer {name} takes no settings but `name`.",
            "Set what it needs in its module.",
            param=f"scorers.{name}",
        )
    if tools.load is None:
        raise Misconfigured(
            f"The scorer {name} is Python code of your own, which the studio does not run.",
            "Start the run from the command line: ratchet run start.",
        )
    own = _own(tools.load(name), name)
    given = settings.get("name")
    if given and isinstance(own, FunctionScorer):
        return own.renamed(str(given))
    return own


def _own(found: object, name: str) -> Scorer:
    """A person's own object as a scorer."""
    if isinstance(getattr(found, "about", None), ScorerAbout) and callable(found):
        return cast("Scorer", found)
    if callable(found) and not isinstance(found, type):
        return scorer(cast("Any", found))
    raise InvalidRequest(
        f"{name} is no scorer but {type(found).__name__}.",
        "It must be a function of case and output.",
        param="scorers",
    )
