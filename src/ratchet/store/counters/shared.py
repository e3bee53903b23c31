"""Counters that several gateways share, in Redis or Valkey: one script, and so one round trip, for each call.

Calls don't wait for one another: one connection carries tens of thousands a second.
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
from hiredis import ReplyError
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ratchet.errors import Unavailable
from ratchet.store.counters.line import Line, open_line
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
_PAID_AT_ONCE = 100  # settlements that were owed, sent before another call
_OWED = 100_000  # settlements kept while the server is away


class _Call(msgspec.Struct, eq=False):
    """A command on its way. With a `script`, `command` holds its keys' number, the keys and the arguments."""

    command: Sequence[Any]
    script: Script | None
    answer: asyncio.Future[Any]
    unwanted: Callable[[Any], None] | None = None  # told the answer where nobody waits for it any more
    again: bool = False  # it was asked on a connection that broke


class SharedCounters:
    """The port, on a server that all gateways reach.

    The server's clock decides, unless a `clock` is handed in. All keys begin with `{prefix}`, whose braces keep them
    together on a cluster.
    """

    def __init__(self, url: str, *, prefix: str = "ratchet", clock: Callable[[], int] | None = None) -> None:
        """`url` is redis://, rediss://, valkey:// or valkeys://. Nothing is connected yet."""
        address = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        self._server: ConnectionPool = ConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
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
        self._line: Line[_Call] | None = None
        self._opening: asyncio.Task[None] | None = None
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
                self._send(SETTLE, self._settlement(_grant(mark, asks, said), [0] * len(asks)))

        refused, wait, said = await self._ask(ADMIT, arguments, unwanted)
        if refused >= 0:
            level, spent = said.split()
            return Refusal(refused, max(wait, 0), int(level), int(spent))
        return _grant(mark, asks, said)

    async def settle(self, grant: Grant, actuals: Sequence[int | None]) -> Sequence[int]:
        """See the port. Where the server can't be reached now, it is told once it can be."""
        said = iter((await self._ask(SETTLE, self._settlement(grant, actuals))).split())
        return [0 if actual is None else int(next(said)) for actual in actuals]

    def _settlement(self, grant: Grant, actuals: Sequence[int | None]) -> list[Any]:
        used = [(ask, actual) for ask, actual in zip(grant.asks, actuals, strict=True) if actual is not None]
        arguments: list[Any] = [1 + len(used), self._key("grant", grant.id)]
        arguments += [self._key("count", ask.key) for ask, _ in used]
        arguments += [self._now(), grant.id]
        for ask, actual in used:
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
        if self._opening is not None:
            await self._opening
        line = self._line
        if line is not None:
            under_way = [call.answer for call in line.calls]
            if under_way:
                await asyncio.wait(under_way, timeout=_DEADLINE)
            line.close()

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
        call = _Call(arguments, script, asyncio.get_running_loop().create_future(), unwanted)
        if self._line is not None:
            if self._owed:
                self._pay(self._line)
            self._put(self._line, call)
        elif time.monotonic() < self._down_until:
            self._fail([call], None)
        else:
            self._wait_for_line([call])
        return call

    def _put(self, line: Line[_Call], call: _Call) -> None:
        script = call.script
        line.send(call, call.command if script is None else (b"EVALSHA", script.sha, *call.command))

    def _pay(self, line: Line[_Call]) -> None:
        """Settle what is owed since the server was away: it is what was given back."""
        for _ in range(min(len(self._owed), _PAID_AT_ONCE)):
            call = self._owed.popleft()
            call.answer = asyncio.get_running_loop().create_future()
            self._put(line, call)

    def _wait_for_line(self, calls: Sequence[_Call]) -> None:
        self._waiting += calls
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        try:
            line = await open_line(self._server, _DEADLINE, self._answered, self._lost)
        except (RedisError, OSError) as error:
            self._out_of_reach(error)
            return
        finally:
            self._opening = None
        self._line = line
        if self._down:
            self._down = False
            log.info("the counters at %s can be reached again", self._where)
        self._pay(line)
        while self._waiting:
            self._put(line, self._waiting.popleft())

    def _lost(self, calls: Sequence[_Call], error: Exception) -> None:
        """The connection has ended. Perhaps nobody had used it for a while, or the server has been started again: what
        was asked is asked once more, and is safe to be asked twice."""
        self._line = None
        calls = [call for call in calls if not call.answer.done()]
        if not calls:
            return
        if isinstance(error, TimeoutError) or any(call.again for call in calls):
            self._waiting += calls
            self._out_of_reach(error)
            return
        for call in calls:
            call.again = True
        self._wait_for_line(calls)

    def _out_of_reach(self, error: Exception) -> None:
        self._down_until = time.monotonic() + _PAUSE
        if not self._down:
            log.error("the counters at %s can't be reached: %s", self._where, error)
        self._down = True
        calls = list(self._waiting)
        self._waiting.clear()
        self._fail(calls, error)

    def _answered(self, call: _Call, answer: Any) -> None:
        """Hand the answer on."""
        if isinstance(answer, ReplyError):
            if call.script is not None and str(answer).startswith("NOSCRIPT") and self._line is not None:
                # A server that has been started anew, asked for the first time.
                self._line.send(call, (b"EVAL", call.script.text, *call.command))
            else:
                self._fail([call], answer)
        elif not call.answer.done():
            call.answer.set_result(answer)
        elif call.answer.cancelled() and call.unwanted is not None:
            call.unwanted(answer)

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


def _described(ask: Ask) -> tuple[bytes, int, int, int, int, int]:
    if type(ask) is RateAsk:
        return b"r", ask.amount, ask.limit, 0, 0, 0
    if type(ask) is BudgetAsk:
        lifetime, expires = _milliseconds(ask.lifetime), _milliseconds(ask.expires)
        return b"b", ask.amount, ask.limit, lifetime, expires, ask.least
    assert type(ask) is LeaseAsk  # noqa: S101 - there are no others
    return b"l", ask.amount, ask.limit, _milliseconds(ask.lifetime), 0, 0


def _grant(mark: str, asks: Sequence[Ask], said: bytes) -> Grant:
    """What ADMIT said: the levels, and the amounts behind them where one is not what was asked for."""
    numbers = [int(each) for each in said.split()]
    count = len(asks)
    if len(numbers) > count:
        asks = [
            msgspec.structs.replace(ask, amount=amount)
            for ask, amount in zip(asks, numbers[count:], strict=True)
        ]
    return Grant(mark, asks, numbers[:count])


def _milliseconds(nanoseconds: int) -> int:
    return max(1, -(-nanoseconds // 1_000_000))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _tally(found: Sequence[bytes]) -> Tally:
    good, bad, first, last = found
    return Tally(float(good), float(bad), int(first) * 1000, int(last) * 1000)
