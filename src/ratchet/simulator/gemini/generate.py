"""Google's endpoints for content: `:generateContent`, `:streamGenerateContent`, `:countTokens`."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from ratchet.simulator.answer import prompt_tokens
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.gemini.errors import GEMINI, JSON, stream_error
from ratchet.simulator.gemini.proto import parsed
from ratchet.simulator.gemini.reply import Reply, prompt_details, response, responses
from ratchet.simulator.gemini.request import GenerateRequest, read_fields
from ratchet.simulator.memory import Memory
from ratchet.simulator.streams import Framing, Payload
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode

__all__ = ["COUNT", "GENERATE", "STREAM", "model_in"]

_BROKEN = Payload("delta", b'{"candidates": [{"content": {"parts": [{"text": "lo')
_SSE = Framing(end=b"\r\n", error=stream_error, broken=_BROKEN, content_type=b"text/event-stream")
_ARRAY = Framing(error=stream_error, broken=_BROKEN, content_type=JSON, array=True)


def model_in(path: str) -> str:
    """The model's name in a path such as `/v1beta/models/gemini-2.5-flash:generateContent`."""
    return path.split("/models/", 1)[-1].rpartition(":")[0]


def _read(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    request = read_fields(parsed(body, "GenerateContentRequest"), model_in(exchange.path))
    return Wanted(ask=request.ask, simulate=request.simulate, make=functools.partial(_made, request, _SSE))


def _read_stream(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    request = read_fields(parsed(body, "GenerateContentRequest"), model_in(exchange.path))
    framing = _SSE if exchange.query("alt") == "sse" else _ARRAY
    return Wanted(
        ask=request.ask,
        simulate=request.simulate,
        stream=True,
        make=functools.partial(_made, request, framing),
    )


def _made(request: GenerateRequest, framing: Framing, occasion: Occasion) -> Made:
    found = occasion.answered(request.ask)
    reply = Reply(
        id=occasion.dice("envelope").letters("id", 23),
        request=request,
        answer=found,
        fault=occasion.fault,
        dice=occasion.dice("wire"),
        cached=occasion.memory.prefixes.cached_tokens(request.ask, found.input_tokens),
    )
    if occasion.streamed:
        return Made(payloads=list(responses(reply)), framing=framing, answer=found)
    return Made(
        data=_pretty(response(reply)),
        content_type=JSON,
        answer=found,
        repeatable=found.input_tokens < 1024,
    )


def _pretty(value: dict[str, Any]) -> bytes:
    return msgspec.json.format(encode(value), indent=2)


def _read_count(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    fields = parsed(body, "CountTokensRequest")
    request = read_fields(fields.get("generateContentRequest") or fields, model_in(exchange.path))
    return Wanted(ask=request.ask, simulate=request.simulate, make=functools.partial(_counted, request))


def _counted(request: GenerateRequest, _occasion: Occasion) -> Made:
    total = sum(prompt_tokens(request.ask))
    found = {"totalTokens": total, "promptTokensDetails": prompt_details(request.ask, total)}
    return Made(data=_pretty(found), content_type=JSON, repeatable=True)


GENERATE = Wire(GEMINI, _read)
STREAM = Wire(GEMINI, _read_stream)
COUNT = Wire(GEMINI, _read_count)
