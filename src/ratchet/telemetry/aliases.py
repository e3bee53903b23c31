"""One alias table for every generation of attribute names: which column a name belongs to, and how it is read.

OpenTelemetry GenAI v1.41.1 and what it replaced, OpenInference, OpenLLMetry, Langfuse, and our own (`ratchet.*`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import msgspec

from ratchet.dialects.openai_chat.content import finish_reason

__all__ = [
    "FAMILIES",
    "KEPT",
    "OPENINFERENCE_FAMILIES",
    "RENAMED",
    "RULES",
    "Reader",
    "attribute_text",
    "json_value",
]

Reader = Callable[[Any], Any]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_LARGEST_COUNT = (1 << 31) - 1
_NANOSECONDS = 1_000_000_000

_PROVIDERS = {
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "az.ai.inference": "azure.ai.inference",
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertexai": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "google": "gcp.gen_ai",
    "mistralai": "mistral_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
}
# OpenInference's, OpenLLMetry's and Langfuse's kinds of span, as operations.
_OPERATIONS = {
    "llm": "chat",
    "generation": "chat",
    "completion": "text_completion",
    "embedding": "embeddings",
    "retriever": "retrieval",
    "tool": "execute_tool",
    "agent": "invoke_agent",
    "workflow": "invoke_workflow",
    "span": "",
    "unknown": "",
}


def attribute_text(value: Any) -> str:
    """An attribute as text: itself, a number or a truth value as JSON writes it, a nested value as JSON."""
    if isinstance(value, str):
        return value
    try:
        return _encoder.encode(value).decode()
    except RecursionError:
        return "(nested too deeply)"


def _text(value: Any) -> str | None:
    return attribute_text(value) or None if value is not None else None


def _lower(value: Any) -> str | None:
    return value.lower() or None if isinstance(value, str) else None


def _provider(value: Any) -> str | None:
    name = _lower(value)
    return None if name is None else _PROVIDERS.get(name, name)


def _operation(value: Any) -> str | None:
    name = _lower(value)
    return None if name is None else _OPERATIONS.get(name, name)


def _count(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and value.isdecimal() and len(value) < 11:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_COUNT:
        return value
    return None


def _http_status(value: Any) -> int | None:
    status = _count(value)
    return status if status is not None and status < 1000 else None


def _money(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < _LARGEST_COUNT else None


def _cost_details(value: Any) -> Decimal | None:
    return _money(_mapping(value).get("total"))


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        decoded = json_value(value)
        value = cast("Any", decoded if isinstance(decoded, list) else value.split(","))
    if not isinstance(value, list):
        return None
    texts = [attribute_text(item).strip() for item in cast("list[Any]", value) if item is not None]
    return [text for text in texts if text]


def _reasons(value: Any) -> list[str] | None:
    reasons = _texts(value)
    return None if reasons is None else [finish_reason(reason) for reason in reasons]


def _seconds(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        return None
    return round(value * _NANOSECONDS)


def _moment(value: Any) -> int | None:
    if not isinstance(value, str):
        return None
    try:
        return round(datetime.fromisoformat(value.strip('"')).timestamp() * _NANOSECONDS)
    except ValueError:
        return None


def _verdicts(value: Any) -> dict[str, str] | None:
    return {name: attribute_text(verdict) for name, verdict in _mapping(value).items()} or None


def _definitions(value: Any) -> list[Any] | None:
    value = json_value(value) if isinstance(value, str) else value
    return cast("list[Any]", value) if isinstance(value, list) else None


def _as_it_is(value: Any) -> Any:
    return None if value == "" else value


# Column of the span: how a value is read, then the names it has gone by, the best first.
_ALIASES: dict[str, tuple[Reader, tuple[str, ...]]] = {
    "operation": (
        _operation,
        (
            "gen_ai.operation.name",
            "openinference.span.kind",
            "llm.request.type",
            "traceloop.span.kind",
            "langfuse.observation.type",
        ),
    ),
    "provider": (
        _provider,
        ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor"),
    ),
    "request_model": (
        _text,
        (
            "gen_ai.request.model",
            "llm.request.model_name",
            "llm.request.model",
            "llm.model_name",
            "embedding.model_name",
            "reranker.model_name",
            "langfuse.observation.model.name",
        ),
    ),
    "response_model": (_text, ("gen_ai.response.model", "llm.response.model_name", "llm.response.model")),
    "response_id": (_text, ("gen_ai.response.id", "llm.response.id")),
    "finish_reasons": (
        _reasons,
        (
            "gen_ai.response.finish_reasons",
            "gen_ai.response.finish_reason",
            "llm.finish_reason",
            "llm.response.finish_reason",
            "llm.response.stop_reason",
        ),
    ),
    "stream": (_flag, ("gen_ai.request.stream", "gen_ai.request.is_stream", "llm.is_streaming")),
    "time_to_first_token": (
        _seconds,
        ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    ),
    "first_token_at": (_moment, ("langfuse.observation.completion_start_time",)),
    "input_tokens": (
        _count,
        (
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.prompt_tokens",
            "llm.token_count.prompt",
            "llm.usage.prompt_tokens",
        ),
    ),
    "output_tokens": (
        _count,
        (
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.completion_tokens",
            "llm.token_count.completion",
            "llm.usage.completion_tokens",
        ),
    ),
    "cached_tokens": (
        _count,
        (
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.details.cache_read_tokens",
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
        ),
    ),
    "cache_write_tokens": (
        _count,
        (
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
            "gen_ai.usage.details.cache_write_tokens",
            "llm.token_count.prompt_details.cache_write",
        ),
    ),
    "reasoning_tokens": (
        _count,
        (
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "gen_ai.usage.details.reasoning_tokens",
            "llm.usage.reasoning_tokens",
            "llm.token_count.completion_details.reasoning",
        ),
    ),
    "audio_input_tokens": (
        _count,
        (
            "ratchet.usage.audio.input_tokens",
            "gen_ai.usage.details.input_audio_tokens",
            "llm.token_count.prompt_details.audio",
        ),
    ),
    "audio_output_tokens": (
        _count,
        (
            "ratchet.usage.audio.output_tokens",
            "gen_ai.usage.details.output_audio_tokens",
            "llm.token_count.completion_details.audio",
        ),
    ),
    "cost": (
        _money,
        ("ratchet.cost", "gen_ai.usage.cost", "gen_ai.usage.total_cost", "gen_ai.cost.usd", "llm.cost.total"),
    ),
    "cost_details": (_cost_details, ("langfuse.observation.cost_details",)),
    "user_id": (
        _text,
        (
            "user.id",
            "enduser.id",
            "langfuse.user.id",
            "traceloop.association.properties.user_id",
            "gen_ai.user",
            "llm.user",
        ),
    ),
    "session_id": (
        _text,
        (
            "session.id",
            "gen_ai.conversation.id",
            "langfuse.session.id",
            "traceloop.association.properties.session_id",
            "traceloop.association.properties.conversation_id",
        ),
    ),
    "organisation_id": (
        _text,
        (
            "ratchet.organisation",
            "organisation.id",
            "organization.id",
            "tenant.id",
            "traceloop.association.properties.organisation_id",
            "traceloop.association.properties.organization_id",
        ),
    ),
    "tags": (_texts, ("ratchet.tags", "langfuse.trace.tags", "tag.tags")),
    "app_version": (_text, ("ratchet.app_version", "langfuse.version")),
    "error_type": (_text, ("error.type",)),
    "http_status": (_http_status, ("http.response.status_code", "http.status_code")),
    "prompt": (
        _text,
        ("gen_ai.prompt.name", "langfuse.observation.prompt.name", "traceloop.prompt.key", "prompt.id"),
    ),
    "prompt_version": (
        _text,
        (
            "gen_ai.prompt.version",
            "ratchet.prompt.version",
            "langfuse.observation.prompt.version",
            "traceloop.prompt.version",
            "llm.prompt_template.version",
        ),
    ),
    "release": (_text, ("ratchet.release", "langfuse.release")),
    "segment": (_text, ("ratchet.segment",)),
    "language": (_text, ("ratchet.language",)),
    "route": (_text, ("ratchet.route",)),
    "target": (_text, ("ratchet.target",)),
    "strategy": (_text, ("ratchet.strategy",)),
    "attempt": (_count, ("ratchet.attempt",)),
    "cache_status": (_text, ("ratchet.cache_status",)),
    "guard_verdicts": (_verdicts, ("ratchet.guard_verdicts",)),
    "run_id": (_text, ("ratchet.run_id",)),
    "candidate": (_text, ("ratchet.candidate",)),
    "case_id": (_text, ("ratchet.case_id",)),
    "repeat": (_count, ("ratchet.repeat",)),
    "tool_definitions": (_definitions, ("gen_ai.tool.definitions", "llm.tools", "llm.request.functions")),
    "system_instructions": (_as_it_is, ("gen_ai.system_instructions",)),
    "asked": (
        _as_it_is,
        (
            "gen_ai.input.messages",
            "llm.input_messages",
            "gen_ai.prompt",
            "llm.prompts",
            "gen_ai.tool.call.arguments",
            "langfuse.observation.input",
            "input.value",
            "traceloop.entity.input",
            "gen_ai.retrieval.query.text",
        ),
    ),
    "answered": (
        _as_it_is,
        (
            "gen_ai.output.messages",
            "llm.output_messages",
            "gen_ai.completion",
            "llm.choices",
            "gen_ai.tool.call.result",
            "langfuse.observation.output",
            "output.value",
            "traceloop.entity.output",
        ),
    ),
}
RULES = {
    name: (column, rank, read)
    for column, (read, names) in _ALIASES.items()
    for rank, name in enumerate(names)
}
# Says more than the column it is read into can hold, so it stays an attribute as well.
KEPT = frozenset(
    {
        "openinference.span.kind",
        "llm.request.type",
        "traceloop.span.kind",
        "langfuse.observation.type",
        "langfuse.observation.cost_details",
    }
)
# Parameters of a request that have another name now.
RENAMED = {
    "llm.top_k": "gen_ai.request.top_k",
    "llm.frequency_penalty": "gen_ai.request.frequency_penalty",
    "llm.presence_penalty": "gen_ai.request.presence_penalty",
    "llm.chat.stop_sequences": "gen_ai.request.stop_sequences",
    "llm.temperature": "gen_ai.request.temperature",
    "llm.top_p": "gen_ai.request.top_p",
    "gen_ai.openai.request.seed": "gen_ai.request.seed",
    "gen_ai.openai.request.service_tier": "openai.request.service_tier",
    "gen_ai.openai.response.service_tier": "openai.response.service_tier",
    "gen_ai.openai.response.system_fingerprint": "openai.response.system_fingerprint",
    "gen_ai.openai.system_fingerprint": "openai.response.system_fingerprint",
}
# Attributes that were flattened: gathered under their common name, then read as that.
FAMILIES = (
    "gen_ai.prompt.",
    "gen_ai.completion.",
    "llm.input_messages.",
    "llm.output_messages.",
    "llm.prompts.",
    "llm.choices.",
    "llm.tools.",
    "llm.request.functions.",
)
OPENINFERENCE_FAMILIES = frozenset(
    {"llm.input_messages", "llm.output_messages", "llm.prompts", "llm.choices"}
)


def _mapping(value: Any) -> dict[str, Any]:
    value = json_value(value) if isinstance(value, str) else value
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def json_value(text: str) -> Any:
    """What `text` is the JSON of, or None."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
