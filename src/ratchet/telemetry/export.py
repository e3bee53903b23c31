"""Forwards spans to another OpenTelemetry collector (Datadog, Grafana, …): a follower of the spool beside the store's.

It has a cursor of its own and shares nothing with the collector that fills the store, so an endpoint that is slow or
down holds up nobody. Each span is sent at least once: the cursor moves when the endpoint has taken a stretch, and
what was sent just before a crash is sent again. What an app sent as OTLP is passed on as it came, byte for byte; the
gateway's own calls are written with the names of GenAI v1.41.1.

What waits is bounded. Beyond the bound the oldest is skipped, counted and reported.
"""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import RequestError

from ratchet.domain.spans import Event, Span
from ratchet.errors import RatchetError, UpstreamFailed, reason_of
from ratchet.telemetry.calls import Call, OtlpBody, Record, decode_record
from ratchet.telemetry.cursor import Cursor, Range
from ratchet.telemetry.frames import Frame, pieces
from ratchet.telemetry.otlp import JSON, PROTOBUF, content_type, otlp_request
from ratchet.telemetry.spans import span_of_call
from ratchet.telemetry.spool import Segment, segments

__all__ = ["OtlpExporter", "Post", "Posted", "http_poster"]

DEFAULT_BACKLOG_BYTES = 1 << 30
DEFAULT_BATCH_BYTES = 4 << 20
_INTERVAL_SECONDS = 1.0  # between looks at a spool with little in it
_BACKOFF_SECONDS = (1.0, 60.0)
_LONGEST_WAIT_SECONDS = 600.0  # however long Retry-After asks for
_REPORT_NANOSECONDS = 60_000_000_000  # losses are reported together, at most once in this time
# The endpoint has read the spans and turned them down: to send them again would not help. Every other failure may be
# mended (an endpoint that is down, a key that expired), so the spans wait, as far as the backlog allows.
_REFUSALS = frozenset({400, 413, 415, 422})

_COUNTED = ("exported_records", "refused_records", "skipped_records", "skipped_bytes", "rejected_spans")

log = logging.getLogger("ratchet.export")


class Posted(msgspec.Struct, frozen=True):
    """An endpoint's answer."""

    status: int
    retry_after: str = ""
    body: bytes = b""


Post = Callable[[str, Mapping[str, str], bytes], Posted]  # address, headers, body; raises UpstreamError


class _Part(msgspec.Struct, frozen=True):
    """One body to be sent, and how many records of the spool it carries."""

    encoding: str
    body: bytes
    records: int


class _Stretch(msgspec.Struct, frozen=True):
    range: Range
    parts: list[_Part]
    large: bool  # more is waiting behind it


class _Waiting(msgspec.Struct, frozen=True):
    segment: Segment
    start: int
    size: int
    finished: bool


class _Busy(UpstreamFailed):
    """The endpoint asks to be left alone for some seconds (None: it doesn't say how many)."""

    def __init__(self, message: str, remedy: str, seconds: float | None) -> None:
        super().__init__(message, remedy, code="export_endpoint_busy")
        self.seconds = seconds


class OtlpExporter:
    """Sends one spool to one endpoint. Owned by one thread; `keeps` and `status` may be asked from any."""

    def __init__(
        self,
        spool: Path,
        state: Path,
        *,
        endpoint: str,
        headers: Mapping[str, str],
        post: Post,
        now: Callable[[], int],
        report: Callable[[Event], None] | None = None,
        backlog_bytes: int = DEFAULT_BACKLOG_BYTES,
        batch_bytes: int = DEFAULT_BATCH_BYTES,
    ) -> None:
        """`state` is the file that keeps the place; `endpoint` the whole address (…/v1/traces); `now` gives
        nanoseconds since the epoch; `report` gets an event about losses, and when the endpoint fails or recovers.

        Raises Unavailable when `state` is there and can't be read.
        """
        self._spool = spool
        self._cursor = Cursor(state)
        self._endpoint = endpoint
        self._headers = dict(headers)
        self._post = post
        self._now = now
        self._report = report
        self._backlog_bytes = backlog_bytes
        self._batch_bytes = batch_bytes
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)
        self._seen: dict[str, int] = {}  # each segment's size, to know what was lost with one that is gone
        self._unreported = dict(self._counts)
        self._reported_at = 0
        self._failure = ""
        self._large = False

    def status(self) -> Mapping[str, object]:
        """Counts since the start, bytes that wait, and `failure`: why the endpoint takes nothing now, or ""."""
        return {
            **self._counts,
            "waiting_bytes": self._cursor.waiting_bytes(self._spool),
            "failure": self._failure,
        }

    def keeps(self, segment: str) -> bool:
        """Whether a finished segment is still to be sent, so that it must not be removed yet.

        Never more than the backlog allows, even where this exporter hangs in a request meanwhile.
        """
        try:
            size = (self._spool / f"{segment}.spool").stat().st_size
        except FileNotFoundError:
            return False
        self._seen[segment] = size
        return (
            self._cursor.offset(segment) < size
            and self._cursor.waiting_bytes(self._spool) <= self._backlog_bytes
        )

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set; returns within the time of one request."""
        pause = _BACKOFF_SECONDS[0]
        while not stop.is_set():
            try:
                self.export_once()
            except RatchetError as error:
                asked = error.seconds if isinstance(error, _Busy) else None
                self._note_failure(error)
                stop.wait(min(max(asked or 0.0, pause), _LONGEST_WAIT_SECONDS))
                pause = min(pause * 2, _BACKOFF_SECONDS[1])
                continue
            pause = _BACKOFF_SECONDS[0]
            if not self._large:
                stop.wait(_INTERVAL_SECONDS)

    def export_once(self) -> int:
        """Send one stretch of each segment that has something; how many records that was, 0 when nothing waits.

        Raises UpstreamError when the endpoint can't take them now, and Unavailable when the place can't be kept:
        call again later, nothing is lost.
        """
        self._large = False
        done = 0
        try:
            self._forget_removed()
            waiting = self._within_backlog(self._waiting())
            for one in waiting:
                stretch = self._read(one)
                if stretch is None:
                    continue
                self._deliver(stretch.parts)
                self._advance(stretch.range)
                self._large = self._large or stretch.large
                done += sum(part.records for part in stretch.parts)
        finally:
            self._report_losses()
        if self._failure and done:
            self._tell("export.recovered", "info", f"{self._endpoint} takes spans again.")
            self._failure = ""
        return done

    def _forget_removed(self) -> None:
        """Count what was not sent of segments that are gone: they were removed because too much waited."""
        there = {segment.name for segment in segments(self._spool)}
        for name in self._seen.keys() - there:
            lost = self._seen.pop(name) - self._cursor.offset(name)
            if lost > 0:
                self._lose("skipped_bytes", lost)
        self._cursor.keep_only(there)

    def _waiting(self) -> list[_Waiting]:
        found: list[_Waiting] = []
        for segment in segments(self._spool):
            start = self._cursor.offset(segment.name)
            try:
                finished = segment.finished()  # asked first: what it has then is all it will have
                size = segment.path.stat().st_size
            except FileNotFoundError:
                continue
            self._seen[segment.name] = size
            if start < size:
                found.append(_Waiting(segment, start, size, finished))
        return found

    def _within_backlog(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Skip the oldest as far as more waits than may."""
        excess = sum(one.size - one.start for one in waiting) - self._backlog_bytes
        skipped = False
        for one in waiting:
            start = one.start
            while excess > 0:
                frames, end = self._frames(one, start)
                if end == start:
                    break
                self._lose("skipped_records", len(frames))
                self._lose("skipped_bytes", end - start)
                excess -= end - start
                start = end
            if start > one.start:
                skipped = True
                self._advance(Range(one.segment.name, one.start, start))
            if excess <= 0:
                break
        return self._waiting() if skipped else waiting

    def _frames(self, one: _Waiting, start: int) -> tuple[list[Frame], int]:
        """Intact frames from `start`, about as many as make a batch, and where they end in the segment."""
        try:
            data = one.segment.read(start, self._batch_bytes)
        except FileNotFoundError:
            return [], start
        complete = one.finished and start + len(data) >= one.size
        frames: list[Frame] = []
        end = 0
        for piece in pieces(data, complete=complete, patient=not complete):
            if isinstance(piece, Frame):
                frames.append(piece)
            if isinstance(piece, Frame) or complete:
                end = piece.end  # what is broken is the other follower's to report
        return frames, start + end

    def _read(self, one: _Waiting) -> _Stretch | None:
        frames, end = self._frames(one, one.start)
        if end == one.start:
            return None
        spans: list[Span] = []
        parts: list[_Part] = []
        for frame in frames:
            match _record(frame):
                case Call() as call:
                    spans.append(span_of_call(call))
                case Span() as span:
                    spans.append(span)
                case OtlpBody(encoding=encoding, body=body):
                    parts.append(_Part(encoding, bytes(body), 1))
                case _:
                    pass  # scores and events stay here; what can't be read is the other follower's to report
        if spans:
            parts.insert(0, _Part(PROTOBUF, otlp_request(spans), len(spans)))
        return _Stretch(Range(one.segment.name, one.start, end), parts, large=end < one.size)

    def _deliver(self, parts: Sequence[_Part]) -> None:
        """Send every part. Requests in protobuf are joined: one behind the other they are one request."""
        together = [part for part in parts if part.encoding == PROTOBUF]
        if len(together) > 1:
            body = b"".join(part.body for part in together)
            if self._send(_Part(PROTOBUF, body, sum(part.records for part in together)), last=False):
                together = []
        for part in (*together, *(part for part in parts if part.encoding == JSON)):
            self._send(part, last=True)

    def _send(self, part: _Part, *, last: bool) -> bool:
        """Whether the endpoint took it. A part that is refused is lost, unless it can be tried in smaller ones."""
        headers = {
            **self._headers,
            "content-type": content_type(part.encoding),
            "content-encoding": "gzip",
        }
        posted = self._post(self._endpoint, headers, gzip.compress(part.body, 3))
        if 200 <= posted.status < 300:
            self._counts["exported_records"] += part.records
            rejected = _rejected(posted.body, part.encoding)
            if rejected:
                self._lose("rejected_spans", rejected)
            return True
        if posted.status in _REFUSALS:
            if last:
                self._lose("refused_records", part.records)
                log.warning("%s refused spans with %d: %r", self._endpoint, posted.status, self._said(posted))
            return False
        raise _Busy(
            f"The endpoint {self._endpoint} answered {posted.status} to spans.",
            "Check telemetry.export.endpoint and its headers; spans wait meanwhile.",
            _seconds(posted.retry_after, self._now()),
        )

    def _said(self, posted: Posted) -> str:
        """The beginning of the endpoint's answer, less what it was shown for a key."""
        said = posted.body.decode(errors="replace")
        for value in self._headers.values():
            for secret in {value, value.rpartition(" ")[2]}:
                said = said.replace(secret, "[redacted]") if secret else said
        return said[:300]

    def _advance(self, range_: Range) -> None:
        self._cursor.begin([range_])
        self._cursor.commit()

    def _lose(self, what: str, count: int) -> None:
        self._counts[what] += count
        self._unreported[what] += count

    def _report_losses(self) -> None:
        lost = {what: count for what, count in self._unreported.items() if count}
        if not lost or self._now() - self._reported_at < _REPORT_NANOSECONDS:
            return
        self._reported_at = self._now()
        self._unreported = dict.fromkeys(self._unreported, 0)
        said = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in lost.items())
        self._tell("export.lost", "error", f"Not everything reached {self._endpoint}: {said}.", lost)

    def _note_failure(self, error: RatchetError) -> None:
        if not self._failure:
            self._tell("export.failing", "warning", str(error))
        self._failure = str(error)

    def _tell(self, kind: str, severity: str, message: str, figures: Mapping[str, int] | None = None) -> None:
        log.log(logging.INFO if severity == "info" else logging.WARNING, "%s", message)
        if self._report is None:
            return
        now = self._now()
        event = Event(
            project_id="",
            event_id=f"{kind}:{now}",
            time=now,
            kind=kind,
            subject=self._endpoint,
            message=message,
            severity=severity,
            attributes={name: str(count) for name, count in (figures or {}).items()},
        )
        try:
            self._report(event)
        except RatchetError as error:  # a spool that is full must not stop the sending
            log.warning("the event %s could not be kept: %s", kind, error)


def http_poster(timeout: timedelta = timedelta(seconds=30)) -> Post:
    """Posts over HTTP(S), with one client for all requests. Redirects are not followed: headers may hold a key."""
    client = SyncClientBuilder().follow_redirects(False).timeout(timeout).build()

    def post(address: str, headers: Mapping[str, str], body: bytes) -> Posted:
        try:
            response = client.post(address).headers(dict(headers)).body_bytes(body).build().send()
            return Posted(
                response.status,
                response.headers.get("retry-after") or "",
                bytes(response.bytes()),
            )
        except RequestError as error:
            raise UpstreamFailed(
                f"The endpoint {address} can't be reached: {reason_of(error)}.",
                "Check telemetry.export.endpoint; spans wait meanwhile.",
                code="export_endpoint_unreachable",
            ) from error

    return post


def _record(frame: Frame) -> Record | None:
    try:
        return decode_record(frame.payload)
    except (ValueError, msgspec.MsgspecError):
        return None


def _rejected(body: bytes, encoding: str) -> int:
    """How many spans the endpoint says it left out of what it took."""
    try:
        if encoding == JSON:
            success = msgspec.json.decode(body, type=dict[str, dict[str, str | int]]).get(
                "partialSuccess", {}
            )
            return int(success.get("rejectedSpans", 0))
        return ExportTraceServiceResponse.FromString(body).partial_success.rejected_spans
    except (DecodeError, msgspec.MsgspecError, ValueError):
        return 0  # it took them; what else it says is its own affair


def _seconds(retry_after: str, now: int) -> float | None:
    """Retry-After in seconds, which may be a number or a date (RFC 9110, section 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(float(retry_after), 0.0)
    except ValueError:
        pass  # then it is a date
    try:
        return max(parsedate_to_datetime(retry_after).timestamp() - now / 1e9, 0.0)
    except ValueError:
        return None
