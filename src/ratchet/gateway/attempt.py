"""One target, asked once. What it says stays here until it is known to be the answer."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from ratchet.dialects.dialect import Dialect, StreamHead
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError
from ratchet.gateway.choosing import Candidate
from ratchet.gateway.snapshot import Target
from ratchet.gateway.upstream.connection import Answer, ConnectionSlow
from ratchet.gateway.upstream.failures import Failure
from ratchet.gateway.upstream.passing import Passing
from ratchet.gateway.upstream.translation import Translation

__all__ = ["Attempt", "Failed", "Stall", "Stalled"]


class Failed(Exception):
    """An attempt was no answer: why, what the app would be told, and what the provider said of when to come back."""

    def __init__(self, failure: Failure, error: RatchetError, *, told: float | None = None) -> None:
        """`told` in seconds."""
        super().__init__(str(error))
        self.failure = failure
        self.error = error
        self.told = told

    def forget_frames(self) -> None:
        """Let go of the code that it came through: what it passed holds the attempt, which holds this. Such a ring would
        stay in memory until the garbage collector came by."""
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


class Stalled(ConnectionSlow):
    """A stream said nothing new for too long."""


class Stall:
    """Gives up on a stream of which nothing new has come in so many seconds of waiting. One timer for the whole of it.

    Comments are nothing new, and what passes between `came` and `wait` is not waited: the app has its part of that.
    """

    __slots__ = ("_answer", "_line", "_loop", "_seconds", "_silent", "_since", "_timer")

    def __init__(self, answer: Answer, seconds: float) -> None:
        self._answer = answer
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._silent = 0.0  # seconds waited since the last piece, up to `_since`
        self._since: float | None = None  # when the waiting began that is under way
        self._line = b""  # how the line began that goes on in the next chunk
        self._timer = self._loop.call_later(seconds, self._look)

    def wait(self) -> None:
        """From now on it is the provider's turn."""
        self._since = self._loop.time()

    def came(self, chunk: bytes) -> None:
        if self._says_something(chunk):
            self._silent = 0.0
        elif self._since is not None:
            self._silent += self._loop.time() - self._since
        self._since = None

    def stop(self) -> None:
        self._timer.cancel()

    def _says_something(self, chunk: bytes) -> bool:
        """Whether there is more in it than comments and blank lines, however it was cut."""
        if not self._line and chunk.endswith(b"\n") and chunk.startswith((b"data:", b"event:")):
            return True  # nearly always
        first, *others = (self._line + chunk).replace(b"\r", b"\n").split(b"\n")
        said = first[:1] != b":" and len(first) > len(self._line)
        for line in others:
            said = said or line[:1] not in (b"", b":")
        self._line = (others[-1] if others else first)[:1]
        return said

    def _look(self) -> None:
        left = self._seconds - self._silent
        if self._since is not None:
            left -= self._loop.time() - self._since
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._answer.give_up(Stalled(f"nothing new within {self._seconds:g} s"))


class Attempt:
    """`None` and empty mean "not yet", as in Exchange. Times are nanoseconds since the request came in."""

    __slots__ = (
        "began",
        "candidate",
        "content",
        "content_type",
        "cost",
        "ended",
        "entered",
        "failed",
        "finish_reasons",
        "first_token",
        "headers",
        "held",
        "number",
        "open",
        "owed",
        "passing",
        "pieces",
        "reader",
        "response_id",
        "response_model",
        "service_tier",
        "stall",
        "status",
        "target",
        "ticket",
        "translation",
        "upstream",
        "usage",
        "wire",
    )  # fmt: skip

    def __init__(self, number: int, candidate: Candidate, began: int) -> None:
        self.number = number
        self.candidate = candidate
        self.target: Target = candidate.target
        self.began = began
        self.ended = 0
        self.open = True  # it counts among the target's requests under way
        self.entered: float | None = None  # when it had its place at the provider
        self.ticket = 0  # by which its circuit knows it
        self.owed = False  # whether the provider may ask money for it
        self.failed: Failed | None = None

        self.wire: Dialect | None = None  # the provider's
        self.translation: Translation | None = None  # where the app speaks another
        self.upstream: Answer | None = None  # an open stream
        self.status = 0
        self.content_type = b"application/json"
        self.headers: list[tuple[bytes, bytes]] = []

        self.content: list[bytes] = []  # the answer so far, in the app's dialect
        self.held: list[bytes] = []  # of it, what the app hasn't got
        self.reader: StreamHead | None = None
        self.passing: Passing | None = None
        self.stall: Stall | None = None  # from the first content on
        self.pieces = 0  # events of the stream since its first content
        self.first_token: int | None = None
        self.response_id = ""
        self.response_model = ""
        self.service_tier = ""
        self.finish_reasons: list[str] = []
        self.usage = Usage()
        self.cost: Decimal | None = None  # of an attempt that was not the answer

    def take(self, chunk: bytes, elapsed: int) -> bytes:
        """Read the next bytes of the stream; what of them goes to the app."""
        reader, passing = self.reader, self.passing
        assert reader is not None  # noqa: S101 - a stream has both
        assert passing is not None  # noqa: S101
        reader.feed(chunk)
        if self.first_token is None and reader.has_content:
            self.first_token = elapsed
            if self.target.stall is not None and self.upstream is not None and not reader.done:
                self.stall = Stall(self.upstream, self.target.stall)
        passed = (
            passing.sound(chunk, reader.good)
            if reader.malformed or reader.error is not None
            else passing.feed(chunk)
        )
        self.content.append(chunk if self.translation is None else passed)
        return passed

    async def more(self) -> bytes:
        """The next bytes of the stream; none at its end. Raises ConnectionBroken."""
        upstream, stall = self.upstream, self.stall
        assert upstream is not None  # noqa: S101 - a stream that is open has it
        if stall is None:
            return await upstream.chunk()
        stall.wait()
        chunk = await upstream.chunk()
        stall.came(chunk)
        return chunk

    def learn(self) -> None:
        """Take over what the stream's reader knows by now."""
        reader = self.reader
        if reader is None:
            return
        self.response_id = reader.id
        self.response_model = reader.model
        self.service_tier = reader.service_tier
        self.finish_reasons = reader.finish_reasons
        self.usage = reader.tokens or self.usage

    @property
    def whole(self) -> bool:
        """Whether a stream has said everything."""
        reader = self.reader
        return reader is None or reader.done or bool(reader.finish_reasons)

    def close(self) -> None:
        """Nobody wants more of it: hang up."""
        if self.upstream is not None:
            self.upstream.close()

    def leave(self) -> None:
        """It is over: give back its places. Calling it again does nothing."""
        if not self.open:
            return
        self.open = False
        if self.stall is not None:
            self.stall.stop()
        self.target.pace.in_flight -= 1
        self.candidate.circuit.ended(self.ticket)
        if self.entered is not None and self.target.queue is not None:
            self.target.queue.leave(self.entered)
