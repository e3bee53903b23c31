"""Anthropic's token counts, and what they are in the neutral classes.

Anthropic's `input_tokens` are only those that were neither read from the cache nor written to it; the neutral `input`
is the sum of the three. `output_tokens` include thinking.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_leniently
from ratchet.domain.usage import Usage

__all__ = ["UsageWire", "rest_of_usage", "usage_of", "usage_of_fields", "usage_wire"]

_LARGEST_COUNT = (1 << 31) - 1  # more tokens than that is a broken number, not a call
_COUNTS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


class _CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None


class UsageWire(msgspec.Struct, frozen=True):
    """The `usage` of an answer, of `message_start` or of `message_delta`."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None

    def updated(self, later: UsageWire) -> UsageWire:
        """This with what `later` tells anew: a stream's counts are totals so far, those of its end replace."""
        return UsageWire(
            *(
                old if new is None else new
                for old, new in zip(
                    msgspec.structs.astuple(self), msgspec.structs.astuple(later), strict=True
                )
            )
        )


_decoder = msgspec.json.Decoder(UsageWire)
_encode = msgspec.json.Encoder().encode
_NOTHING_SAID = UsageWire()
_NOTHING_KNOWN = Usage()


def usage_of(wire: UsageWire | None) -> Usage | None:
    """Tokens by class, or None where the provider said nothing that can be used."""
    if wire is None:
        return None
    read, written = _count(wire.cache_read_input_tokens), _count(wire.cache_creation_input_tokens)
    kept = wire.cache_creation
    hour = None
    if kept is not None:
        hour = _count(kept.ephemeral_1h_input_tokens)
        if written is None:
            written = _sum(hour, _count(kept.ephemeral_5m_input_tokens))
    fresh = _count(wire.input_tokens)
    details = wire.output_tokens_details
    usage = Usage(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        output=_count(wire.output_tokens),
        cached=read,
        cache_write=written,
        reasoning=None if details is None else _count(details.thinking_tokens),
        cache_write_1h=hour,
    )
    return None if usage == _NOTHING_KNOWN else usage


def usage_of_fields(fields: dict[str, Any]) -> Usage:
    """Tokens by class, of a decoded `usage`. Never raises."""
    return usage_of(decode_leniently(_encode(fields), _decoder, _NOTHING_SAID)) or _NOTHING_KNOWN


def rest_of_usage(fields: dict[str, Any]) -> dict[str, Any]:
    """What a decoded `usage` says beside the four counts and the service tier."""
    return {
        name: value
        for name, value in fields.items()
        if not (name in _COUNTS and isinstance(value, int) and _count(value) is not None)
        and not (name == "service_tier" and isinstance(value, str))
    }


def usage_wire(usage: Usage, tier: str | None, rest: dict[str, Any] | None) -> dict[str, Any]:
    """A `usage` as Anthropic gives it. `rest` is what an answer of Anthropic's own said beside the counts, if it is
    one: then only what it said is there. Otherwise counts that are not known are 0, because clients need numbers."""
    cached, written = usage.cached, usage.cache_write
    counts = {
        "input_tokens": None if usage.input is None else max(usage.input - (cached or 0) - (written or 0), 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output,
    }
    if rest is not None:
        return {
            **{name: value for name, value in counts.items() if value is not None},
            **({} if tier is None else {"service_tier": tier}),
            **rest,
        }
    wire: dict[str, Any] = {name: value or 0 for name, value in counts.items()}
    if usage.cache_write_1h is not None:
        hour = usage.cache_write_1h
        wire["cache_creation"] = {
            "ephemeral_5m_input_tokens": max((written or 0) - hour, 0),
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.reasoning is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if tier in _TIERS:
        wire["service_tier"] = _TIERS[tier]
    return wire


def _count(value: int | None) -> int | None:
    if value is None or isinstance(cast("Any", value), bool):
        return None
    return value if 0 <= value <= _LARGEST_COUNT else None


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


_TIERS: dict[str | None, str] = {
    "default": "standard",
    "standard": "standard",
    "priority": "priority",
    "batch": "batch",
}
"""What other dialects call the tier that served a request, in Anthropic's words. The rest have no word there."""
