"""Token counts in the Responses API's shape."""

from __future__ import annotations

from typing import Any, cast

from ratchet.domain.usage import Usage

__all__ = ["usage_fields", "usage_of"]

_LARGEST_COUNT = (1 << 31) - 1  # more tokens than that is a broken number, not a call
_NOTHING_KNOWN = Usage()


def usage_of(value: Any) -> Usage | None:
    """Tokens by class, or None where the provider said nothing that can be used."""
    before, after = _inside(value, "input_tokens_details"), _inside(value, "output_tokens_details")
    usage = Usage(
        input=_count(value, "input_tokens"),
        output=_count(value, "output_tokens"),
        cached=_count(before, "cached_tokens"),
        cache_write=_count(before, "cache_write_tokens"),
        reasoning=_count(after, "reasoning_tokens"),
        audio_input=_count(before, "audio_tokens"),
        audio_output=_count(after, "audio_tokens"),
    )
    return None if usage == _NOTHING_KNOWN else usage


def usage_fields(usage: Usage) -> dict[str, Any]:
    """`usage` of an answer. The API always gives every count: what is not known is 0."""
    given, produced = usage.input or 0, usage.output or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": usage.cached or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": produced,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": given + produced,
    }


def _inside(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def _count(value: Any, name: str) -> int | None:
    count = _inside(value, name)
    if isinstance(count, float) and count.is_integer():
        count = int(count)
    if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _LARGEST_COUNT:
        return count
    return None
