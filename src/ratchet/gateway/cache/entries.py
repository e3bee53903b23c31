"""An answer as it is kept."""

from __future__ import annotations

import msgspec

from ratchet.domain.usage import Usage

__all__ = ["Entry", "decode_entry", "encode_entry"]


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One answer. Times in nanoseconds; `cost` is decimal text in US dollars, None where it is not known.

    `content` is what the app got, in its dialect: a JSON body, or all of an event stream. `tells_usage`: that stream
    holds token counts.
    """

    content: bytes
    streamed: bool
    tells_usage: bool
    content_type: bytes
    response_id: str
    response_model: str
    finish_reasons: list[str]
    usage: Usage
    cost: str | None
    duration: int
    made: int
    expires: int
    owner: str = ""  # whom it was made for, as `name_hash` says it; "" where nobody said


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> Entry | None:
    """None where it is no entry, such as one that another version wrote."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError:
        return None
