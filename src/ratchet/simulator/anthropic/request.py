"""Anthropic's messages request, checked the way Anthropic checks it, made into an `Ask`.

The shape is that of the API reference and the official client's types as of 2026. Fields that belong to a beta are
taken when the request names any beta; unknown fields are refused. Version 2026-10-21 takes less than 2023-06-01.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise
from typing import Any

import msgspec

from ratchet.simulator.anthropic.abilities import Abilities, abilities_of
from ratchet.simulator.anthropic.blocks import Block, cache_ttl, read_texts
from ratchet.simulator.anthropic.checks import (
    array,
    at,
    boolean,
    integer,
    literal,
    need,
    number,
    object_at,
    only,
    string,
    tagged,
)
from ratchet.simulator.anthropic.conversation import (
    Spoken,
    check_order,
    check_thoughts,
    read_messages,
    turns_of,
)
from ratchet.simulator.anthropic.errors import refusal
from ratchet.simulator.anthropic.toolset import Choice, read_choice, read_format, read_tools
from ratchet.simulator.ask import Ask, Tool, Turn
from ratchet.simulator.wire import encode, simulated

__all__ = ["MessagesRequest", "read_request"]

_COUNTED = {
    "model", "messages", "system", "tools", "tool_choice", "thinking", "cache_control", "output_config", "speed",
    "simulate",
}  # fmt: skip
_KNOWN = _COUNTED | {
    "max_tokens", "metadata", "stream", "stop_sequences", "temperature", "top_p", "top_k", "service_tier", "container",
    "diagnostics", "inference_geo",
}  # fmt: skip
_BETA = {
    "context_management", "mcp_servers", "output_format", "betas", "compaction", "fallbacks", "thread", "billing_policy",
    "fallback_credit_token",
}  # fmt: skip
_SAMPLING = ("temperature", "top_p", "top_k")
_NEWER = "2026-10-21"
_WEIGHS = ("tool_choice", "thinking", "output_config", "temperature", "top_p", "top_k")
_REDACTED = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING_46C9A13E193C177646C7398A98432ECCCE4C1253D5E2D82641AC0E52CC2876CB"
_REFUSED = (
    "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_1FAEFB6177B4672DEE07F9D3AFC62588CCD2631EDCF22E8CCC1FB35B501C9C86"
)
_MANUAL = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
_LEAST_BUDGET = 1024


class Thinking(msgspec.Struct, frozen=True):
    """`effort` is the core's word for how much; `shown`: the thoughts' text is told."""

    effort: str = ""
    on: bool = False
    budget: bool = False
    shown: bool = True


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An `Ask` with what only the wire needs. `prompt` is all of it in pieces, for the prompt cache."""

    ask: Ask
    prompt: tuple[Block, ...]
    can: Abilities
    stream: bool = False
    simulate: str = ""
    thinks: bool = False
    shown: bool = True  # the text of thoughts is told
    redacted: bool = False  # thoughts come sealed
    refused: bool = False
    service_tier: str = "standard"


def read_request(
    body: bytes, *, version: str = "2023-06-01", beta: bool = False, counting: bool = False
) -> MessagesRequest:
    """The request in `body`. `counting`: one that only wants its tokens counted. Raises `Rejected`."""
    fields = _parsed(body)
    model = string(need(fields, "model", ""), "model")
    if not model:
        raise refusal("model: String should have at least 1 character")
    can = abilities_of(model)
    known = {*(_COUNTED if counting else _KNOWN), *(_BETA if beta else ())}
    only(fields, known.difference(_SAMPLING) if version >= _NEWER else known, "")
    most = None if counting else integer(need(fields, "max_tokens", ""), "max_tokens", 0)
    spoken = read_messages(need(fields, "messages", ""), can)
    system = read_texts(fields["system"], "system") if fields.get("system") is not None else []
    tools, pieces = read_tools(fields["tools"]) if fields.get("tools") is not None else ([], [])
    choice = read_choice(fields.get("tool_choice"), tools, given=bool(pieces))
    thinking, schema = _thinking(fields, most, choice, can)
    check_order(spoken, can)
    if version >= _NEWER:
        _check_newer(spoken)
    if thinking.budget:
        check_thoughts(spoken)
    _check_rest(fields, can, thinking)
    prompt = _marked((*pieces, *system, *(block for one in spoken for block in one.blocks)), fields)
    last = " ".join(block.text for block in spoken[-1].blocks)
    return MessagesRequest(
        ask=_ask(model, fields, most, spoken, system, tools, choice, thinking, schema, prompt),
        prompt=prompt,
        can=can,
        stream="stream" in fields and boolean(fields["stream"], "stream"),
        simulate=simulated(fields),
        thinks=thinking.on,
        shown=thinking.shown,
        redacted=_REDACTED in last,
        refused=_REFUSED in last,
    )


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as flaw:
        raise refusal(f"The request body is not valid JSON: {flaw}") from None
    return object_at(found, "")


def _ask(
    model: str,
    fields: dict[str, Any],
    most: int | None,
    spoken: list[Spoken],
    system: list[Block],
    tools: list[Tool],
    choice: Choice,
    thinking: Thinking,
    schema: dict[str, Any] | None,
    prompt: tuple[Block, ...],
) -> Ask:
    told = "\n\n".join(block.text for block in system)
    turns = (*([Turn("system", told)] if told else []), *turns_of(spoken))
    temperature = fields.get("temperature")
    return Ask(
        model=model,
        turns=turns,
        key=_digest(model, fields, spoken, prompt),
        tools=tuple(tools),
        tool_choice=choice.mode,
        named_tool=choice.name,
        parallel=choice.parallel,
        format="text" if schema is None else "json_schema",
        schema=True if schema is None else schema,
        stop=_stops(fields.get("stop_sequences")),
        max_tokens=most,
        temperature=1.0 if temperature is None else temperature,
        thoughts=thinking.on,
        effort=thinking.effort,
    )


def _digest(model: str, fields: dict[str, Any], spoken: list[Spoken], prompt: tuple[Block, ...]) -> bytes:
    """A digest of what a model sees: text alone or as a block, with a cache marker or without, is the same to it."""
    seen = [model, *(one.role for one in spoken), *(fields.get(name) for name in _WEIGHS)]
    digest = blake2b(encode(seen), digest_size=16)
    for block in prompt:
        digest.update(block.data)
    return digest.digest()


# -- thinking and output -----------------------------------------------------------------------------------------


def _thinking(
    fields: dict[str, Any], most: int | None, choice: Choice, can: Abilities
) -> tuple[Thinking, dict[str, Any] | None]:
    """How much is thought, and the schema of the answer."""
    effort, schema = _output(fields.get("output_config"), can)
    schema = schema or read_format(fields.get("output_format"), "output_format")  # its name in the first beta
    value = fields.get("thinking")
    if value is None:
        return Thinking(), schema
    tag, found = tagged(value, ("adaptive", "disabled", "enabled"), "thinking")
    where = at("thinking", tag)
    extra = {"enabled": {"budget_tokens", "display"}, "adaptive": {"display"}, "disabled": set[str]()}
    only(found, {"type", *extra[tag]}, where)
    if tag == "disabled":
        return Thinking(), schema
    if not can.thinks:
        raise refusal("thinking: this model does not support thinking")
    display = found.get("display")
    shown = can.shows if display is None else _display(display, where) == "summarized"
    if tag == "adaptive":
        if not can.adapts:
            raise refusal("adaptive thinking is not supported on this model")
        # A model that has to call a tool at once adapts by not thinking.
        found = Thinking() if choice.mode == "required" else Thinking(effort or "high", True, False, shown)
        return found, schema
    if choice.mode == "required":
        raise refusal("Thinking may not be enabled when tool_choice forces tool use.")
    if not can.budgets:
        raise refusal(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    budget = integer(need(found, "budget_tokens", where), at(where, "budget_tokens"), _LEAST_BUDGET)
    if most is not None and most <= budget:
        raise refusal(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            f"{_MANUAL}#max-tokens-and-context-window-size"
        )
    level = "low" if budget <= 1024 else "medium" if budget <= 8192 else "high"
    return Thinking(level, True, True, shown), schema


def _display(value: Any, where: str) -> str:
    return literal(value, ("summarized", "omitted"), at(where, "display"))


def _output(value: Any, can: Abilities) -> tuple[str, dict[str, Any] | None]:
    """`(effort in the core's words, schema)`."""
    if value is None:
        return "", None
    found = object_at(value, "output_config")
    only(found, {"effort", "format", "task_budget"}, "output_config")
    effort = found.get("effort")
    if effort is not None:
        literal(effort, ("low", "medium", "high", "xhigh", "max"), "output_config.effort")
        if can.efforts is None:
            raise refusal("This model does not support the effort parameter.")
        if effort not in can.efforts:
            raise refusal(
                f"This model does not support effort level '{effort}'. Supported levels: "
                f"{', '.join(sorted(can.efforts))}."
            )
    schema = read_format(found.get("format"), "output_config.format")
    if schema is not None and not can.schemas:
        raise refusal("output_config.format: this model does not support structured outputs")
    return {"max": "xhigh"}.get(effort or "", effort or ""), schema


# -- the rest ----------------------------------------------------------------------------------------------------


def _check_rest(fields: dict[str, Any], can: Abilities, thinking: Thinking) -> None:
    sampled = {name: fields[name] for name in _SAMPLING if fields.get(name) is not None}
    if "temperature" in sampled:
        number(sampled["temperature"], "temperature", 0, 1)
    if "top_p" in sampled:
        number(sampled["top_p"], "top_p", 0, 1)
    if "top_k" in sampled:
        integer(sampled["top_k"], "top_k", 0)
    if sampled and not can.samples:
        raise refusal(f"`{next(iter(sampled))}` is deprecated for this model.")
    if "temperature" in sampled and "top_p" in sampled and not can.samples_both:
        raise refusal(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    if thinking.on:
        _check_sampled_thoughts(sampled)
    metadata = fields.get("metadata")
    if metadata is not None:
        found = object_at(metadata, "metadata")
        only(found, {"user_id"}, "metadata")
        if found.get("user_id") is not None:
            string(found["user_id"], "metadata.user_id")
    if fields.get("service_tier") is not None:
        literal(fields["service_tier"], ("auto", "standard_only"), "service_tier")


def _check_newer(spoken: list[Spoken]) -> None:
    """What version 2026-10-21 no longer takes in messages."""
    for one in spoken:
        for block in one.blocks:
            if one.role == "assistant" and block.type == "document":
                raise refusal(f"{block.where}: `document` blocks can only be in `user` messages")
            if one.role == "user" and block.cites:
                raise refusal(f"{block.where}: `citations` can only be in `assistant` messages")


def _check_sampled_thoughts(sampled: dict[str, Any]) -> None:
    if sampled.get("temperature", 1) != 1:
        raise refusal(
            f"`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at {_MANUAL}"
        )
    if sampled.get("top_p", 1) < 0.95:
        raise refusal(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled. Please consult our "
            f"documentation at {_MANUAL}"
        )
    if "top_k" in sampled:
        raise refusal(
            f"`top_k` must be unset when thinking is enabled. Please consult our documentation at {_MANUAL}"
        )


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    found: list[str] = []
    for index, item in enumerate(array(value, "stop_sequences")):
        text = string(item, at("stop_sequences", index))
        if not text.strip():
            raise refusal("stop_sequences: each stop sequence must contain non-whitespace")
        found.append(text)
    return tuple(found)


def _marked(prompt: tuple[Block, ...], fields: dict[str, Any]) -> tuple[Block, ...]:
    """The prompt with the marker of the whole request on its last block; four markers at most, long ones first."""
    ttl = cache_ttl(fields, "")
    if ttl and not prompt[-1].ttl:
        prompt = (*prompt[:-1], msgspec.structs.replace(prompt[-1], ttl=ttl))
    marked = [block for block in prompt if block.ttl]
    if len(marked) > 4:
        raise refusal(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marked)}.")
    for before, after in pairwise(marked):
        if before.ttl == "5m" and after.ttl == "1h":
            raise refusal(
                f"{after.where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, `system`, "
                "`messages`."
            )
    return prompt
