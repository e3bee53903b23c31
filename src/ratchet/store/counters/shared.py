"""Counters that several gateways share, in Redis or Valkey: one script, and so one round trip, for each call.

What is asked for while a round trip is under way goes with the next, all together: one connection then carries tens
of thousands of calls a second, and none waits for more than the round trip before its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as RedisSlow

from ratchet.errors import Unavailable
from ratchet.store.counters.port import (
    MOST_MEMBERS,
    Ask,
    BudgetAsk,
    Grant,
    LeaseAsk,
    RateAsk,
    Refusal,
    Tally,
)
from ratchet.store.counters.scripts import ADMIT, NOTE, SETTLE, TALLY, Script

__all__ = ["SharedCounters"]

log = logging.getLogger("ratchet.store")

_DEADLINE = 1.0  # seconds for one round trip
_PAUSE = 0.25  # seconds before a server that could not be reached is asked again
_MARK_LIFETIME = 86_400_000  # ms after which nobody settles any more
_AT_ONCE = 200  # calls in one round trip
_OWED = 100_000  # settlements kept while the server is away


class _Call(msgspec.Struct, eq=False):
    """A command on its way. With a `script`, `command` holds its keys' number, the keys and the arguments."""

    command: tuple[Any, ...]
    script: Script | None
    answer: asyncio.Future[Any]
    unwanted: Callable[[Any], None] | None = None  # told the answer where nobody waits for it any more


class SharedCounters:
    """The port, on a server that all gateways reach.

    The server's clock decides, unless a `clock` is handed in. All keys begin with `{prefix}`, whose braces keep them
    together on a cluster.
    """

    def __init__(self, url: str, *, prefix: str = "ratchet", clock: Callable[[], int] | None = None) -> None:
        """`url` is redis://, rediss://, valkey:// or valkeys://. Nothing is connected yet."""
        address = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self._server = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            address,
            socket_timeout=_DEADLINE,
            socket_connect_timeout=_DEADLINE,
            retry=Retry(NoBackoff(), 0),  # what is asked twice must be safe to ask twice: decided here
            retry_on_error=[],
        )
        self._where = address.rpartition("@")[2]
        self._prefix = f"{{{prefix}}}:".encode()
        self._clock = clock
        self._waiting: deque[_Call] = deque()
        self._owed: deque[_Call] = deque(maxlen=_OWED)
        self._worker: asyncio.Task[None] | None = None
        self._down_until = 0.0
        self._down = False

    async def admit(self, asks: Sequence[Ask]) -> Grant | Refusal:
        """See the port."""
        mark = secrets.token_hex(8)
        arguments: list[Any] = [1 + len(asks), self._key("grant", mark)]
        arguments += [self._key("count", ask.key) for ask in asks]
        arguments += [self._now(), _MARK_LIFETIME, mark]
        for ask in asks:
            arguments += _described(ask)

        def unwanted(answer: Any) -> None:
            """The app left before it had its answer: what was taken for it is given back."""
            refused, _, said = answer
            if refused < 0:
                levels = [int(level) for level in said.split()]
                self._send(SETTLE, self._settlement(Grant(mark, asks, levels), [0] * len(asks)))

        refused, wait, said = await self._ask(ADMIT, arguments, unwanted)
        if refused >= 0:
            level, spent = said.split()
            return Refusal(refused, max(wait, 0), int(level), int(spent))
        return Grant(mark, asks, [int(level) for level in said.split()])

    async def settle(self, grant: Grant, actuals: Sequence[int]) -> Sequence[int]:
        """See the port. Where the server can't be reached now, it is told once it can be."""
        said = await self._ask(SETTLE, self._settlement(grant, actuals))
        return [int(level) for level in said.split()]

    def _settlement(self, grant: Grant, actuals: Sequence[int]) -> list[Any]:
        arguments: list[Any] = [1 + len(grant.asks), self._key("grant", grant.id)]
        arguments += [self._key("count", ask.key) for ask in grant.asks]
        arguments += [self._now(), grant.id]
        for ask, actual in zip(grant.asks, actuals, strict=True):
            arguments += [_kind(ask), actual - ask.amount, actual]
        return arguments

    async def tally(
        self, key: str, *, good: float = 0.0, bad: float = 0.0, half_life: int, keep: int
    ) -> Tally:
        """See the port."""
        found = await self._ask(
            TALLY,
            [1, self._key("tally", key), self._now(), good, bad, half_life / 1e9, _milliseconds(keep)],
        )
        return _tally(found)

    async def read_tally(self, key: str, *, half_life: int) -> Tally | None:
        """See the port."""
        found = await self._ask(TALLY, [1, self._key("tally", key), self._now(), 0, 0, half_life / 1e9, b""])
        return None if found is None else _tally(found)

    async def drop_tally(self, key: str) -> None:
        """See the port."""
        await self._ask(None, ["DEL", self._key("tally", key)])

    async def note_member(self, key: str, member: str, *, keep: int) -> int:
        """See the port."""
        return await self._ask(
            NOTE,
            [1, self._key("set", key), self._now(), _encoded(member), _milliseconds(keep), MOST_MEMBERS],
        )

    async def claim(self, key: str, *, keep: int) -> bool:
        """See the port."""
        name = self._key("claim", key)
        return await self._ask(None, ["SET", name, b"1", "NX", "PX", _milliseconds(keep)]) is not None

    async def get(self, key: str) -> bytes | None:
        """See the port."""
        return await self._ask(None, ["GET", self._key("bytes", key)])

    async def put(self, key: str, value: bytes, *, keep: int) -> None:
        """See the port."""
        await self._ask(None, ["SET", self._key("bytes", key), value, "PX", _milliseconds(keep)])

    async def drop(self, key: str) -> None:
        """See the port."""
        await self._ask(None, ["DEL", self._key("bytes", key)])

    async def close(self) -> None:
        """See the port. What is on its way is waited for."""
        if self._worker is not None:
            await self._worker
        await self._server.aclose()

    def _key(self, group: str, key: str) -> bytes:
        return self._prefix + _encoded(f"{group}:{key}")

    def _now(self) -> bytes:
        return b"" if self._clock is None else b"%d" % self._clock()

    async def _ask(
        self,
        script: Script | None,
        arguments: Sequence[Any],
        unwanted: Callable[[Any], None] | None = None,
    ) -> Any:
        return await self._send(script, arguments, unwanted).answer

    def _send(
        self,
        script: Script | None,
        arguments: Sequence[Any],
        unwanted: Callable[[Any], None] | None = None,
    ) -> _Call:
        call = _Call(tuple(arguments), script, asyncio.get_running_loop().create_future(), unwanted)
        if time.monotonic() < self._down_until:
            self._fail([call], None)
            return call
        self._waiting.append(call)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return call

    async def _work(self) -> None:
        """Carry what is waiting, a round trip at a time, until nothing is."""
        while self._waiting or (self._owed and not self._down):
            calls = self._next()
            try:
                try:
                    await self._round_trip(calls)
                except RedisGone:
                    # It had closed a connection that nobody had used for a while, or has just been started again.
                    await self._round_trip([call for call in calls if not call.answer.done()])
            except (RedisError, OSError) as error:
                self._down_until = time.monotonic() + _PAUSE
                if not self._down:
                    log.error("the counters at %s can't be reached: %s", self._where, error)  # noqa: TRY400 - a trace would tell no more
                self._down = True
                self._fail([call for call in [*calls, *self._waiting] if not call.answer.done()], error)
                self._waiting.clear()
                return
            if self._down:
                self._down = False
                log.info("the counters at %s can be reached again", self._where)

    def _next(self) -> list[_Call]:
        """What is owed since the server was away goes first: it is what was given back."""
        owed = [self._owed.popleft() for _ in range(min(len(self._owed), _AT_ONCE // 2))]
        for call in owed:
            call.answer = asyncio.get_running_loop().create_future()
        return owed + [self._waiting.popleft() for _ in range(min(len(self._waiting), _AT_ONCE - len(owed)))]

    async def _round_trip(self, calls: list[_Call]) -> None:
        """Raises RedisError where the server can't be reached; what it says to each call is that call's own."""
        async with self._server.pipeline(transaction=False) as pipe:
            for call in calls:
                head = ("EVALSHA", call.script.sha) if call.script else ()
                pipe.execute_command(*head, *call.command)  # pyright: ignore[reportUnknownMemberType]
            answers = await pipe.execute(raise_on_error=False)
        unknown = [
            call for call, answer in zip(calls, answers, strict=True) if not self._answered(call, answer)
        ]
        for call in unknown:  # a server that has been started anew, asked for the first time
            assert call.script is not None  # noqa: S101 - only scripts can be unknown
            self._answered(call, await self._evaluated(call, call.script))

    async def _evaluated(self, call: _Call, script: Script) -> Any:
        try:
            return await self._server.execute_command("EVAL", script.text, *call.command)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        except (RedisGone, RedisSlow):
            raise
        except RedisError as error:
            return error

    def _answered(self, call: _Call, answer: Any) -> bool:
        """Hand the answer on. False where the server doesn't know the script."""
        if isinstance(answer, NoScriptError):
            return False
        if isinstance(answer, RedisGone | RedisSlow):
            raise answer
        if isinstance(answer, Exception):
            self._fail([call], answer)
        elif not call.answer.done():
            call.answer.set_result(answer)
        elif call.answer.cancelled() and call.unwanted is not None:
            call.unwanted(answer)
        return True

    def _fail(self, calls: list[_Call], error: Exception | None) -> None:
        for call in calls:
            if call.script is SETTLE:
                self._owed.append(call)
            if call.answer.done():
                continue
            call.answer.set_exception(
                Unavailable(
                    f"The counters at {self._where} can't be reached" + (f": {error}." if error else "."),
                    "Try again in a moment; `[store] counters` says where they are.",
                    code="counters_down",
                )
            )
            call.answer.exception()  # nobody may be waiting for it


def _kind(ask: Ask) -> bytes:
    if type(ask) is RateAsk:
        return b"r"
    return b"b" if type(ask) is BudgetAsk else b"l"


def _described(ask: Ask) -> tuple[bytes, int, int, int]:
    if type(ask) is RateAsk:
        return b"r", ask.amount, ask.limit, 0
    if type(ask) is BudgetAsk:
        return b"b", ask.amount, ask.limit, _milliseconds(ask.expires)
    assert type(ask) is LeaseAsk  # noqa: S101 - there are no others
    return b"l", ask.amount, ask.limit, _milliseconds(ask.lifetime)


def _milliseconds(nanoseconds: int) -> int:
    return max(1, -(-nanoseconds // 1_000_000))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _tally(found: Sequence[bytes]) -> Tally:
    good, bad, first, last = found
    return Tally(float(good), float(bad), int(first) * 1000, int(last) * 1000)
