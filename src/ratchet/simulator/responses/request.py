"""OpenAI's responses request, checked the way OpenAI checks it, made into an `Ask`.

Unknown parameters are refused, as the real service does on this path. The shape is that of the API reference and the
official client's types as of 2026.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Tool, Turn
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.errors import refusal
from ratchet.simulator.openai.fields import (
    flag,
    listed,
    number,
    object_at,
    parsed,
    required,
    wrong_type,
)
from ratchet.simulator.responses.items import check_order, read_input, turns_of
from ratchet.simulator.responses.tools import read_choice, read_format, read_tools
from ratchet.simulator.wire import Rejected, encode, simulated

__all__ = ["ResponsesRequest", "read_request"]

_COUNTED = {
    "conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id", "reasoning", "text",
    "tool_choice", "tools", "truncation", "simulate",
}  # fmt: skip
_KNOWN = _COUNTED | {
    "background", "context_management", "frequency_penalty", "include", "max_output_tokens", "max_tool_calls", "metadata",
    "moderation", "presence_penalty", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature", "top_logprobs", "top_p",
    "user", "access_programs", "image",
}  # fmt: skip
_ENCRYPTED, _LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
_INCLUDES = (
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs",
    _ENCRYPTED, _LOGPROBS,
)  # fmt: skip
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
_WEIGHS = ("instructions", "tools", "tool_choice", "text", "temperature", "top_p", "parallel_tool_calls")
_REASONS = re.compile(r"^(?:.*/)?(?:o[134](?:-|$)|gpt-5)")
_NEVER_REASONS = re.compile(r"^(?:.*/)?gpt-(?:3|4)")


class ResponsesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An `Ask` with what only the wire needs. `items` are all up to the answer, `fields` the request as it came."""

    ask: Ask
    fields: dict[str, Any]
    items: tuple[dict[str, Any], ...]
    stream: bool = False
    simulate: str = ""
    store: bool = True
    encrypted: bool = False
    reasons: bool = False
    obfuscate: bool = True


def read_request(body: bytes, memory: Memory, *, counting: bool = False) -> ResponsesRequest:
    """The request in `body`. `counting`: one that only wants its tokens counted. Raises `Rejected`."""
    fields = parsed(body)
    for name in fields:
        if name not in (_COUNTED if counting else _KNOWN):
            raise refusal(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    model = fields.get("model")
    if model is None:
        raise required("model")
    if not isinstance(model, str) or not model:
        raise wrong_type("model", "a string", model)
    _check_unsupported(fields)
    items = (*_earlier(fields, memory), *_given(fields, memory))
    check_order(items)
    instructions = fields.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise wrong_type("instructions", "a string", instructions)
    turns = (*([Turn("system", instructions)] if instructions else []), *turns_of(items))
    includes = _includes(fields.get("include"), model)
    ask = _ask(model, fields, turns, items, logprobs=_LOGPROBS in includes)
    options = object_at(fields.get("stream_options") or {}, "stream_options")
    metadata = _metadata(fields.get("metadata"))
    return ResponsesRequest(
        ask=ask,
        fields=fields,
        items=items,
        stream=flag(fields, "stream"),
        simulate=simulated(fields) or metadata.get("simulate", ""),
        store=fields.get("store") is None or flag(fields, "store"),
        encrypted=_ENCRYPTED in includes,
        reasons=ask.effort not in {"", "none"} or (bool(_REASONS.match(model)) and ask.effort != "none"),
        obfuscate=options.get("include_obfuscation") is not False,
    )


def _check_unsupported(fields: dict[str, Any]) -> None:
    """What the simulator does not do is refused rather than left out."""
    for name in ("background", "conversation", "prompt"):
        if fields.get(name):
            raise refusal(
                f"Unsupported parameter: '{name}' is not supported with this model.",
                param=name,
                code="unsupported_parameter",
            )


def _earlier(fields: dict[str, Any], memory: Memory) -> tuple[dict[str, Any], ...]:
    """The items of the response that this one goes on from."""
    name = fields.get("previous_response_id")
    if name is None:
        return ()
    found = memory.response(name) if isinstance(name, str) else None
    if found is None:
        raise refusal(
            f"Previous response with id '{name}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    return found.items


def _given(fields: dict[str, Any], memory: Memory) -> list[dict[str, Any]]:
    if fields.get("input") is None:
        if fields.get("previous_response_id") is None and not fields.get("instructions"):
            raise refusal(
                "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation_id' must be provided.",
                param="input",
                code="missing_required_parameter",
            )
        return []
    return read_input(fields["input"], memory)


def _ask(
    model: str,
    fields: dict[str, Any],
    turns: tuple[Turn, ...],
    items: tuple[dict[str, Any], ...],
    *,
    logprobs: bool,
) -> Ask:
    tools: list[Tool] = read_tools(fields.get("tools"))
    mode, named, tools = read_choice(fields.get("tool_choice"), tools, fields)
    form, schema = read_format(fields.get("text"), turns)
    effort, summary = _reasoning(fields.get("reasoning"), model)
    _check_sampling(fields, model, effort)
    top = number(fields, "top_logprobs", int, 0, 20) or 0
    seen = [model, effort, items, *(fields.get(name) for name in _WEIGHS)]
    temperature = number(fields, "temperature", float, 0, 2)
    return Ask(
        model=model,
        turns=turns,
        key=blake2b(encode(seen), digest_size=16).digest(),
        tools=tuple(tools),
        tool_choice=mode,
        named_tool=named,
        parallel=fields.get("parallel_tool_calls") is not False,
        format=form,
        schema=schema,
        max_tokens=number(fields, "max_output_tokens", int, 16, None),
        temperature=1.0 if temperature is None else temperature,
        logprobs=logprobs or top > 0,
        top_logprobs=top,
        thoughts=summary,
        effort=effort,
    )


def _check_sampling(fields: dict[str, Any], model: str, effort: str) -> None:
    number(fields, "top_p", float, 0, 1)
    if not _REASONS.match(model) or effort == "none" or "chat" in model:
        return
    for name in ("temperature", "top_p"):
        if fields.get(name) is not None:
            raise refusal(f"Unsupported parameter: '{name}' is not supported with this model.", param=name)


def _reasoning(value: Any, model: str) -> tuple[str, bool]:
    """`(effort, whether the thoughts are told in a summary)`."""
    fields = object_at(value or {}, "reasoning")
    effort, summary = fields.get("effort"), fields.get("summary") or fields.get("generate_summary")
    if effort is not None:
        if effort not in _EFFORTS:
            raise _unknown_value(effort, _EFFORTS, "reasoning.effort")
        if _NEVER_REASONS.match(model):
            raise _unsupported("reasoning.effort")
    if summary is not None:
        if summary not in ("auto", "concise", "detailed"):
            raise _unknown_value(summary, ("auto", "concise", "detailed"), "reasoning.summary")
        if _NEVER_REASONS.match(model):
            raise _unsupported("reasoning.summary")
    return effort or "", summary is not None


def _unknown_value(value: Any, options: tuple[str, ...], param: str) -> Rejected:
    shown = ", ".join(f"'{name}'" for name in options[:-1])
    message = f"Invalid value: '{value}'. Supported values are: {shown}, and '{options[-1]}'."
    return refusal(message, param=param, code="invalid_value")


def _unsupported(param: str) -> Rejected:
    message = f"Unsupported parameter: '{param}' is not supported with this model."
    return refusal(message, param=param, code="unsupported_parameter")


def _includes(value: Any, model: str) -> set[str]:
    if value is None:
        return set()
    for index, name in enumerate(listed(value, "include", "an array of strings")):
        if name not in _INCLUDES:
            raise _unknown_value(name, _INCLUDES, f"include[{index}]")
    if _ENCRYPTED in value and _NEVER_REASONS.match(model):
        raise refusal("Encrypted content is not supported with this model.", param="include")
    return set(value)


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    fields = object_at(value, "metadata")
    for name, text in fields.items():
        if not isinstance(text, str):
            raise wrong_type(f"metadata.{name}", "a string", text)
    return cast("dict[str, str]", fields)
