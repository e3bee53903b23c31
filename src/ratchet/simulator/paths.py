"""Which path is served by which wire, and the few paths that are only read."""

from __future__ import annotations

from ratchet.simulator.anthropic import messages as anthropic
from ratchet.simulator.anthropic.errors import ANTHROPIC
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.chat import CHAT
from ratchet.simulator.openai.errors import OPENAI
from ratchet.simulator.openai.models import models
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.wire import Refused, Rejected, Wire

__all__ = ["not_allowed", "plain", "wire_at"]

_WIRES: dict[str, Wire] = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": anthropic.MESSAGES,
    "/v1/messages/count_tokens": anthropic.COUNT,
}


def wire_at(path: str) -> Wire | None:
    """The wire that is posted to at `path`, or None."""
    return _WIRES.get(path)


def plain(exchange: Exchange, api_key: str | None, _memory: Memory) -> Outcome:
    """The answer on every other path: models, health, or that there is no such path."""
    path = exchange.path
    if path == "/v1/models" or path.startswith("/v1/models/"):
        # Two vendors list their models at this path; Anthropic's clients say which version they speak.
        is_anthropic = bool(exchange.header(b"anthropic-version"))
        vendor, listed = (ANTHROPIC, anthropic.models) if is_anthropic else (OPENAI, models)
        if exchange.method != "GET":
            return vendor.refused(not_allowed(exchange))
        try:
            vendor.admit(exchange, api_key)
        except Rejected as refused:
            return refused.outcome
        return listed(path.removeprefix("/v1/models").removeprefix("/"))
    if path in {"/", "/healthz"}:
        return Outcome(200, b'{"status":"ok"}')
    return OPENAI.refused(Refused(status=404, message=f"Invalid URL ({exchange.method} {path})"))


def not_allowed(exchange: Exchange) -> Refused:
    """What is said of a path that knows other methods only."""
    return Refused(
        status=405,
        message=f"Not allowed to {exchange.method} on {exchange.path}. (HINT: Perhaps you meant to use a different "
        "HTTP method?)",
        code="method_not_supported",
    )
