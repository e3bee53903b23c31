"""The cache's step: the same request is answered from memory, and asked upstream once however many ask at a time."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ratchet.domain.forgetting import Forgotten, name_hash
from ratchet.domain.generation import Answer, Request
from ratchet.domain.runs import RUN_HEADER
from ratchet.errors import Unavailable
from ratchet.gateway.answering.asking import EVENT_STREAM
from ratchet.gateway.answering.streams import start_stream
from ratchet.gateway.cache.entries import Entry, decode_entry, encode_entry
from ratchet.gateway.cache.forgetting import Forgetting, forget_on_disk, name_of
from ratchet.gateway.cache.keys import digest, request_fields
from ratchet.gateway.cache.replay import answer_in, as_body, as_stream, is_worth_keeping, text_of
from ratchet.gateway.departure import ClientLeft
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.services import Services
from ratchet.gateway.settings import CacheSettings
from ratchet.gateway.snapshot import Step
from ratchet.store.counters import MemoryCounters

if TYPE_CHECKING:
    from ratchet.gateway.cache.semantic import Semantic

__all__ = ["SAVED_COST", "SAVED_TIME", "AnswerCache"]

# Attributes of a span that was answered from memory: what the answer cost in US dollars, and took in seconds.
SAVED_COST, SAVED_TIME = "ratchet.cache.saved_cost", "ratchet.cache.saved_seconds"
_HEADER = b"x-ratchet-cache"
_LOOK_AGAIN = 0.5  # seconds
Generate = Callable[[Request], Awaitable[Answer]]


class _Flight:
    """A request that is being asked upstream, for those who ask the same meanwhile."""

    __slots__ = ("entry", "landed", "left")

    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.entry: Entry | None = None  # what may be handed to others
        self.left = False  # its asker went away, which says nothing about the answer


class AnswerCache:
    """One per gateway process. The answers to the same request lie in the counters, so gateways that share these share
    them; those to nearly the same question in this process and its journal."""

    def __init__(self, journal: Path | None = None, *, limit: int = 256 << 20) -> None:
        """`limit` is what answers to nearly the same question may use, in bytes."""
        self._flights: dict[str, _Flight] = {}
        self._journal, self._limit = journal, limit
        self._forgetting = Forgetting()
        self.semantic: Semantic | None = None  # there as soon as a route wants it

    def step(self, name: str, settings: CacheSettings) -> Step:
        """The step that a route takes before anything is asked upstream. Call it in any thread but the serving one."""
        if settings.semantic:
            if self.semantic is None:
                # The only place that loads it: numpy, vectors and judges are for those who ask for them.
                room = importlib.import_module("ratchet.gateway.cache.semantic")
                self.semantic = cast("Semantic", room.Semantic(self._journal, limit=self._limit))
                self.semantic.forgetting = self._forgetting
            self.semantic.declare(name, settings)

        async def cache(exchange: Exchange) -> None:
            await self._answer(exchange, settings)

        return cache

    def forget(self, forgotten: Iterable[Forgotten]) -> None:
        """From now on nothing that was made for these is given again. Call it in any thread but the serving one."""
        forgetting = Forgetting(forgotten)
        if forgetting == self._forgetting:
            return
        self._forgetting = forgetting
        if self.semantic is not None:
            self.semantic.forgetting = forgetting  # within a second, it is gone from memory and disk
        elif self._journal is not None:
            forget_on_disk(self._journal, forgetting)

    async def work(self, services: Services, generate_for: Callable[[str], Generate]) -> None:
        """What the semantic cache does beside the requests, from when a route first wants it."""
        while self.semantic is None:  # noqa: ASYNC110 - the thread that reads settings makes it
            await asyncio.sleep(_LOOK_AGAIN)
        await self.semantic.work(services, generate_for)

    async def _answer(self, exchange: Exchange, settings: CacheSettings) -> None:
        wishes = exchange.headers.get(b"cache-control", b"").lower()
        # A run's repeats are there to differ: they are never answered from memory.
        if b"no-store" in wishes or RUN_HEADER in exchange.headers:
            return
        fields = request_fields(exchange.body)
        partition = partition_of(exchange, by_user=settings.personal == "always")
        if fields is None or partition is None:
            return
        key = f"answer:{digest(partition, fields)}"
        flight = look = None
        semantic = self.semantic if settings.semantic and exchange.dialect.operation == "chat" else None
        if b"no-cache" not in wishes:
            if (entry := await self._kept(exchange, key)) is not None:
                await serve_entry(exchange, entry, "hit")
                return
            if semantic is not None:
                look = semantic.look(exchange, fields, partition, settings)
                if look is not None and look.choice == "serve" and look.match is not None:
                    await serve_entry(exchange, look.match.kept.entry, "semantic_hit")
                    return
            if (entry := await self._from_another(key)) is not None:
                await serve_entry(exchange, entry, "hit")
                return
            if key not in self._flights:
                flight = self._flights[key] = _Flight()
        exchange.cache_status = "miss"
        exchange.told.append((_HEADER, b"miss"))

        async def keep(exchange: Exchange) -> None:
            entry, answer = _entry_of(exchange, settings.ttl_seconds * 10**9)
            try:
                if entry is not None:
                    await _keep(exchange, key, entry)
                    text = text_of(answer) if answer is not None else None
                    if semantic is not None and look is not None and text:
                        semantic.answered(exchange, look, entry, text, fields, settings)
            finally:
                if flight is not None:
                    flight.entry, flight.left = entry, isinstance(exchange.error, ClientLeft)
                    del self._flights[key]
                    flight.landed.set()

        exchange.settlements.append(keep)

    async def _kept(self, exchange: Exchange, key: str) -> Entry | None:
        """Counters that can't be reached keep nobody from an answer."""
        counters = exchange.services.counters
        with contextlib.suppress(Unavailable):
            data = await counters.get(key)
            entry = decode_entry(data) if data is not None else None
            if entry is None or entry.expires <= exchange.services.now():
                return None
            if self._forgetting and self._forgetting.has(_project_of(exchange), entry.owner, entry.made):
                await counters.drop(key)
                return None
            return entry
        return None

    async def _from_another(self, key: str) -> Entry | None:
        """The answer to the same request that is under way.

        None where there is none, and where it has no answer to share: then everybody asks for themselves. Where its
        asker merely left, the first of those who wait takes its place.
        """
        while (flight := self._flights.get(key)) is not None:
            await flight.landed.wait()
            if flight.entry is not None or not flight.left:
                return flight.entry
        return None


async def serve_entry(exchange: Exchange, entry: Entry, status: str) -> None:
    """Answer with what is kept. `status` is the span's `cache_status`."""
    head, dialect = exchange.head, exchange.dialect
    assert head is not None  # noqa: S101 - `read` has set it
    exchange.answered = True
    exchange.cache_status = status
    exchange.told.append((_HEADER, status.encode()))
    exchange.status = 200
    exchange.response_id, exchange.response_model = entry.response_id, entry.response_model
    exchange.finish_reasons = entry.finish_reasons
    exchange.note(SAVED_TIME, f"{entry.duration / 1e9:.3f}")
    if entry.cost is not None:
        exchange.note(SAVED_COST, entry.cost)
    if not head.stream:
        exchange.content_type = b"application/json" if entry.streamed else entry.content_type
        exchange.content = [as_body(entry, dialect, exchange.body)]
        return
    exchange.content = as_stream(entry, dialect, exchange.body, wants_usage=head.wants_usage)
    exchange.content_type = EVENT_STREAM
    *pieces, exchange.last = exchange.content
    exchange.first_token = exchange.elapsed()
    await start_stream(exchange)
    for piece in pieces:
        await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})


async def _keep(exchange: Exchange, key: str, entry: Entry) -> None:
    counters = exchange.services.counters
    if exchange.snapshot.keep_content or isinstance(counters, MemoryCounters):
        with contextlib.suppress(Unavailable):
            await counters.put(key, encode_entry(entry), keep=entry.expires - entry.made)


def partition_of(exchange: Exchange, *, by_user: bool) -> list[str] | None:
    """What tells requests apart beside their bodies, where the system prompt, tools and parameters stand. None where it
    is `by_user`, and nobody says who asks."""
    key, route, prompt = exchange.key, exchange.route, exchange.prompt
    assert key is not None  # noqa: S101 - earlier steps have set both
    assert route is not None  # noqa: S101
    caller = exchange.caller
    if by_user and not (caller.user or caller.session):
        return None
    return [
        key.project_id,
        route.name,
        "\n".join(target.name for target in route.targets),  # another model's answers are not this one's
        exchange.dialect.name,
        prompt.name if prompt is not None else "",
        f"{key.id}\n{caller.user or caller.session}" if by_user else "",
    ]


def _project_of(exchange: Exchange) -> str:
    assert exchange.key is not None  # noqa: S101 - `authenticate` has set it
    return exchange.key.project_id


def _entry_of(exchange: Exchange, lifetime: int) -> tuple[Entry | None, Answer | None]:
    """The answer as it is kept, and what it says; None where it is not to be said again."""
    head, target, dialect = exchange.head, exchange.target, exchange.dialect
    if exchange.error is not None or target is None or head is None or exchange.status != 200:
        return None, None
    answer: Answer | None = None
    content, streamed = b"".join(exchange.content), exchange.content_type.startswith(b"text/event-stream")
    if dialect.operation == "chat":
        answer = answer_in(dialect, content, streamed=streamed)
        if answer is None or not is_worth_keeping(answer):
            return None, None
    now, name = exchange.services.now(), name_of(exchange.caller)
    entry = Entry(
        content=content,
        streamed=streamed,
        tells_usage=head.wants_usage or (target.provider.ask_stream_usage and exchange.translation is None),
        content_type=exchange.content_type,
        response_id=exchange.response_id,
        response_model=exchange.response_model,
        finish_reasons=exchange.finish_reasons,
        usage=exchange.usage,
        cost=None if exchange.cost is None else f"{exchange.cost:f}",
        duration=exchange.elapsed(),
        made=now,
        expires=now + lifetime,
        owner=name_hash(_project_of(exchange), name) if name else "",
    )
    return entry, answer
