"""A batch: what some stretches of the spool hold, as rows for the store.

The same bytes always give the same batch, apart from prices: that is what makes a replay safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from ratchet.domain.spans import Event, Score, Span
from ratchet.domain.usage import Usage
from ratchet.telemetry.calls import Call, OtlpBody, Record, decode_record
from ratchet.telemetry.cursor import Range
from ratchet.telemetry.frames import Broken, Frame
from ratchet.telemetry.otlp import spans_of_otlp
from ratchet.telemetry.spans import span_of_call, spans_of_attempts

__all__ = ["Batch", "Inserts", "Kept", "LanguageOf", "Price", "insert_batch"]

Price = Callable[
    [str, str, Usage, int], Decimal | None
]  # provider, model, usage, nanoseconds since the epoch
LanguageOf = Callable[[str], str]  # text → ISO 639 code, or "" where it can't be told

_NO_MODEL_CALL = frozenset({"invoke_agent", "create_agent", "invoke_workflow", "execute_tool", "retrieval"})
_NAMED_PLACES = 5  # how many places an event names; the count is exact all the same


class Inserts(Protocol):
    """What the collector needs of the span store."""

    def insert_spans(self, spans: Sequence[Span], *, token: str) -> None: ...
    def insert_scores(self, scores: Sequence[Score], *, token: str) -> None: ...
    def insert_events(self, events: Sequence[Event], *, token: str) -> None: ...


class Kept(msgspec.Struct, frozen=True):
    """Bytes that could not be read, to be kept under `name`."""

    name: str
    data: bytes


class Trouble(msgspec.Struct, frozen=True):
    """Something that could not be read: of which project (`""` where that is unknown too), what, where, why."""

    project_id: str
    kind: str
    segment: str
    start: int
    size: int
    reason: str


class Batch:
    """Rows and troubles, added to piece by piece."""

    def __init__(self, price: Price, language_of: LanguageOf) -> None:
        self._price = price
        self._language_of = language_of
        self.ranges: list[Range] = []
        self.spans: list[Span] = []
        self.scores: list[Score] = []
        self.events: list[Event] = []
        self.troubles: list[Trouble] = []
        self.kept: list[Kept] = []
        self.records = 0
        self.size = 0  # bytes of spool

    def rows(self) -> int:
        return len(self.spans) + len(self.scores) + len(self.events)

    @property
    def token(self) -> str:
        """Names the batch to the store: the same stretches, the same token."""
        return ",".join(str(range_) for range_ in self.ranges)

    def add(self, segment: str, offset: int, piece: Frame | Broken, data: bytes) -> None:
        """Take one piece of `data`, which begins at `offset` of `segment`."""
        start = offset + piece.start
        self.size += piece.end - piece.start
        if isinstance(piece, Broken):
            self._add_broken(segment, start, piece, data)
            return
        self.records += 1
        record: Record | None = None
        try:
            record = decode_record(piece.payload)
            self._add_record(record)
        # Whatever is wrong with one record is wrong with it alone. It is kept, counted and reported.
        except Exception as error:  # noqa: BLE001
            project = record.project_id if record is not None else ""
            reason = f"{type(error).__name__}: {error}"[:300]
            size = piece.end - piece.start
            self.troubles.append(Trouble(project, "spool.record_rejected", segment, start, size, reason))
            self.kept.append(Kept(f"{segment}-{start:012d}.record", bytes(piece.payload)))

    def _add_broken(self, segment: str, start: int, piece: Broken, data: bytes) -> None:
        size = piece.end - piece.start
        kind, reason = "spool.frame_broken", "its checksum doesn't match"
        if piece.torn:
            kind, reason = "spool.tail_torn", "its writer ended while it wrote"
        self.troubles.append(Trouble("", kind, segment, start, size, reason))
        self.kept.append(Kept(f"{segment}-{start:012d}.frame", data[piece.start : piece.end]))

    def _add_record(self, record: Record) -> None:
        match record:
            case Call():
                self.spans.append(self._placed(span_of_call(record)))
                if record.attempts:
                    self.spans += spans_of_attempts(record)
            case OtlpBody():
                self.spans += [self._placed(self._priced(span)) for span in spans_of_otlp(record)]
            case Score():
                self.scores.append(record)
            case Event():
                self.events.append(record)
            case Span():
                self.spans.append(record)

    def _placed(self, span: Span) -> Span:
        """A model call with the language that its user writes, where the app did not say and it can be told."""
        if span.language or span.operation != "chat" or not span.input_messages:
            return span
        language = self._language_of(span.input_preview)
        return msgspec.structs.replace(span, language=language) if language else span

    def _priced(self, span: Span) -> Span:
        """An app's span with what its model call cost, where the app did not say and it can be known."""
        if span.cost is not None or span.operation in _NO_MODEL_CALL:
            return span
        if span.input_tokens is None and span.output_tokens is None:
            return span
        usage = Usage(
            input=span.input_tokens,
            output=span.output_tokens,
            cached=span.cached_tokens,
            cache_write=span.cache_write_tokens,
            reasoning=span.reasoning_tokens,
            audio_input=span.audio_input_tokens,
            audio_output=span.audio_output_tokens,
        )
        for model in (span.response_model, span.request_model):
            if model:
                cost = self._price(span.provider, model, usage, span.start)
                if cost is not None:
                    return msgspec.structs.replace(span, cost=cost)
        return span

    def reports(self, now: int) -> list[Event]:
        """One event for each kind of trouble in each project and segment."""
        groups: dict[tuple[str, str, str], list[Trouble]] = {}
        for trouble in self.troubles:
            groups.setdefault((trouble.project_id, trouble.kind, trouble.segment), []).append(trouble)
        return [_report(now, *group, troubles) for group, troubles in groups.items()]


def _report(now: int, project: str, kind: str, segment: str, troubles: Sequence[Trouble]) -> Event:
    first = troubles[0]
    noun = {"spool.record_rejected": "record", "spool.frame_broken": "frame", "spool.tail_torn": "torn end"}[
        kind
    ]
    count = f"one {noun}" if len(troubles) == 1 else f"{len(troubles)} {noun}s"
    return Event(
        project_id=project,
        event_id=f"{kind}:{segment}:{first.start}",
        time=now,
        kind=kind,
        subject=segment,
        message=f"Skipped {count} that can't be read; the first: {first.reason}. The bytes are kept in rejected/.",
        severity="error" if kind != "spool.tail_torn" else "warning",
        attributes={
            "count": str(len(troubles)),
            "bytes": str(sum(trouble.size for trouble in troubles)),
            "offsets": ",".join(str(trouble.start) for trouble in troubles[:_NAMED_PLACES]),
        },
    )


def insert_batch(into: Inserts, batch: Batch, now: int) -> None:
    """Insert everything, each table with a token of its own. Raises what the store raises; then simply call again."""
    token = batch.token
    if batch.spans:
        into.insert_spans(batch.spans, token=f"{token}:spans")
    if batch.scores:
        into.insert_scores(batch.scores, token=f"{token}:scores")
    if events := batch.events + batch.reports(now):
        into.insert_events(events, token=f"{token}:events")
