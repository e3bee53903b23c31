"""What a model is needed for, out of an address: the same parameters for the page, the API and the command."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ratchet.catalog.recommend import Needs, Traffic
from ratchet.errors import InvalidRequest
from ratchet.studio.description import Parameter

__all__ = ["MODALITIES", "NEEDS_QUERY", "read_needs"]

MODALITIES = ("text", "image", "audio", "video")
_TUNING = ("any", "api", "weights")
_FLAGS = {
    "commercial": "Its licence permits commercial use.",
    "data_stays": "It can run here: its weights are published.",
    "tools": "It calls tools.",
    "structured_output": "It keeps to a JSON Schema.",
    "reasoning": "It reasons before it answers.",
    "here": "A provider that is declared here serves it.",
    "known_only": "Take what is unknown for a reason against a model, instead of something to check.",
}
_COUNTS = {
    "context_tokens": "Tokens of context, at least.",
    "output_tokens": "Tokens of one answer, at least.",
    "requests": "Calls a month.",
    "input_tokens": "Input tokens of a call.",
    "answer_tokens": "Output tokens of a call.",
}
_AMOUNTS = {
    "max_input_usd": "US dollars for a million input tokens, at most.",
    "max_output_usd": "US dollars for a million output tokens, at most.",
    "monthly_usd": "US dollars a month, at most; with `requests`, `input_tokens` and `answer_tokens`.",
    "cached_share": "The share of the input that is read from the cache, from 0 to 1.",
}
_TRAFFIC = ("requests", "input_tokens", "answer_tokens")
_MOST = 10**12

NEEDS_QUERY = (
    *(Parameter(name, says, {"type": "string", "enum": ["", "1"]}) for name, says in _FLAGS.items()),
    *(
        Parameter(name, says, {"type": "integer", "minimum": 1, "maximum": _MOST})
        for name, says in _COUNTS.items()
    ),
    *(Parameter(name, says) for name, says in _AMOUNTS.items()),
    Parameter("fine_tunable", "How it can be fine-tuned.", {"type": "string", "enum": ["", *_TUNING]}),
    Parameter("modality", "What it takes; words with commas between: text, image, audio, video."),
    Parameter("until", "It is not retired by this day: 2027-06-01."),
)


def read_needs(params: Mapping[str, str]) -> tuple[Needs, bool]:
    """The needs, and whether only known facts count. Raises InvalidRequest naming a wrong parameter."""
    given = {name: text.strip() for name, text in params.items() if text.strip()}
    flags = {name: _flag(given, name) for name in _FLAGS}
    known_only = flags.pop("known_only")
    counts = {name: _count(given, name) for name in _COUNTS}
    traffic = _traffic(given, counts)
    monthly = _amount(given, "monthly_usd")
    if monthly is not None and traffic is None:
        raise InvalidRequest(
            "monthly_usd needs the traffic of a month.",
            f"Give {', '.join(_TRAFFIC)} as well.",
            param="monthly_usd",
        )
    needs = Needs(
        **flags,
        context_tokens=counts["context_tokens"],
        output_tokens=counts["output_tokens"],
        max_input_usd=_amount(given, "max_input_usd"),
        max_output_usd=_amount(given, "max_output_usd"),
        monthly_usd=monthly,
        traffic=traffic,
        fine_tunable=_choice(given, "fine_tunable", _TUNING),
        modalities=_modalities(given),
        until=_day(given, "until"),
    )
    return needs, known_only


def _flag(given: Mapping[str, str], name: str) -> bool:
    if given.get(name, "1") != "1":
        raise InvalidRequest(f"{name} is {given[name]!r}.", "It is 1, or left out.", param=name)
    return name in given


def _count(given: Mapping[str, str], name: str) -> int | None:
    """People write 200000, 200,000 and 200_000."""
    text = given.get(name)
    if text is None:
        return None
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdigit() and 1 <= int(digits[:15]) <= _MOST):
        raise InvalidRequest(f"{name} is {text[:40]!r}.", "It is a whole number above 0.", param=name)
    return int(digits)


def _amount(given: Mapping[str, str], name: str) -> Decimal | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        value = Decimal(text.removeprefix("$").replace(",", ""))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= _MOST:
        raise InvalidRequest(f"{name} is {text[:40]!r}.", "It is a number, such as 2.50.", param=name)
    return value


def _traffic(given: Mapping[str, str], counts: Mapping[str, int | None]) -> Traffic | None:
    share = _amount(given, "cached_share") or Decimal(0)
    if share > 1:
        raise InvalidRequest(f"cached_share is {share}.", "It is from 0 to 1.", param="cached_share")
    parts = [counts[name] for name in _TRAFFIC]
    if all(part is None for part in parts):
        return None
    missing = [name for name in _TRAFFIC if counts[name] is None]
    if missing:
        raise InvalidRequest(
            f"The traffic lacks {' and '.join(missing)}.",
            f"Give {', '.join(_TRAFFIC)} together, or none of them.",
            param=missing[0],
        )
    requests, input_tokens, output_tokens = (part or 0 for part in parts)
    return Traffic(
        requests=requests, input_tokens=input_tokens, output_tokens=output_tokens, cached_share=share
    )


def _choice(given: Mapping[str, str], name: str, choices: tuple[str, ...]) -> Any:
    text = given.get(name, "")
    if text and text not in choices:
        raise InvalidRequest(f"{name} is {text[:40]!r}.", f"It is one of {', '.join(choices)}.", param=name)
    return text


def _modalities(given: Mapping[str, str]) -> tuple[str, ...]:
    words = [word.strip().casefold() for word in given.get("modality", "").split(",") if word.strip()]
    for word in words:
        if word not in MODALITIES:
            raise InvalidRequest(
                f"modality is {word[:40]!r}.", f"It is one of {', '.join(MODALITIES)}.", param="modality"
            )
    return tuple(dict.fromkeys(words))


def _day(given: Mapping[str, str], name: str) -> datetime.date | None:
    text = given.get(name)
    if text is None:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(
            f"{name} is {text[:40]!r}.", "It is a day, such as 2027-06-01.", param=name
        ) from error
