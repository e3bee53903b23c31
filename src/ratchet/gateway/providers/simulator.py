"""The simulator, which speaks every dialect that an app may speak."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.dialects import anthropic, openai_chat, openai_embeddings, openai_responses
from ratchet.gateway.providers.kinds import Kind, Wire, bearer, fixed, without_version
from ratchet.gateway.settings import ProviderSettings

__all__ = ["SIMULATOR"]

_WIRES = {
    openai_chat.DIALECT.name: Wire(openai_chat.DIALECT, fixed("/v1/chat/completions")),
    openai_responses.DIALECT.name: Wire(openai_responses.DIALECT, fixed("/v1/responses")),
    openai_embeddings.DIALECT.name: Wire(openai_embeddings.DIALECT, fixed("/v1/embeddings")),
    anthropic.DIALECT.name: Wire(anthropic.DIALECT, fixed("/v1/messages")),
}


def _wires(_settings: ProviderSettings) -> Mapping[str, Wire]:
    return _WIRES


SIMULATOR = Kind(
    wires=_wires,
    credential=bearer,
    models="/v1/models",
    root=without_version,
    label="simulator",
    defaults=((b"anthropic-version", b"2023-06-01"),),
    passed_on=(b"openai-beta", b"idempotency-key", b"anthropic-version", b"anthropic-beta", b"x-simulate"),
)
