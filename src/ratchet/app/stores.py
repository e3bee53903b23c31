"""Opening the stores: the span store on first use, a spool for threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from ratchet.domain.spans import Event, Score, Span
from ratchet.errors import Unavailable
from ratchet.store.spans import SpanStore
from ratchet.telemetry.calls import Record, encode_record
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["LazySpanStore", "SharedSpool"]

_RETRY_AFTER = 1.0  # seconds between attempts to reach a store that was down


class LazySpanStore:
    """The span store, opened when it is first asked for, and again when it could not be. Thread-safe."""

    def __init__(self, dsn: str, memory_bytes: int) -> None:
        self._dsn = dsn
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._store: SpanStore | None = None
        self._failed: tuple[float, Unavailable] | None = None
        self._closed = False

    def __call__(self) -> SpanStore:
        """Raises Unavailable while it can't be reached."""
        if self._store is not None:
            return self._store
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def insert_spans(self, spans: Sequence[Span], *, token: str) -> None:
        self().insert_spans(spans, token=token)

    def insert_scores(self, scores: Sequence[Score], *, token: str) -> None:
        self().insert_scores(scores, token=token)

    def insert_events(self, events: Sequence[Event], *, token: str) -> None:
        self().insert_events(events, token=token)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._store is not None:
                self._store.close()
                self._store = None

    def _open(self) -> SpanStore:
        if self._closed:
            raise Unavailable("The span store is closed.", "Ratchet is stopping; start it again.")
        if self._failed is not None and time.monotonic() - self._failed[0] < _RETRY_AFTER:
            raise self._failed[1]
        try:
            store = SpanStore.open(self._dsn, memory_bytes=self._memory_bytes)
        except Unavailable as error:
            self._failed = (time.monotonic(), error)
            raise
        self._failed = None
        return store


class SharedSpool:
    """A spool writer for threads. `append_score` returns when the score would survive a power cut."""

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self._lock = threading.Lock()

    def append(self, record: Record) -> None:
        with self._lock:
            self._writer.append(encode_record(record))
            descriptor = self._writer.sync_target()
        if descriptor is not None:
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def append_score(self, score: Score) -> None:
        self.append(score)

    def close(self) -> None:
        with self._lock:
            self._writer.close()
