"""When a provider wants to be asked again, from the headers of its answer. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

__all__ = ["told_delay"]

_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_RESETS = (
    # what is left, when there is more: OpenAI and its look-alikes, then Anthropic
    (b"x-ratelimit-remaining-requests", b"x-ratelimit-reset-requests"),
    (b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
    (b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-requests-reset"),
    (b"anthropic-ratelimit-tokens-remaining", b"anthropic-ratelimit-tokens-reset"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"anthropic-ratelimit-input-tokens-reset"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"anthropic-ratelimit-output-tokens-reset"),
)


def told_delay(headers: Mapping[bytes, bytes], now: int) -> float | None:
    """Seconds from `now` (nanoseconds since the epoch), or None where the headers say nothing that can be read.

    `retry-after-ms` before `retry-after` (RFC 9110, section 10.2.3) before the reset of whatever limit has nothing
    left; of several resets the latest.
    """
    milliseconds = _number(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = headers.get(b"retry-after")
    if after is not None:
        seconds = _number(after)
        return _until(_date(after), now) if seconds is None else seconds
    resets = [
        seconds
        for left, reset in _RESETS
        if headers.get(left) == b"0" and (seconds := _reset(headers.get(reset), now)) is not None
    ]
    return max(resets, default=None)


def _reset(value: bytes | None, now: int) -> float | None:
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    number = _number(value)
    if number is not None:
        return number
    found = _GO_DURATION.fullmatch(text)
    if text and found and any(found.groups()):
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return _until(moment, now)


def _number(value: bytes | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and 0 <= number < 1e9 else None


def _date(value: bytes) -> datetime.datetime | None:
    try:
        return parsedate_to_datetime(value.decode("latin-1"))
    except ValueError:
        return None


def _until(moment: datetime.datetime | None, now: int) -> float | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, moment.timestamp() - now / 1e9)
