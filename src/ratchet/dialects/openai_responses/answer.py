"""An answer of the Responses API in the neutral form, and back.

Read and written again, an answer of this dialect is the same JSON: what has no place in the form is kept. One of
another dialect becomes a whole response: with what the app asked repeated, as the API does, and with ids made from
the answer's own. `store` is false in it: what another provider said can't be asked for again.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.openai_responses.asking import SERVICE_TIERS, instructions_of, parameter_fields
from ratchet.dialects.openai_responses.reading import read_item
from ratchet.dialects.openai_responses.usage import usage_fields, usage_of
from ratchet.dialects.openai_responses.words import NAME, finish_reason
from ratchet.dialects.openai_responses.writing import (
    call_item,
    message_item,
    proof_of_call,
    reasoning_item,
    runs,
)
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import (
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
)
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = [
    "answer_of",
    "item_id",
    "output_item",
    "read_answer",
    "response_fields",
    "response_id",
    "write_answer",
]

_encoder = msgspec.json.Encoder()
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_FAILED = {"code": "server_error", "message": "The model stopped with an error."}


def read_answer(body: bytes) -> Answer:
    """An answer, whatever it holds. Raises UpstreamFailed only where the body is no JSON object."""
    wire = decode_object(body)
    if wire is None:
        raise UpstreamFailed(
            "The provider's answer is not a JSON object.",
            "Check that the provider's base_url leads to an API that speaks OpenAI's responses.",
        )
    return answer_of(wire)


def answer_of(wire: dict[str, Any]) -> Answer:
    """The same, decoded."""
    rest = dict(wire)
    parts: list[Part] = []
    kinds: list[str | None] = []
    if isinstance(rest.get("output"), list):
        for item in cast("list[Any]", rest.pop("output")):
            if isinstance(item, dict):
                known = cast("dict[str, Any]", item)
                kind = known.get("type")
                kinds.append(kind if isinstance(kind, str) else None)
                parts += read_item(known)
            else:
                parts.append(GenericPart("item", item))
    usage = usage_of(rest.get("usage"))
    if usage is not None and usage_fields(usage) == rest["usage"]:
        del rest["usage"]
    created = rest.get("created_at")
    if isinstance(created, int | float) and not isinstance(created, bool) and created == int(created):
        created = int(rest.pop("created_at"))
    else:
        created = None
    texts = {
        name: rest.pop(name) for name in ("id", "model", "service_tier") if isinstance(rest.get(name), str)
    }
    details = rest.get("incomplete_details")
    cut = cast("dict[str, Any]", details).get("reason") if isinstance(details, dict) else None
    reason = finish_reason(rest.get("status"), cut if isinstance(cut, str) else None, kinds)
    return Answer(
        dialect=NAME,
        id=texts.get("id", ""),
        model=texts.get("model", ""),
        choices=[Message("assistant", parts, None, reason)],
        usage=usage or Usage(),
        created=created,
        service_tier=texts.get("service_tier"),
        extra=rest or None,
    )


def write_answer(answer: Answer, asked: Request) -> bytes:
    """The answer's JSON, as the API answers `asked`."""
    return _encoder.encode(response_fields(answer, asked))


def response_fields(
    answer: Answer, asked: Request, output: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The same, not yet as text. The first choice is the answer: a request can't ask for several.

    `output`: the items, where they have been written already.
    """
    own = answer.dialect == NAME
    message = answer.choices[0] if answer.choices else Message("assistant", [])
    reason = message.finish_reason
    known = answer_id = response_id(answer.id) if not own else answer.id
    items = _output(message, answer_id, own=own) if output is None else output
    extra = answer.extra or {} if own else {}
    if "status" in extra:  # the provider's own response, whole
        fields: dict[str, Any] = {"id": known, "model": answer.model, "output": items}
        if answer.created is not None:
            fields["created_at"] = answer.created
        if answer.service_tier is not None:
            fields["service_tier"] = answer.service_tier
        return {**fields, "usage": usage_fields(answer.usage), **extra}
    status = "incomplete" if reason in INCOMPLETE else "failed" if reason == "error" else "completed"
    return {
        **begun(known, answer.model, answer.created, asked, answer.service_tier),
        "status": status,
        "error": _FAILED if status == "failed" else None,
        "incomplete_details": {"reason": INCOMPLETE[reason or ""]} if status == "incomplete" else None,
        "output": items,
        "usage": usage_fields(answer.usage),
        **extra,
    }


def _output(message: Message, answer_id: str, *, own: bool) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    parts: list[Part] = []
    for part in message.parts:
        parts += [*proof_of_call(part, own=own), part] if isinstance(part, ToolCallPart) else [part]
    for run in runs(parts, own=own, joined=True):
        item = output_item(run, answer_id, len(items), own=own)
        if item is not None:
            items.append(item)
    if items and message.finish_reason in INCOMPLETE and not own and "status" in items[-1]:
        items[-1]["status"] = "incomplete"
    return items


def begun(
    known: str, model: str, created: int | None, asked: Request, service_tier: str | None
) -> dict[str, Any]:
    """A response that has only begun: what the app asked, repeated."""
    said = parameter_fields(asked)
    tier = SERVICE_TIERS.get(service_tier or "", service_tier) or "default"
    return {
        "id": known,
        "object": "response",
        "created_at": created or 0,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": instructions_of(asked),
        "max_output_tokens": said.get("max_output_tokens"),
        "max_tool_calls": said.get("max_tool_calls"),
        "model": model,
        "output": [],
        "parallel_tool_calls": said.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "prompt_cache_key": said.get("prompt_cache_key"),
        "reasoning": {"effort": None, "summary": None, **(said.get("reasoning") or {})},
        "safety_identifier": said.get("safety_identifier"),
        "service_tier": tier,
        "store": False,
        "temperature": said.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(said.get("text") or {})},
        "tool_choice": said.get("tool_choice") or "auto",
        "tools": [_echoed(tool) for tool in said.get("tools") or ()],
        "top_logprobs": said.get("top_logprobs") or 0,
        "top_p": said.get("top_p", 1.0),
        "truncation": said.get("truncation") or "disabled",
        "usage": None,
        "user": said.get("user"),
        "metadata": said.get("metadata") or {},
    }


def _echoed(tool: dict[str, Any]) -> dict[str, Any]:
    usual = (
        {"description": None, "parameters": None, "strict": None} if tool.get("type") == "function" else {}
    )
    return {**usual, **tool}


def response_id(known: str) -> str:
    """The id of a response made of an answer with another dialect's."""
    return known if known.startswith("resp_") else f"resp_{known}"


def item_id(kind: str, answer_id: str, position: int) -> str:
    """The id of an output item that came without one. The API takes ids of up to 64 characters."""
    return f"{kind}_{answer_id.removeprefix('resp_')[-48:]}_{position}"


def output_item(run: list[Part], answer_id: str, position: int, *, own: bool) -> dict[str, Any] | None:
    """The output item of these parts, at this position; None where the API has no word for it."""
    match run[-1]:
        case GenericPart(value=value) if own:
            return value
        case TextPart() | RefusalPart():
            item = message_item(run, own=own, answered=True)
            usual = {"id": item_id("msg", answer_id, position), "status": "completed"}
        case ReasoningPart():
            item = reasoning_item(run, own=own, answered=True)
            usual = {"id": item_id("rs", answer_id, position)}
        case ToolCallPart(id=call_id) as call:
            item = call_item(call, call_id or item_id("call", answer_id, position), own=own)
            usual = {"id": item_id("fc", answer_id, position), "status": "completed"}
        case _:
            return None
    return item if "id" in item else {**usual, **item}
