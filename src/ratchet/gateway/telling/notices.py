"""Events that may come in storms: the first is written at once, the rest as a count every ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from ratchet.domain.spans import Event
from ratchet.errors import Unavailable
from ratchet.store.records import DEFAULT_PROJECT

__all__ = ["Notices"]

_INTERVAL = 10 * 10**9  # nanoseconds between two events about the same
_MOST = 1000  # subjects told apart at a time; a storm over more of them is told of as one
_OTHERS = "(others)"


class _Open(msgspec.Struct):
    """What has been told lately. `count` is how often it has happened since."""

    event: Event
    told: int
    count: int = 0


class Notices:
    """Tells pages and people of what happens again and again, such as a limit that is hit."""

    def __init__(
        self, record: Callable[[Event], None], now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        """`record` may raise Unavailable: what it did not take is told with the next."""
        self._record = record
        self._now = now
        self._new_id = new_id
        self._open: dict[tuple[str, str, str, str], _Open] = {}

    def tell(
        self,
        kind: str,
        subject: str,
        message: str,
        *,
        project_id: str = DEFAULT_PROJECT,
        severity: Literal["info", "warning", "error"] = "warning",
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Something of this `kind` happened to `subject`. An event's attribute `count` says how often since the last of
        that severity: good news and bad are counted apart."""
        known = self._open.get((project_id, kind, subject, severity))
        if known is None and len(self._open) >= _MOST:
            subject = _OTHERS
            known = self._open.get((project_id, kind, subject, severity))
        if known is not None and known.event.message == message:
            known.count += 1
            return
        event = Event(
            project_id=project_id,
            event_id="",
            time=0,
            kind=kind,
            subject=subject,
            message=message,
            severity=severity,
            attributes=dict(attributes or {}),
        )
        if known is not None:
            known.event = event
            known.count += 1
            return
        known = self._open[project_id, kind, subject, severity] = _Open(event, told=0, count=1)
        self._write(known, self._now())

    def flush(self, *, everything: bool = False) -> None:
        """Write what has gathered for long enough, or all of it. To be called about once a second."""
        now = self._now()
        for key, known in list(self._open.items()):
            if known.told > now - _INTERVAL and not everything:
                continue
            if known.count:
                self._write(known, now)
            else:
                del self._open[key]

    def _write(self, known: _Open, now: int) -> None:
        attributes = {**known.event.attributes, "count": str(known.count)}
        try:
            self._record(
                msgspec.structs.replace(known.event, event_id=self._new_id(), time=now, attributes=attributes)
            )
        except Unavailable:
            return  # the spool is full: it stays counted here
        known.told, known.count = now, 0
