"""Server-sent events, read incrementally (WHATWG HTML, section 9.2.6, "Interpreting an event stream")."""

from __future__ import annotations

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.errors import UpstreamFailed

__all__ = ["DEFAULT_EVENT_BYTES", "EventStream", "data_of_stream"]

DEFAULT_EVENT_BYTES = 16 << 20
_BOM = b"\xef\xbb\xbf"
_NO_FIELDS = (
    b"<",
    b"{",
)  # a page, or an object that is no event's data: what stands between says so in its own way
_encode = msgspec.json.Encoder().encode


class EventStream:
    """Turns the bytes of one event stream into the data of its events, however the bytes were cut.

    Event names, ids and comments are skipped: the dialects read here repeat in the data what a name would say. All but
    the name `error`, which is an error whatever the data is: its data comes as `{"type": "error", "error": {…}}`, which
    every dialect reads as one. So does a page of HTML, or a bare JSON object, between events.
    """

    __slots__ = ("_after_cr", "_at_start", "_buffer", "_limit")

    def __init__(self, *, limit: int = DEFAULT_EVENT_BYTES) -> None:
        """`limit` bounds one event, in bytes."""
        self._limit = limit
        self._buffer = bytearray()
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that `chunk` completes, in order.

        Raises UpstreamFailed when an event is larger than the limit; the stream can't be read any further then.
        """
        if self._at_start:
            chunk = self._skip_bom(chunk)
        if self._after_cr or b"\r" in chunk:
            chunk = self._normalise(chunk)
        if not self._buffer:
            end = chunk.rfind(b"\n\n")
            if end < 0:
                self._keep(chunk)
                return []
            self._keep(chunk[end + 2 :])
            return self._events(chunk[:end])
        # Only what is new is searched, so an event that comes in many pieces costs no more than in one.
        seam = len(self._buffer) - 1
        self._buffer += chunk
        end = self._buffer.rfind(b"\n\n", seam)
        if end < 0:
            self._check_size(self._buffer)
            return []
        blocks = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._check_size(self._buffer)
        return self._events(blocks)

    def finish(self) -> list[bytes]:
        """The data of a last event whose closing blank line never came.

        The standard drops it. Some servers forget that line, and the app has seen the bytes, so it is read here.
        """
        rest = bytes(self._buffer)
        self._buffer.clear()
        return self._events(rest)

    def _skip_bom(self, chunk: bytes) -> bytes:
        chunk = bytes(self._buffer) + chunk
        self._buffer.clear()
        if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
            self._buffer += chunk  # might still become one
            return b""
        self._at_start = False
        return chunk.removeprefix(_BOM)

    def _normalise(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        if self._after_cr and chunk[:1] == b"\n":
            # The carriage return before it has already ended the line.
            chunk = chunk[1:]
            self._after_cr = False
            if not chunk:
                return chunk
        self._after_cr = chunk[-1:] == b"\r"
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _keep(self, rest: bytes) -> None:
        self._check_size(rest)
        self._buffer += rest

    def _check_size(self, block: bytes | bytearray) -> None:
        # Blank lines around a block are not counted: how many there are depends on how the bytes were cut.
        if len(block) > self._limit and len(block.strip(b"\n")) > self._limit:
            self._buffer.clear()
            raise UpstreamFailed(
                f"An event in the upstream's stream is larger than {self._limit:,} bytes.",
                "Ask for a shorter answer, or check that the upstream ends each event with a blank line.",
                code="stream_event_too_large",
            )

    def _events(self, blocks: bytes) -> list[bytes]:
        events: list[bytes] = []
        for block in blocks.split(b"\n\n"):
            self._check_size(block)
            if block.startswith(b"data:") and b"\n" not in block:  # nearly every event there is
                events.append(block[6:] if block[5:6] == b" " else block[5:])
            elif block:
                data = _data_of_block(block)
                if data is not None:
                    events.append(data)
        return events


def data_of_stream(stream: bytes) -> list[bytes]:
    """The data of every event in a whole recorded stream. Raises UpstreamFailed on an event beyond the limit."""
    reader = EventStream()
    return reader.feed(stream) + reader.finish()


def _data_of_block(block: bytes) -> bytes | None:
    """The joined `data` lines between two blank lines, or None where there are none."""
    lines: list[bytes] = []
    failed = False
    for line in block.split(b"\n"):
        name, colon, value = line.partition(b":")
        if name == b"data":
            lines.append(value[1:] if colon and value[:1] == b" " else value)
        elif name == b"event":
            failed = value.strip() == b"error"
        elif line[:1] in _NO_FIELDS:
            return _as_error(block)
    if failed:
        return _as_error(b"\n".join(lines))
    return b"\n".join(lines) if lines else None


def _as_error(data: bytes) -> bytes:
    """The data of an event named `error`, as an error that every dialect can read."""
    said = decode_object(data)
    if said is None:
        return _encode({"type": "error", "error": {"message": data.decode("utf-8", "replace")}})
    told = said.get("error")
    if told is not None and said.get("type") == "error":
        return data
    return _encode({"type": "error", "error": said if told is None else told})
