"""Watches the canaries: what their users got is read from the span store, and the worse version goes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from ratchet.domain.prompts import CanaryPolicy, Release, Share
from ratchet.domain.releases import CanaryReport
from ratchet.domain.spans import Event
from ratchet.errors import Conflict, NotFound, RatchetError
from ratchet.release.canary import CanaryWatch
from ratchet.store.records import Records
from ratchet.store.records.keys import GATEWAY_TOPIC
from ratchet.store.records.releases import all_canaries, release_split
from ratchet.store.records.secret import new_id
from ratchet.store.spans import SpanStore

__all__ = ["CanaryKeeper"]

log = logging.getLogger("ratchet.release")

_SECONDS = 5.0  # between two looks
_LATE = 15 * 60 * 1_000_000_000  # nanoseconds: a call is stored when it ends, and some take long
_AT_ONCE = 5_000  # users read by one query
_MOST_SCORES = 50_000  # that one look takes in
KEEPER = "canary"  # who moved the label, in its history


class _Watched(msgspec.Struct):
    watch: CanaryWatch
    seen_until: int  # nanoseconds: up to where the store has been read


class CanaryKeeper:
    """Thread-safe. `append_event` returns once the event is durable; `now` gives nanoseconds since the epoch."""

    def __init__(
        self,
        records: Records,
        spans: Callable[[], SpanStore],
        *,
        now: Callable[[], int],
        append_event: Callable[[Event], None],
    ) -> None:
        self._records = records
        self._spans = spans
        self._now = now
        self._append_event = append_event
        self._lock = threading.Lock()
        self._watched: dict[tuple[str, str, str, int], _Watched] = {}
        self._canaries: list[Release] = []
        self._revision = -1

    def run(self, stop: threading.Event) -> None:
        """Look every few seconds until `stop` is set."""
        failure = ""
        while not stop.wait(_SECONDS):
            try:
                self.look()
                failure = ""
            except (
                RatchetError
            ) as error:  # a store is away: the next look goes on from where this one stopped
                if str(error) != failure:
                    log.warning("the canaries can't be watched: %s", error)
                failure = str(error)

    def look(self) -> list[Release]:
        """Look at every canary once. Returns the releases that took a worse one away. Raises Unavailable."""
        revision = self._records.revision(GATEWAY_TOPIC)
        if revision != self._revision:
            self._canaries = all_canaries(self._records)
            self._revision = revision
        return [back for release in self._canaries if (back := self._judged(release)) is not None]

    def report(self, release: Release) -> CanaryReport | None:
        """How the canary of a release does, up to now; None where the release has none. Raises Unavailable."""
        if release.canary is None:
            return None
        with self._lock:
            return self._read(release, release.canary).report()

    def _judged(self, release: Release) -> Release | None:
        report = self.report(release)
        if report is None or not report.worse:
            return None
        return self._taken_back(release, report)

    def _read(self, release: Release, policy: CanaryPolicy) -> CanaryWatch:
        key = (release.project_id, release.prompt, release.label, release.number)
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(CanaryWatch(policy), release.created)
        spans, now = self._spans(), self._now()
        since = max(release.created, watched.seen_until - _LATE)
        while True:
            calls = spans.served_by(
                release.project_id, release.prompt, release.name, since=since, until=now, limit=_AT_ONCE
            )
            watched.watch.take_calls(calls)
            if len(calls) < _AT_ONCE or calls[-1].start == since:
                break
            since = calls[-1].start
        # Scores come when they come: minutes or days after the call.
        watched.watch.take_scores(
            spans.opinions_of(
                release.project_id,
                release.prompt,
                release.name,
                since=release.created,
                scored_since=max(release.created, watched.seen_until - _LATE),
                until=now,
                limit=_MOST_SCORES,
            )
        )
        watched.seen_until = now
        return watched.watch

    def _taken_back(self, release: Release, report: CanaryReport) -> Release | None:
        """All traffic goes to the baseline. None where somebody has moved the label meanwhile."""
        policy = release.canary
        if policy is None:
            return None
        now = self._now()
        try:
            back = release_split(
                self._records,
                release.prompt,
                release.label,
                [Share(version=policy.baseline)],
                project_id=release.project_id,
                by=KEEPER,
                now=now,
                message=report.reason,
                seen=release.number,
            )
        except (Conflict, NotFound) as error:
            log.info("the canary of %s@%s is not taken back: %s", release.prompt, release.label, error)
            return None
        self._append_event(
            Event(
                project_id=release.project_id,
                event_id=new_id(),
                time=now,
                kind="release.rolled_back",
                subject=f"{release.prompt}@{release.label}",
                message=report.reason,
                severity="warning",
                attributes={
                    "from": release.name,
                    "to": back.name,
                    "canary": str(policy.canary),
                    "baseline": str(policy.baseline),
                    "worse": ", ".join(report.worse),
                },
            )
        )
        return back
