"""`POST /v1/tools/select`: which tool a text calls for, without a model where one is clearly nearest."""

from __future__ import annotations

import asyncio
import importlib
import random
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ratchet.dialects import openai_chat
from ratchet.domain.messages import ToolCallPart
from ratchet.domain.spans import Span
from ratchet.errors import InvalidRequest, RatchetError, Refused
from ratchet.gateway.asgi import read_body, require_json, respond
from ratchet.gateway.caller import caller_of
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.pipeline import serve, settle
from ratchet.gateway.routing import check_allowed
from ratchet.gateway.snapshot import Route

if TYPE_CHECKING:
    from ratchet.gateway.cache.choosing import Choosing, Nearest, Tool

__all__ = ["ToolSelector"]

_MAX_BODY = 1 << 20
_MOST_TOOLS, _MOST_CHARACTERS = 500, 4000
_LIMITS = b"x-ratelimit-"
_encode = msgspec.json.Encoder().encode


class Selection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body. `tools` are functions, in the form of chat completions or of responses."""

    text: str
    tools: list[dict[str, Any]]
    model: str = ""
    max_error: float = 0.1
    user: str = ""
    metadata: dict[str, str] = {}


_decoder = msgspec.json.Decoder(Selection)


class ToolSelector:
    """One per gateway process. Vectors and what is learned are loaded with the first request."""

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self.chance = chance
        self._choosing: asyncio.Future[Choosing] | None = None

    async def select(self, exchange: Exchange) -> None:
        """Answers `{"tool": name or null, "distance": …, "decided_by": "distance" | "model"}`."""
        require_json(exchange.headers)
        asked = _decoded(await read_body(exchange.headers, exchange.receive, _MAX_BODY))
        choosing, tools = await self._loaded(), _tools_of(asked)
        try:
            await _admit(exchange, asked)
            await self._choose(exchange, asked, choosing, tools)
        except RatchetError as error:
            exchange.error = error
            raise
        finally:
            await settle(exchange)

    async def _choose(
        self, exchange: Exchange, asked: Selection, choosing: Choosing, tools: list[Tool]
    ) -> None:
        key = exchange.key
        assert key is not None  # noqa: S101 - authenticated before
        project = f"{key.project_id}\n{asked.model}"
        nearest = choosing.nearest(project, tools, asked.text, most=asked.max_error)
        if nearest.clear and not (asked.model and choosing.audits(nearest, self.chance())):
            _record(exchange, asked, nearest)
            await _answer(exchange, nearest.tool, nearest, "distance")
            return
        if not asked.model:
            raise InvalidRequest(
                f"No tool is plainly asked for (the nearest is {nearest.tool!r}), and the request names no model to ask.",
                "Send `model` with a route or provider/model.",
                code="missing_required_parameter",
                param="model",
            )
        await _give_back(exchange)
        reply = await _ask(exchange, asked)
        exchange.told += [pair for pair in reply.headers if pair[0].startswith(_LIMITS)]
        if reply.status != 200:
            await respond(exchange.send, reply.status, reply.body, reply.headers)
            return
        chosen = _chosen(reply.body)
        choosing.learn(project, tools, asked.text, nearest, chosen=chosen, most=asked.max_error)
        await _answer(exchange, chosen, nearest, "model")

    async def _loaded(self) -> Choosing:
        if self._choosing is None:
            self._choosing = asyncio.ensure_future(asyncio.to_thread(_load))
        return await asyncio.shield(self._choosing)


def _load() -> Choosing:
    """The only place that loads it: numpy and vectors are for those who ask for them. Takes seconds."""
    room = importlib.import_module("ratchet.gateway.cache.choosing")
    embedder = importlib.import_module("ratchet.embeddings").LocalEmbedder(kept=10_000)
    return cast("Choosing", room.Choosing(embedder.vectors))


def _decoded(body: bytes) -> Selection:
    try:
        asked = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The body is not what is expected: {error}.",
            'Send {"text": "…", "tools": [{"type": "function", "function": {"name": "…"}}], "model": "…"}.',
        ) from error
    if not asked.text.strip() or len(asked.text) > _MOST_CHARACTERS:
        raise InvalidRequest(
            f"`text` has {len(asked.text):,} characters.",
            f"Send 1 to {_MOST_CHARACTERS:,} characters that say what is wanted.",
            param="text",
        )
    if not 1 <= len(asked.tools) <= _MOST_TOOLS:
        raise InvalidRequest(
            f"`tools` holds {len(asked.tools)} tools.", f"Send 1 to {_MOST_TOOLS}.", param="tools"
        )
    if not 0.001 <= asked.max_error <= 0.5:
        raise InvalidRequest(
            f"`max_error` is {asked.max_error:g}.", "Send a share from 0.001 to 0.5.", param="max_error"
        )
    return asked


def _tools_of(asked: Selection) -> list[Tool]:
    make = importlib.import_module("ratchet.gateway.cache.choosing").Tool.made
    found: dict[str, Tool] = {}
    for number, given in enumerate(asked.tools):
        about = given.get("function", given)
        name = cast("dict[str, Any]", about).get("name") if isinstance(about, dict) else None
        if given.get("type", "function") != "function" or not isinstance(name, str) or not name:
            raise InvalidRequest(
                f"`tools[{number}]` is no function with a name.",
                'Send {"type": "function", "function": {"name": "…", "description": "…", "parameters": {…}}}.',
                param=f"tools[{number}]",
            )
        if name in found:
            raise InvalidRequest(
                f"Two tools are called {name!r}.", "Give each a name of its own.", param=f"tools[{number}]"
            )
        described = cast("dict[str, Any]", about)
        found[name] = make(name, _text(described.get("description")), described.get("parameters"))
    return list(found.values())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


async def _admit(exchange: Exchange, asked: Selection) -> None:
    """Everything that a chat completion of the caller's would be held to before a provider is asked, but for what only
    a provider's answer uses up: tokens and money. Raises RatchetError."""
    key, snapshot = exchange.key, exchange.snapshot
    assert key is not None  # noqa: S101 - authenticated before
    if asked.model:
        check_allowed(key, asked.model)
    exchange.caller = caller_of(asked.user, asked.metadata)
    exchange.head = openai_chat.DIALECT.request_head(_question(asked))
    for step in snapshot.admission:
        await step(exchange)
    # One that no route declares has no targets here: nobody is going to be asked for it.
    exchange.route = snapshot.routes.get(asked.model) or Route(name=asked.model, targets=(), steps=())
    for step in snapshot.choices[asked.model if asked.model in snapshot.routes else ""]:
        await step(exchange)


async def _give_back(exchange: Exchange) -> None:
    """What was taken goes back before a model is asked: that request takes it again, and more."""
    exchange.error = Refused("A model chooses.", "")
    await settle(exchange)
    exchange.error = None
    exchange.told = [pair for pair in exchange.told if not pair[0].startswith(_LIMITS)]


class _Reply:
    """What the gateway answered to itself."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            left_out = (b"content-type", b"content-length")
            self.headers = [pair for pair in message["headers"] if pair[0] not in left_out]
        else:
            self.body += message.get("body", b"")


def _question(asked: Selection) -> bytes:
    """The chat completion that a model is asked with."""
    fields: dict[str, Any] = {
        "model": asked.model or "-",  # without one nobody is asked
        "messages": [{"role": "user", "content": asked.text}],
        "tools": [
            tool
            if "function" in tool
            else {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
            for tool in asked.tools
        ],
    }
    if asked.user:
        fields["user"] = asked.user
    if asked.metadata:
        fields["metadata"] = asked.metadata
    return _encode(fields)


async def _ask(exchange: Exchange, asked: Selection) -> _Reply:
    """The model named, with these tools: a chat completion of the caller's own, with all that applies to such."""
    body, reply = _question(asked), _Reply()
    taken = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal taken
        if taken:
            return await exchange.receive()  # tells when the client leaves
        taken = True
        return {"type": "http.request", "body": body, "more_body": False}

    headers = {**exchange.headers, b"content-length": b"%d" % len(body), b"content-type": b"application/json"}
    headers.setdefault(b"traceparent", f"00-{exchange.trace_id}-{exchange.span_id}-01".encode("ascii"))
    scope = {**exchange.scope, "headers": list(headers.items())}
    await serve(Exchange(exchange.services, openai_chat.DIALECT, scope, receive, reply.send))
    return reply


def _chosen(body: bytes) -> str | None:
    """The first tool that the answer calls; None where it calls none."""
    answer = openai_chat.DIALECT.read_answer(body)
    calls = [part for choice in answer.choices for part in choice.parts if isinstance(part, ToolCallPart)]
    return calls[0].name if calls else None


async def _answer(exchange: Exchange, tool: str | None, nearest: Nearest, decided_by: str) -> None:
    answer = {"tool": tool, "distance": round(nearest.distance, 4), "decided_by": decided_by}
    headers = [(b"x-ratchet-trace-id", exchange.trace_id.encode()), *exchange.told]
    await respond(exchange.send, 200, _encode(answer), headers)


def _record(exchange: Exchange, asked: Selection, nearest: Nearest) -> None:
    """A span, as of a model call that was not needed."""
    key = exchange.key
    assert key is not None  # noqa: S101 - authenticated before
    keep = exchange.snapshot.keep_content
    exchange.services.record(
        Span(
            project_id=key.project_id,
            trace_id=exchange.trace_id,
            span_id=exchange.span_id,
            parent_id=exchange.parent_id,
            name="select_tool",
            source="gateway",
            service="ratchet",
            operation="select_tool",
            start=exchange.started,
            duration=exchange.elapsed(),
            status="ok",
            key_id=key.id,
            user_id=exchange.caller.user,
            organisation_id=exchange.caller.organisation,
            segment=exchange.segment,
            session_id=exchange.caller.session,
            route=asked.model,
            cache_status="semantic_hit",
            input_preview=asked.text[:300] if keep else "",
            output_preview=nearest.tool,
            attributes={
                **(exchange.notes or {}),
                "ratchet.tool.distance": f"{nearest.distance:.4f}",
                "ratchet.tool.risk": f"{nearest.risk:.5f}",
            },
        )
    )
