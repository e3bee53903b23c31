"""OpenAI's embeddings in the neutral form, and back.

Read and written again, a request or an answer of this dialect is the same JSON. How an input was written (a text, a
list of texts, token ids, a list of those) stands in `extra["wire"]`. Vectors are read whichever way they came, and
written the way that the app asked for: `base64` is 32-bit floats, little-endian (what OpenAI's own clients ask for).
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.expressing import HINTS, cannot_express
from ratchet.domain.generation import Embeddings, EmbeddingsRequest
from ratchet.domain.messages import Extra
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest, UpstreamFailed

__all__ = ["NAME", "read_answer", "read_request", "usage_of", "write_answer", "write_request"]

NAME = "openai_embeddings"

_encoder = msgspec.json.Encoder()
_LARGEST_COUNT = (1 << 31) - 1  # more tokens than that is a broken number, not a call
_LARGEST_FLOAT = 3.4028234663852886e38  # of 32 bits


def read_request(body: bytes) -> EmbeddingsRequest:
    """A request, whatever it holds. Raises InvalidRequest only where the body is no JSON object."""
    wire = decode_object(body)
    if wire is None:
        raise InvalidRequest(
            "The request body is not a JSON object.",
            "Send one with `model` and `input`.",
            code="invalid_json",
        )
    rest = dict(wire)
    fields: dict[str, Any] = {}
    for name, field, kind in (
        ("dimensions", "dimensions", int),
        ("encoding_format", "encoding", str),
        ("user", "user", str),
    ):
        if isinstance(rest.get(name), kind) and not isinstance(rest[name], bool):
            fields[field] = rest.pop(name)
    inputs, written = _inputs(rest.get("input"))
    if inputs is not None:
        del rest["input"]
        if written:
            rest["wire"] = {"input": written}
    model = rest.pop("model") if isinstance(rest.get("model"), str) else ""
    return EmbeddingsRequest(dialect=NAME, model=model, inputs=inputs or [], extra=rest or None, **fields)


def _inputs(value: Any) -> tuple[Any, str]:
    """(texts, or token ids of each text; how they were written, where not as a list of them). (None, "") for others."""
    if isinstance(value, str):
        return [value], "text"
    entries = cast("list[Any]", value) if isinstance(value, list) else None
    if not entries or all(isinstance(entry, str) for entry in entries):
        return entries, ""
    if _are_tokens(entries):
        return [entries], "tokens"
    return (entries, "") if all(map(_are_tokens, entries)) else (None, "")


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(token, int) and not isinstance(token, bool) for token in cast("list[Any]", value)
    )


def write_request(request: EmbeddingsRequest) -> bytes:
    """The request's JSON. Raises InvalidRequest for what another dialect asked and this one can't say."""
    extra = dict(request.extra or {})
    wire: Any = extra.pop("wire", None)
    if request.dialect != NAME:
        for name, value in extra.items():
            if name not in HINTS and value not in (None, "", [], {}):
                raise cannot_express(name, NAME)
        wire, extra = None, {}
    inputs: Any = request.inputs
    body: dict[str, Any] = {"model": request.model}
    if "input" not in extra:
        body["input"] = inputs[0] if isinstance(wire, dict) and len(inputs) == 1 else inputs
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.encoding is not None:
        body["encoding_format"] = request.encoding
    if request.user is not None:
        body["user"] = request.user
    return _encoder.encode({**body, **extra})


def read_answer(body: bytes) -> Embeddings:
    """An answer, whatever it holds. Raises UpstreamFailed only where the body is no JSON object."""
    rest = decode_object(body)
    if rest is None:
        raise UpstreamFailed(
            "The provider's answer is not a JSON object.",
            "Check that the provider's base_url leads to an API that speaks OpenAI's embeddings.",
        )
    model = rest.pop("model") if isinstance(rest.get("model"), str) else ""
    usage = usage_of(rest.get("usage"))
    if usage is not None and _usage_fields(usage) == rest["usage"]:
        del rest["usage"]
    vectors, more = _vectors(rest.get("data"))
    if vectors is not None:
        del rest["data"]
        if any(more):
            rest["wire"] = {"data": more}
    return Embeddings(
        dialect=NAME, model=model, vectors=vectors or [], usage=usage or Usage(), extra=rest or None
    )


def _vectors(value: Any) -> tuple[list[list[float]] | None, list[Extra]]:
    """(the vectors in the order of the inputs, what else each entry says); (None, []) where it is no list of them."""
    entries = cast("list[Any]", value) if isinstance(value, list) else None
    if entries is None or not all(isinstance(entry, dict) for entry in entries):
        return None, []
    known = [cast("dict[str, Any]", entry) for entry in entries]
    places = {entry.get("index"): entry for entry in known if isinstance(entry.get("index"), int)}
    if places.keys() == set(range(len(known))):
        known = [places[place] for place in range(len(known))]
    vectors = [_vector(entry.get("embedding")) for entry in known]
    read = [vector for vector in vectors if vector is not None]
    if len(read) != len(known):
        return None, []
    return read, [_unusual(entry, place) for place, entry in enumerate(known)]


def _vector(value: Any) -> list[float] | None:
    if isinstance(value, list):
        numbers = cast("list[Any]", value)
        return numbers if all(isinstance(number, int | float) for number in numbers) else None
    if not isinstance(value, str):
        return None
    try:
        data = base64.b64decode(value, validate=True)
        return list(struct.unpack(f"<{len(data) // 4}f", data))
    except (binascii.Error, ValueError, struct.error):
        return None


def _unusual(entry: dict[str, Any], place: int) -> Extra:
    """What an entry says beside its vector, where that is not the usual; None for a usual thing that it leaves out."""
    usual = {"object": "embedding", "index": place}
    said = {name: value for name, value in entry.items() if name != "embedding" and usual.get(name) != value}
    return {**said, **{name: None for name in usual if name not in entry}}


def _said(place: int, unusual: Extra) -> dict[str, Any]:
    said = {"object": "embedding", "index": place, **unusual}
    return {name: value for name, value in said.items() if value is not None}


def write_answer(answer: Embeddings, asked: EmbeddingsRequest) -> bytes:
    """The answer's JSON, its vectors in the encoding that the app asked for."""
    extra = dict((answer.extra if answer.dialect == NAME else None) or {})
    wire: Any = extra.pop("wire", None)
    told: Any = cast("Extra", wire).get("data") if isinstance(wire, dict) else None
    more = cast("list[Extra]", told) if isinstance(told, list) else []
    if len(more) != len(answer.vectors):
        more = cast("list[Extra]", [{}] * len(answer.vectors))
    packed = asked.encoding == "base64"
    data = [
        {"embedding": _packed(vector) if packed else vector, **_said(place, more[place])}
        for place, vector in enumerate(answer.vectors)
    ]
    body = {"object": "list", "data": data, "model": answer.model, "usage": _usage_fields(answer.usage)}
    return _encoder.encode({**body, **extra})


def _packed(vector: list[float]) -> str:
    try:
        data = struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError:  # a number beyond 32 bits: the nearest that there is
        near = (max(-_LARGEST_FLOAT, min(_LARGEST_FLOAT, number)) for number in vector)
        data = struct.pack(f"<{len(vector)}f", *near)
    return base64.b64encode(data).decode()


def usage_of(value: Any) -> Usage | None:
    """The tokens of the texts; None where the provider did not say."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    for name in ("prompt_tokens", "total_tokens"):
        count = fields.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _LARGEST_COUNT:
            return Usage(input=count, output=0)  # vectors are not counted in tokens, so they cost none
    return None


def _usage_fields(usage: Usage) -> dict[str, Any]:
    return {"prompt_tokens": usage.input or 0, "total_tokens": usage.input or 0}
