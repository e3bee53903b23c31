"""Which path is served by which wire, and the few paths that are only read."""

from __future__ import annotations

import re
from collections.abc import Callable

from ratchet.simulator.anthropic import messages as anthropic
from ratchet.simulator.anthropic.errors import ANTHROPIC
from ratchet.simulator.azure import wires as azure
from ratchet.simulator.azure.errors import NEXT
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.gemini import embed, generate
from ratchet.simulator.gemini import models as gemini
from ratchet.simulator.gemini.errors import GEMINI
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai import models as openai
from ratchet.simulator.openai.chat import CHAT
from ratchet.simulator.openai.embeddings import EMBEDDINGS
from ratchet.simulator.openai.errors import OPENAI
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.responses import create as responses
from ratchet.simulator.wire import Refused, Rejected, Vendor, Wire

__all__ = ["not_allowed", "plain", "wire_at"]

_WIRES: dict[str, Wire] = {
    "/v1/chat/completions": CHAT,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/responses": responses.RESPONSES,
    "/v1/responses/input_tokens": responses.COUNT,
    "/v1/messages": anthropic.MESSAGES,
    "/v1/messages/count_tokens": anthropic.COUNT,
    **{f"/openai/v1/{name}": wire for name, wire in azure.V1.items()},
}


_METHODS: dict[str, Wire] = {
    "generateContent": generate.GENERATE,
    "streamGenerateContent": generate.STREAM,
    "countTokens": generate.COUNT,
    "embedContent": embed.EMBED,
    "batchEmbedContents": embed.BATCH,
}
_GEMINI = re.compile(r"/v1(?:alpha|beta)?/(?:models|tunedModels)/[^:]+:(?P<method>\w+)$")

_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+/(?P<endpoint>.+)$")
_MODELS = re.compile(r"(?P<azure>/openai)?/v1(?:beta)?/models(?:/(?P<name>.*))?$")
_RESPONSES = re.compile(r"(?P<azure>/openai)?/v1/responses/(?P<name>[^/]+)$")


def wire_at(path: str) -> Wire | None:
    """The wire that is posted to at `path`, or None."""
    found = _WIRES.get(path)
    if found is not None:
        return found
    if matched := _GEMINI.match(path):
        return _METHODS.get(matched["method"])
    if matched := _DEPLOYMENT.match(path):
        return azure.DEPLOYED.get(matched["endpoint"])
    return None


def plain(exchange: Exchange, api_key: str | None, memory: Memory) -> Outcome:
    """The answer on every other path: models, health, or that there is no such path."""
    path = exchange.path
    if matched := _MODELS.match(path):
        vendor, listed = (NEXT, openai.models) if matched["azure"] else _lister(exchange)
        return _listed(exchange, vendor, listed, matched["name"] or "", api_key)
    if (matched := _RESPONSES.match(path)) and exchange.method in {"GET", "DELETE"}:
        try:
            (NEXT if matched["azure"] else OPENAI).admit(exchange, api_key)
            return responses.stored(exchange.method, matched["name"], memory)
        except Rejected as refused:
            return refused.outcome
    if path in {"/", "/healthz"}:
        return Outcome(200, b'{"status":"ok"}')
    return OPENAI.refused(Refused(status=404, message=f"Invalid URL ({exchange.method} {path})"))


def _lister(exchange: Exchange) -> tuple[Vendor, Callable[[str], Outcome]]:
    """Three vendors list their models at one path; their clients are told apart by their headers."""
    beta = exchange.path.startswith("/v1beta")
    if beta or exchange.header(b"x-goog-api-key") or exchange.query("key"):
        return GEMINI, gemini.models
    if exchange.header(b"anthropic-version"):
        return ANTHROPIC, anthropic.models
    return OPENAI, openai.models


def _listed(
    exchange: Exchange, vendor: Vendor, listed: Callable[[str], Outcome], name: str, api_key: str | None
) -> Outcome:
    if exchange.method != "GET":
        return vendor.refused(not_allowed(exchange))
    try:
        vendor.admit(exchange, api_key)
    except Rejected as refused:
        return refused.outcome
    return listed(name)


def not_allowed(exchange: Exchange) -> Refused:
    """What is said of a path that knows other methods only."""
    return Refused(
        status=405,
        message=f"Not allowed to {exchange.method} on {exchange.path}. (HINT: Perhaps you meant to use a different "
        "HTTP method?)",
        code="method_not_supported",
    )
