"""A chat completions answer in the neutral form, and back.

An answer that came in this dialect is written as it came. One that came in another says its text, refusals, thoughts,
calls, pictures, log probabilities and token counts; what else it holds is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.openai_chat.head import UsageWire, usage_of
from ratchet.dialects.openai_chat.reading import empty_content, finish_reason, read_message
from ratchet.dialects.openai_chat.thoughts import NAME, write_thoughts
from ratchet.dialects.openai_chat.writing import write_call, write_message
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import (
    BlobPart,
    Extra,
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    UriPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = [
    "CHUNK",
    "call_of",
    "citations_of",
    "image_entry",
    "plain_thought",
    "read_answer",
    "read_usage",
    "wants_function_call",
    "wire_reason",
    "write_answer",
    "write_usage",
]

CHUNK = "chat.completion.chunk"
_encoder = msgspec.json.Encoder()
_WIRE_REASONS = {"tool_call": "tool_calls"}


def read_answer(body: bytes) -> Answer:
    """An answer, whatever it holds. Raises UpstreamFailed only where the body is no JSON object."""
    wire = decode_object(body)
    if wire is None:
        raise UpstreamFailed(
            "The provider's answer is not a JSON object.",
            "Check the provider's base_url and its status page.",
            code="upstream_broken",
        )
    extra = dict(wire)
    fields: dict[str, Any] = {}
    for name, kind in (("id", str), ("model", str), ("created", int), ("service_tier", str)):
        if isinstance(extra.get(name), kind):
            fields[name] = extra.pop(name)
    choices = extra.get("choices")
    messages: list[Message] = []
    if isinstance(choices, list):
        del extra["choices"]
        messages = [_read_choice(choice, place) for place, choice in enumerate(cast("list[Any]", choices))]
    if extra.get("object") == "chat.completion":
        del extra["object"]
    usage = read_usage(extra.get("usage"))
    if usage is not None and write_usage(usage) == extra["usage"]:  # else what it says beyond that stays
        del extra["usage"]
    return Answer(
        dialect=NAME,
        id=fields.pop("id", ""),
        model=fields.pop("model", ""),
        choices=messages,
        usage=usage or Usage(),
        extra=extra or None,
        **fields,
    )


def read_usage(wire: Any) -> Usage | None:
    """Tokens by class; None where nothing is said."""
    if not isinstance(wire, dict):
        return None
    try:
        return usage_of(msgspec.convert(wire, UsageWire))
    except msgspec.ValidationError:
        pass  # one count is no number: the others may still be read
    fitting: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", wire).items():
        try:
            msgspec.convert({name: value}, UsageWire)
        except msgspec.ValidationError:
            continue
        fitting[name] = value
    return usage_of(msgspec.convert(fitting, UsageWire))


def _read_choice(value: Any, place: int) -> Message:
    if not isinstance(value, dict):
        return Message("assistant", [GenericPart("choice", value)], extra={"choice": {"wire": "value"}})
    choice = cast("dict[str, Any]", value)
    said, reason = choice.get("message"), choice.get("finish_reason")
    if isinstance(said, dict):
        message = read_message(cast("dict[str, Any]", said))
    else:
        text = choice.get("text")  # a text completion
        message = Message("assistant", [TextPart(text)] if isinstance(text, str) and text else [])
    rest = {name: kept for name, kept in choice.items() if name not in ("index", "message", "finish_reason")}
    if not isinstance(said, dict):
        rest["message"] = said if "message" in choice else ...
        if message.parts:
            del rest["text"]
    if choice.get("index", ...) != place:
        rest["index"] = choice.get("index")
    parts, logprobs = _spread(message.parts, rest.get("logprobs"))
    if logprobs != rest.get("logprobs"):
        rest["logprobs"] = logprobs
    extra = dict(message.extra or {})
    if isinstance(reason, str) and reason:
        neutral = finish_reason(reason, called=any(isinstance(part, ToolCallPart) for part in parts))
        if _WIRE_REASONS.get(neutral, neutral) != reason:
            extra["finish_reason"] = reason
        reason = neutral
    else:
        rest["finish_reason"] = reason if "finish_reason" in choice else ...
        reason = None
    absent = [name for name, kept in rest.items() if kept is ...]
    for name in absent:
        del rest[name]
    if absent:
        rest["wire"] = absent
    if rest:
        extra["choice"] = rest
    return Message(message.role, parts, message.name, reason, extra or None)


def _spread(parts: list[Part], logprobs: Any) -> tuple[list[Part], Any]:
    """`parts` with the log probabilities of each's tokens, and what is left of them."""
    if not isinstance(logprobs, dict):
        return parts, logprobs
    left = dict(cast("dict[str, Any]", logprobs))
    spread = list(parts)
    for name, kind in (("content", TextPart), ("refusal", RefusalPart)):
        tokens = left.get(name)
        places = [place for place, part in enumerate(parts) if isinstance(part, kind)]
        if isinstance(tokens, list) and tokens and len(places) == 1:
            part = cast("TextPart | RefusalPart", parts[places[0]])
            extra = {**(part.extra or {}), "logprobs": left.pop(name)}
            spread[places[0]] = msgspec.structs.replace(part, extra=extra)
    return spread, left


def write_answer(answer: Answer, asked: Request) -> bytes:
    """The answer's JSON, for the app that asked."""
    own = answer.dialect == NAME
    write = _write_own_choice if own else _write_choice
    body: dict[str, Any] = {"id": answer.id, "object": "chat.completion"}
    if answer.created is not None or not own:
        body["created"] = answer.created or 0
    body["model"] = answer.model
    body["choices"] = [write(message, place) for place, message in enumerate(answer.choices)]
    if not own and wants_function_call(asked):
        _make_legacy(body["choices"])
    if answer.service_tier is not None:
        body["service_tier"] = answer.service_tier
    usage = write_usage(answer.usage)
    if usage is not None:
        body["usage"] = usage
    if own:
        body.update(answer.extra or {})
        body["object"] = "chat.completion" if body["object"] == CHUNK else body["object"]  # one put together
    return _encoder.encode(body)


def _write_own_choice(message: Message, place: int) -> Any:
    extra = dict(message.extra or {})
    rest: dict[str, Any] = dict(extra.pop("choice", {}))
    wire = rest.pop("wire", ())
    if wire == "value":
        return cast("GenericPart", message.parts[0]).value
    choice: dict[str, Any] = {"index": place}
    if "message" not in rest and "message" not in wire:
        choice["message"] = write_message(
            Message(message.role, _without_logprobs(message.parts), message.name, None, _message_extra(extra))
        )
    elif message.parts:
        choice["text"] = cast("TextPart", message.parts[0]).content
    if message.finish_reason is not None:
        choice["finish_reason"] = extra.get("finish_reason") or wire_reason(message.finish_reason)
    elif "finish_reason" not in wire:
        choice["finish_reason"] = None
    tokens = _logprobs(message.parts)
    if tokens:
        rest["logprobs"] = {**tokens, **(rest.get("logprobs") or {})}
    return {**choice, **rest}


def _message_extra(extra: Extra) -> Extra | None:
    return {name: value for name, value in extra.items() if name != "finish_reason"} or None


def _without_logprobs(parts: list[Part]) -> list[Part]:
    """`parts` as the message has them: the log probabilities stand beside it."""
    return [
        msgspec.structs.replace(
            part, extra={name: value for name, value in part.extra.items() if name != "logprobs"} or None
        )
        if isinstance(part, TextPart | RefusalPart) and part.extra and "logprobs" in part.extra
        else part
        for part in parts
    ]


def _logprobs(parts: Sequence[Part]) -> dict[str, list[Any]]:
    """What the parts' tokens say, for `choices[].logprobs`."""
    found: dict[str, list[Any]] = {}
    for part in parts:
        if isinstance(part, TextPart | RefusalPart) and part.extra:
            tokens = part.extra.get("logprobs")
            if isinstance(tokens, list) and tokens:
                name = "content" if isinstance(part, TextPart) else "refusal"
                found.setdefault(name, []).extend(cast("list[Any]", tokens))
    return found


def wire_reason(reason: str) -> str:
    """The finish reason in this dialect's word."""
    return _WIRE_REASONS.get(reason, reason)


def _write_choice(message: Message, place: int) -> dict[str, Any]:
    """A choice that another dialect's model said."""
    text: str | None = "".join(part.content for part in message.parts if isinstance(part, TextPart))
    refusal = "".join(part.content for part in message.parts if isinstance(part, RefusalPart)) or None
    calls = [write_call(call_of(part, number)) for number, part in enumerate(_calls(message.parts))]
    written: dict[str, Any] = {
        "role": "assistant",
        "content": text or empty_content("assistant", says_more=bool(refusal or calls)),
        "refusal": refusal,
    }
    written.update(
        write_thoughts([plain_thought(part) for part in message.parts if isinstance(part, ReasoningPart)])
    )
    cited: list[Any] = []
    start = 0
    for part in message.parts:
        if isinstance(part, TextPart):
            cited += citations_of(part.extra, start)
            start += len(part.content)
    images = [image_entry(part, place) for place, part in enumerate(_images(message.parts))]
    more = {"annotations": cited, "tool_calls": calls, "images": images}
    written.update((name, said) for name, said in more.items() if said)
    tokens = _logprobs(message.parts)
    return {
        "index": place,
        "message": written,
        "logprobs": {"content": tokens.get("content"), "refusal": tokens.get("refusal")} if tokens else None,
        "finish_reason": wire_reason(message.finish_reason or "stop"),
    }


def _calls(parts: Sequence[Part]) -> list[ToolCallPart]:
    return [part for part in parts if isinstance(part, ToolCallPart)]


def _images(parts: Sequence[Part]) -> list[BlobPart | UriPart]:
    return [part for part in parts if isinstance(part, BlobPart | UriPart) and part.modality == "image"]


def call_of(part: ToolCallPart, number: int) -> ToolCallPart:
    """A call without what only its own dialect says of it."""
    arguments = "{}" if part.arguments in (None, "") else part.arguments
    return ToolCallPart(part.id or f"call_{number}", part.name, arguments, part.signature, part.origin)


def plain_thought(part: ReasoningPart) -> ReasoningPart:
    """A thought without what only its own dialect says of it."""
    return ReasoningPart(part.content, part.signature, part.origin)


def citations_of(extra: Extra | None, start: int) -> list[dict[str, Any]]:
    """The web pages that a text cites, as the responses API tells them, in this one's shape; `start` of the text."""
    cited: list[dict[str, Any]] = []
    for entry in (extra or {}).get("annotations") or ():
        fields = cast("dict[str, Any]", entry if isinstance(entry, dict) else {})
        if fields.get("type") != "url_citation" or not isinstance(fields.get("url"), str):
            continue
        places = {
            name: fields[name] + start
            for name in ("start_index", "end_index")
            if isinstance(fields.get(name), int)
        }
        said = {"url": fields["url"], "title": fields.get("title") or ""}
        cited.append({"type": "url_citation", "url_citation": {**said, **places}})
    return cited


def image_entry(part: BlobPart | UriPart, index: int) -> dict[str, Any]:
    """A picture that the model made, as OpenRouter tells it."""
    url = (
        part.uri
        if isinstance(part, UriPart)
        else f"data:{part.mime_type or 'image/png'};base64,{part.content}"
    )
    return {"type": "image_url", "image_url": {"url": url}, "index": index}


def wants_function_call(asked: Request) -> bool:
    """Whether the app offers `functions`, from before there were tools, and so knows no `tool_calls`."""
    notes = asked.extra.get("wire") if asked.dialect == NAME and asked.extra else None
    return isinstance(notes, dict) and "functions" in notes


def _make_legacy(choices: list[dict[str, Any]]) -> None:
    for choice in choices:
        calls = choice["message"].pop("tool_calls", None)
        if calls:
            choice["message"]["function_call"] = calls[0]["function"]
            choice["finish_reason"] = "function_call"


def write_usage(usage: Usage) -> dict[str, Any] | None:
    """Tokens in this dialect's words; None where nothing is known."""
    if usage == Usage():
        return None
    before = {
        "cached_tokens": usage.cached,
        "cache_write_tokens": usage.cache_write,
        "audio_tokens": usage.audio_input,
    }
    after = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output}
    written: dict[str, Any] = {
        "prompt_tokens": usage.input or 0,
        "completion_tokens": usage.output or 0,
        "total_tokens": (usage.input or 0) + (usage.output or 0),
    }
    for name, details in (("prompt_tokens_details", before), ("completion_tokens_details", after)):
        known = {kind: count for kind, count in details.items() if count is not None}
        if known:
            written[name] = known
    return written
