"""Anthropic."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.dialects import anthropic, openai_chat, openai_responses
from ratchet.gateway.providers.kinds import Kind, Wire, fixed, without_version
from ratchet.gateway.settings import ProviderSettings

__all__ = ["ANTHROPIC"]

_MESSAGES = Wire(anthropic.DIALECT, fixed("/v1/messages"))


def _wires(_settings: ProviderSettings) -> Mapping[str, Wire]:
    spoken = (anthropic.DIALECT, openai_chat.DIALECT, openai_responses.DIALECT)
    return {dialect.name: _MESSAGES for dialect in spoken}


ANTHROPIC = Kind(
    wires=_wires,
    credential=lambda secret: f"x-api-key: {secret}",
    models="/v1/models",
    base_url="https://api.anthropic.com",
    root=without_version,
    label="anthropic",
    defaults=((b"anthropic-version", b"2023-06-01"),),
    passed_on=(b"anthropic-version", b"anthropic-beta"),
)
