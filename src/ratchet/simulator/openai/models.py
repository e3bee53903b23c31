"""`GET /v1/models` and `/v1/models/{name}` as OpenAI answers them."""

from __future__ import annotations

from typing import Any

from ratchet.simulator.openai.errors import VERSION
from ratchet.simulator.outcomes import Outcome
from ratchet.simulator.wire import encode

__all__ = ["NAMES", "models"]

NAMES = ("shop-bot", "shop-bot-mini", "gpt-4o", "gpt-4o-mini", "o4-mini", "deepseek-reasoner")
_CREATED = 1_750_000_000


def models(name: str) -> Outcome:
    """All models, or the one of that name: every name is taken."""
    found = _model(name) if name else {"object": "list", "data": [*map(_model, NAMES)]}
    return Outcome(200, encode(found), headers=(VERSION,))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}
