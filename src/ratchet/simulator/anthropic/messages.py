"""Anthropic's endpoints: `POST /v1/messages`, `POST /v1/messages/count_tokens`, `GET /v1/models`."""

from __future__ import annotations

import functools
from typing import Any

from ratchet.simulator.answer import prompt_tokens
from ratchet.simulator.anthropic.caching import classes_of
from ratchet.simulator.anthropic.errors import ANTHROPIC, headers, stream_error
from ratchet.simulator.anthropic.reply import Reply, events, message
from ratchet.simulator.anthropic.request import MessagesRequest, read_request
from ratchet.simulator.dice import Dice
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.memory import Memory
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.streams import Framing, Payload
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode

__all__ = ["COUNT", "MESSAGES", "models"]

_FRAMING = Framing(
    error=stream_error,
    broken=Payload(
        "delta",
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"lo',
        b"content_block_delta",
    ),
)
_NAMES = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")
_RELEASED = "2025-06-15T00:00:00Z"


def _request(body: bytes, exchange: Exchange, *, counting: bool) -> MessagesRequest:
    return read_request(
        body,
        version=exchange.header(b"anthropic-version"),
        beta=bool(exchange.header(b"anthropic-beta")),
        counting=counting,
    )


def _read(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    request = _request(body, exchange, counting=False)
    return Wanted(
        ask=request.ask,
        stream=request.stream,
        simulate=request.simulate,
        make=functools.partial(_made, request),
    )


def _made(request: MessagesRequest, occasion: Occasion) -> Made:
    found = occasion.answered(request.ask)
    dice = occasion.dice("wire")
    classes = classes_of(
        request.ask.model,
        request.prompt,
        found.input_tokens,
        request.can.least_cached,
        occasion.memory.prefixes,
    )
    reply = Reply(
        id="msg_01" + occasion.dice("envelope").letters("id", 22),
        request=request,
        answer=found,
        classes=classes,
        fault=occasion.fault,
        dice=dice,
    )
    if occasion.streamed:
        return Made(payloads=list(events(reply)), framing=_FRAMING, headers=headers(dice), answer=found)
    return Made(
        data=encode(message(reply)),
        headers=headers(dice),
        answer=found,
        repeatable=not (classes.read or classes.written),
    )


def _read_count(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    request = _request(body, exchange, counting=True)
    return Wanted(ask=request.ask, simulate=request.simulate, make=functools.partial(_counted, request))


def _counted(request: MessagesRequest, occasion: Occasion) -> Made:
    count = sum(prompt_tokens(request.ask))
    return Made(data=encode({"input_tokens": count}), headers=headers(occasion.dice("wire")), repeatable=True)


def models(name: str) -> Outcome:
    """All models, or the one of that name: every name is taken."""
    found: dict[str, Any] = (
        _model(name)
        if name
        else {
            "data": [*map(_model, _NAMES)],
            "has_more": False,
            "first_id": _NAMES[0],
            "last_id": _NAMES[-1],
        }
    )
    return Outcome(200, encode(found), headers=headers(Dice(name.encode())))


def _model(name: str) -> dict[str, Any]:
    shown = " ".join(word.capitalize() for word in name.split("-"))
    return {
        "type": "model",
        "id": name,
        "display_name": shown,
        "created_at": _RELEASED,
        "lifecycle": "active",
    }


MESSAGES = Wire(ANTHROPIC, _read)
COUNT = Wire(ANTHROPIC, _read_count)
