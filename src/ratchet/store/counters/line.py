"""One connection to Redis or Valkey on which nobody waits for the call before: what is asked goes out at once, and the
answers come back in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import hiredis
from redis.asyncio.connection import ConnectionPool

__all__ = ["Line", "open_line"]

CallT = TypeVar("CallT")
_NOTHING = object()  # no answer is whole yet


class Line(asyncio.Protocol, Generic[CallT]):
    """`answered` is told each call's answer (a hiredis.ReplyError where the server says no), `lost` the calls that will
    have none, and whether that is because the first of them took longer than the deadline."""

    def __init__(
        self,
        transport: asyncio.Transport,
        deadline: float,
        answered: Callable[[CallT, Any], None],
        lost: Callable[[Sequence[CallT], Exception], None],
    ) -> None:
        """`deadline` in seconds."""
        self._transport = transport
        self._deadline = deadline
        self._answered = answered
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._calls: deque[tuple[float, CallT]] = deque()  # with the moment at which each was asked
        self._watch: asyncio.TimerHandle | None = None
        self._slow: TimeoutError | None = None

    def send(self, call: CallT, words: Sequence[Any]) -> None:
        """Ask. Words are text, bytes or numbers."""
        self._calls.append((self._loop.time(), call))
        packed: Any = hiredis.pack_command(tuple(words))  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        self._transport.write(packed)  # pyright: ignore[reportUnknownArgumentType]
        if self._watch is None:
            self._watch = self._loop.call_later(self._deadline, self._look)

    @property
    def calls(self) -> Sequence[CallT]:
        """Those without an answer so far."""
        return [call for _, call in self._calls]

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        reader, calls = self._reader, self._calls
        try:
            reader.feed(data)
            while (answer := reader.gets()) is not _NOTHING:
                self._answered(calls.popleft()[1], answer)
        except (hiredis.ProtocolError, IndexError):  # what is said is no answer to anything that was asked
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        left = [call for _, call in self._calls]
        self._calls.clear()
        self._lost(left, self._slow or exc or ConnectionResetError("the connection was closed"))

    def _look(self) -> None:
        self._watch = None
        if not self._calls:
            return
        left = self._calls[0][0] + self._deadline - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
        else:
            self._slow = TimeoutError(f"no answer within {self._deadline:g} s")
            self._transport.abort()


async def open_line(
    pool: ConnectionPool,
    deadline: float,
    answered: Callable[[CallT, Any], None],
    lost: Callable[[Sequence[CallT], Exception], None],
) -> Line[CallT]:
    """Connect and sign in as the library does it, and talk over it from then on. Raises RedisError, OSError."""
    connection: Any = pool.make_connection()
    await connection.connect()
    transport = connection._writer.transport  # noqa: SLF001 - there is no other way to what it has connected
    line = Line[CallT](transport, deadline, answered, lost)
    transport.set_protocol(line)
    return line
