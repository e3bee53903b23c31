"""A suite: what to test. A YAML or TOML file, or the same keys in Python."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ratchet.config import describe_problems
from ratchet.errors import InvalidRequest, NotFound

__all__ = ["CandidateSettings", "GateSettings", "Suite", "candidate_of", "own_name", "read_suite", "suite_of"]

KINDS = ("prompt", "route", "model", "http", "python")
_SCHEMES = ("http://", "https://")
_EXAMPLES = (
    "prompt:support@production, route:cheap, provider/model, https://host/chat, python:module:function"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CandidateSettings(_Strict):
    """What is tested: one of prompt, route, model, http or python, and how it is asked."""

    prompt: str = ""
    route: str = ""
    model: str = ""
    http: str = ""
    python: str = ""
    name: str = Field(default="", max_length=200)
    app_version: str = ""
    system: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    headers: dict[str, str] = Field(default_factory=dict[str, str])

    @property
    def kind(self) -> str:
        """A prompt may name a model beside it; every other kind stands alone."""
        return next(kind for kind in KINDS if getattr(self, kind))

    @property
    def target(self) -> str:
        return str(getattr(self, self.kind))

    @property
    def label(self) -> str:
        """`name`, or what it is and how it is asked."""
        if self.name:
            return self.name
        front = "" if self.kind in ("http", "model") else f"{self.kind}:"
        beside = [self.model] if self.prompt and self.model else []
        beside += [f"{name}={value}" for name, value in self.parameters.items()]
        return " ".join([front + self.target, *beside])[:200]

    @model_validator(mode="after")
    def _one_kind(self) -> CandidateSettings:
        given = [kind for kind in KINDS if getattr(self, kind)]
        if len(given) != 1 and given != ["prompt", "model"]:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"expected one of {', '.join(KINDS)}, found {found}")
        if self.kind in ("http", "python") and (self.parameters or self.system):
            raise ValueError(f"{self.kind} candidates take no parameters or system: the app decides them")
        if self.headers and not self.http:
            raise ValueError("headers are for http candidates")
        if self.http and not self.http.startswith(_SCHEMES):
            raise ValueError(f"http wants an address such as http://localhost:9000/chat, found {self.http!r}")
        if self.python and ":" not in self.python:
            raise ValueError(f"python wants module:function, found {self.python!r}")
        if self.kind == "model" and "/" not in self.model:
            raise ValueError(f"model wants provider/model, found {self.model!r}")
        return self

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object) -> object:
        return _spelt_out(value) if isinstance(value, str) else value


def _spelt_out(text: str) -> dict[str, str]:
    kind, colon, rest = text.partition(":")
    if text.startswith(_SCHEMES):
        return {"http": text}
    if colon and kind in ("prompt", "route", "model", "python"):
        return {kind: rest}
    if "/" in text and not colon:
        return {"model": text}
    raise ValueError(f"expected something like {_EXAMPLES}")


class GateSettings(_Strict):
    """`gate`: when a candidate may replace the baseline; `ratchet.release.policy.Policy` says what each limit means.

    `baseline` and `candidate` are names of candidates: the first and the second one unless given. `early` looks after
    every case, in turn, and stops as soon as the answer is known.
    """

    scorer: str = ""
    epsilon: float = Field(default=0.02, ge=0)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    limits: dict[str, float] = Field(default_factory=dict[str, float])
    invariants: dict[str, float] = Field(default_factory=dict[str, float])
    cost_ratio: float | None = Field(default=None, gt=0)
    cost_at_most: float | None = Field(default=None, gt=0)
    latency_ratio: float | None = Field(default=None, gt=0)
    latency_p95: float | None = Field(default=None, gt=0)
    min_cases: int = Field(default=0, ge=0)
    baseline: str = ""
    candidate: str = ""
    early: bool = False


class Suite(_Strict):
    """What to test. `dataset` is a file beside the suite, or a registered dataset: `name`, or `name@version`."""

    name: str = Field(default="", max_length=200)
    dataset: str
    split: Literal["", "train", "dev", "test"] = ""
    tags: list[str] = Field(default_factory=list[str])  # only cases with one of these
    candidates: list[CandidateSettings] = Field(min_length=1, max_length=50)
    scorers: list[Any] = Field(default_factory=list[Any], max_length=100)
    repeats: int = Field(default=1, ge=1, le=1000)
    concurrency: int = Field(default=16, ge=1, le=1024)
    max_cost: float | None = Field(default=None, gt=0)  # US dollars for the whole run
    timeout: float = Field(default=600, gt=0, le=86_400)  # seconds for an app's answer
    gate: GateSettings | None = None

    @field_validator("candidates")
    @classmethod
    def _told_apart(cls, found: list[CandidateSettings]) -> list[CandidateSettings]:
        labels = [each.label for each in found]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"two candidates are called {twice[0]!r}: give one of them another name")
        return found

    @property
    def title(self) -> str:
        return self.name or "run"

    def as_settings(self) -> dict[str, Any]:
        """The suite as JSON can hold it, without what was left out. Scorers given as objects stand there by name."""
        settings = self.model_dump(exclude_defaults=True, exclude={"scorers", "candidates"})
        settings["candidates"] = [each.model_dump(exclude_defaults=True) for each in self.candidates]
        if self.scorers:
            settings["scorers"] = [
                spec if isinstance(spec, str | dict) else f"python:{own_name(spec)}" for spec in self.scorers
            ]
        return settings


def candidate_of(given: Any, parameters: Mapping[str, Any] | None = None) -> CandidateSettings:
    """One candidate as a suite file writes it, with further parameters. Raises InvalidRequest."""
    try:
        found = CandidateSettings.model_validate(given)
        if parameters:
            spelt = found.model_dump(exclude_defaults=True)
            asked = {**found.parameters, **parameters}
            found = CandidateSettings.model_validate({**spelt, "parameters": asked})
    except ValidationError as error:
        raise InvalidRequest(
            f"The candidate {given!r} can't be used: {describe_problems(error, CandidateSettings)}",
            "docs/runs.md lists what a candidate may be.",
            param="candidate",
        ) from None
    return found


def own_name(found: Any) -> str:
    """How a suite names a person's own function, or a scorer made of one: `module:function`."""
    function = getattr(found, "function", found)
    name = getattr(function, "__qualname__", "") or type(function).__qualname__
    return f"{function.__module__}:{name}"


def read_suite(path: Path, changes: Mapping[str, Any] | None = None) -> Suite:
    """The suite in a YAML or TOML file, with `changes` to its keys; its name is the file's unless it says another.

    Raises NotFound, and InvalidRequest naming file, key, what was found and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(
            f"The suite {path} can't be read: {error}.", "Give the path of a YAML or TOML file."
        ) from error
    return suite_of({"name": path.stem, **_decoded(text, path), **(changes or {})}, str(path))


def suite_of(keys: Mapping[str, Any], where: str = "The suite") -> Suite:
    """A suite from its keys. Raises InvalidRequest naming each key that is wrong."""
    try:
        return Suite.model_validate(dict(keys))
    except ValidationError as error:
        raise InvalidRequest(
            f"{where} can't be used: {describe_problems(error, Suite)}", "docs/runs.md lists every key."
        ) from None


def _decoded(text: str, path: Path) -> dict[str, Any]:
    try:
        found: object = (
            tomllib.loads(text) if path.suffix == ".toml" else yaml.load(text, Loader=_loader())  # noqa: S506 - a safe one
        )
    except tomllib.TOMLDecodeError as error:
        raise InvalidRequest(f"{path} is not TOML: {error}.", "Correct that line.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise InvalidRequest(f"{path}{place} is not YAML: {problem}.", "Correct that line.") from error
    if not isinstance(found, dict):
        raise InvalidRequest(
            f"{path} holds {'nothing' if found is None else 'no table of keys'}.",
            "Begin with `dataset: …` and `candidates: […]`.",
        )
    return {str(key): value for key, value in cast("dict[Any, Any]", found).items()}


def _loader() -> Any:
    """The C one where PyYAML was built with it."""
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)
