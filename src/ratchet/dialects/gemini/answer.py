"""Answers of Gemini's generateContent, read into the neutral form and written from it.

What was read is written back the same, but for names in snake_case and nulls (as in `request`). What the neutral form
has no place for stands in the answer's `extra`, and a candidate's in its message's: grounding, citations, ratings,
`usageMetadata` as it came.

A prompt that was turned down gives no candidates: that is read as one empty message with the reason `content_filter`.
An answer with no candidates and no word of why is one with the reason `error`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ratchet.dialects.gemini.fields import decoded, fields, items, take
from ratchet.dialects.gemini.logprobs import token_entries
from ratchet.dialects.gemini.parts import read_part, write_answered, write_own
from ratchet.dialects.gemini.vocabulary import (
    NAME,
    finish_reason,
    finish_word,
    service_tier,
    usage_metadata,
    usage_of,
)
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Extra, Message, Part, TextPart, ToolCallPart
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = ["call_namer", "candidate_end", "read_answer", "seconds", "write_answer", "written_end"]

_encoder = msgspec.json.Encoder()


def call_namer(answer_id: str, choice: int) -> Callable[[str, Any], str]:
    """Gives ids to a candidate's calls that have none: `call_<answer id>_<n>`, the same whenever it is read."""
    made = 0

    def name_call(name: str, arguments: Any) -> str:
        nonlocal made
        made += 1
        owner = answer_id or f"{zlib.crc32(_encoder.encode([name, arguments])):08x}"
        return f"call_{owner}_{f'{choice}_' if choice else ''}{made - 1}"

    return name_call


def read_answer(body: bytes) -> Answer:
    """Raises UpstreamFailed where the body is no JSON object."""
    try:
        value = decoded(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamFailed(
            "The provider's answer is no JSON object.", "Check the provider's base URL, and its kind."
        )
    found = fields(value)
    known = take(found, "responseId", str) or ""
    wire = found.get("usageMetadata")
    choices = [
        _read_candidate(candidate, known, place)
        for place, candidate in enumerate(items(found.pop("candidates", None)))
    ]
    if not choices:
        blocked = fields(found.get("promptFeedback")).get("blockReason")
        choices = [Message("assistant", [], finish_reason="content_filter" if blocked else "error")]
    return Answer(
        dialect=NAME,
        id=known,
        model=take(found, "modelVersion", str) or "",
        choices=choices,
        usage=usage_of(wire) or Usage(),
        created=seconds(found.get("createTime")),
        service_tier=service_tier(wire),
        extra=found or None,
    )


def seconds(time: Any) -> int | None:
    """A timestamp of RFC 3339, in seconds since the epoch; None where it is none."""
    try:
        return int(datetime.fromisoformat(time).timestamp()) if isinstance(time, str) else None
    except ValueError:
        return None


def _read_candidate(value: Any, answer_id: str, place: int) -> Message:
    candidate = fields(value)
    name_call = call_namer(answer_id, place)
    parts: list[Part] = []
    content = candidate.get("content")
    if isinstance(content, dict):
        held = fields(candidate.pop("content"))
        parts = [read_part(part, name_call) for part in items(held.pop("parts", None))]
        parts = _with_tokens(parts, token_entries(candidate.get("logprobsResult")))
        if held != {"role": "model"}:
            candidate["wire"] = {"content": held}
    else:
        candidate["wire"] = {"content": candidate.pop("content", None)}
    called = any(isinstance(part, ToolCallPart) for part in parts)
    reason, extra = candidate_end(candidate, called=called)
    return Message("assistant", parts, None, reason, extra or None)


def _with_tokens(parts: list[Part], entries: list[dict[str, Any]]) -> list[Part]:
    """The tokens' probabilities at the text that they make up; nowhere where several texts could be meant."""
    if not entries or sum(isinstance(part, TextPart) for part in parts) != 1:
        return parts
    return [
        msgspec.structs.replace(part, extra={**(part.extra or {}), "logprobs": entries})
        if isinstance(part, TextPart)
        else part
        for part in parts
    ]


def candidate_end(candidate: dict[str, Any], *, called: bool) -> tuple[str | None, Extra]:
    """A candidate's finish reason in the message form's words, and all else that it says.

    The wire's own word is kept where the form's does not lead back to it.
    """
    word = candidate.get("finishReason")
    if not isinstance(word, str):
        return None, candidate
    reason = finish_reason(word, called=called)
    rest = dict(candidate)
    if finish_word(reason) == word:
        del rest["finishReason"]
    return reason, rest


def write_answer(answer: Answer, asked: Request) -> bytes:
    """Never refuses: what Gemini's answers have no place for is left out."""
    del asked  # an answer looks the same whatever was asked
    own = answer.dialect == NAME
    written: dict[str, Any] = {}
    candidates = [_write_candidate(answer, place, own=own) for place in range(len(answer.choices))]
    if not (own and len(answer.choices) == 1 and _is_none(answer.choices[0])):
        written["candidates"] = candidates
    if not own or "usageMetadata" not in (answer.extra or {}):
        counts = usage_metadata(answer.usage)
        if counts:
            written["usageMetadata"] = counts
    if answer.model:
        written["modelVersion"] = answer.model
    if answer.id:
        written["responseId"] = answer.id
    if answer.created is not None:
        written["createTime"] = datetime.fromtimestamp(answer.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if own:
        written |= answer.extra or {}
    return _encoder.encode(written)


def _is_none(message: Message) -> bool:
    """Whether the message only stands for there being no candidate."""
    return not message.parts and not message.extra and message.finish_reason in ("content_filter", "error")


def _write_candidate(answer: Answer, place: int, *, own: bool) -> dict[str, Any]:
    message = answer.choices[place]
    extra = dict(message.extra or {}) if own else {}
    if own:
        prefix = f"call_{answer.id}_"

        def derived(call_id: str) -> bool:
            return call_id.startswith(prefix) if answer.id else call_id.startswith("call_")

        parts = [write_own(part, derived) for part in message.parts]
    else:
        parts = [said for part in message.parts if (said := write_answered(part, _never))]
    content: dict[str, Any] | None = {"role": "model"}
    if "wire" in extra:
        content = extra.pop("wire")["content"]
    if parts:
        content = {"parts": parts} | (content or {})
    written: dict[str, Any] = {} if content is None else {"content": content}
    written |= written_end(message.finish_reason, extra)
    if not own:
        written["index"] = place
    return written


def written_end(reason: str | None, extra: Extra) -> dict[str, Any]:
    """A candidate's finish reason and what else it says, on the wire."""
    return ({"finishReason": finish_word(reason)} if reason else {}) | extra


def _never(call_id: str) -> bool:
    del call_id
    return False
