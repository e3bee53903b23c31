"""The collector: takes what gateways have spooled into the span store, each record exactly once.

It follows all segments as they grow. Before it inserts a batch it makes durable which stretches of which segments
the batch is (`Cursor.begin`), and afterwards that they are done. Whatever kills it in between, the next start reads
the very same stretches and inserts them with the same tokens, which the store knows again.

What can't be read never stops what can: broken frames, and records that no span can be made of, are kept in
`rejected/` beside the segments, counted, and reported as events. While the store is down nothing is lost either: the
spool grows, and the batch in hand is tried again until it is taken.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ratchet.errors import RatchetError
from ratchet.telemetry.batches import Batch, Inserts, Kept, LanguageOf, Price, insert_batch
from ratchet.telemetry.cursor import Cursor, Range
from ratchet.telemetry.frames import Frame, pieces
from ratchet.telemetry.spool import Segment, segments

__all__ = ["REJECTED", "Collector", "Inserts", "Price"]

REJECTED = "rejected"  # the folder beside the segments
REJECTED_BYTES = 64 << 20  # what it may hold; beyond that the bytes are only counted
SEGMENTS_AT_ONCE = 4
_IDLE_SECONDS = 0.1  # between looks at an empty spool
_GATHER_SECONDS = 0.2  # between small batches: one part in the store for what came meanwhile
_BACKOFF_SECONDS = (0.1, 5.0)
_STUCK_SECONDS = 1.0  # after which a frame that isn't whole is no longer thought of as just being written

log = logging.getLogger("ratchet.collector")


class _Waiting(msgspec.Struct, frozen=True):
    """A segment with bytes that have not been read."""

    segment: Segment
    start: int
    size: int
    finished: bool


def _unknown(_: str) -> str:
    return ""


class Collector:
    """Drains one spool into one store. Owned by one thread; `status` may be asked from any."""

    def __init__(
        self,
        spool: Path,
        state: Path,
        *,
        insert: Inserts,
        price: Price,
        language_of: LanguageOf = _unknown,
        now: Callable[[], int],
        batch_rows: int = 10_000,
        batch_bytes: int = 32 << 20,
        keep_until: Callable[[str], bool] | None = None,
        say: Callable[[str], None] = log.warning,
    ) -> None:
        """`state` is the file that keeps the place. `language_of` tells what users write where apps don't. `now` gives nanoseconds since the epoch. `keep_until` says, by a
        finished segment's name, whether another follower still needs it. `say` gets what a person should know.

        Raises Unavailable when `state` is there and can't be read.
        """
        self._spool = spool
        self._cursor = Cursor(state)
        self._insert = insert
        self._price = price
        self._language_of = language_of
        self._now = now
        self._batch_rows = batch_rows
        self._batch_bytes = batch_bytes
        self._needed = keep_until or _never
        self._say = say
        self._turn = 0
        self._read: dict[
            str, int
        ] = {}  # how far each segment is read, which runs ahead of how far it is stored
        self._stuck: dict[str, tuple[int, float]] = {}
        self._begun: Batch | None = self._replayed()
        self._next: Batch | None = None
        self._counts = dict.fromkeys(("records", "spans", "scores", "events", "rejected", "skipped_bytes"), 0)
        self._failure = ""
        self._large = False  # the last batch was: more is waiting, or will be at once

    def status(self) -> Mapping[str, object]:
        """Counts since the start, bytes that wait, and `failure`: why the store takes nothing now, or ""."""
        return {
            **self._counts,
            "waiting_bytes": self._cursor.waiting_bytes(self._spool),
            "failure": self._failure,
        }

    def run(self, stop: threading.Event) -> None:
        """Drain until `stop` is set. Returns within the time of one batch; what is begun then is replayed later."""
        pause, busy = _BACKOFF_SECONDS[0], False
        while not stop.is_set():
            try:
                taken = self.drain_once()
            except RatchetError as error:
                self._note_failure(error)
                stop.wait(pause)
                pause = min(pause * 2, _BACKOFF_SECONDS[1])
                continue
            if self._failure:
                self._say("The span store takes spans again.")
                self._failure = ""
            pause = _BACKOFF_SECONDS[0]
            if self._large:
                busy = True
                continue
            if busy:
                busy = False
                _give_back_memory()
            stop.wait(_GATHER_SECONDS if taken else _IDLE_SECONDS)

    def drain_once(self) -> int:
        """Store one batch; how many records it was, 0 when there was nothing. Raises Unavailable when the store can't
        take it: the same batch is then tried again by the next call, and after a crash by the next start."""
        batch = self._begun
        if batch is None:
            batch = self._next = self._next or self._gathered()
            if batch is None:
                self._remove_drained()
                self._large = False
                return 0
            self._cursor.begin(batch.ranges)
            self._begun, self._next = batch, None
        self._large = batch.rows() * 4 > self._batch_rows or batch.size * 4 > self._batch_bytes
        with _no_collection(), ThreadPoolExecutor(1, "collector-insert") as pool:
            # The engine works outside Python's lock, so the next batch is read meanwhile.
            inserted = pool.submit(insert_batch, self._insert, batch, self._now())
            if self._next is None and self._large:
                self._next = self._gathered()
            inserted.result()
        self._keep(batch.kept)
        self._cursor.commit()
        self._begun = None
        self._count(batch)
        self._remove_drained()
        return batch.records + len(batch.troubles)

    def _replayed(self) -> Batch | None:
        """The batch that was begun before a crash, from the same bytes."""
        if not self._cursor.pending:
            return None
        batch = Batch(self._price, self._language_of)
        for range_ in self._cursor.pending:
            segment = Segment(self._spool / f"{range_.segment}.spool")
            try:
                data = segment.read(range_.start, range_.end - range_.start)[: range_.end - range_.start]
            except FileNotFoundError:
                self._say(f"The segment {range_.segment} is gone; what it held can't be stored.")
                data = b""
            for piece in pieces(data, complete=True):
                batch.add(range_.segment, range_.start, piece, data)
            batch.ranges.append(range_)
            self._read[range_.segment] = range_.end
        return batch

    def _gathered(self) -> Batch | None:
        """A batch of what is waiting, from several segments in turn so that none starves, or None."""
        waiting = self._waiting()
        if not waiting:
            return None
        self._turn %= len(waiting)
        chosen = (waiting[self._turn :] + waiting[: self._turn])[:SEGMENTS_AT_ONCE]
        self._turn += len(chosen)
        batch = Batch(self._price, self._language_of)
        for place, one in enumerate(chosen):
            left = len(chosen) - place
            self._take(
                batch,
                one,
                max(1, (self._batch_rows - batch.rows()) // left),
                self._batch_bytes // len(chosen),
            )
        return batch if batch.ranges else None

    def _waiting(self) -> list[_Waiting]:
        found: list[_Waiting] = []
        for segment in segments(self._spool):
            start = self._read.get(segment.name, self._cursor.offset(segment.name))
            try:
                finished = segment.finished()  # asked first: what it has then is all it will have
                size = segment.path.stat().st_size
            except FileNotFoundError:
                continue
            if start < size:
                found.append(_Waiting(segment, start, size, finished))
        return found

    def _take(self, batch: Batch, one: _Waiting, rows: int, size: int) -> None:
        """Add up to about `rows` rows and `size` bytes of one segment to the batch."""
        name = one.segment.name
        for limit in (size, one.size - one.start):
            data = one.segment.read(one.start, limit)
            complete = one.finished and one.start + len(data) >= one.size
            end = 0
            enough = batch.rows() + rows
            for piece in pieces(data, complete=complete, patient=not complete and not self._long_stuck(one)):
                batch.add(name, one.start, piece, data)
                if isinstance(piece, Frame) or complete:
                    end = piece.end
                if isinstance(piece, Frame) and batch.rows() >= enough:
                    break
            if end:
                batch.ranges.append(Range(name, one.start, one.start + end))
                self._read[name] = one.start + end
                self._stuck.pop(name, None)
                return
            if one.start + len(data) >= one.size:
                break
        self._stuck.setdefault(name, (one.start, time.monotonic()))

    def _long_stuck(self, one: _Waiting) -> bool:
        start, since = self._stuck.get(one.segment.name, (-1, 0.0))
        return start == one.start and time.monotonic() - since > _STUCK_SECONDS

    def _remove_drained(self) -> None:
        """Remove finished segments that are stored to their end and that no other follower needs."""
        left: set[str] = set()
        for segment in segments(self._spool):
            offset = self._cursor.offset(segment.name)
            try:
                done = segment.path.stat().st_size <= offset and segment.finished()
                if done and segment.path.stat().st_size <= offset and not self._needed(segment.name):
                    segment.path.unlink()
                    self._read.pop(segment.name, None)
                    self._stuck.pop(segment.name, None)
                    continue
            except FileNotFoundError:
                continue
            left.add(segment.name)
        self._cursor.keep_only(left)

    def _keep(self, kept: list[Kept]) -> None:
        """Put bytes that can't be read where a person can look at them, as long as there is room for them."""
        if not kept:
            return
        folder = self._spool / REJECTED
        try:
            folder.mkdir(exist_ok=True)
            room = REJECTED_BYTES - sum(path.stat().st_size for path in folder.iterdir())
            for one in kept:
                room -= len(one.data)
                if room >= 0:
                    (folder / one.name).write_bytes(one.data)
        except OSError as error:
            self._say(f"What could not be read could not be kept in {folder} either: {error}.")

    def _count(self, batch: Batch) -> None:
        counts = self._counts
        counts["records"] += batch.records
        counts["spans"] += len(batch.spans)
        counts["scores"] += len(batch.scores)
        counts["events"] += len(batch.events)
        for trouble in batch.troubles:
            if trouble.kind == "spool.record_rejected":
                counts["rejected"] += 1
            else:
                counts["skipped_bytes"] += trouble.size
            self._say(f"{trouble.kind} in {trouble.segment} at {trouble.start}: {trouble.reason}.")

    def _note_failure(self, error: RatchetError) -> None:
        if str(error) != self._failure:
            self._say(f"The span store takes nothing; spans wait in {self._spool}. {error}")
        self._failure = str(error)


def _give_back_memory() -> None:
    """What large batches took, which glibc would keep for the next ones: a hundred MB and more."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none, and need none
    if trim is not None:
        trim(0)


@contextmanager
def _no_collection() -> Generator[None]:
    """A batch is hundreds of thousands of objects that hold no cycle. Looking for some costs half as much again as
    making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _never(_: str) -> bool:
    return False
