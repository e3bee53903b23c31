"""Answers to nearly the same question: what a route with `semantic = true` does before and after it asks upstream.

The decisions are `meanings`'; here are requests, judges, the disk, and what is told of it all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ratchet.domain.generation import Answer, Request
from ratchet.domain.spans import Event
from ratchet.embeddings import LocalEmbedder
from ratchet.errors import RatchetError, Unavailable
from ratchet.gateway.cache.entries import Entry
from ratchet.gateway.cache.forgetting import Forgetting, name_of, purge
from ratchet.gateway.cache.journal import Also, Journal, Line, New, Verdict, without_words
from ratchet.gateway.cache.keys import digest, last_question
from ratchet.gateway.cache.learning import JudgeErrors
from ratchet.gateway.cache.meanings import (
    MOST_CHARACTERS,
    Asked,
    Choice,
    Kept,
    Match,
    Meanings,
    Mind,
    Route,
    Vectors,
    choose,
)
from ratchet.gateway.cache.personal import is_personal
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.services import Services
from ratchet.gateway.settings import CacheSettings
from ratchet.scorers.judges.asking import Judge, Unreadable
from ratchet.scorers.judges.prompts import PROMPTS

__all__ = ["COSINE", "EARLIER", "RISK", "Generate", "Look", "Semantic"]

log = logging.getLogger("ratchet.gateway")
Generate = Callable[[Request], Awaitable[Answer]]

# Attributes of the span of a semantic hit: the question that was answered first, how near it is, and the risk taken.
EARLIER, COSINE, RISK = "ratchet.cache.earlier_question", "ratchet.cache.cosine", "ratchet.cache.risk"
_AT_ONCE = 4  # judges asked at a time
_MOST_WAITING = 1000  # verdicts: what comes then is kept without one, and that is told
_SAVE_EVERY, _TELL_EVERY = 1.0, 60.0  # seconds
_VERDICTS_KEPT = 8000  # of each route: more have faded
_RIGHT = "consistent"  # the label of the judge `factual`


class Look(msgspec.Struct, frozen=True, gc=False):
    """A request's question, the kept answer that may fit it, and what is done."""

    asked: Asked
    match: Match | None
    choice: Choice


class _Case(msgspec.Struct, frozen=True, gc=False):
    """A kept answer beside a fresh one, for a judge. `shown`: their words may be written down."""

    look: Look
    match: Match
    entry: Entry
    answer: str
    personal: bool
    settings: CacheSettings
    shown: bool


class Semantic:
    """One per gateway process. Nothing is found before `work` has loaded what it needs."""

    def __init__(
        self,
        journal: Path | None,
        *,
        limit: int,
        vectors: Callable[[], Vectors] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`journal` is where it is kept on disk, `limit` what answers may use in memory, in bytes. `vectors` loads what
        makes vectors of texts."""
        self._path, self._limit = journal, limit
        self._load = vectors or (lambda: LocalEmbedder(kept=1000).vectors)
        self.chance = chance  # gives numbers from 0 to 1
        self._journal: Journal | None = None
        self._minds: dict[Route, Mind] = {}
        self._declared: dict[str, CacheSettings] = {}  # by the route's name
        self._verdicts: dict[Route, deque[Verdict]] = {}
        self._unsaved: list[Line] = []
        self._waiting: asyncio.Queue[_Case] = asyncio.Queue(_MOST_WAITING)
        self._judging = 0
        self._told: dict[Route, dict[str, str]] = {}
        self._unjudged = 0  # for want of room, since the log said so last
        self.meanings: Meanings | None = None
        self.forgetting = Forgetting()  # set from any thread, and obeyed within `_SAVE_EVERY`
        self._obeyed = self.forgetting

    def declare(self, name: str, settings: CacheSettings) -> None:
        """What a route of this name promises from now on. Another promise weighs earlier verdicts anew, which takes
        a while: call it in any thread but the one that serves."""
        self._declared[name] = settings
        self._weigh(name, settings)

    @property
    def waiting(self) -> int:
        """Verdicts that are waited for."""
        return self._waiting.qsize() + self._judging

    # -- on a request's path ---------------------------------------------------------------------------------------

    def look(
        self, exchange: Exchange, fields: dict[str, Any], partition: Sequence[str], settings: CacheSettings
    ) -> Look | None:
        """None where the request's last word is no question that can be compared."""
        found = last_question(fields)
        if self.meanings is None or found is None or not 0 < len(found[0].strip()) <= MOST_CHARACTERS:
            return None
        route = route_of(exchange)
        mind = self._mind(route, settings)
        text, rest = found
        asked = self.meanings.read(text, who=who_asks(exchange), route=route, place=digest(partition, rest))
        match = self.meanings.match(asked, mind, now=exchange.services.now())
        look = Look(asked, match, choose(match, self.chance))
        if match is not None and look.choice == "serve":
            self.meanings.used(match.kept)
            exchange.notes = {COSINE: f"{match.cosine:.4f}", RISK: f"{match.risk:.5f}"}
            if exchange.snapshot.keep_content:
                exchange.notes[EARLIER] = match.kept.text
        return look

    def answered(
        self,
        exchange: Exchange,
        look: Look,
        entry: Entry,
        answer: str,
        fields: dict[str, Any],
        settings: CacheSettings,
    ) -> None:
        """The model's answer to what was looked for: keep it, and have the kept one judged by it."""
        if self.meanings is None:
            return
        personal = settings.personal == "always" or (
            settings.personal == "auto" and is_personal(look.asked.text, answer, fields, exchange.caller)
        )
        if personal and not look.asked.who:
            return  # nobody could be given it again
        shown = exchange.snapshot.keep_content
        if look.match is not None and look.choice != "ask":
            if not self._waiting.full():
                self._waiting.put_nowait(_Case(look, look.match, entry, answer, personal, settings, shown))
                return
            self._unjudged += 1
            _tell_unjudged(
                exchange.services, look.asked.route, f"{_MOST_WAITING:,} wait for the judge already"
            )
        self._keep(self.meanings, look.asked, entry, answer, personal=personal, saved=shown)

    def _keep(
        self, meanings: Meanings, asked: Asked, entry: Entry, answer: str, *, personal: bool, saved: bool
    ) -> None:
        kept = meanings.keep(asked, entry, answer, personal=personal, saved=saved)
        if saved:
            self._unsaved.append(_line_of(kept))

    def _mind(self, route: Route, settings: CacheSettings) -> Mind:
        mind = self._minds.get(route)
        if mind is None:
            mind = self._minds[route] = _new_mind(settings)
        return mind

    def _weigh(self, name: str, settings: CacheSettings) -> None:
        """Form the minds of a route of this name from all verdicts that are known."""
        for route, verdicts in list(self._verdicts.items()):
            fresh, before = _new_mind(settings), self._minds.get(route)
            if route[1] != name or (before and (before.most, before.errors) == (fresh.most, fresh.errors)):
                continue
            self._minds[route] = _learned(fresh, list(verdicts))

    # -- beside the requests ---------------------------------------------------------------------------------------

    async def work(self, services: Services, generate_for: Callable[[str], Generate]) -> None:
        """Load, judge, save and tell, until cancelled. `generate_for` gives a project's way to ask models."""
        try:
            await asyncio.to_thread(self._open)
        except Exception:
            # A cache that can't be loaded must not take the gateway with it; the log says why nothing is found.
            log.exception("the semantic cache could not be loaded; every question is asked upstream")
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(_AT_ONCE):
                    tasks.create_task(self._judge_on(services, generate_for))
                tasks.create_task(self._save_on(services))
                tasks.create_task(self._tell_on(services))
        finally:
            if self._journal is not None:
                self._save(self._journal, self._unsaved)
                self._journal.close()

    async def _judge_on(self, services: Services, generate_for: Callable[[str], Generate]) -> None:
        while True:
            case = await self._waiting.get()
            self._judging += 1
            try:
                right = await _verdict_on(case, generate_for)
            except RatchetError as error:
                log.warning("a kept answer could not be judged: %s", error.message)
                right = None
            self._learn(services, case, right=right)
            self._judging -= 1

    def _learn(self, services: Services, case: _Case, *, right: bool | None) -> None:
        meanings, asked, match = self.meanings, case.look.asked, case.match
        assert meanings is not None  # noqa: S101 - `work` has loaded it
        if self.forgetting.covers(asked.route[0], asked.who, case.entry.made):
            return
        if right is None:
            _tell_unjudged(services, asked.route, "the judge gave no verdict")
            self._keep(meanings, asked, case.entry, case.answer, personal=case.personal, saved=case.shown)
            return
        self._mind(asked.route, case.settings).learn(match.features, match.risk, right=right)
        near = match.question
        whose = [(asked.who, case.entry.made), (near.who, near.made)]
        verdict = Verdict(*asked.route, list(match.features), match.risk, right, case.shown, whose)
        self._verdicts_of(asked.route).append(verdict)
        kept = meanings.judged(
            match, asked, case.entry, case.answer, right=right, personal=case.personal, saved=case.shown
        )
        if case.shown:
            also = Also(kept.number, asked.text, kept.trusted, asked.who, case.entry.made)
            self._unsaved += [verdict, also if kept is match.kept else _line_of(kept)]
        if case.look.choice == "audit":
            with contextlib.suppress(Unavailable):  # a full spool is told of by itself
                services.record(_audit_event(services, case, right=right))

    def _verdicts_of(self, route: Route) -> deque[Verdict]:
        return self._verdicts.setdefault(route, deque(maxlen=_VERDICTS_KEPT))

    async def _save_on(self, services: Services) -> None:
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            meanings, journal = self.meanings, self._journal
            assert meanings is not None  # noqa: S101 - `work` has loaded it
            meanings.sweep(services.now())
            if self._unjudged:
                log.warning("%d kept answers were not judged: too many wait for a judge", self._unjudged)
                self._unjudged = 0
            if self.forgetting != self._obeyed:
                await self._forget(meanings, journal)
            if journal is None:
                continue
            lines, self._unsaved = self._unsaved, []
            if journal.is_worn(meanings.size):
                lines = list(self._everything(meanings))
                await asyncio.to_thread(self._save, journal, lines, anew=True)
            elif lines:
                await asyncio.to_thread(self._save, journal, lines)

    async def _forget(self, meanings: Meanings, journal: Journal | None) -> None:
        """Drop what was asked by, and made for, those who are to be forgotten; what it taught stays, less its words.
        Where the disk can't be written, it is tried again the next time."""
        forgetting = self.forgetting
        meanings.forget(forgetting.covers)
        for route, verdicts in list(self._verdicts.items()):
            stripped = [
                without_words(each)
                if any(forgetting.covers(route[0], *asked) for asked in each.whose)
                else each
                for each in verdicts
            ]
            if stripped != list(verdicts):
                self._verdicts[route] = deque(stripped, maxlen=_VERDICTS_KEPT)
                mind = self._minds.get(route)
                if mind is not None:  # its weights go by words
                    fresh = Mind(mind.most, mind.errors)
                    self._minds[route] = await asyncio.to_thread(_learned, fresh, stripped)
        if journal is not None:
            self._unsaved = []
            lines = list(self._everything(meanings))
            if not await asyncio.to_thread(self._save, journal, lines, anew=True):
                return
        self._obeyed = forgetting

    def _save(self, journal: Journal, lines: list[Line], *, anew: bool = False) -> bool:
        """False where the disk can't be written."""
        try:
            if anew:
                journal.replace(lines)
            else:
                journal.append(lines)
        except OSError as error:
            log.warning("%d lines of the semantic cache could not be written: %s", len(lines), error)
            return False
        return True

    def _everything(self, meanings: Meanings) -> Iterator[Line]:
        for kept in meanings.kept.values():
            if kept.saved:
                yield _line_of(kept)
                yield from (
                    Also(kept.number, question.text, kept.trusted, question.who, question.made)
                    for question in meanings.questions(kept)[1:]
                )
        for verdicts in self._verdicts.values():
            yield from (verdict for verdict in verdicts if verdict.shown)

    async def _tell_on(self, services: Services) -> None:
        while True:
            for route, state in self._states().items():
                if self._told.get(route) != state:
                    self._told[route] = state
                    with contextlib.suppress(Unavailable):  # as above
                        services.record(_state_event(services, *route, state))
            await asyncio.sleep(_TELL_EVERY)

    def _states(self) -> dict[Route, dict[str, str]]:
        meanings = self.meanings
        assert meanings is not None  # noqa: S101 - `work` has loaded it
        return {
            route: {
                "answers": str(size.answers),
                "questions": str(size.questions),
                "bytes": str(size.bytes),
                "max_error": f"{mind.most:g}",
                "risk": f"{mind.bound.risk:g}",
            }
            for route, mind in self._minds.items()
            if (size := meanings.sizes.get(route)) is not None
        }

    def _open(self) -> None:
        meanings = Meanings(self._load(), limit=self._limit)
        if self._path is not None:
            try:
                self._journal = Journal(self._path)
            except OSError as error:
                log.warning("the semantic cache stays in memory: %s can't be used: %s", self._path, error)
        if self._journal is not None:
            forgetting = self.forgetting
            lines, done = purge(self._journal, forgetting)
            for line in lines:
                self._take(meanings, line)
            if done:
                self._obeyed = forgetting
        for name, settings in list(self._declared.items()):
            self._weigh(name, settings)
        self.meanings = meanings

    def _take(self, meanings: Meanings, line: Line) -> None:
        """One line of the journal."""
        match line:
            case Verdict(project, route):
                self._verdicts_of((project, route)).append(line)
            case Also(number, text, trusted):
                kept = meanings.kept.get(number)
                if kept is not None:
                    kept.trusted = trusted
                    asked = meanings.read(text, who=line.who, route=kept.route, place=kept.place)
                    meanings.also(kept, asked, made=line.made)
            case New(number, project, route, place, text):
                asked = meanings.read(text, who=line.owner, route=(project, route), place=place)
                meanings.drop(number)
                kept = meanings.keep(asked, line.entry, line.answer, personal=line.personal, number=number)
                kept.trusted = line.trusted


def _learned(mind: Mind, verdicts: Sequence[Verdict]) -> Mind:
    for verdict in verdicts:
        mind.learn(verdict.features, verdict.risk, right=verdict.right)
    return mind


def _new_mind(settings: CacheSettings) -> Mind:
    return Mind(settings.max_error, JudgeErrors(settings.judge_strict, settings.judge_lax))


def route_of(exchange: Exchange) -> Route:
    key, route = exchange.key, exchange.route
    assert key is not None  # noqa: S101 - earlier steps have set both
    assert route is not None  # noqa: S101
    return key.project_id, route.name


def who_asks(exchange: Exchange) -> str:
    """The one user behind a request; "" where nothing tells them from others."""
    key, name = exchange.key, name_of(exchange.caller)
    assert key is not None  # noqa: S101 - `authenticate` has set it
    return f"{key.id}\n{name}" if name else ""


async def _verdict_on(case: _Case, generate_for: Callable[[str], Generate]) -> bool | None:
    """Whether the kept answer is right for the question; None where nobody can say."""
    kept = case.match.kept
    if " ".join(kept.answer.split()) == " ".join(case.answer.split()):
        return True
    judge = Judge(prompt=PROMPTS["factual"], model=case.settings.judge or "", temperature=None)
    texts = {"question": case.look.asked.text, "reference": case.answer, "answer": kept.answer}
    heard = await judge.ask(generate_for(case.look.asked.route[0]), texts, _is_right)
    if heard.verdict is None:
        log.warning("a kept answer could not be judged: %s", heard.why)
    return heard.verdict


def _is_right(found: dict[str, Any]) -> bool:
    label = found.get("label")
    if not isinstance(label, str):
        raise Unreadable("it has no `label`")
    return label == _RIGHT


def _line_of(kept: Kept) -> New:
    return New(
        kept.number,
        *kept.route,
        kept.place,
        kept.text,
        kept.entry,
        kept.answer,
        kept.owner,
        kept.personal,
        kept.trusted,
    )


def _tell_unjudged(services: Services, route: Route, why: str) -> None:
    """A verdict that there will not be: the kept answer is no surer than before."""
    project, name = route
    services.notices.tell(
        "cache.unjudged",
        name,
        f"Kept answers of the route {name} were not judged: {why}.",
        project_id=project,
    )


def _audit_event(services: Services, case: _Case, *, right: bool) -> Event:
    match, (project, route) = case.match, case.look.asked.route
    attributes = {
        "right": "true" if right else "false",
        "cosine": f"{match.cosine:.4f}",
        "risk": f"{match.risk:.5f}",
        "max_error": f"{case.settings.max_error:g}",
        "judge_strict": f"{case.settings.judge_strict:g}",
        "judge_lax": f"{case.settings.judge_lax:g}",
    }
    if case.shown:
        attributes |= {"question": case.look.asked.text, "earlier_question": match.kept.text}
    said = "would have been right" if right else "would have been wrong"
    return services.event(
        "cache.audited",
        route,
        f"A kept answer of the route {route} {said}: the model was asked anew, and a judge compared.",
        project_id=project,
        severity="info" if right else "warning",
        attributes=attributes,
    )


def _state_event(services: Services, project: str, route: str, state: dict[str, str]) -> Event:
    return services.event(
        "cache.state",
        route,
        f"{state['answers']} answers to {state['questions']} questions are kept for reuse.",
        project_id=project,
        attributes=state,
    )
