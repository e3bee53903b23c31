"""Token usage by class, and what it costs."""

from __future__ import annotations

from decimal import Decimal

import msgspec

__all__ = ["Usage"]


class Usage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Tokens of one model call, `None` where the provider did not say.

    As in OpenTelemetry's GenAI conventions, `input` includes the cached, cache-writing and audio input, and
    `output` includes reasoning and audio output: the classes below are parts of the totals, never added to them.
    `cache_write_1h` is the part of `cache_write` that is kept for an hour, which Anthropic charges more for.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    cache_write_1h: int | None = None


ZERO = Decimal(0)
