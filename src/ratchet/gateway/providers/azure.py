"""Azure OpenAI: OpenAI's dialects, with another credential and other addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import quote

from ratchet.dialects import anthropic, openai_chat, openai_embeddings, openai_responses
from ratchet.gateway.providers.kinds import Kind, Wire, fixed
from ratchet.gateway.settings import ProviderSettings

__all__ = ["AZURE"]


def _wires(settings: ProviderSettings) -> Mapping[str, Wire]:
    version = settings.api_version

    def path(operation: str) -> Callable[[str, bool], str]:
        if version is None:  # the address that needs no version: the model stands in the body
            return fixed(f"/openai/v1/{operation}")
        return lambda model, _stream: (
            f"/openai/deployments/{quote(model, safe='')}/{operation}?api-version={version}"
        )

    chat = Wire(openai_chat.DIALECT, path("chat/completions"))
    # Among the dated versions, responses have one address for all deployments.
    address = path("responses") if version is None else fixed(f"/openai/responses?api-version={version}")
    responses = chat if settings.responses is False else Wire(openai_responses.DIALECT, address)
    return {
        openai_chat.DIALECT.name: chat,
        openai_responses.DIALECT.name: responses,
        openai_embeddings.DIALECT.name: Wire(openai_embeddings.DIALECT, path("embeddings")),
        anthropic.DIALECT.name: chat,
    }


def _root(base_url: str) -> str:
    return base_url.removesuffix("/v1").removesuffix("/openai")


AZURE = Kind(
    wires=_wires,
    credential=lambda secret: f"api-key: {secret}",
    models="/openai/v1/models",
    root=_root,
    label="azure.ai.openai",
    passed_on=(b"openai-beta", b"idempotency-key"),
)
