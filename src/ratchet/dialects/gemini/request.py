"""Requests of Gemini's generateContent, read into the neutral form and written from it.

The model's name and whether to stream stand in the URL, so a body that is read gives neither; `head.path` writes them.

What was read is written back the same, but for what the API itself takes for the same:
- names in snake_case become camelCase, and nulls go;
- a `content` without a role is the user's, and one of role `function` too;
- function declarations that follow one another stand in one tool object;
- `thinkingLevel` is written in capitals; empty `tools` and `allowedFunctionNames` go.

The results of functions stand in a message of role `tool` each, and are written together in one turn of the user's,
with what the user says directly after them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ratchet.dialects.expressing import cannot_express, refuse_foreign
from ratchet.dialects.gemini.configuration import read_configuration, write_configuration
from ratchet.dialects.gemini.fields import fields, items, nested, restored, take
from ratchet.dialects.gemini.head import request_fields
from ratchet.dialects.gemini.parts import foreign_part, read_part, write_own, write_result
from ratchet.dialects.gemini.tools import read_choice, read_tools, write_choice, write_tools
from ratchet.dialects.gemini.vocabulary import NAME, generation, is_derived
from ratchet.domain.generation import Request
from ratchet.domain.messages import Message, Part, ReasoningPart, ToolCallPart, ToolCallResponsePart
from ratchet.errors import InvalidRequest

__all__ = ["UNSIGNED", "read_request", "write_request"]

UNSIGNED = "skip_thought_signature_validator"
"""What Google wants in place of a signature on a call that none of its models made
(ai.google.dev/gemini-api/docs/thought-signatures, "FAQs")."""

_THIRD = 3  # the generation of models that insist on signatures, and take pictures inside results
_EARLIER = "call_earlier_"  # names calls of a conversation that have no id, by their place in it
_ROLES = {"model": "assistant", "user": "user", "function": "user"}
_TIERS = {"flex": "flex", "priority": "priority", "default": "standard", "standard_only": "standard"}
_encoder = msgspec.json.Encoder()


def read_request(body: bytes) -> Request:
    """Raises InvalidRequest where the body is no JSON object."""
    found = request_fields(body)
    messages: list[Message] = []
    if isinstance(found.get("systemInstruction"), dict | str | list):
        messages.append(_read_system(found.pop("systemInstruction")))
    messages += _Conversation().read(items(found.pop("contents", None)))
    settings: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    if isinstance(found.get("generationConfig"), dict):
        settings, extra = read_configuration(fields(found.pop("generationConfig")))
    validated = False
    if isinstance(found.get("toolConfig"), dict):
        config = fields(found.pop("toolConfig"))
        functions = any("functionDeclarations" in fields(tool) for tool in items(found.get("tools")))
        settings["tool_choice"], validated = read_choice(config, functions=functions)
        extra |= nested("toolConfig", config)
        if not config and settings["tool_choice"] is None:
            extra["toolConfig"] = {}
    if "tools" in found:
        settings["tools"] = read_tools(found.pop("tools"), validated=validated)
    return Request(
        dialect=NAME,
        model="",
        messages=messages,
        service_tier=take(found, "serviceTier", str),
        extra=(found | extra) or None,
        **settings,
    )


def _read_system(value: Any) -> Message:
    content = fields(value) if isinstance(value, dict) else {"parts": value}
    parts = [read_part(part, _unnamed) for part in items(content.pop("parts", None))]
    role = take(content, "role", str)
    if role is not None:
        content["wire"] = {"role": role}  # it says nothing, and some clients write it
    return Message("system", parts, extra=content or None)


def _unnamed(name: str, *_: Any) -> str:
    return f"{_EARLIER}{name}"


class _Conversation:
    """Reads the turns in order: calls without an id are named, and results without one find their call."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []  # (name, id) of calls whose result has not come
        self._calls = 0

    def read(self, contents: list[Any]) -> Iterator[Message]:
        for entry in contents:
            content = fields(entry) if isinstance(entry, dict) else {"parts": entry}
            given = take(content, "role", str)
            role = _ROLES.get(given or "user", given or "user")
            extra = content
            parts = items(extra.pop("parts", None))
            said: list[Part] = []
            for value in parts:
                part = read_part(value, self._name_call)
                if isinstance(part, ToolCallResponsePart):
                    if said:
                        yield Message(role, said, extra=extra or None)
                        said, extra = [], {"wire": {"joined": True}}
                    yield Message("tool", [self._matched(part)], extra=extra or None)
                    extra = {"wire": {"joined": True}}
                    continue
                if isinstance(part, ToolCallPart):
                    self._waiting.append((part.name, part.id or ""))
                said.append(part)
            if said or not parts:
                yield Message(role, said, extra=extra or None)

    def _name_call(self, *_: Any) -> str:
        self._calls += 1
        return f"{_EARLIER}{self._calls}"

    def _matched(self, part: ToolCallResponsePart) -> ToolCallResponsePart:
        """With the id of the first waiting call of that name, where the result itself has none."""
        for place, (name, known) in enumerate(self._waiting):
            if known == part.id or (part.id is None and name == part.name):
                del self._waiting[place]
                if part.id == known or _is_earlier(known):
                    return msgspec.structs.replace(part, id=known)
                unsaid = {"functionResponse.id": None}  # the call has an id, and the result did not repeat it
                return msgspec.structs.replace(part, id=known, extra={**(part.extra or {}), **unsaid})
        return part


def write_request(request: Request) -> bytes:
    """Raises InvalidRequest for what Gemini can't be asked, by name."""
    own = request.dialect == NAME
    if not own:
        refuse_foreign(request, NAME)
    written: dict[str, Any] = {}
    leading = _leading(request.messages)
    if leading:
        written["systemInstruction"] = _write_system(request.messages[:leading], own=own)
    written["contents"] = _write_contents(request, leading, own=own)
    if request.tools:
        written["tools"] = write_tools(request.tools, own=own)
    choice = write_choice(request, own=own)
    if choice is not None:
        written["toolConfig"] = {"functionCallingConfig": choice}
    config = write_configuration(request, own=own)
    if config:
        written["generationConfig"] = config
    tier = request.service_tier
    if tier is not None and not own:
        tier = _tier(tier)
    if tier is not None:
        written["serviceTier"] = tier
    if own:
        kept = {
            name: value
            for name, value in (request.extra or {}).items()
            if name != "wire" and not name.startswith("generationConfig.") and name not in written
        }
        written = restored(written, kept)
    return _encoder.encode(written)


def _tier(tier: str) -> str | None:
    if tier == "auto":
        return None
    if tier not in _TIERS:
        raise cannot_express("service_tier", NAME, because=f"It has no tier {tier!r}.")
    return _TIERS[tier]


def _leading(messages: list[Message]) -> int:
    """How many messages at the start are the system's."""
    for place, message in enumerate(messages):
        if message.role not in ("system", "developer"):
            return place
    return len(messages)


def _write_system(messages: list[Message], *, own: bool) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for place, message in enumerate(messages):
        if own:
            parts += [write_own(part, _is_earlier) for part in message.parts]
            continue
        _refuse_name(message, place)
        where = f"messages[{place}].content"
        parts += [
            {"text": _text_alone(part, f"{where}[{number}]")} for number, part in enumerate(message.parts)
        ]
    written: dict[str, Any] = {"parts": parts}
    for message in messages if own else ():
        written = restored(written, message.extra)
    return written


def _text_alone(part: Part, where: str) -> str:
    written = foreign_part(part, where, is_derived)
    if written is None or "text" not in written:
        raise cannot_express(where, NAME, because="What the system says can only be text there.")
    return written["text"]


def _refuse_name(message: Message, place: int) -> None:
    if message.name is not None and message.role != "tool":
        raise cannot_express(f"messages[{place}].name", NAME, because="Its turns carry no speaker's name.")


def _is_earlier(call_id: str) -> bool:
    return call_id.startswith(_EARLIER)


def _write_contents(request: Request, leading: int, *, own: bool) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    turn = _Turn(request, leading)
    for place, message in enumerate(request.messages[leading:], leading):
        extra = dict(message.extra or {}) if own else {}
        joined = bool(extra.pop("wire", {}).get("joined")) if own else turn.joins(place)
        if own:
            parts = [write_own(part, _is_earlier) for part in message.parts]
        else:
            parts = turn.parts(place, message)
        if joined and contents:
            contents[-1]["parts"] += parts
            continue
        role = "model" if message.role == "assistant" else "user" if message.role == "tool" else message.role
        contents.append(restored({"role": role, "parts": parts}, extra))
    return contents


class _Turn:
    """Writes messages that were said in another dialect."""

    def __init__(self, request: Request, leading: int) -> None:
        self._messages = request.messages
        self._third = generation(request.model) >= _THIRD
        self._names: dict[str, str] = {}  # of the functions, by the ids of their calls so far
        said = (place for place, message in enumerate(request.messages) if message.role == "user")
        self._current = max(
            said, default=leading
        )  # where the user spoke last: signatures are asked for from there

    def joins(self, place: int) -> bool:
        """Whether the message belongs to the turn before it: results do, and what the user says after them."""
        return (
            place > 0
            and self._messages[place - 1].role == "tool"
            and self._messages[place].role
            in (
                "tool",
                "user",
            )
        )

    def parts(self, place: int, message: Message) -> list[dict[str, Any]]:
        if message.role in ("system", "developer"):
            raise cannot_express(
                f"messages[{place}] (role {message.role})",
                NAME,
                because="What the system says must stand before everything else.",
            )
        _refuse_name(message, place)
        if message.role == "tool":
            return [
                written
                for number, part in enumerate(message.parts)
                for written in self._result(place, number, part)
            ]
        return self._said(place, message) or [{"text": ""}]

    def _result(self, place: int, number: int, part: Part) -> list[dict[str, Any]]:
        if not isinstance(part, ToolCallResponsePart):
            written = foreign_part(part, f"messages[{place}].content[{number}]", is_derived)
            return [written] if written else []
        name = self._names.get(part.id or "") or part.name
        if not name:
            raise InvalidRequest(
                f"messages[{place}].tool_call_id is {part.id!r}, a call that no message before it makes.",
                "Send the assistant's message with that call too: Gemini is told a result by the function's name.",
                param=f"messages[{place}].tool_call_id",
            )
        return write_result(
            part, name, is_derived, media=self._third, where=f"messages[{place}].content[{number}]"
        )

    def _said(self, place: int, message: Message) -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        carried: str | None = None
        for number, part in enumerate(message.parts):
            if isinstance(part, ReasoningPart) and not part.content and part.origin == NAME:
                carried = part.signature  # of the part after it, by way of an app whose calls can't hold one
                continue
            said = foreign_part(part, f"messages[{place}].content[{number}]", is_derived)
            if said is None:
                continue
            if carried and "thoughtSignature" not in said:
                said["thoughtSignature"] = carried
                carried = None
            if isinstance(part, ToolCallPart):
                self._names[part.id or ""] = part.name
            written.append(said)
        if carried:
            written.append({"text": "", "thoughtSignature": carried})
        calls = [said for said in written if "functionCall" in said]
        if calls and self._third and place >= self._current and "thoughtSignature" not in calls[0]:
            calls[0]["thoughtSignature"] = UNSIGNED
        return written
