"""Gemini's words and counts, and what they are in the neutral form: finish reasons, token classes, service tiers."""

from __future__ import annotations

import re
from typing import Any

from ratchet.dialects.gemini.fields import fields, items
from ratchet.domain.usage import Usage

__all__ = [
    "NAME",
    "finish_reason",
    "finish_word",
    "generation",
    "is_derived",
    "service_tier",
    "usage_metadata",
    "usage_of",
]

NAME = "gemini"
_LARGEST_COUNT = (1 << 31) - 1  # more tokens than that is a broken number, not a call

_FINISH_REASONS = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "UNEXPECTED_TOOL_CALL": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "IMAGE_OTHER": "error",
    "NO_IMAGE": "error",
    "OTHER": "error",
}
_FINISH_WORDS = {
    "stop": "STOP",
    "tool_call": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "error": "OTHER",
}
_TRAFFIC = {"ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}
_GENERATION = re.compile(r"gemini-(\d+)")
_DERIVED = re.compile(r"call_.*_\d+")


def finish_reason(word: str, *, called: bool) -> str:
    """The message form's word; `error` for one that is not known. `called`: the model called a function."""
    reason = _FINISH_REASONS.get(word, "error")
    return "tool_call" if called and reason == "stop" else reason


def finish_word(reason: str | None) -> str:
    """Gemini's word for the message form's."""
    return _FINISH_WORDS.get(reason or "stop", "OTHER")


def generation(model: str) -> int:
    """The number in a Gemini model's name; 0 for other models. `gemini-flash-latest` and its like are of the newest."""
    found = _GENERATION.search(model)
    if found:
        return int(found[1])
    return 3 if "gemini" in model and model.endswith("-latest") else 0


def is_derived(call_id: str) -> bool:
    """Whether the id was made up here (`call_<answer id>_<n>`) for a model that gave none."""
    return _DERIVED.fullmatch(call_id) is not None


def usage_of(wire: Any) -> Usage | None:
    """Tokens by class from a `usageMetadata`, or None where it says nothing.

    Input is the prompt, which includes what was cached, and what the provider's own tools put into it. Output is the
    candidates and the thoughts, which Google counts apart.
    """
    found = fields(wire)
    prompt, tools = _count(found, "promptTokenCount"), _count(found, "toolUsePromptTokenCount")
    candidates, thoughts = _count(found, "candidatesTokenCount"), _count(found, "thoughtsTokenCount")
    usage = Usage(
        input=_sum(prompt, tools),
        output=_sum(candidates, thoughts),
        cached=_count(found, "cachedContentTokenCount"),
        reasoning=thoughts,
        audio_input=_audio(found, "promptTokensDetails", "toolUsePromptTokensDetails"),
        audio_output=_audio(found, "candidatesTokensDetails"),
    )
    if usage == Usage():
        return None
    if usage.output is None and usage.input is not None:
        # A count of zero is left out on the wire; the total says whether it is one.
        total = _count(found, "totalTokenCount")
        if total == usage.input:
            return Usage(usage.input, 0, *_classes(usage))
    return usage


def usage_metadata(usage: Usage) -> dict[str, Any]:
    """The other way: what Gemini would have written for these counts."""
    thoughts = usage.reasoning
    counts = {
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": None if usage.output is None else max(usage.output - (thoughts or 0), 0),
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": _sum(usage.input, usage.output),
    }
    details = {"promptTokensDetails": usage.audio_input, "candidatesTokensDetails": usage.audio_output}
    return {name: count for name, count in counts.items() if count is not None} | {
        name: [{"modality": "AUDIO", "tokenCount": count}] for name, count in details.items() if count
    }


def service_tier(wire: Any) -> str | None:
    """The tier that served a call, from its `usageMetadata`; Vertex tells it as a kind of traffic."""
    found = fields(wire)
    tier, traffic = found.get("serviceTier"), found.get("trafficType")
    if isinstance(tier, str):
        return tier.lower()
    return _TRAFFIC.get(traffic) if isinstance(traffic, str) else None


def _classes(usage: Usage) -> tuple[int | None, ...]:
    return usage.cached, usage.cache_write, usage.reasoning, usage.audio_input, usage.audio_output


def _count(found: dict[str, Any], name: str) -> int | None:
    value = found.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST_COUNT else None


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _audio(found: dict[str, Any], *names: str) -> int | None:
    details = [fields(detail) for name in names for detail in items(found.get(name))]
    return _sum(*(_count(detail, "tokenCount") for detail in details if detail.get("modality") == "AUDIO"))
