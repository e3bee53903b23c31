"""OpenAI, and everything that speaks its dialects."""

from __future__ import annotations

from collections.abc import Mapping

from ratchet.dialects import anthropic, openai_chat, openai_embeddings, openai_responses
from ratchet.gateway.providers.kinds import Kind, Wire, bearer, fixed
from ratchet.gateway.settings import ProviderSettings

__all__ = ["OPENAI"]

_CHAT = Wire(openai_chat.DIALECT, fixed("/chat/completions"))
_LOOK_ALIKE = Wire(openai_chat.LOOK_ALIKE, fixed("/chat/completions"))
_RESPONSES = Wire(openai_responses.DIALECT, fixed("/responses"))
_EMBEDDINGS = Wire(openai_embeddings.DIALECT, fixed("/embeddings"))


def _wires(settings: ProviderSettings) -> Mapping[str, Wire]:
    # Few look-alikes serve /responses; all serve chat completions, which can say nearly as much.
    own = settings.base_url is None
    chat = _CHAT if own else _LOOK_ALIKE
    return {
        openai_chat.DIALECT.name: chat,
        openai_responses.DIALECT.name: _RESPONSES
        if settings.responses or (own and settings.responses is None)
        else chat,
        openai_embeddings.DIALECT.name: _EMBEDDINGS,
        anthropic.DIALECT.name: chat,
    }


OPENAI = Kind(
    wires=_wires,
    credential=bearer,
    models="/models",
    base_url="https://api.openai.com/v1",
    label="openai",
    passed_on=(b"openai-beta", b"idempotency-key"),
)
