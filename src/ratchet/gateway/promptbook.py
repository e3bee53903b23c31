"""The prompts of a snapshot, ready to be asked for: compiled, with what each version fixes in every dialect's words.

All of it happens when a snapshot is built. What a version can't say in some dialect is an error that waits for the
first request in that dialect; what can't be used at all waits in the same way, so that one bad version never keeps a
gateway from everything else.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from ratchet.dialects import anthropic, openai_chat, openai_responses
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.rewriting import fields_of
from ratchet.domain.prompts import DEFAULT_LABEL, PREFIX, PromptReference, Release, ServedPrompt, Template
from ratchet.errors import InvalidRequest, NotFound
from ratchet.prompts.template import CompiledTemplate, compile_template

__all__ = ["Chosen", "PreparedPrompt", "PromptBook", "PromptEntry", "sticky_version"]

_SPOKEN = (openai_chat.DIALECT, openai_responses.DIALECT, anthropic.DIALECT)
_LIMITS = {"max_tokens", "max_completion_tokens"}
_CONVERSATION = frozenset({"model", "messages", "input", "system", "instructions", "stream"})
_encode = msgspec.json.Encoder().encode
Defaults = Mapping[str, msgspec.Raw]


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """One template. `defaults` are the fields that it fixes, by dialect; an error stands for what can't be said."""

    model: str
    compiled: CompiledTemplate | InvalidRequest
    defaults: Mapping[str, Defaults | InvalidRequest]


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """What answers a request for a prompt. `release` is "" where it names a version, or is served none by a label."""

    prompt: str
    number: int
    release: str
    prepared: PreparedPrompt

    @property
    def name(self) -> str:
        return f"{self.prompt}#{self.number}"


@dataclasses.dataclass(frozen=True, slots=True)
class PromptEntry:
    """One prompt: its versions by number, its labels, and the newest version's number."""

    name: str
    versions: Mapping[int, PreparedPrompt]
    labels: Mapping[str, Release]
    newest: int

    def choose(self, reference: PromptReference, subject: str) -> Chosen:
        """The version that `reference` means for `subject`. Raises NotFound.

        Without label and number it is what `production` serves, and the newest version where there is no such label.
        """
        number, release = reference.number, ""
        if not number:
            serving = self.labels.get(reference.label or DEFAULT_LABEL)
            if serving is not None:
                number, release = sticky_version(serving, subject), serving.name
            elif reference.label:
                raise self._missing(f"no label {reference.label!r}")
            else:
                number = self.newest
        prepared = self.versions.get(number)
        if prepared is None:
            raise self._missing(f"no version {number}")
        return Chosen(self.name, number, release, prepared)

    def _missing(self, what: str) -> NotFound:
        labels = f"the labels {', '.join(sorted(self.labels))}" if self.labels else "no labels yet"
        versions = f"the versions 1 to {self.newest}" if self.newest > 1 else "version 1"
        return NotFound(
            f"The prompt {self.name!r} has {what}.",
            f"It has {labels} and {versions}.",
            code="model_not_found",
            param="model",
        )


class PromptBook:
    """Every project's prompts. Immutable. `prepared` are its templates by their hash."""

    __slots__ = ("_entries", "prepared")

    def __init__(self, served: Iterable[ServedPrompt] = (), before: PromptBook | None = None) -> None:
        """What `before` has prepared already is taken over."""
        known = before.prepared if before is not None else {}
        prepared: dict[str, PreparedPrompt] = {}
        entries: dict[tuple[str, str], PromptEntry] = {}
        for prompt in served:
            versions: dict[int, PreparedPrompt] = {}
            for version in prompt.versions:
                ready = prepared.get(version.hash) or known.get(version.hash) or _prepare(version.template)
                prepared[version.hash] = versions[version.number] = ready
            labels = {release.label: release for release in prompt.releases if release.split}
            entry = PromptEntry(prompt.name, versions, labels, max(versions, default=0))
            entries[prompt.project_id, prompt.name] = entry
        self._entries = entries
        self.prepared = prepared

    def entry(self, project_id: str, name: str) -> PromptEntry:
        """Raises NotFound."""
        found = self._entries.get((project_id, name))
        if found is not None:
            return found
        names = [each for project, each in self._entries if project == project_id]
        close = difflib.get_close_matches(name, names, n=1)
        there = f"The prompts are: {', '.join(sorted(names)[:10])}." if names else "There is none yet."
        raise NotFound(
            f"There is no prompt {name!r}.",
            f"Did you mean {PREFIX + close[0]!r}?" if close else f"{there} `ratchet prompt push` adds one.",
            code="model_not_found",
            param="model",
        )

    def offered(self, project_id: str) -> list[tuple[str, list[str]]]:
        """The project's prompts and their labels, by name."""
        return sorted(
            (entry.name, sorted(entry.labels))
            for (project, _), entry in self._entries.items()
            if project == project_id
        )


def sticky_version(release: Release, subject: str) -> int:
    """The version that `release` serves to `subject`: the same one as long as the weights stay.

    Shares lie in the order of their versions, the newest first, on a line that the subject's hash points to. So when
    a canary grows, whoever had it keeps it.
    """
    if len(release.split) == 1:
        return release.split[0].version
    digest = hashlib.blake2b(f"{release.prompt}@{release.label}\0{subject}".encode(), digest_size=8).digest()
    shares = sorted(release.split, key=lambda share: -share.version)
    point = int.from_bytes(digest) * sum(share.weight for share in shares) >> 64
    for share in shares:
        point -= share.weight
        if point < 0:
            return share.version
    raise AssertionError("a hash points beyond the line")  # its largest value is less than the whole


def _prepare(template: Template) -> PreparedPrompt:
    try:
        compiled: CompiledTemplate | InvalidRequest = compile_template(template)
    except InvalidRequest as error:
        compiled = error
    return PreparedPrompt(
        model=template.model,
        compiled=compiled,
        defaults={dialect.name: _defaults(template, dialect) for dialect in _SPOKEN},
    )


def _defaults(template: Template, dialect: Dialect) -> Defaults | InvalidRequest:
    """What the template fixes beside its messages, as fields of the dialect."""
    chat: dict[str, Any] = dict(template.parameters)
    if template.tools:
        chat["tools"] = template.tools
    if template.output_schema is not None:
        schema: dict[str, Any] = {"name": "answer", "schema": template.output_schema}
        if _is_strict(template.output_schema):
            schema["strict"] = True
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    if dialect.name == openai_chat.DIALECT.name or not chat:
        return {name: msgspec.Raw(_encode(value)) for name, value in chat.items()}
    body = _encode({"model": "m", "messages": [{"role": "user", "content": "-"}], **chat})
    try:
        openai_chat.DIALECT.check_request(chat)
        asked = openai_chat.DIALECT.read_request(body)
        written = fields_of(dialect.write_request(asked))
    except InvalidRequest as error:
        return error
    if not _LIMITS & chat.keys():
        written.pop(
            "max_tokens", None
        )  # a writer gives one where the dialect has to have it; that is the app's to say
    return {name: value.copy() for name, value in written.items() if name not in _CONVERSATION}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI takes it as `strict`: every object lists what it may have, and requires all of it."""
    if isinstance(schema, list):
        return all(map(_is_strict, cast("list[Any]", schema)))
    if not isinstance(schema, dict):
        return True
    fields = cast("dict[str, Any]", schema)
    if fields.get("type") == "object" or isinstance(fields.get("properties"), dict):
        properties: Any = fields.get("properties")
        named = set(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else set[str]()
        required: Any = fields.get("required") or ()
        if fields.get("additionalProperties") is not False or set(required) != named:
            return False
    return all(map(_is_strict, fields.values()))
