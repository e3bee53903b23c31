"""One session with the support bot: asks, reads answers, runs tools, and says what it thinks of them."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec
from openai import APIConnectionError, APIError, APIStatusError, AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ratchet.demo.opinions import opinion
from ratchet.demo.plans import Session, Step
from ratchet.demo.questions import is_right
from ratchet.demo.shop import TICKET_SCHEMA, TOOLS, picture, run_tool, system_prompt
from ratchet.demo.spans import AppSpan, new_span_id, new_trace_id, traceparent
from ratchet.simulator.dice import Dice
from ratchet.simulator.handbook import Handbook

__all__ = ["Conversation", "Tally"]

_MOST_ROUNDS = 3  # of tool calls
_LEAVES_AFTER = 6  # chunks
_SESSION_OPINION = 0.1


class Tally:
    """What all conversations count together."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()


class _Reply(msgspec.Struct, kw_only=True):
    """What came back, streamed or not."""

    text: str = ""
    calls: list[dict[str, Any]] = []
    trace_id: str = ""
    whole: bool = True


class Conversation:
    """`feedback` and `spans` are what the app has to report once `hold` is over."""

    def __init__(self, client: AsyncOpenAI, model: str, session: Session, dice: Dice, tally: Tally) -> None:
        self.session = session
        self.feedback: list[dict[str, Any]] = []
        self.spans: list[AppSpan] = []
        self._client, self._model, self._dice, self._tally = client, model, dice, tally
        user = session.user
        handbook = Handbook.shipped().source if session.carries else ""
        self._messages: list[dict[str, Any]] = [
            {"role": "system", "content": system_prompt(user.app_version, name=user.name, handbook=handbook)}
        ]

    async def hold(self) -> None:
        """The whole session, one step after another."""
        for index, step in enumerate(self.session.steps):
            before = len(self._messages)
            try:
                async with self._span("invoke_agent support", None) as root:
                    await self._take(step, index, root)
            except (APIError, json.JSONDecodeError, msgspec.DecodeError) as problem:
                # The answer brought an error, as planned or not: it is counted, and the user's message withdrawn.
                self._tally.errors[_named(problem)] += 1
                del self._messages[before:]
        if self.feedback and self._dice.chance("session opinion", _SESSION_OPINION):
            resolved = bool(self.feedback[-1].get("value"))
            self.feedback.append(
                {
                    "session_id": self.session.id,
                    "name": "resolved",
                    "value": resolved,
                    "user": self.session.user.id,
                }
            )

    async def _take(self, step: Step, index: int, root: AppSpan | None) -> None:
        if step.kind == "mistake":
            await self._mistake(step, root)
            return
        self._messages.append({"role": "user", "content": self._content(step, index)})
        options = self._options(step)
        reply = await self._ask(step, options, root)
        rounds = 0
        while reply.calls and rounds < _MOST_ROUNDS:
            rounds += 1
            await self._run_tools(reply, root)
            reply = await self._ask(step, options, root)
        if not reply.whole:
            return
        self._messages.append({"role": "assistant", "content": reply.text})
        self._judge(step, reply, index)

    def _content(self, step: Step, index: int) -> Any:
        if step.kind != "image":
            return step.text
        number = int(self.session.user.id[-4:]) + index
        return [
            {"type": "text", "text": step.text},
            {"type": "image_url", "image_url": {"url": picture(number), "detail": "low"}},
        ]

    def _options(self, step: Step) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if step.kind == "tools":
            options["tools"] = TOOLS
        elif step.kind == "ticket":
            schema = {"name": "ticket", "strict": True, "schema": TICKET_SCHEMA}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif step.kind == "think":
            options["reasoning_effort"] = "low"
        if step.fault:
            options["extra_headers"] = {"x-simulate": step.fault}
        return options

    # -- requests ------------------------------------------------------------------------------------------------

    async def _ask(self, step: Step, options: dict[str, Any], root: AppSpan | None) -> _Reply:
        """One request, streamed or not; its trace id is in the response's headers."""
        self._tally.counts["requests"] += 1
        headers = dict(options.get("extra_headers") or {})
        if root is not None:
            headers["traceparent"] = traceparent(root)
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": self._messages,
            "user": self.session.user.id,
            "metadata": self._metadata(),
            **options,
            "extra_headers": headers,
        }
        create: Any = self._client.chat.completions.with_raw_response.create
        if not step.stream:
            raw = await create(**arguments)
            reply = _whole(raw.parse())
        else:
            self._tally.counts["streamed"] += 1
            raw = await create(**arguments, stream=True, stream_options={"include_usage": True})
            reply = await self._streamed(raw.parse(), step)
        reply.trace_id = raw.headers.get("x-ratchet-trace-id", "")
        self._tally.counts["answered" if reply.whole else "left"] += 1
        self._tally.counts["tool_calls"] += len(reply.calls)
        return reply

    def _metadata(self) -> dict[str, str]:
        session = self.session
        return {
            "session_id": session.id,
            "organisation": session.user.organisation,
            "app_version": session.user.app_version,
            "language": session.user.language,
            "tags": ",".join(session.tags),
        }

    async def _streamed(self, stream: AsyncStream[ChatCompletionChunk], step: Step) -> _Reply:
        reply = _Reply()
        seen = 0
        async with stream:
            async for chunk in stream:
                seen += 1
                if step.kind == "leave" and seen > _LEAVES_AFTER:
                    reply.whole = False
                    return reply
                for choice in chunk.choices:
                    reply.text += choice.delta.content or ""
                    for part in choice.delta.tool_calls or []:
                        _add_part(reply.calls, part.index, part.id, part.function)
        return reply

    async def _mistake(self, step: Step, root: AppSpan | None) -> None:
        """A request that the app gets wrong."""
        self._tally.counts["requests"] += 1
        body: dict[str, Any] = {"model": self._model, "messages": [{"role": "user", "content": step.text}]}
        if step.mistake == "unknown_route":
            body["model"] = "no-such-route"
        elif step.mistake == "empty_messages":
            body["messages"] = []
        else:
            body["temperature"] = "hot"
        headers = {} if root is None else {"traceparent": traceparent(root)}
        await self._client.post("/chat/completions", cast_to=object, body=body, options={"headers": headers})

    # -- tools, judgement, spans ---------------------------------------------------------------------------------

    async def _run_tools(self, reply: _Reply, root: AppSpan | None) -> None:
        self._messages.append({"role": "assistant", "content": reply.text or None, "tool_calls": reply.calls})
        for call in reply.calls:
            name = call["function"]["name"]
            async with self._span(f"execute_tool {name}", root) as span:
                arguments = msgspec.json.decode(call["function"]["arguments"])
                result = msgspec.json.encode(run_tool(name, arguments)).decode()
                if span is not None:
                    span.attributes["gen_ai.operation.name"] = "execute_tool"
                    span.attributes["gen_ai.tool.name"] = name
                    span.attributes["gen_ai.tool.call.arguments"] = call["function"]["arguments"]
                    span.attributes["gen_ai.tool.call.result"] = result
            self._messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    def _judge(self, step: Step, reply: _Reply, index: int) -> None:
        if step.question is None:
            return
        self._tally.counts["judged"] += 1
        self._tally.counts["right"] += is_right(step.question, reply.text)
        said = opinion(step.question, reply.text, self._dice.child(f"opinion {index}"))
        if said and reply.trace_id:
            user = self.session.user.id
            self.feedback.append(
                {**said, "trace_id": reply.trace_id, "session_id": self.session.id, "user": user}
            )

    @asynccontextmanager
    async def _span(self, name: str, parent: AppSpan | None) -> AsyncGenerator[AppSpan | None]:
        """A span of the app's own, where this session records them."""
        if not self.session.traced:
            yield None
            return
        span = AppSpan(
            trace_id=parent.trace_id if parent else new_trace_id(),
            span_id=new_span_id(),
            parent_id=parent.span_id if parent else "",
            name=name,
            start=time.time_ns(),
            attributes={"session.id": self.session.id, "user.id": self.session.user.id},
        )
        if parent is None:
            span.attributes["gen_ai.operation.name"] = "invoke_agent"
            span.attributes["gen_ai.agent.name"] = "support"
        try:
            yield span
        except BaseException:
            span.failed = True
            raise
        finally:
            span.end = time.time_ns()
            self.spans.append(span)


def _whole(answer: ChatCompletion) -> _Reply:
    message = answer.choices[0].message
    calls = [call.to_dict() for call in message.tool_calls or []]
    return _Reply(text=message.content or "", calls=cast("list[dict[str, Any]]", calls))


def _add_part(calls: list[dict[str, Any]], index: int, name: str | None, function: Any) -> None:
    """Puts one streamed part of a tool call where it belongs."""
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call = calls[index]
    call["id"] = name or call["id"]
    if function is not None:
        call["function"]["name"] += function.name or ""
        call["function"]["arguments"] += function.arguments or ""


def _named(problem: Exception) -> str:
    """What an error is counted under: the status with its code, or the kind of failure."""
    if isinstance(problem, APIStatusError):
        return f"{problem.status_code} {problem.code}" if problem.code else str(problem.status_code)
    if isinstance(problem, APIConnectionError):
        return "connection broken"
    if isinstance(problem, APIError):
        return problem.code or "error in the stream"
    return "unreadable answer"
