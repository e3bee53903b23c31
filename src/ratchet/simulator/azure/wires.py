"""Azure's endpoints: `/openai/deployments/{name}/…` and `/openai/v1/…`, each OpenAI's with the results of filters."""

from __future__ import annotations

import functools
from typing import Any, cast

import msgspec

from ratchet.simulator.azure.errors import DEPLOYMENTS, HEADERS, NEXT, SAFE, filtered
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai import chat
from ratchet.simulator.openai.chat_request import read_request
from ratchet.simulator.openai.embeddings import read_embeddings
from ratchet.simulator.responses import create as responses
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode

__all__ = ["DEPLOYED", "V1"]

_BEFORE_FINISH = b',"finish_reason":'
_SAFE = b',"content_filter_results":' + encode(SAFE) + _BEFORE_FINISH
_NONE = b',"content_filter_results":{}' + _BEFORE_FINISH
_PROMPT = [{"prompt_index": 0, "content_filter_results": SAFE}]


def _deployment(exchange: Exchange) -> str:
    """The deployment in `/openai/deployments/{name}/…`, or nothing on the other paths."""
    parts = exchange.path.split("/")
    return parts[3] if parts[2] == "deployments" else ""


def _read_chat(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    return _with_filters(chat.wanted(read_request(body, _deployment(exchange))))


def _read_embeddings(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    wanted = read_embeddings(body, _deployment(exchange))
    return msgspec.structs.replace(wanted, make=functools.partial(_served, wanted))


def _read_responses(body: bytes, exchange: Exchange, memory: Memory) -> Wanted:
    wanted = responses.read(body, exchange, memory)
    return msgspec.structs.replace(wanted, make=functools.partial(_served, wanted))


def _served(wanted: Wanted, occasion: Occasion) -> Made:
    made = wanted.make(occasion)
    return msgspec.structs.replace(made, headers=(*made.headers, *HEADERS))


# -- chat: what the content filters found ------------------------------------------------------------------------


def _with_filters(wanted: Wanted) -> Wanted:
    return msgspec.structs.replace(wanted, make=functools.partial(_filtered, wanted))


def _filtered(wanted: Wanted, occasion: Occasion) -> Made:
    made = _served(wanted, occasion)
    if occasion.streamed:
        return msgspec.structs.replace(made, payloads=_chunks(list(made.payloads), occasion))
    found = cast("dict[str, Any]", msgspec.json.decode(made.data))
    for choice in cast("list[dict[str, Any]]", found["choices"]):
        struck = choice["finish_reason"] == "content_filter"
        choice["content_filter_results"] = filtered("hate") if struck else SAFE
    found["prompt_filter_results"] = _PROMPT
    return msgspec.structs.replace(made, data=encode(found))


def _chunks(payloads: list[Payload], occasion: Occasion) -> list[Payload]:
    """A first chunk about the prompt, without id, model and choices; then each chunk with its own results."""
    opening = {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
        "prompt_filter_results": _PROMPT,
    }
    struck = b',"content_filter_results":' + encode(filtered("hate")) + _BEFORE_FINISH
    ends = struck if occasion.fault.content_filter else _NONE
    marks = {"delta": _SAFE, "finish": ends, "role": _NONE}
    return [
        Payload("role", encode(opening)),
        *(
            Payload(one.kind, one.data.replace(_BEFORE_FINISH, marks.get(one.kind, _NONE), 1), one.event)
            for one in payloads
        ),
    ]


DEPLOYED = {
    "chat/completions": Wire(DEPLOYMENTS, _read_chat),
    "embeddings": Wire(DEPLOYMENTS, _read_embeddings),
}
V1 = {
    "chat/completions": Wire(NEXT, _read_chat),
    "embeddings": Wire(NEXT, _read_embeddings),
    "responses": Wire(NEXT, _read_responses),
}
