"""OpenAI's embeddings as a wire: `POST /v1/embeddings`. How texts become numbers says vectors.py."""

from __future__ import annotations

import functools
import struct
from base64 import b64encode
from typing import Any, cast

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.ask import Ask, Turn
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.errors import OPENAI, VERSION, refusal
from ratchet.simulator.openai.fields import number, parsed, required, wrong_type
from ratchet.simulator.vectors import vector
from ratchet.simulator.wire import Made, Occasion, Wanted, Wire, encode, simulated

__all__ = ["EMBEDDINGS", "read_embeddings"]

_WIDTHS = {"text-embedding-3-large": 3072, "text-embedding-3-small": 1536, "text-embedding-ada-002": 1536}
_WIDTH, _WIDEST = 1536, 4096
_MOST_INPUTS, _MOST_TOKENS = 2048, 8192
_INVALID = (
    "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
)


class _Input(msgspec.Struct, frozen=True):
    """One text, or the digits of its tokens, and how many tokens it has."""

    text: str
    tokens: int


class _Request(msgspec.Struct, frozen=True):
    model: str
    inputs: tuple[_Input, ...]
    width: int
    base64: bool


def read_embeddings(body: bytes, model: str = "") -> Wanted:
    """The request in `body`, for `model` where the path names one. Raises `Rejected`."""
    fields = parsed(body)
    name = model or fields.get("model")
    if not isinstance(name, str) or not name:
        raise refusal("you must provide a model parameter")
    inputs = _inputs(fields)
    form = fields.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise refusal(
            f"Invalid value: '{form}'. Supported values are: 'float' and 'base64'.",
            param="encoding_format",
            code="invalid_value",
        )
    request = _Request(name, inputs, _width(fields, name), form == "base64")
    return Wanted(
        ask=Ask(model=name, turns=(Turn("user", inputs[0].text),)),
        simulate=simulated(fields),
        make=functools.partial(_made, request),
    )


def _inputs(fields: dict[str, Any]) -> tuple[_Input, ...]:
    given = fields.get("input")
    if given is None:
        raise required("input")
    if isinstance(given, str):
        return (_input(given),)
    if not isinstance(given, list):
        raise wrong_type("input", "one of a string or array", given)
    items = cast("list[Any]", given)
    if not items:
        raise refusal(_INVALID)
    if isinstance(items[0], int):
        return (_input(items),)
    if len(items) > _MOST_INPUTS:
        raise refusal(
            f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}, but got an array "
            f"with length {len(items)} instead.",
            param="input",
            code="array_above_max_length",
        )
    return tuple(_input(item) for item in items)


def _input(given: Any) -> _Input:
    if isinstance(given, str) and given:
        found = _Input(given, tokens.count(given))
    elif isinstance(given, list) and given and all(_is_token(one) for one in cast("list[Any]", given)):
        ids = cast("list[int]", given)
        found = _Input(" ".join(map(str, ids)), len(ids))
    else:
        raise refusal(_INVALID)
    if found.tokens > _MOST_TOKENS:
        raise refusal(
            f"This model's maximum context length is {_MOST_TOKENS} tokens, however you requested {found.tokens} tokens "
            f"({found.tokens} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
        )
    return found


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _width(fields: dict[str, Any], model: str) -> int:
    known = _WIDTHS.get(model)
    asked = number(fields, "dimensions", int, 1, known or _WIDEST)
    if asked is not None and model == "text-embedding-ada-002":
        raise refusal("This model does not support specifying dimensions.")
    return asked or known or _WIDTH


def _made(request: _Request, occasion: Occasion) -> Made:
    count = sum(one.tokens for one in request.inputs)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _embedding(one, request, empty=occasion.fault.empty),
        }
        for index, one in enumerate(request.inputs)
    ]
    made: dict[str, Any] = {"object": "list", "data": data, "model": request.model}
    if not occasion.fault.no_usage:
        made["usage"] = {"prompt_tokens": count, "total_tokens": count}
    name = occasion.dice("envelope").letters("id", 29)
    headers = (VERSION, (b"x-request-id", b"req_" + name.encode()))
    return Made(data=encode(made), headers=headers, repeatable=True)


def _embedding(one: _Input, request: _Request, *, empty: bool) -> list[float] | str:
    """The vector in single precision, as numbers or as their little-endian bytes."""
    found = [] if empty else vector(one.text, request.width)
    packed = struct.pack(f"<{len(found)}f", *found)
    return b64encode(packed).decode() if request.base64 else list(struct.unpack(f"<{len(found)}f", packed))


def _read(body: bytes, _exchange: Exchange, _memory: Memory) -> Wanted:
    return read_embeddings(body)


EMBEDDINGS = Wire(OPENAI, _read)
