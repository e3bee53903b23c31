"""Putting a case to a candidate: one answer with what it took, written down before it is handed back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ratchet.dialects.openai_chat import DIALECT
from ratchet.domain.cases import Case, Output
from ratchet.domain.runs import Candidate, RunTag
from ratchet.evals.candidates import CHAT, Asked, chat_body
from ratchet.evals.ledger import Ledger, key_of
from ratchet.evals.outputs import output_of_app, output_of_reply
from ratchet.evals.spans import SpanWriter
from ratchet.gateway.inside import PURPOSE, Ask, Purpose, Reply

__all__ = ["SPENT", "Answerer", "Callables", "Memory", "Post", "Posted", "Spending"]

T = TypeVar("T")
_encoder = msgspec.json.Encoder()


class Posted(msgspec.Struct, frozen=True):
    """What an HTTP endpoint answered. `problem` says why it did not, "" where it did."""

    status: int
    body: bytes
    content_type: str = ""
    problem: str = ""


Post = Callable[[str, Mapping[str, str], bytes, float], Awaitable[Posted]]
"""Address, headers, body and seconds to what came back. It does not raise."""


class Callables(msgspec.Struct, frozen=True):
    """People's own code: `load` gives the object behind `module:function`, `in_thread` calls what does not await."""

    load: Callable[[str], Any]
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]]


class Spending:
    """What one answer and its judging have cost this run."""

    __slots__ = ("cost", "unpriced")

    def __init__(self) -> None:
        self.cost = Decimal(0)
        self.unpriced = 0

    def add(self, cost: Decimal | None) -> None:
        if cost is None:
            self.unpriced += 1
        else:
            self.cost += cost


SPENT: ContextVar[Spending] = ContextVar("ratchet.spent")


class Memory:
    """Asks once for what was answered before: by this run before it was interrupted, or, with `shared`, by any run."""

    def __init__(
        self,
        ledger: Ledger,
        run_id: str,
        *,
        shared: bool,
        now: Callable[[], int],
        ask: Ask,
        identity: Callable[[str], str],
    ) -> None:
        self._ledger = ledger
        self._run_id = run_id
        self._shared = shared
        self._now = now
        self._ask = ask
        self._identity = identity
        self._under_way: dict[bytes, asyncio.Future[None]] = {}

    async def ask(self, path: str, body: bytes) -> Reply:
        """As the gateway's, for judges: a model that was asked the very same before is not asked again."""
        fields: dict[str, Any] = msgspec.json.decode(body)
        content = self._identity(str(fields.pop("model", "")))
        return await self.reply(content, _encoder.encode(fields), path, body)

    async def reply(self, content: str, what: bytes, path: str, body: bytes, *, draw: int = 0) -> Reply:
        """What the gateway answers to `body`. `content` names what stands behind the model and `what` is asked of it,
        whatever the model is called; `draw` tells one asking from another of the same thing."""
        reply, cached = await self.once(
            (content, path, what, draw),
            Reply,
            lambda: self._ask(path, body),
            worth=lambda reply: reply.status == 200,
        )
        if not cached:
            SPENT.get().add(reply.cost)
        return msgspec.structs.replace(reply, cached=cached)

    async def once(
        self,
        what: tuple[Any, ...],
        kind: type[T],
        make: Callable[[], Awaitable[T]],
        *,
        worth: Callable[[T], bool],
    ) -> tuple[T, bool]:
        """The answer to `what`, and whether another call has paid for it. Only what is `worth` it is kept.

        An empty first part means that nobody knows whether two are the same: then only this run's own count.
        """
        tag = PURPOSE.get().tag
        own = "" if self._shared and what[0] else self._run_id
        key = key_of(*what, tag.repeat, own)
        while key in self._under_way:  # the same question at the same time is asked once
            await asyncio.wait([self._under_way[key]])
        found = self._ledger.find(key, kind)
        if found is not None:
            return found.reply, found.tag != tag
        self._under_way[key] = done = asyncio.get_running_loop().create_future()
        try:
            made = await make()
            if worth(made):
                self._ledger.keep(key, made, tag, self._now())
        finally:
            del self._under_way[key]
            done.set_result(None)
        return made, False


class Answerer:
    """Asks one candidate."""

    def __init__(
        self,
        candidate: Asked,
        memory: Memory,
        spans: SpanWriter,
        *,
        post: Post,
        callables: Callables | None,
        timeout: float,
    ) -> None:
        self.candidate = candidate
        self.about = candidate.about
        self._memory = memory
        self._spans = spans
        self._post = post
        self._callables = callables
        self._timeout = timeout

    async def __call__(self, case: Case, tag: RunTag) -> tuple[Output, bool]:
        """The answer, and whether another call has paid for it. A failure is an answer with `error`."""
        return await self._answered(case, Purpose(tag), 0)

    async def again(self, case: Case, draw: int) -> Output:
        """Another answer, for a scorer that wants one: below what is being scored, and no answer of the run's."""
        before = PURPOSE.get()
        try:
            return (await self._answered(case, before, draw + 1))[0]
        finally:
            PURPOSE.set(before)

    async def _answered(self, case: Case, purpose: Purpose, draw: int) -> tuple[Output, bool]:
        if self.about.kind in ("http", "python"):
            output, cached, request, response = await self._of_app(case, purpose, draw)
        else:
            output, cached, request, response = await self._of_gateway(case, purpose, draw)
        if cached and purpose.tag.candidate:
            output = self._spans.repeated(self.about, purpose.tag, output, request, response)
        return output, cached

    async def _of_gateway(self, case: Case, purpose: Purpose, draw: int) -> tuple[Output, bool, bytes, bytes]:
        PURPOSE.set(purpose)
        body, what = chat_body(self.candidate, case, purpose.tag.repeat)
        reply = await self._memory.reply(self.about.content, what, CHAT, body, draw=draw)
        return output_of_reply(reply, self.about.name), reply.cached, body, reply.body

    async def _of_app(self, case: Case, purpose: Purpose, draw: int) -> tuple[Output, bool, bytes, bytes]:
        trace_id, span_id = self._spans.new_ids()
        tag = purpose.tag
        PURPOSE.set(Purpose(tag, trace_id=trace_id, parent_id=span_id))
        request = _encoder.encode([case.input, case.context, case.metadata])

        async def make() -> Output:
            started, clock = self._spans.now(), self._spans.clock()
            try:
                async with asyncio.timeout(self._timeout):
                    output = await self._called(case)
            except TimeoutError:
                output = Output(error=f"there was no answer within {self._timeout:g} s")
            duration = self._spans.clock() - clock
            output = msgspec.structs.replace(
                output, latency=duration / 1e9, trace_id=trace_id, span_id=span_id
            )
            self._spans.answered(self.about, tag, case, output, started=started, duration=duration)
            return output

        asked = (self.about.content, self.about.name, request, draw)
        output, cached = await self._memory.once(asked, Output, make, worth=lambda made: not made.error)
        if not cached and output.cost is not None:
            SPENT.get().add(output.cost)
        return output, cached, request, b""

    async def _called(self, case: Case) -> Output:
        return await (self._over_http(case) if self.about.kind == "http" else self._here(case))

    async def _over_http(self, case: Case) -> Output:
        purpose = PURPOSE.get()
        headers = {
            "content-type": "application/json",
            "traceparent": f"00-{purpose.trace_id}-{purpose.parent_id}-01",
            "x-ratchet-run": purpose.tag.header().decode(),
            **self.candidate.headers,
        }
        compatible = self.about.target.split("?")[0].endswith("/chat/completions")
        body = _openai_body(case, self.about) if compatible else _app_body(case)
        posted = await self._post(self.about.target, headers, body, self._timeout)
        if posted.problem:
            return Output(error=posted.problem)
        if posted.status >= 300:
            said = DIALECT.error_message(posted.body)
            return Output(error=f"status {posted.status}" + (f": {said}" if said else ""))
        if compatible:
            return output_of_reply(Reply(status=200, body=posted.body), self.about.name)
        if posted.content_type.partition(";")[0].strip() == "text/plain":
            return Output(text=posted.body.decode("utf-8", "replace"))
        try:
            return output_of_app(msgspec.json.decode(posted.body))
        except (msgspec.DecodeError, RecursionError) as error:
            return Output(error=f"the answer is not JSON: {error}")

    async def _here(self, case: Case) -> Output:
        assert self._callables is not None  # noqa: S101 - checked when the run was planned
        function = self._callables.load(self.about.target)
        arguments = (case.input, case) if _takes_the_case(function) else (case.input,)
        try:
            if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
                getattr(function, "__call__", None)  # noqa: B004 - not whether, but how it is called
            ):
                result = await function(*arguments)
            else:
                result = await self._callables.in_thread(lambda: function(*arguments))
                if inspect.isawaitable(result):
                    result = await result
        except TimeoutError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a person's own code may raise anything: that is its answer
            return output_of_app(Output(error=f"{type(error).__name__}: {error}"))
        return output_of_app(result)


def _takes_the_case(function: Any) -> bool:
    """Whether a callable has a second place: then it gets the whole case beside its input."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    places = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len(places) > 1 and places[1].default is inspect.Parameter.empty


def _app_body(case: Case) -> bytes:
    body: dict[str, Any] = {"input": case.input, "case_id": case.id}
    if case.context:
        body["context"] = case.context
    if case.metadata:
        body["metadata"] = case.metadata
    return _encoder.encode(body)


def _openai_body(case: Case, about: Candidate) -> bytes:
    messages: Any = case.input
    if not isinstance(messages, list):
        text = messages if isinstance(messages, str) else _encoder.encode(messages).decode()
        messages = [{"role": "user", "content": text}]
    return _encoder.encode({"model": about.app_version or "app", "messages": messages})
