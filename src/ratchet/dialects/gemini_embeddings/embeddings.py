"""Gemini's embeddings: `batchEmbedContents`, with `embedContent` read too.

A batch repeats its settings with each text. Those that all texts share are written once in `EmbeddingsRequest.extra`
(`taskType`, `title`); where they differ, `extra["requests"]` holds each text's own, in the order of the texts.
An answer names no model, and newer models alone tell token counts.

Written back the same, but for names in snake_case and nulls.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.expressing import HINTS, cannot_express
from ratchet.dialects.gemini.fields import decoded, fields, items, take
from ratchet.dialects.gemini.head import request_fields
from ratchet.dialects.gemini.vocabulary import usage_of
from ratchet.domain.generation import Embeddings, EmbeddingsRequest
from ratchet.domain.messages import Extra
from ratchet.domain.usage import Usage
from ratchet.errors import UpstreamFailed

__all__ = [
    "NAME",
    "AnswerHead",
    "answer_head",
    "path",
    "read_answer",
    "read_request",
    "write_answer",
    "write_request",
]

NAME = "gemini_embeddings"
_encoder = msgspec.json.Encoder()


def path(model: str, stream: bool = False) -> str:  # noqa: FBT001, FBT002 - as for generateContent
    """Where to ask, below the base URL. Vectors are never streamed."""
    del stream
    return f"/v1beta/models/{model.removeprefix('models/')}:batchEmbedContents"


class AnswerHead(msgspec.Struct, frozen=True):
    """What the gateway reads from an answer: token counts alone, where there are any."""

    tokens: Usage | None = None
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    error: None = None

    @property
    def finish_reasons(self) -> list[str]:
        return []


class _Counts(msgspec.Struct, rename="camel"):
    """All but the vectors, which are skipped and not decoded."""

    usage_metadata: Any = None


_counts = msgspec.json.Decoder(_Counts)


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer; None where it is no JSON object. Never raises."""
    try:
        return AnswerHead(_usage_of(_counts.decode(body).usage_metadata))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_request(body: bytes) -> EmbeddingsRequest:
    """Raises InvalidRequest where the body is no JSON object. The model stands in the URL, and in each text's entry."""
    found = request_fields(body)
    batch = isinstance(found.get("requests"), list)
    entries = [fields(entry) for entry in (items(found.pop("requests")) if batch else [found])]
    inputs = [_taken_text(entry) for entry in entries]
    models = [model for entry in entries if (model := take(entry, "model", str))]
    dimensions = {entry.get("outputDimensionality") for entry in entries}
    size = next(iter(dimensions)) if len(dimensions) == 1 else None
    if isinstance(size, int) and not isinstance(size, bool):
        for entry in entries:
            del entry["outputDimensionality"]
    else:
        size = None
    rest: Extra = dict(found) if batch else {}
    if any(entry != entries[0] for entry in entries):
        rest["requests"] = entries
    elif entries:
        rest |= entries[0]
    return EmbeddingsRequest(
        dialect=NAME,
        model=models[0].removeprefix("models/") if models else "",
        inputs=inputs,
        dimensions=size,
        extra=rest or None,
    )


def _taken_text(entry: dict[str, Any]) -> str:
    """The entry's text. A content that is more than one text stays in the entry too, to be written back as it came."""
    content = entry.get("content")
    if isinstance(content, str):
        del entry["content"]
        return content
    texts = [fields(part).get("text") for part in items(fields(content).get("parts"))]
    text = "".join(text for text in texts if isinstance(text, str))
    if content == {"parts": [{"text": text}]}:
        del entry["content"]
    return text


def write_request(request: EmbeddingsRequest) -> bytes:
    """Raises InvalidRequest for what Gemini can't be asked, by name."""
    own = request.dialect == NAME
    extra = dict(request.extra or {})
    if not own:
        for name, value in extra.items():
            if value and name not in HINTS:
                raise cannot_express(name, NAME)
        if request.encoding not in (None, "float", "base64"):
            raise cannot_express("encoding_format", NAME, because="It is `float` or `base64`.")
        extra = {}
    each = extra.pop("requests", None)
    entries: list[dict[str, Any]] = []
    for place, given in enumerate(request.inputs):
        if not isinstance(given, str):
            raise cannot_express(
                f"input[{place}]",
                NAME,
                because="It takes texts, and another model's token ids mean nothing to it.",
            )
        entry: dict[str, Any] = {
            "model": f"models/{request.model.removeprefix('models/')}",
            "content": {"parts": [{"text": given}]},
        }
        if request.dimensions is not None:
            entry["outputDimensionality"] = request.dimensions
        entries.append(entry | (each[place] if each else extra))
    return _encoder.encode({"requests": entries} | (extra if each else {}))


def read_answer(body: bytes) -> Embeddings:
    """Raises UpstreamFailed where the body is no JSON object, or a vector is missing."""
    try:
        found = fields(decoded(body))
    except ValueError:
        found = {}
    given = found.pop("embeddings", None)
    if given is None:
        given = items(found.pop("embedding", None))  # embedContent's only one
    vectors = [fields(entry).get("values") for entry in items(given)]
    if (not found and not vectors) or not all(isinstance(vector, list) for vector in vectors):
        raise UpstreamFailed(
            "The provider's answer holds no embeddings.", "Check that the model is one that gives embeddings."
        )
    return Embeddings(
        dialect=NAME,
        model="",
        vectors=cast("list[list[float]]", vectors),
        usage=_usage_of(found.get("usageMetadata")) or Usage(),
        extra=found or None,
    )


def _usage_of(counts: Any) -> Usage | None:
    """Vectors are no tokens, so none are put out: what a call costs is known once the input is."""
    usage = usage_of(counts)
    return None if usage is None else msgspec.structs.replace(usage, output=0)


def write_answer(answer: Embeddings, asked: EmbeddingsRequest) -> bytes:
    """Never refuses."""
    del asked
    written: dict[str, Any] = {"embeddings": [{"values": vector} for vector in answer.vectors]}
    if answer.usage.input is not None:
        written["usageMetadata"] = {"promptTokenCount": answer.usage.input}
    if answer.dialect == NAME:
        written |= answer.extra or {}
    return _encoder.encode(written)
