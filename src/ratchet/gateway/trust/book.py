"""What speaks for and against each user, as this process knows it: read and written in one go, about once a second."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec

from ratchet.errors import Unavailable
from ratchet.gateway.identity import ANONYMOUS
from ratchet.gateway.telling.notices import Notices
from ratchet.gateway.trust.core import EVIDENCE, Level, Prior, level_of, scale_of, trust_of
from ratchet.store.counters import Counters

__all__ = ["Known", "Subject", "TrustBook"]

_FRESH = 5 * 10**9  # nanoseconds that a read lasts; who is busy is read with what is written
_GOOD_WAITS = 4 * 10**9  # nanoseconds that good words wait to be written; bad ones are, within a second
_FORGOTTEN = 60 * 10**9  # nanoseconds without a request, after which an entry is only in the counters
_KEEP = 90 * 86_400 * 10**9  # nanoseconds that the counters remember somebody who doesn't come any more
_KEEP_PASSING = 14 * 86_400 * 10**9  # and somebody without a name, or a place
_AT_ONCE = 500  # entries written in one flush
_AT_A_TIME = 50  # of them between two turns of the event loop
_ANSWERED = EVIDENCE["answered"].good
_NO_PRIOR = Prior()  # of somebody whose segment nobody has asked for
_NAMED = 3  # reasons that an event names
_ORDER: dict[Level, int] = {"low": 0, "fair": 1, "good": 2}


class Subject(msgspec.Struct, frozen=True, gc=False):
    """Whom evidence is about: a user, or a source that users come from."""

    project_id: str
    kind: str  # user | ip | fingerprint
    name: str

    @property
    def key(self) -> str:
        return f"trust:{self.project_id}:{self.kind}:{self.name}"

    @property
    def keep(self) -> int:
        passing = self.kind != "user" or self.name.startswith(ANONYMOUS)
        return _KEEP_PASSING if passing else _KEEP


class Known(msgspec.Struct):
    """What this process knows of one. `trust` is as of the last reading; what was noted since counts, but for plain answers."""

    good: float
    bad: float
    first_seen: int
    read: int  # when the counters said so
    used: int
    prior: Prior
    half_life: int
    new_good: float = 0.0  # what they have not been told yet
    new_bad: float = 0.0
    trust: float = 0.0  # from 0 to 1
    text: str = ""  # the same for people
    scale: float = 1.0  # what their limits are multiplied with, for that
    gone: bool = False  # forgotten here: what is new of them needs another entry
    level: Level | None = None
    level_prior: Prior = _NO_PRIOR  # by which that was judged
    reasons: Counter[str] = msgspec.field(default_factory=Counter[str])  # since the level was last told
    answers: int = 0  # plain ones in that time
    noted_good: float = 0.0  # what these came to, but for plain answers
    noted_bad: float = 0.0
    heard_good: float = 0.0  # what other gateways have noted in that time
    heard_bad: float = 0.0

    def judge(self, now: int) -> None:
        """Set `trust` as of now."""
        good, bad = self.good + self.new_good, self.bad + self.new_bad
        self.trust = trust_of(good, bad, max(0, now - self.first_seen), self.prior)
        self.text = f"{self.trust:.2f}"
        self.scale = scale_of(self.trust, self.prior.least, self.prior.most)

    def answered(self) -> None:
        """The most frequent of all that can be noted."""
        self.new_good += _ANSWERED
        self.answers += 1

    def said(self) -> Counter[str]:
        """Everything that was noted since the level was last told."""
        return self.reasons + Counter(answered=self.answers)


class TrustBook:
    """One per gateway process. What was noted in the last second is lost with it."""

    def __init__(self, counters: Counters, notices: Notices, now: Callable[[], int]) -> None:
        self._counters = counters
        self._notices = notices
        self._now = now
        self._entries: dict[Subject, Known] = {}

    def at_hand(self, subject: Subject, prior: Prior, now: int) -> Known | None:
        """What is known of `subject` without asking anybody; None where it is too old, or of another segment."""
        entry = self._entries.get(subject)
        if entry is None or entry.prior is not prior or now - entry.read >= _FRESH:
            return None
        entry.used = now
        return entry

    async def known(self, subject: Subject, prior: Prior, half_life: int) -> Known:
        """What is known of `subject`, and how far they are trusted. Never raises: without counters, as far as this
        process knows."""
        now = self._now()
        entry = self._entries.get(subject)
        if entry is None:
            entry = self._entries[subject] = Known(0.0, 0.0, now, 0, now, prior, half_life)
        entry.used = now
        if entry.prior is not prior or entry.half_life != half_life:
            entry.prior, entry.half_life = prior, half_life
            entry.judge(now)
        if now - entry.read >= _FRESH:
            await self._renew(subject, entry)
        return entry

    async def look(self, subject: Subject, prior: Prior, half_life: int) -> tuple[float, float]:
        """The trust in `subject`, and how much speaks against them, as far as there is anything: nothing is begun by
        looking, so that whoever merely asks for a challenge leaves nothing behind. Never raises."""
        entry = self._entries.get(subject)
        if entry is not None and entry.read:
            entry.judge(self._now())
            return entry.trust, entry.bad + entry.new_bad
        try:
            tally = await self._counters.read_tally(subject.key, half_life=half_life)
        except Unavailable:
            tally = None
        if tally is None:
            return trust_of(0.0, 0.0, 0, prior), 0.0
        age = max(0, self._now() - tally.first_seen)
        return trust_of(tally.good, tally.bad, age, prior), tally.bad

    async def against(self, subject: Subject, half_life: int) -> float:
        """How much speaks against `subject`."""
        entry = await self.known(subject, _NO_PRIOR, half_life)
        return entry.bad + entry.new_bad

    def note(self, subject: Subject, event: str, times: float = 1.0, *, half_life: int) -> None:
        """Something happened that says something about `subject`; `event` is one of EVIDENCE."""
        entry = self._entries.get(subject)
        if entry is None:
            now = self._now()
            entry = self._entries[subject] = Known(0.0, 0.0, now, 0, now, _NO_PRIOR, half_life)
        evidence = EVIDENCE[event]
        entry.new_good += evidence.good * times
        entry.new_bad += evidence.bad * times
        if event == "answered":
            entry.answers += 1
        else:
            entry.reasons[event] += 1
            entry.noted_good += evidence.good * times
            entry.noted_bad += evidence.bad * times
        entry.judge(self._now())

    async def flush(self, *, everything: bool = False) -> None:
        """Write what has been noted, and forget who has gone. To be called about once a second; at the end with
        `everything`."""
        now = self._now()
        waiting = [
            (subject, entry)
            for subject, entry in self._entries.items()
            if entry.new_bad or (entry.new_good and (everything or now - entry.read >= _GOOD_WAITS))
        ]
        for number, (subject, entry) in enumerate(waiting if everything else waiting[:_AT_ONCE], 1):
            if number % _AT_A_TIME == 0:
                await asyncio.sleep(0)
            if not await self._renew(subject, entry):
                break
        gone = [
            subject
            for subject, entry in self._entries.items()
            if entry.used < now - _FORGOTTEN and not entry.new_good and not entry.new_bad
        ]
        for subject in gone:
            self._entries.pop(subject).gone = True

    async def _renew(self, subject: Subject, entry: Known) -> bool:
        """Tell the counters what is new, and learn what they know: one call. False where they can't be reached."""
        good, bad = entry.new_good, entry.new_bad
        entry.new_good = entry.new_bad = 0.0
        first, entry.read = not entry.read, self._now()
        try:
            tally = await self._counters.tally(
                subject.key, good=good, bad=bad, half_life=entry.half_life, keep=subject.keep
            )
        except Unavailable:
            entry.new_good += good
            entry.new_bad += bad
            entry.judge(self._now())
            return False
        if not first:
            entry.heard_good += max(0.0, tally.good - good - entry.good)
            entry.heard_bad += max(0.0, tally.bad - bad - entry.bad)
        entry.good, entry.bad, entry.first_seen = tally.good, tally.bad, tally.first_seen
        entry.judge(self._now())
        if subject.kind == "user":
            self._tell(subject, entry, silent=first)
        return True

    def _tell(self, subject: Subject, entry: Known, *, silent: bool) -> None:
        """An event where a user's level is another than it was."""
        if entry.prior is _NO_PRIOR:
            return
        level, before, judged_by = level_of(entry.trust), entry.level, entry.level_prior
        entry.level, entry.level_prior = level, entry.prior
        if before is None or before == level or silent:
            return
        fell = _ORDER[level] < _ORDER[before]
        why = ", ".join(_reasons(entry, before, judged_by, self._now(), fell=fell))
        entry.reasons.clear()
        entry.answers = 0
        entry.noted_good = entry.noted_bad = entry.heard_good = entry.heard_bad = 0.0
        self._notices.tell(
            "trust.changed",
            subject.name,
            f"Trust in the user {subject.name!r} {'fell' if fell else 'rose'} from {before} to {level}: {why}.",
            project_id=subject.project_id,
            severity="warning" if fell else "info",
            attributes={"trust": entry.text, "from": before, "to": level, "reasons": why},
        )


def _reasons(entry: Known, before: Level, judged_by: Prior, now: int, *, fell: bool) -> list[str]:
    """Why the level is no longer `before`, which it was in the segment it was judged by then.

    Only that without which it would not have come so far is a reason: the segment, what this gateway has noted, what
    others have.
    """
    good, bad = entry.good + entry.new_good, entry.bad + entry.new_bad
    age, segment = max(0, now - entry.first_seen), entry.prior.segment
    found: list[str] = []
    there = trust_of(good, bad, age, judged_by)  # what it would be in the segment of then
    level = level_of(there)
    if judged_by != entry.prior and there != entry.trust and (entry.trust < there) == fell:
        found.append(
            f"the segment {segment!r} was changed"
            if judged_by.segment == segment
            else f"in the segment {segment!r} now, and in {judged_by.segment!r} before"
        )
        moved = _ORDER[level] - _ORDER[before]
        if not moved or (moved < 0) != fell:
            return found
    # Everything else is weighed as it would have been there.
    noted, heard = (
        (entry.noted_bad, entry.heard_bad)
        if fell
        else (entry.noted_good + entry.answers * _ANSWERED, entry.heard_good)
    )

    def counts(amount: float) -> bool:
        less_good, less_bad = (0.0, amount) if fell else (amount, 0.0)
        without = trust_of(max(0.0, good - less_good), max(0.0, bad - less_bad), age, judged_by)
        return level_of(without) != level

    here, elsewhere = counts(noted), counts(heard)
    if not here and not elsewhere:
        here = elsewhere = counts(noted + heard)
    if here:
        side = "bad" if fell else "good"
        speaks = [
            (name, count) for name, count in entry.said().most_common() if getattr(EVIDENCE[name], side)
        ]
        found += [f"{EVIDENCE[name].title} ({count})" for name, count in speaks[:_NAMED]]
    if elsewhere:
        found.append("what other gateways have seen")
    if not here and not elsewhere:
        longer = ["known for longer"] if judged_by.untrusted and not fell else []
        faded = (
            [f"what spoke {'for' if fell else 'against'} them has faded"] if fell or bad or not longer else []
        )
        found.append(", and ".join(longer + faded))
    return found
