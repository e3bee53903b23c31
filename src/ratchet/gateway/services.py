"""What the pipeline works with: the current snapshot, the spool, metrics, and effects (clock, ids)."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from ratchet.domain.spans import Event
from ratchet.errors import Unavailable
from ratchet.gateway.expecting import OutputLengths, PriceCeilings
from ratchet.gateway.pacing import Pacing
from ratchet.gateway.snapshot import Snapshot
from ratchet.gateway.telling.notices import Notices
from ratchet.gateway.telling.outbox import Outbox
from ratchet.gateway.telling.webhooks import Webhooks
from ratchet.gateway.trust.book import TrustBook
from ratchet.gateway.trust.crowds import Crowds
from ratchet.gateway.upstream.circuits import Change, Circuit
from ratchet.gateway.upstream.health import Health
from ratchet.gateway.upstream.queueing import FairQueue
from ratchet.gateway.workers import Worker
from ratchet.store.counters import Counters, MemoryCounters
from ratchet.store.records import DEFAULT_PROJECT
from ratchet.telemetry.calls import Call, Record, encode_record
from ratchet.telemetry.metrics import Metrics
from ratchet.telemetry.spool import SpoolWriter

__all__ = ["Services"]

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_CHANGES: dict[Change, tuple[str, Literal["info", "error"]]] = {
    "closed": ("circuit.closed", "info"),
    "open": ("circuit.open", "error"),
    "half_open": ("circuit.half_open", "info"),
    "refused": ("credential.refused", "error"),
    "accepted": ("credential.accepted", "info"),
}
_SECOND = 10**9
_NO_TRACE = b"0" * 32
_NO_SPAN = b"0" * 16


class Services:
    """One per gateway process. `snapshot` is replaced as a whole; everything else stays."""

    def __init__(
        self,
        snapshot: Snapshot,
        spool: SpoolWriter,
        metrics: Metrics,
        counters: Counters | None = None,
        *,
        webhooks: Path | None = None,
        now: Callable[[], int] = time.time_ns,
        clock: Callable[[], int] = time.perf_counter_ns,
        bits: Callable[[int], int] | None = None,
    ) -> None:
        """`bits(n)` gives n random bits, for ids; the default generator is seeded by the operating system.

        Without `counters` they are kept in memory, and go with the process. `webhooks` is the folder where those lie that
        have yet to be told; without it they go with the process too.
        """
        self.snapshot = snapshot
        self.spool = spool
        self.metrics = metrics
        self.counters: Counters = counters or MemoryCounters()
        self.now = now
        self.clock = clock
        self._bits = bits or random.Random().getrandbits  # noqa: S311 - ids must be unique, not secret
        self.name = f"{socket.gethostname()}:{os.getpid()}"  # what tells it from other gateways that live
        self.worker: Worker | None = None  # where several processes share the port
        self.lengths = OutputLengths()
        self.ceilings = PriceCeilings()
        self.webhooks = Webhooks(self.new_id, Outbox(webhooks))
        self.notices = Notices(self.record, now, self.new_id)
        self.trust = TrustBook(self.counters, self.notices, now)
        self.crowds = Crowds(self.counters, now)

        self.challenges = Pacing(interval=_SECOND, room=60 * _SECOND, most=20_000)  # asked for, by address
        self.turns: dict[tuple[str, str, str], FairQueue] = {}  # by project, route and user
        snapshot.health.on_change = self._circuit_changed

    @property
    def health(self) -> Health:
        return self.snapshot.health

    def _circuit_changed(self, circuit: Circuit, change: Change, why: str) -> None:
        """What the page Reliability shows. A full spool must not fail the request that found a target broken."""
        kind, severity = _CHANGES[change]
        with contextlib.suppress(Unavailable):
            about = {"credential": circuit.credential, "gateway": self.name}
            self.record(self.event(kind, circuit.target, why, severity=severity, attributes=about))

    def event(
        self,
        kind: str,
        subject: str,
        message: str,
        *,
        project_id: str = DEFAULT_PROJECT,
        severity: str = "info",
        attributes: Mapping[str, str] | None = None,
    ) -> Event:
        """Something that is so from now on."""
        return Event(
            project_id=project_id,
            event_id=self.new_id(),
            time=self.now(),
            kind=kind,
            subject=subject,
            message=message,
            severity=severity,
            attributes=dict(attributes or {}),
        )

    def new_span_id(self) -> str:
        return f"{self._bits(64) or 1:016x}"

    def new_id(self) -> str:
        return f"{self._bits(128):032x}"

    def trace_context(self, traceparent: bytes | None) -> tuple[str, str]:
        """Trace id and parent span id, from a W3C `traceparent` or new. A malformed one is ignored, as W3C asks."""
        if traceparent is not None:
            found = _TRACEPARENT.fullmatch(traceparent)
            if found and not traceparent.startswith(b"ff") and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
                return found[1].decode(), found[2].decode()
        return f"{self._bits(128) or 1:032x}", ""

    def record(self, record: Record) -> None:
        """Write to the spool. Raises Unavailable where it is full; it counts what it refuses."""
        self.spool.append(encode_record(record))

    def record_call(self, call: Call) -> None:
        """Write a call to the spool and count it. A full spool costs the record, never the answer.

        What was refused is counted by the spool and shown by metrics, pages and `ratchet doctor`.
        """
        self.metrics.observe_call(call)
        try:
            self.record(call)
        except Unavailable:
            return

    def render_metrics(self, spool_bytes: int | None) -> bytes:
        """Prometheus text: calls, and how full the spool is, where that is known."""
        snapshot = self.snapshot
        return self.metrics.render(
            spool_bytes=spool_bytes,
            spool_refused=self.spool.refused,
            records_revision=snapshot.revision,
            settings_refused=snapshot.settings_refused,
            providers_ready={
                name: provider.missing_secret is None for name, provider in snapshot.providers.items()
            },
        )
