"""An `Answer` as a response object with its items, or as the events of its stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.answer import Answer, Choice
from ratchet.simulator.ask import Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.faults import Fault
from ratchet.simulator.openai.chat_answer import logprob
from ratchet.simulator.responses.request import ResponsesRequest
from ratchet.simulator.responses.sealing import sealed
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import encode

__all__ = ["Reply", "events", "response"]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer on this wire is made of. `own` draws ids, `dice` everything else."""

    id: str
    created: int
    request: ResponsesRequest
    answer: Answer
    fault: Fault
    own: Dice
    dice: Dice
    cached: int = 0

    @property
    def choice(self) -> Choice:
        return self.answer.choices[0]


def response(reply: Reply) -> dict[str, Any]:
    """The whole response."""
    status = _status(reply)
    reason = {"length": "max_output_tokens"}.get(reply.choice.finish, reply.choice.finish)
    return _shell(
        reply,
        status="in_progress" if reply.fault.no_finish else status,
        completed_at=reply.created + 1 if status == "completed" and not reply.fault.no_finish else None,
        incomplete_details={"reason": reason} if status == "incomplete" else None,
        output=_output(reply),
        usage=None if reply.fault.no_usage else _usage(reply),
    )


def _status(reply: Reply) -> str:
    return "incomplete" if reply.choice.finish in {"length", "content_filter"} else "completed"


def _shell(reply: Reply, **made: Any) -> dict[str, Any]:
    fields, ask = reply.request.fields, reply.request.ask
    tools: list[dict[str, Any]] = fields.get("tools") or []
    text: dict[str, Any] = {"format": {"type": "text"}, "verbosity": "medium"} | (fields.get("text") or {})
    text["format"] = text["format"] or {"type": "text"}
    if text["format"].get("type") == "json_schema":
        text["format"] = {"description": None, "strict": True, **text["format"]}
    reasoning: dict[str, Any] = {"effort": None, "summary": None} | (fields.get("reasoning") or {})
    if reply.request.reasons and reasoning["effort"] is None:
        reasoning["effort"] = "medium"
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": made["status"],
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": made["completed_at"],
        "error": None,
        "frequency_penalty": fields.get("frequency_penalty") or 0.0,
        "incomplete_details": made["incomplete_details"],
        "instructions": fields.get("instructions"),
        "max_output_tokens": ask.max_tokens,
        "max_tool_calls": fields.get("max_tool_calls"),
        "model": ask.model,
        "moderation": None,
        "output": made["output"],
        "parallel_tool_calls": ask.parallel,
        "presence_penalty": fields.get("presence_penalty") or 0.0,
        "previous_response_id": fields.get("previous_response_id"),
        "prompt_cache_key": fields.get("prompt_cache_key"),
        "prompt_cache_retention": fields.get("prompt_cache_retention"),
        "reasoning": reasoning,
        "safety_identifier": fields.get("safety_identifier"),
        "service_tier": fields["service_tier"] if fields.get("service_tier") in ("flex", "priority") else "default",
        "store": reply.request.store,
        "temperature": ask.temperature,
        "text": text,
        "tool_choice": fields.get("tool_choice") or "auto",
        "tools": [*map(_echoed, tools)],
        "top_logprobs": ask.top_logprobs,
        "top_p": 1.0 if fields.get("top_p") is None else fields["top_p"],
        "truncation": fields.get("truncation") or "disabled",
        "usage": made["usage"],
        "user": fields.get("user"),
        "metadata": fields.get("metadata") or {},
    }  # fmt: skip


def _echoed(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {"type": "function", "description": None, "strict": True, **tool}


def _usage(reply: Reply) -> dict[str, Any]:
    answer = reply.answer
    return {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached, "cache_write_tokens": 0},
        "output_tokens": answer.output_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


# -- items -------------------------------------------------------------------------------------------------------


def _output(reply: Reply) -> list[dict[str, Any]]:
    """Thoughts, what is said, calls."""
    choice = reply.choice
    if reply.fault.empty:
        return []
    items = [_reasoning(reply)] if reply.request.reasons else []
    status = _status(reply)
    if choice.text or choice.refusal:
        items.append(_message(reply, status))
    for index, call in enumerate(choice.calls):
        items.append(_called(reply, call, index, status))
    return items


def _id(reply: Reply, prefix: str, name: str) -> str:
    return f"{prefix}_{reply.own.integer(name):016x}{reply.own.integer(name + ' 2'):016x}{reply.id[-16:]}"


def _reasoning(reply: Reply) -> dict[str, Any]:
    text = reply.choice.reasoning
    told = reply.request.ask.thoughts and text
    made: dict[str, Any] = {"id": _id(reply, "rs", "reasoning"), "type": "reasoning"}
    if reply.request.encrypted:
        made["encrypted_content"] = sealed(text or "thought", reply.dice)
    return {**made, "summary": [{"type": "summary_text", "text": text}] if told else []}


def _message(reply: Reply, status: str) -> dict[str, Any]:
    choice = reply.choice
    part: dict[str, Any] = {"type": "refusal", "refusal": choice.refusal}
    if choice.text:
        marks = _marks(reply, choice.text)
        part = {"type": "output_text", "annotations": [], "logprobs": marks, "text": choice.text}
    return {
        "id": _id(reply, "msg", "message"),
        "type": "message",
        "status": status,
        "content": [part],
        "role": "assistant",
    }


def _marks(reply: Reply, text: str) -> list[dict[str, Any]]:
    ask = reply.request.ask
    if not ask.logprobs:
        return []
    return [logprob(piece, f"0 {i}", ask, reply.dice) for i, piece in enumerate(tokens.pieces(text))]


def _called(reply: Reply, call: Call, index: int, status: str) -> dict[str, Any]:
    return {
        "id": _id(reply, "fc", f"call {index}"),
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": call.id,
        "name": call.name,
    }


# -- streaming ---------------------------------------------------------------------------------------------------


def events(reply: Reply) -> Iterator[Payload]:
    """The stream's events in order, numbered."""
    writer = _Writer(reply)
    opening = _shell(
        reply, status="in_progress", completed_at=None, incomplete_details=None, output=[], usage=None
    )
    for kind in ("response.created", "response.in_progress"):
        yield writer.event(kind, {"response": opening}, "role")
    whole = response(reply)
    for index, item in enumerate(whole["output"]):
        yield writer.event("response.output_item.added", {"item": _begun(item), "output_index": index})
        match item["type"]:
            case "reasoning":
                yield from _summarised(writer, item, index)
            case "message":
                yield from _told(writer, item, index)
            case _:
                yield from _arguments(writer, item, index)
        yield writer.event("response.output_item.done", {"item": item, "output_index": index})
    if not reply.fault.no_done:
        yield writer.event(f"response.{_status(reply)}", {"response": whole}, "finish")


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    """An item before its first delta."""
    match item["type"]:
        case "reasoning":
            return {**item, "summary": []}
        case "message":
            return {**item, "status": "in_progress", "content": []}
        case _:
            return {**item, "status": "in_progress", "arguments": ""}


def _summarised(writer: _Writer, item: dict[str, Any], index: int) -> Iterator[Payload]:
    for position, part in enumerate(item["summary"]):
        at = {"item_id": item["id"], "output_index": index, "summary_index": position}
        empty = {"type": "summary_text", "text": ""}
        yield writer.event("response.reasoning_summary_part.added", {**at, "part": empty})
        for piece in tokens.pieces(part["text"]):
            yield writer.delta("response.reasoning_summary_text.delta", at, piece)
        yield writer.event("response.reasoning_summary_text.done", {**at, "text": part["text"]})
        yield writer.event("response.reasoning_summary_part.done", {**at, "part": part})


def _told(writer: _Writer, item: dict[str, Any], index: int) -> Iterator[Payload]:
    """A message's text with its log probabilities, or its refusal, which has none."""
    for position, part in enumerate(item["content"]):
        at: dict[str, Any] = {"content_index": position, "item_id": item["id"], "output_index": index}
        kind: str = part["type"]
        field = "text" if kind == "output_text" else "refusal"
        marks: list[Any] | None = part.get("logprobs")
        empty: dict[str, Any] = {**part, field: ""}
        if marks is not None:
            empty["logprobs"] = []
        yield writer.event("response.content_part.added", {**at, "part": empty})
        for i, piece in enumerate(tokens.pieces(part[field])):
            spot = at if marks is None else {**at, "logprobs": marks[i : i + 1]}
            yield writer.delta(f"response.{kind}.delta", spot, piece)
        done = {**at, field: part[field]}
        yield writer.event(f"response.{kind}.done", done if marks is None else {**done, "logprobs": marks})
        yield writer.event("response.content_part.done", {**at, "part": part})


def _arguments(writer: _Writer, item: dict[str, Any], index: int) -> Iterator[Payload]:
    at = {"item_id": item["id"], "output_index": index}
    for piece in tokens.pieces(item["arguments"]):
        yield writer.delta("response.function_call_arguments.delta", at, piece)
    done = {**at, "arguments": item["arguments"], "name": item["name"]}
    yield writer.event("response.function_call_arguments.done", done)


class _Writer:
    """Numbers the events, and hides the lengths of deltas as OpenAI does unless told not to."""

    def __init__(self, reply: Reply) -> None:
        self._next = 0
        self._padding = reply.dice.letters("obfuscation", 32) if reply.request.obfuscate else ""

    def event(self, kind: str, fields: dict[str, Any], role: str = "delta") -> Payload:
        data = encode({"type": kind, **fields, "sequence_number": self._next})
        self._next += 1
        return Payload(role, data, kind.encode())

    def delta(self, kind: str, at: dict[str, Any], piece: str) -> Payload:
        padded = {"obfuscation": self._padding[: 1 + -len(piece) % 16]} if self._padding else {}
        return self.event(kind, {**at, "delta": piece, **padded})
