"""Google's Gemini."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.dialects import (
    anthropic,
    gemini,
    gemini_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from ratchet.gateway.providers.kinds import Kind, Wire
from ratchet.gateway.settings import ProviderSettings

__all__ = ["GEMINI"]

_CONTENT = Wire(gemini.DIALECT, gemini.path)
_EMBEDDINGS = Wire(gemini_embeddings.DIALECT, gemini_embeddings.path)


def _wires(_settings: ProviderSettings) -> Mapping[str, Wire]:
    return {
        openai_chat.DIALECT.name: _CONTENT,
        openai_responses.DIALECT.name: _CONTENT,
        anthropic.DIALECT.name: _CONTENT,
        openai_embeddings.DIALECT.name: _EMBEDDINGS,
    }


def _root(base_url: str) -> str:
    return base_url.removesuffix("/v1beta").removesuffix("/v1")


GEMINI = Kind(
    wires=_wires,
    credential=lambda secret: f"x-goog-api-key: {secret}",
    models="/v1beta/models",
    base_url="https://generativelanguage.googleapis.com",
    root=_root,
    label="gcp.gemini",
)
