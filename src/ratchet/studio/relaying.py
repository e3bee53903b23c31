"""One column's request through the gateway: what comes back is told piece by piece, and kept at the end."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from typing import Any, cast

import msgspec
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError
from pyreqwest.response import Response as Reply
from starlette.concurrency import run_in_threadpool

from ratchet.dialects.sse import EventStream
from ratchet.domain.playground import ColumnAnswer, ToolCallText
from ratchet.errors import RatchetError, Unavailable, UpstreamFailed, reason_of
from ratchet.studio.asking_gateway import GatewayLine
from ratchet.studio.requesting import request_hash
from ratchet.studio.services import Visit
from ratchet.studio.trying import recorded_span

__all__ = ["Call", "Finished", "Piece", "Recorded", "Text", "Thought", "ask_streamed"]

_SECONDS = 600  # that an answer may take


class Text(msgspec.Struct, frozen=True, tag="text"):
    """More of what the model says; a refusal too."""

    text: str


class Thought(msgspec.Struct, frozen=True, tag="thought"):
    """More of what it thinks, where the provider tells."""

    text: str


class Call(msgspec.Struct, frozen=True, tag="call"):
    """More of call number `index`: its name comes with the first piece, its arguments in pieces of JSON text."""

    index: int
    name: str
    arguments: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The answer is whole, or broke off: `answer` says so, with the figures that are known by now."""

    answer: ColumnAnswer


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """The call's span has arrived: the figures are its own, with the cost."""

    answer: ColumnAnswer


Piece = Text | Thought | Call | Finished | Recorded


async def ask_streamed(asked: Visit, body: Mapping[str, Any]) -> AsyncGenerator[Piece]:
    """Send `body` as a chat completion and tell what comes back; the last piece but one is `Finished`.

    An error of the gateway or the provider is an answer too: `Finished` with its words. Leaving early ends the
    request at the provider.
    """
    line: GatewayLine = asked.request.app.state.gateway
    folded = _Folded(request_hash(body), asked.services.now())
    try:
        address, secret = await run_in_threadpool(line.admitted, asked.services)
        async for piece in _pieces(address, secret, msgspec.json.encode(body), folded):
            yield piece
    except RatchetError as error:
        folded.fail(error.message, error.remedy)
    if folded.code == "invalid_api_key":
        line.forget_key()
    answer = folded.answer()
    yield Finished(answer)
    if answer.trace_id:
        yield Recorded(await run_in_threadpool(_with_span, asked, answer))


async def _pieces(address: str, secret: str, body: bytes, folded: _Folded) -> AsyncGenerator[Piece]:
    builder = ClientBuilder().follow_redirects(False).no_proxy().tcp_nodelay(True)
    try:
        async with builder.build() as client:
            request = (
                client.post(f"{address}/v1/chat/completions")
                .headers({"authorization": f"Bearer {secret}", "content-type": "application/json"})
                .timeout(timedelta(seconds=_SECONDS))
                .body_bytes(body)
                # Else the first piece would come with the last.
                .streamed_read_buffer_limit(0)
                .build_streamed()
            )
            async with request as reply:
                async for piece in _read(reply, folded):
                    yield piece
    except RequestError as error:
        raise Unavailable(
            f"The gateway at {address} did not answer: {reason_of(error)}.",
            "Start it (`ratchet serve` does), or set studio.gateway_url to where it is.",
            code="gateway_unreachable",
        ) from error


async def _read(reply: Reply, folded: _Folded) -> AsyncGenerator[Piece]:
    folded.trace_id = reply.headers.get("x-ratchet-trace-id") or ""
    if reply.status != 200:
        folded.refuse(reply.status, bytes(await reply.bytes()))
        return
    stream = EventStream()
    while (chunk := await reply.body_reader.read_chunk()) is not None:
        for data in stream.feed(bytes(chunk)):
            for piece in folded.take(data):
                yield piece


class _Folded:
    """The answer as it grows. One per request."""

    def __init__(self, request: str, now: int) -> None:
        self.trace_id = ""
        self.code = ""
        self._request, self._time = request, now
        self._began = time.perf_counter_ns()
        self._first: int | None = None
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, tuple[str, list[str]]] = {}
        self._fields: dict[str, Any] = {}

    def take(self, data: bytes) -> list[Piece]:
        """One event of the stream. Raises UpstreamFailed for one that is no chunk of an answer."""
        if data == b"[DONE]":
            return []
        try:
            chunk: Any = msgspec.json.decode(data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise UpstreamFailed(
                "The gateway sent something that is no answer.", "Look at the trace."
            ) from error
        if not isinstance(chunk, dict):
            return []
        found = cast("dict[str, Any]", chunk)
        if "error" in found:
            self._told(found["error"])
            return []
        self._note(found)
        return [piece for choice in found.get("choices") or () for piece in self._choice(choice)]

    def refuse(self, status: int, content: bytes) -> None:
        """An answer that is an error."""
        try:
            answer: Any = msgspec.json.decode(content)
            self._told(answer["error"])
        except (msgspec.DecodeError, RecursionError, KeyError, TypeError):
            self.fail(f"The gateway answered with status {status}.", content[:500].decode(errors="replace"))

    def fail(self, message: str, remedy: str) -> None:
        self._fields |= {"error": message, "remedy": remedy}

    def answer(self) -> ColumnAnswer:
        """What it came to."""
        calls = [ToolCallText(name, "".join(parts)) for _, (name, parts) in sorted(self._calls.items())]
        return ColumnAnswer(
            text="".join(self._texts),
            thought="".join(self._thoughts),
            calls=calls,
            trace_id=self.trace_id,
            duration=time.perf_counter_ns() - self._began,
            time_to_first_token=self._first,
            request=self._request,
            time=self._time,
            **self._fields,
        )

    def _told(self, error: Any) -> None:
        told = cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": str(error)}
        self.code = str(told.get("code") or "")
        self.fail(str(told.get("message") or "The answer broke off."), "")

    def _note(self, chunk: Mapping[str, Any]) -> None:
        usage: Any = chunk.get("usage")
        if isinstance(usage, dict):
            counts = cast("dict[str, Any]", usage)
            self._fields["input_tokens"] = _count(counts.get("prompt_tokens"))
            self._fields["output_tokens"] = _count(counts.get("completion_tokens"))
        if chunk.get("model"):
            self._fields["model"] = str(chunk["model"])

    def _choice(self, choice: Mapping[str, Any]) -> list[Piece]:
        """Only the first of several choices is shown."""
        if choice.get("index"):
            return []
        if choice.get("finish_reason"):
            self._fields["finish_reason"] = str(choice["finish_reason"])
        delta: Mapping[str, Any] = choice.get("delta") or {}
        found: list[Piece] = []
        for name in ("reasoning_content", "reasoning"):
            if isinstance(delta.get(name), str) and delta[name]:
                self._thoughts.append(delta[name])
                found.append(Thought(delta[name]))
                break
        for name in ("content", "refusal"):
            if isinstance(delta.get(name), str) and delta[name]:
                self._texts.append(delta[name])
                found.append(Text(delta[name]))
        found.extend(self._call(call) for call in delta.get("tool_calls") or ())
        if found and self._first is None:
            self._first = time.perf_counter_ns() - self._began
        return found

    def _call(self, call: Mapping[str, Any]) -> Call:
        index = _count(call.get("index")) or 0
        function: Mapping[str, Any] = call.get("function") or {}
        name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "")
        before, parts = self._calls.get(index, ("", []))
        self._calls[index] = (before or name, [*parts, arguments])
        return Call(index, name, arguments)


def _with_span(asked: Visit, answer: ColumnAnswer) -> ColumnAnswer:
    """The figures of the call's span, once it is in the store; what was measured here where that takes long."""
    span = recorded_span(asked, answer.trace_id)
    if span is None:
        return answer
    return msgspec.structs.replace(
        answer,
        recorded=True,
        cost=span.cost,
        duration=span.duration,
        time_to_first_token=span.time_to_first_token,
        input_tokens=span.input_tokens if span.input_tokens is not None else answer.input_tokens,
        output_tokens=span.output_tokens if span.output_tokens is not None else answer.output_tokens,
        model=span.response_model or answer.model,
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
