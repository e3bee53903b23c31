"""Google's endpoints for embeddings: `:embedContent` and `:batchEmbedContents`."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from ratchet.simulator import tokens
from ratchet.simulator.ask import Ask, Turn
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.gemini.conversation import spoken_text
from ratchet.simulator.gemini.errors import GEMINI, JSON, refusal
from ratchet.simulator.gemini.generate import model_in
from ratchet.simulator.gemini.proto import inner, items, parsed
from ratchet.simulator.memory import Memory
from ratchet.simulator.vectors import vector
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode, simulated

__all__ = ["BATCH", "EMBED"]

_WIDTH = 3072
_MOST = 100


def _read(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    fields = parsed(body, "EmbedContentRequest")
    return _wanted([_text(fields, "EmbedContentRequest")], fields, exchange, batch=False)


def _read_batch(body: bytes, exchange: Exchange, _memory: Memory) -> Wanted:
    fields = parsed(body, "BatchEmbedContentsRequest")
    requests = items(fields, "requests")
    if not requests:
        raise refusal("* BatchEmbedContentsRequest.requests: requests is not specified\n")
    if len(requests) > _MOST:
        raise refusal(f"* BatchEmbedContentsRequest.requests: at most {_MOST} requests can be in one batch\n")
    model = model_in(exchange.path)
    texts: list[tuple[str, int]] = []
    for index, request in enumerate(requests):
        where = f"BatchEmbedContentsRequest.requests[{index}]"
        if str(request.get("model", "")).removeprefix("models/") != model:
            raise refusal(f"* {where}.model: model must be models/{model}\n")
        texts.append(_text(request, where))
    return _wanted(texts, fields, exchange, batch=True)


def _text(fields: dict[str, Any], where: str) -> tuple[str, int]:
    """`(text, width)` of one request."""
    text = spoken_text(items(inner(fields, "content"), "parts"))
    if not text:
        raise refusal(f"* {where}.content: contents is not specified\n")
    config = inner(fields, "embedContentConfig")
    width = fields.get("outputDimensionality") or config.get("outputDimensionality") or _WIDTH
    if not 1 <= width <= _WIDTH:
        raise refusal(f"* {where}.output_dimensionality: must be in the range [1, {_WIDTH}].\n")
    return text, width


def _wanted(
    texts: Sequence[tuple[str, int]], fields: dict[str, Any], exchange: Exchange, *, batch: bool
) -> Wanted:
    return Wanted(
        ask=Ask(model=model_in(exchange.path), turns=(Turn("user", texts[0][0]),)),
        simulate=simulated(fields),
        make=functools.partial(_made, texts, batch),
    )


def _made(texts: Sequence[tuple[str, int]], batch: bool, occasion: Occasion) -> Made:  # noqa: FBT001  # bound by partial
    found = [{"values": [] if occasion.fault.empty else vector(text, width)} for text, width in texts]
    made: dict[str, Any] = {"embeddings": found} if batch else {"embedding": found[0]}
    if not occasion.fault.no_usage:
        made["usageMetadata"] = {"promptTokenCount": sum(tokens.count(text) for text, _ in texts)}
    return Made(data=encode(made), content_type=JSON, repeatable=True)


EMBED = Wire(GEMINI, _read)
BATCH = Wire(GEMINI, _read_batch)
