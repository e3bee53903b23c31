"""Apps that keep asking: many connections, streaming and not, that note every whole answer they got."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter

import httptools

__all__ = ["AFTER_CONTENT", "Answered", "Load"]

AFTER_CONTENT = "a stream that said something, and then that it can't go on"
_PATIENCE = 30.0  # seconds for one answer


class Answered:
    """A whole answer: when it was complete (monotonic), how long it took in seconds, whether it was streamed."""

    __slots__ = ("at", "streamed", "took")

    def __init__(self, at: float, took: float, *, streamed: bool) -> None:
        self.at = at
        self.took = took
        self.streamed = streamed


class _Closing(Exception):
    """The answer was whole, and the connection ends with it."""


class _Answer:
    """One answer as it is parsed."""

    def __init__(self) -> None:
        self.trace_id = ""
        self.body = b""
        self.complete = False
        self.stays_open = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-ratchet-trace-id":
            self.trace_id = value.decode()

    def on_headers_complete(self) -> None:
        self.stays_open = self.parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete = True


class Load:
    """`workers` apps, each asking again `pause` seconds after its last answer. Runs until it is cancelled."""

    def __init__(
        self,
        port: int,
        key: str,
        *,
        seed: int,
        workers: int = 16,
        pause: float = 0.02,
        rate: float | None = None,
        model: str = "bench",
    ) -> None:
        """With `rate`, all of them together ask so many times a second, as long as answers come in time."""
        self.whole: dict[str, Answered] = {}
        self.refused: Counter[str] = Counter()  # answers that were no 200, by status and code
        self.broken: Counter[str] = Counter()  # no answer, or half of one
        self.reconnected = 0  # connections that ended with a whole answer, as their server wished
        self._port = port
        self._key = key
        self._workers = workers
        self._model = model
        self._pause = pause
        self._each = (
            None if rate is None else workers / rate
        )  # seconds from one request of a worker to its next
        self._rng = random.Random(seed)

    @property
    def streamed(self) -> int:
        """How many whole answers were streams."""
        return sum(answered.streamed for answered in self.whole.values())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._app(number))

    async def _app(self, number: int) -> None:
        due = time.monotonic() + self._rng.random() * (self._each or 0.0)
        while True:
            writer: asyncio.StreamWriter | None = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                while True:
                    if self._each is not None:
                        await asyncio.sleep(max(0.0, due - time.monotonic()))
                        # Who had to wait for an answer makes up for it, up to ten requests.
                        due = max(due + self._each, time.monotonic() - 10 * self._each)
                    await self._ask(number, reader, writer)
                    if self._each is None:
                        await asyncio.sleep(self._pause * self._rng.uniform(0.5, 1.5))
            except _Closing:
                self.reconnected += 1
            except (OSError, EOFError, TimeoutError, httptools.HttpParserError) as error:
                self.broken[type(error).__name__] += 1
            finally:
                if writer:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
            await asyncio.sleep(0.02)

    async def _ask(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streamed = self._rng.random() < 0.4
        asked = {"role": "user", "content": f"When does order {self._rng.randrange(10**9)} leave?"}
        body = json.dumps(
            {"model": self._model, "messages": [asked], "stream": streamed, "user": f"app-{number}"}
        )
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.monotonic()
        writer.write((head + body).encode())
        answer = _Answer()
        async with asyncio.timeout(_PATIENCE):
            while not answer.complete:
                data = await reader.read(65536)
                if not data:
                    raise EOFError
                answer.parser.feed_data(data)
        status = answer.parser.get_status_code()
        if status != 200:
            self.refused[f"{status} {_code(answer.body)}"] += 1
        elif streamed and not answer.body.endswith(b"data: [DONE]\n\n"):
            # What it had said before: an app that has had words is told inside the stream that there will be no more.
            begun = b'"content": "It ' in answer.body and b'"error"' in answer.body
            self.broken[AFTER_CONTENT if begun else "a stream without an end"] += 1
        else:
            if not streamed:
                json.loads(answer.body)
            assert answer.trace_id, f"an answer without x-ratchet-trace-id: {answer.body!r}"
            assert answer.trace_id not in self.whole, f"trace id {answer.trace_id} came twice"
            now = time.monotonic()
            self.whole[answer.trace_id] = Answered(now, now - began, streamed=streamed)
        if not answer.stays_open:
            raise _Closing


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:80])
