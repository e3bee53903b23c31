"""What was asked and what was answered, as telemetry stores it: from the neutral form, the same for every dialect.

Parameters become attributes, as text, under OpenTelemetry's names where it has one (GenAI semantic conventions
v1.41.1) and otherwise as `ratchet.request.*`; what is told beside an answer as `ratchet.response.*`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from ratchet.dialects.dialect import StreamReader
from ratchet.dialects.folded import Folding
from ratchet.domain.generation import Answer, Embeddings, EmbeddingsRequest, HostedTool, Request, Tool
from ratchet.domain.messages import Extra, Message, TextPart
from ratchet.errors import InvalidRequest, UpstreamFailed

__all__ = [
    "AnswerContent",
    "RequestContent",
    "content_of_answer",
    "content_of_answer_body",
    "content_of_embeddings",
    "content_of_embeddings_request",
    "content_of_request",
    "content_of_request_body",
    "content_of_stream",
]


class RequestContent(msgspec.Struct, frozen=True):
    """`attributes` are the request's parameters as text, with OpenTelemetry's names where it has one."""

    messages: list[Message]
    tools: list[Any]  # definitions in OpenTelemetry's shape: {type, name, description, parameters}
    attributes: dict[str, str]
    unreadable: bool = False


class AnswerContent(msgspec.Struct, frozen=True):
    """One message for each choice, in the order of their indices."""

    messages: list[Message]
    attributes: dict[str, str]
    unreadable: bool = False


_encoder = msgspec.json.Encoder()

_SEMANTIC = ("temperature", "top_p", "top_k", "max_tokens", "frequency_penalty", "presence_penalty", "seed")
_OURS = ("tool_choice", "parallel_tool_calls", "logprobs", "top_logprobs", "verbosity", "thinking")
_OUTPUT_TYPES = {"text": "text", "json": "json", "json_schema": "json"}


def content_of_request(request: Request) -> RequestContent:
    """What a request asks: its messages, its tools' definitions and its parameters."""
    attributes: dict[str, str] = {}
    for name in _SEMANTIC:
        _put(attributes, f"gen_ai.request.{name}", getattr(request, name))
    if request.choices != 1:  # the conventions want it only where it says something
        _put(attributes, "gen_ai.request.choice.count", request.choices)
    _put(attributes, "gen_ai.request.stop_sequences", request.stop)
    for name in _OURS:
        _put(attributes, f"ratchet.request.{name}", getattr(request, name))
    _put(attributes, _service_tier("request", request.dialect), request.service_tier)
    if request.output is not None:
        _put(attributes, "ratchet.request.response_format", request.output)
        _put(attributes, "gen_ai.output.type", _OUTPUT_TYPES.get(request.output.kind))
    _put_all(attributes, "ratchet.request.", request.extra)
    return RequestContent(request.messages, [_definition(tool) for tool in request.tools], attributes)


def content_of_answer(answer: Answer, *, without: Collection[str] = ()) -> AnswerContent:
    """What an answer says. `without`: names in its `extra` that say nothing of the answer, as an echo of the request."""
    attributes: dict[str, str] = {}
    _put(attributes, _service_tier("response", answer.dialect), answer.service_tier)
    for name, value in (answer.extra or {}).items():
        if name != "wire" and name not in without and _says_something(value):
            attributes[_ANSWER_NAMES.get(name) or f"ratchet.response.{name}"] = _text(value)
    return AnswerContent(answer.choices, attributes)


def content_of_embeddings_request(request: EmbeddingsRequest) -> RequestContent:
    """What an embeddings request asks: each text as a message of the user's. Token ids are kept as their JSON."""
    attributes: dict[str, str] = {}
    _put(attributes, "gen_ai.embeddings.dimension.count", request.dimensions)
    if request.encoding is not None:
        attributes["gen_ai.request.encoding_formats"] = _text([request.encoding])
    _put_all(attributes, "ratchet.request.", request.extra)
    return RequestContent(
        [Message("user", [TextPart(_text(given))]) for given in request.inputs], [], attributes
    )


def content_of_embeddings(answer: Embeddings) -> AnswerContent:
    """What an embeddings answer says beside its vectors, which are no content: an error, say."""
    attributes = {
        f"ratchet.response.{name}": _text(value)
        for name, value in (answer.extra or {}).items()
        if name not in _BESIDE_VECTORS and _says_something(value)
    }
    if answer.vectors:
        attributes["gen_ai.embeddings.dimension.count"] = str(len(answer.vectors[0]))
    return AnswerContent([], attributes)


def content_of_request_body(body: bytes, read: Callable[[bytes], Request]) -> RequestContent:
    """What a request's body asks, read by its dialect's `read_request`. Never raises."""
    try:
        return content_of_request(read(body))
    except InvalidRequest:
        return RequestContent([], [], {}, unreadable=True)


def content_of_answer_body(
    body: bytes, read: Callable[[bytes], Answer], *, without: Collection[str] = ()
) -> AnswerContent:
    """What an answer's body says, read by its dialect's `read_answer`. Never raises."""
    try:
        return content_of_answer(read(body), without=without)
    except UpstreamFailed:
        return AnswerContent([], {}, unreadable=True)


def content_of_stream(
    raw_sse: bytes, reader: Callable[[], StreamReader], dialect: str, *, without: Collection[str] = ()
) -> AnswerContent:
    """What a recorded stream says, as far as it goes: one that was cut gives the part that came. Never raises.

    `reader` is the dialect's `stream_reader`. A failure told inside the stream becomes an attribute.
    """
    folding, reading = Folding(dialect), reader()
    try:
        events = reading.feed(raw_sse) + reading.finish()
    except UpstreamFailed:  # an event beyond all bounds
        events = []
    for event in events:
        folding.take(event)
    content = content_of_answer(folding.answer(), without=without)
    if folding.failure is not None:
        _put(content.attributes, "ratchet.response.error", folding.failure)
    if not events and raw_sse.strip():
        return AnswerContent([], {}, unreadable=True)
    return content


_BESIDE_VECTORS = frozenset({"object", "usage", "data", "wire"})
_ANSWER_NAMES = {"system_fingerprint": "openai.response.system_fingerprint"}


def _service_tier(side: str, dialect: str) -> str:
    return f"openai.{side}.service_tier" if dialect.startswith("openai") else f"ratchet.{side}.service_tier"


def _definition(tool: Tool | HostedTool) -> dict[str, Any]:
    if isinstance(tool, HostedTool):
        return {"type": tool.kind, **tool.definition}
    said = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    told = {name: value for name, value in said.items() if value is not None}
    return {"type": "function", **told, **(tool.extra or {})}


def _put(attributes: dict[str, str], name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, msgspec.Struct):
        said = {field: part for field, part in msgspec.structs.asdict(value).items() if part is not None}
        extra: Extra = said.pop("extra", {})
        value = {**said, **{field: part for field, part in extra.items() if field != "wire"}}
    attributes[name] = _text(value)


def _put_all(attributes: dict[str, str], prefix: str, extra: Extra | None) -> None:
    for name, value in (extra or {}).items():
        if name != "wire":  # how the rest was written down
            _put(attributes, prefix + name, value)


def _says_something(value: Any) -> bool:
    return bool(value) or value is False or (isinstance(value, (int, float)) and value == 0)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
