"""The reader of many streams at once: `python -m bench.stream_client FILE`, where FILE holds a Plan as JSON.

Prints a Reading as JSON. Written on uvloop's bare protocol and llhttp, so that one core can hold it and the upstream.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import time
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

from bench.stream_server import FRAMES

__all__ = ["Plan", "Reading"]


class Plan(msgspec.Struct, frozen=True):
    """`streams` answers, one started every `apart` seconds (0: all at once), each given `patience` seconds."""

    port: int
    headers: dict[str, str]
    body: str
    streams: int
    apart: float
    patience: float


class Reading(msgspec.Struct, frozen=True):
    """What arrived. Times in milliseconds."""

    streams: int
    whole: int  # streams with every frame, in order, to the end
    frames_lost: int
    failures: list[str]  # what went wrong, once each
    first_frame: list[float]  # from the request sent to the role chunk, each stream
    delays: list[float]  # from a frame's leaving the upstream to its arrival: a sample of frames
    widest_gap: float  # between two frames of one stream
    at_once: int  # the most streams that were open at the same time
    seconds: float
    late_starts: float  # the furthest a start was behind its plan: whether this client kept up


class _Stream(asyncio.Protocol):
    """One connection: answers one request at a time and notes when each frame came."""

    def __init__(self) -> None:
        self.finished: asyncio.Future[str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> asyncio.Future[str]:
        """Send; the future gives what went wrong, or nothing."""
        self.arrivals: list[int] = []
        self.delays: list[int] = []
        self.problem = ""
        self.done = False  # whether the last frame was [DONE]
        self._rest = b""
        self._parser = httptools.HttpResponseParser(self)
        self.finished = asyncio.get_running_loop().create_future()
        self.sent = time.monotonic_ns()
        self.transport.write(request)
        return self.finished

    def data_received(self, data: bytes) -> None:
        self._now = time.monotonic_ns()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {error}")

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            self.problem = f"status {self._parser.get_status_code()}"

    def on_body(self, body: bytes) -> None:
        *events, self._rest = (self._rest + body).split(b"\n\n")
        for event in events:
            if event.startswith(b":"):  # a comment keeps a connection alive; it is no frame
                continue
            expected = len(self.arrivals)
            mark = event.find(b'"frame":')
            if mark >= 0:
                number, _, after = event[mark + 8 :].partition(b",")
                right = int(number) == expected
                if right and expected % 8 == 0:
                    # Where a gateway drops unknown fields, only the order of frames can be checked.
                    self.delays.append(self._now - int(after[7:].partition(b",")[0]))
            else:
                right = event == b"data: [DONE]" or event.startswith(b"data: {")
            if not right and not self.problem:
                self.problem = f"frame {expected} was {event[:120]!r}"
            self.done = event == b"data: [DONE]"
            self.arrivals.append(self._now)

    def on_message_complete(self) -> None:
        self._end(self.problem)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the connection was lost: {exc}" if exc else "the connection was closed early")

    def _end(self, problem: str) -> None:
        if self.finished and not self.finished.done():
            self.finished.set_result(problem)


class _Reader:
    """Runs a Plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        fields = {"Host": f"127.0.0.1:{plan.port}", "Content-Type": "application/json", **plan.headers}
        fields["Content-Length"] = str(len(plan.body.encode()))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n{plan.body}".encode()
        self._idle: list[_Stream] = []
        self._open = self._most = self._whole = self._lost = 0
        self._failures: dict[str, None] = {}
        self._first: list[float] = []
        self._delays: list[float] = []
        self._widest = 0.0
        self._late = 0.0

    async def run(self) -> Reading:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for index in range(self._plan.streams):
                due = began + index * self._plan.apart
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                self._late = max(self._late, (loop.time() - due) * 1000)
                group.create_task(self._one())
        return Reading(
            streams=self._plan.streams,
            whole=self._whole,
            frames_lost=self._lost,
            failures=list(self._failures)[:5],
            first_frame=self._first,
            delays=self._delays,
            widest_gap=self._widest,
            at_once=self._most,
            seconds=loop.time() - began,
            late_starts=self._late,
        )

    async def _one(self) -> None:
        self._open += 1
        self._most = max(self._most, self._open)
        stream: _Stream | None = None
        try:
            async with asyncio.timeout(self._plan.patience):
                stream = self._idle.pop() if self._idle else await self._connect()
                problem = await stream.ask(self._request)
        except (TimeoutError, OSError) as error:
            problem = f"no answer: {type(error).__name__} {error}".strip()
        self._open -= 1
        if stream is None:
            self._failures[problem] = None
            return
        arrivals = stream.arrivals
        self._lost += max(0, FRAMES - len(arrivals))
        if not problem and (len(arrivals) < FRAMES or not stream.done):
            problem = f"{len(arrivals)} of {FRAMES} frames" + ("" if stream.done else ", without an end")
        if problem:
            self._failures[problem] = None
            stream.transport.abort()
        else:
            self._whole += 1
            self._idle.append(stream)
        if arrivals:
            self._first.append((arrivals[0] - stream.sent) / 1e6)
            gaps = (later - earlier for earlier, later in itertools.pairwise(arrivals))
            self._widest = max(self._widest, max(gaps, default=0) / 1e6)
        self._delays += [delay / 1e6 for delay in stream.delays]

    async def _connect(self) -> _Stream:
        _, stream = await asyncio.get_running_loop().create_connection(_Stream, "127.0.0.1", self._plan.port)
        return stream


if __name__ == "__main__":
    gc.disable()
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    print(msgspec.json.encode(uvloop.run(_Reader(plan).run())).decode())
