"""OpenAI's chat completions as a wire: `POST /v1/chat/completions`."""

from __future__ import annotations

import functools
from typing import Any, cast

from ratchet.simulator.dice import Dice
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.chat_answer import Envelope, completion, payloads
from ratchet.simulator.openai.chat_request import ChatRequest, read_request
from ratchet.simulator.openai.errors import OPENAI, VERSION, stream_error
from ratchet.simulator.streams import Framing, Payload
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode

__all__ = ["CHAT", "FRAMING", "wanted"]

FRAMING = Framing(
    done=b"[DONE]",
    error=stream_error,
    broken=Payload(
        "delta",
        b'{"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"lo',
    ),
)


def wanted(request: ChatRequest) -> Wanted:
    """The request as the app knows requests."""
    return Wanted(
        ask=request.ask,
        stream=request.stream,
        simulate=request.simulate,
        make=functools.partial(_made, request),
    )


def _read(body: bytes, _exchange: Exchange, _memory: Memory) -> Wanted:
    return wanted(read_request(body))


def _made(request: ChatRequest, occasion: Occasion) -> Made:
    found = occasion.answered(request.ask)
    own = occasion.dice("envelope")
    envelope = Envelope(
        id="chatcmpl-" + own.letters("id", 29),
        created=occasion.created(own),
        model=request.ask.model,
        service_tier=request.service_tier,
        fingerprint="fp_" + f"{Dice(request.ask.model.encode()).integer('fingerprint'):016x}"[:10],
        cached_tokens=occasion.memory.prefixes.cached_tokens(request.ask, found.input_tokens),
    )
    headers = (VERSION, (b"x-request-id", b"req_" + envelope.id[9:].encode()))
    dice = occasion.dice("wire")
    fault = occasion.fault
    if occasion.streamed:
        chunks = [
            payload
            for payload in payloads(found, request, envelope, dice)
            if not (fault.no_usage and payload.kind == "usage")
            and not (fault.no_finish and payload.kind == "finish")
        ]
        return Made(payloads=chunks, framing=FRAMING, headers=headers, answer=found)
    made = completion(found, request, envelope, dice)
    if fault.no_usage:
        del made["usage"]
    if fault.no_finish:
        for choice in cast("list[dict[str, Any]]", made["choices"]):
            choice["finish_reason"] = None
    # A prompt that could be cached upstream is not repeatable: its usage changes.
    repeatable = not envelope.cached_tokens and found.input_tokens < 1024
    return Made(data=encode(made), headers=headers, answer=found, repeatable=repeatable)


CHAT = Wire(OPENAI, _read)
