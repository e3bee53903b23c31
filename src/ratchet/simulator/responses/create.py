"""OpenAI's endpoints for responses: `POST /v1/responses`, its token counts, and the responses that were kept."""

from __future__ import annotations

import functools
from typing import Any

from ratchet.simulator.answer import prompt_tokens
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import Fault
from ratchet.simulator.memory import Memory, StoredResponse
from ratchet.simulator.openai.errors import OPENAI, VERSION, refusal
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.responses.reply import Reply, events, response
from ratchet.simulator.responses.request import ResponsesRequest, read_request
from ratchet.simulator.streams import Framing, Payload
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode

__all__ = ["COUNT", "RESPONSES", "read", "stored"]


def _stream_error(fault: Fault) -> Payload:
    body: dict[str, Any] = {
        "type": "error",
        "code": fault.code or "server_error",
        "message": "The server had an error while processing your request. Sorry about that!",
        "param": None,
        "sequence_number": fault.error or 0,
    }
    return Payload("error", encode(body), b"error")


_FRAMING = Framing(
    error=_stream_error,
    broken=Payload(
        "delta", b'{"type":"response.output_text.delta","delta":"lo', b"response.output_text.delta"
    ),
)


def read(body: bytes, _exchange: Exchange, memory: Memory) -> Wanted:
    """The request in `body`. Raises `Rejected`."""
    request = read_request(body, memory)
    return Wanted(
        ask=request.ask,
        stream=request.stream,
        simulate=request.simulate,
        make=functools.partial(_made, request),
    )


def _made(request: ResponsesRequest, occasion: Occasion) -> Made:
    found = occasion.answered(request.ask)
    own = occasion.dice("envelope")
    name = f"resp_{own.integer('id'):016x}{own.integer('id 2'):016x}{own.integer('id 3'):016x}"
    reply = Reply(
        id=name,
        created=occasion.created(own),
        request=request,
        answer=found,
        fault=occasion.fault,
        own=own,
        dice=occasion.dice("wire"),
        cached=occasion.memory.prefixes.cached_tokens(request.ask, found.input_tokens),
    )
    whole = response(reply)
    if request.store:
        occasion.memory.keep(name, StoredResponse(whole, (*request.items, *whole["output"])))
    headers = (VERSION, (b"x-request-id", b"req_" + name[5:].encode()))
    if occasion.streamed:
        return Made(payloads=list(events(reply)), framing=_FRAMING, headers=headers, answer=found)
    return Made(
        data=encode(whole),
        headers=headers,
        answer=found,
        repeatable=found.input_tokens < 1024 and request.fields.get("previous_response_id") is None,
    )


def _read_count(body: bytes, _exchange: Exchange, memory: Memory) -> Wanted:
    request = read_request(body, memory, counting=True)
    return Wanted(ask=request.ask, simulate=request.simulate, make=functools.partial(_counted, request))


def _counted(request: ResponsesRequest, _occasion: Occasion) -> Made:
    found = {"object": "response.input_tokens", "input_tokens": sum(prompt_tokens(request.ask))}
    return Made(data=encode(found), headers=(VERSION,))


def stored(method: str, name: str, memory: Memory) -> Outcome:
    """`GET` or `DELETE` of a response that was kept. Raises `Rejected` when it is not known."""
    found = memory.response(name)
    if found is None:
        raise refusal(f"Response with id '{name}' not found.", status=404)
    body: dict[str, Any] = found.body
    if method == "DELETE":
        memory.drop(name)
        body = {"id": name, "object": "response", "deleted": True}
    return Outcome(200, encode(body), headers=(VERSION,))


RESPONSES = Wire(OPENAI, read)
COUNT = Wire(OPENAI, _read_count)
