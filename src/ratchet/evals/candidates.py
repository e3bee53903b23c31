"""Candidates: what a suite names, resolved to what it is now, and how a case is put to it.

Prompts, routes and models are asked through the gateway's own path; an app is asked over HTTP or called here. What an
app answers is a text, or an object: `output` (a text or any JSON), and optionally `cost` in US dollars,
`usage: {input_tokens, output_tokens}`, `tool_calls: [{id, name, arguments}]` and `app_version`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import msgspec

from ratchet.domain.cases import Case
from ratchet.domain.runs import Candidate
from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.evals.suite import CandidateSettings

__all__ = ["CHAT", "Asked", "Resolved", "Resolver", "chat_body", "check_inputs", "resolve"]

CHAT = "/v1/chat/completions"
_encoder = msgspec.json.Encoder()


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What a prompt's name means now. `required` and `optional` are the variables it takes, `fixed` the parameters
    that it brings."""

    name: str
    number: int
    hash: str
    model: str
    required: Sequence[str] = ()
    optional: Sequence[str] = ()
    fixed: Sequence[str] = ()


class Resolver(Protocol):
    """Looks candidates up. Each method raises RatchetError, naming what there is none of."""

    def prompt(self, reference: str) -> Resolved:
        """What `support`, `support@production` or `support#3` stands for now."""
        ...

    def identity(self, model: str) -> str:
        """What answers to a route or `provider/model`: equal texts, equal answers."""
        ...

    def takes_seed(self, model: str) -> bool:
        """Whether what answers to a route or `provider/model` can be told a seed."""
        ...

    def app_version(self, target: str) -> str:
        """What the app behind `module:function` says its version is; "" where it says none."""
        ...


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate with what it takes to ask it. `seeded`: its repeats are told apart by a seed."""

    about: Candidate
    seeded: bool = False
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    headers: dict[str, str] = {}


def resolve(settings: CandidateSettings, resolver: Resolver) -> Asked:
    """The candidate as it is now. Raises RatchetError where there is no such thing."""
    kind = settings.kind
    if kind == "prompt":
        return _prompt(settings, resolver)
    if kind in ("http", "python"):
        version = settings.app_version or (resolver.app_version(settings.target) if kind == "python" else "")
        return Asked(
            about=Candidate(
                name=settings.label,
                kind=kind,
                target=settings.target,
                app_version=version,
                # An app that does not say its version may have changed since: its answers are for this run alone.
                content=f"{kind}:{settings.target}\n{version}" if version else "",
            ),
            headers=settings.headers,
        )
    about = Candidate(
        name=settings.label,
        kind=kind,
        target=settings.target,
        app_version=settings.app_version,
        system=settings.system,
        parameters=settings.parameters,
        content=resolver.identity(settings.target),
    )
    return Asked(
        about=about, seeded="seed" not in settings.parameters and resolver.takes_seed(settings.target)
    )


def _prompt(settings: CandidateSettings, resolver: Resolver) -> Asked:
    found = resolver.prompt(settings.prompt)
    model = settings.model or found.model
    if not model:
        raise Misconfigured(
            f"The prompt {settings.prompt} names no model, and the suite gives it none.",
            f"Write {{prompt: {settings.prompt}, model: provider/model}}.",
        )
    about = Candidate(
        name=settings.label,
        kind="prompt",
        target=settings.prompt,
        version=str(found.number),
        hash=found.hash,
        app_version=settings.app_version,
        model=settings.model,
        system=settings.system,
        parameters=settings.parameters,
        content=f"{found.hash}\n{resolver.identity(model)}",
    )
    return Asked(
        about=about,
        seeded=not {"seed"} & {*found.fixed, *settings.parameters} and resolver.takes_seed(model),
        required=tuple(found.required),
        optional=tuple(found.optional),
    )


def check_inputs(candidates: Sequence[Asked], cases: Sequence[Case]) -> None:
    """Raises InvalidRequest for the first case that a candidate can't be asked, before anything is paid."""
    for candidate in candidates:
        if candidate.about.kind in ("prompt", "route", "model"):
            for case in cases:
                chat_body(candidate, case)


def chat_body(candidate: Asked, case: Case, repeat: int = 0) -> tuple[bytes, bytes]:
    """What the gateway is sent, a chat completion in OpenAI's dialect; and the same without the model's name.

    The first asking is what an app would send. Each further `repeat` has a seed of its own where that is possible: a
    model that answers the same to the same would only be copied otherwise. Raises InvalidRequest naming the case.
    """
    about = candidate.about
    names: dict[str, Any] = {"model": about.target}
    asked: dict[str, Any] = dict(about.parameters)
    messages = [{"role": "system", "content": about.system}] if about.system else []
    if about.kind == "prompt":
        name = about.target.partition("@")[0].partition("#")[0]
        names = {
            "model": f"prompt:{name}#{about.version}",
            **({"prompt_model": about.model} if about.model else {}),
        }
        asked["variables"], following = _filled(candidate, case)
        messages += following
    else:
        messages += _messages(case, about.name)
    if messages:
        asked["messages"] = messages
    if repeat and candidate.seeded:
        asked["seed"] = repeat
    return _encoder.encode({**names, **asked}), _encoder.encode(asked)


def _messages(case: Case, name: str) -> list[dict[str, Any]]:
    if isinstance(case.input, str):
        return [{"role": "user", "content": case.input}]
    if isinstance(case.input, list) and case.input:
        return cast("list[dict[str, Any]]", case.input)
    raise InvalidRequest(
        f"The input of case {case.id!r} is {_kind_of(case.input)}, and {name} needs a text or a list of messages.",
        "Variables are for prompts: give a candidate such as prompt:NAME.",
        param="input",
    )


def _filled(candidate: Asked, case: Case) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The variables of a prompt, and the messages that follow it."""
    required = candidate.required
    if isinstance(case.input, dict):
        given = cast("dict[str, Any]", case.input)
        missing = [name for name in required if name not in given]
        superfluous = [name for name in given if name not in (*required, *candidate.optional)]
        if missing or superfluous:
            problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(superfluous)}"
            takes = ", ".join((*required, *candidate.optional)) or "no variables"
            raise InvalidRequest(
                f"The input of case {case.id!r} {problem}, and {candidate.about.name} takes {takes}.",
                "Give each case exactly the prompt's variables.",
                param="input",
            )
        return given, []
    if isinstance(case.input, str) and len(required) == 1:
        return {required[0]: case.input}, []
    if not required:
        return {}, _messages(case, candidate.about.name)
    raise InvalidRequest(
        f"The input of case {case.id!r} is {_kind_of(case.input)}, and {candidate.about.name} takes "
        f"{', '.join(required)}.",
        "Give each case an object with these variables; a text fills the only one of a prompt that has one.",
        param="input",
    )


def _kind_of(value: Any) -> str:
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "a text"),
        (list, "a list"),
        (dict, "an object of variables"),
    )
    return next((words for kind, words in kinds if isinstance(value, kind)), f"{value!r}")
