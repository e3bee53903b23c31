"""Between an app and a provider that speak different dialects."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ratchet.dialects.decoding import decode_object
from ratchet.dialects.dialect import Dialect, StreamReader, StreamWriter
from ratchet.dialects.folded import unfold
from ratchet.dialects.naming import renamed
from ratchet.domain.generation import (
    Answer,
    EmbeddingsRequest,
    Request,
    StreamEnded,
    StreamEvent,
    StreamFailed,
    StreamStarted,
)
from ratchet.errors import InvalidRequest

__all__ = ["Translation"]

_Said = TypeVar("_Said", Answer, StreamStarted)


class Translation:
    """One request, its answer or its stream. `failure` is what the provider said in its stream went wrong."""

    __slots__ = ("_app", "_asked", "_began", "_body", "_ended", "_provider", "_reader", "_writer", "failure")

    def __init__(self, app: Dialect, provider: Dialect, body: bytes, *, began: int) -> None:
        """`body` is what the app sent, at `began` seconds since the epoch. Raises InvalidRequest where it can't be
        read."""
        self._app = app
        self._provider = provider
        self._began = began
        self._body = body
        self._asked: Request | EmbeddingsRequest = app.read_request(body)
        self._reader: StreamReader | None = None
        self._writer: StreamWriter | None = None
        self._ended = False
        self.failure = ""

    def request(self, model: str) -> bytes:
        """What to ask the provider. Raises InvalidRequest for what its dialect can't express, or what has the wrong
        type, naming it as the app does."""
        self._app.check_request(self._asked.extra or {})  # what has the wrong type was kept there
        asked = msgspec.structs.replace(self._asked, model=model)
        if isinstance(asked, Request) and asked.stream:
            # The gateway writes the app's stream itself, so it may know the usage whether the app wants it or not.
            asked = msgspec.structs.replace(asked, include_usage=True)
        try:
            return self._provider.write_request(asked)
        except InvalidRequest as error:
            raise self._in_the_apps_words(error) from error

    def _in_the_apps_words(self, error: InvalidRequest) -> InvalidRequest:
        wire = decode_object(self._body) or {}
        # All of it this time: a part of the wrong type looks like one that is not known.
        try:
            self._app.check_request(wire)
        except InvalidRequest as mistake:
            return mistake
        return renamed(error, wire, self._app.field_name)

    def answer(self, content: bytes) -> bytes:
        """A whole answer, in the app's dialect."""
        return self._app.write_answer(self._read(content), self._asked)

    def answer_as_stream(self, content: bytes) -> bytes:
        """A whole answer, as the stream that the app asked for."""
        writer = self._app.stream_writer(self._asked)
        return b"".join(map(writer.write, unfold(self._read(content))))

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the provider's stream, in the app's dialect: whole events, or none yet."""
        return self._fed(chunk, None)

    def sound(self, chunk: bytes, good: int) -> bytes:
        """Of a chunk in which something goes wrong: what the `good` events before it say."""
        return self._fed(chunk, good)

    def _fed(self, chunk: bytes, most: int | None) -> bytes:
        if self._reader is None:
            self._reader = self._provider.stream_reader()
            self._writer = self._app.stream_writer(self._asked)
        return self._written(self._reader.feed(chunk, most))

    def rest(self) -> bytes:
        """What a last event without its blank line holds, and the end of a stream whose provider sends no sign of it."""
        if self._reader is None:
            return b""
        written = self._written(self._reader.finish())
        return written if self._ended else written + self._written([StreamEnded()])

    def _read(self, content: bytes) -> Any:
        answer = self._provider.read_answer(content)
        return self._dated(answer) if isinstance(answer, Answer) else answer

    def _dated(self, said: _Said) -> _Said:
        """Not every provider says when it answered, and some dialects have to."""
        return said if said.created is not None else msgspec.structs.replace(said, created=self._began)

    def _written(self, events: list[StreamEvent]) -> bytes:
        writer = self._writer
        assert writer is not None  # noqa: S101 - made with the reader
        written = b""
        for event in events:
            if isinstance(event, StreamFailed):
                self.failure = (
                    event.message
                )  # the pipeline says so in the app's dialect, as with every failure
                continue
            if isinstance(event, StreamEnded):
                if self._ended:
                    continue
                self._ended = True
            written += writer.write(self._dated(event) if isinstance(event, StreamStarted) else event)
        return written
