"""A few days of a support bot's traffic, the same every time: what pages are tested and looked at with."""

from __future__ import annotations

import base64
import random
import struct
import zlib
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.messages import (
    BlobPart,
    Message,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.domain.spans import Score, Span

PROJECT = "default"
MS = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND

HANDBOOK = """You answer customers of Larch & Lane, a small shop for outdoor gear.

Answer from the handbook only. If it does not say, offer to ask a person.
Be brief: three sentences at most. Cite the section, like (§4.2).
Never promise a delivery day that the carrier has not confirmed."""

TOOLS = msgspec.json.encode(
    [
        {
            "type": "function",
            "function": {
                "name": "find_order",
                "description": "Find an order by its number or the customer's e-mail address.",
                "parameters": {
                    "type": "object",
                    "properties": {"order": {"type": "integer"}, "email": {"type": "string"}},
                },
            },
        },
        {
            "type": "function",
            "function": {
                "name": "search_handbook",
                "description": "The three handbook sections nearest to a question.",
                "parameters": {
                    "type": "object",
                    "properties": {"question": {"type": "string"}},
                    "required": ["question"],
                },
            },
        },
    ]
).decode()

TALKS = [
    (
        "Where is my parcel? I ordered ten days ago.",
        "It left us on Tuesday and is with the carrier; their page last saw it in Leeds this morning. If it hasn't moved by Friday we'll send another one (§4.2).",
    ),
    (
        "Can I return boots I've worn once indoors?",
        "Yes. Boots worn indoors only can come back within 30 days, in their box, with the receipt (§5.1).",
    ),
    (
        "Do you ship to Norway, and who pays the customs?",
        "We do ship to Norway. Customs and VAT are charged by the carrier on delivery and are yours to pay (§4.6).",
    ),
    (
        "The zip of the Fell jacket broke after two weeks.",
        "I'm sorry about that. Zips are covered for two years; send us a photo and we'll repair or replace it (§6.3).",
    ),
    (
        "what size tarp for 2 people and a dog",
        "For two people and a dog most customers are happy with the 3 × 4 m tarp. The 3 × 3 m one is tight with a dog (§2.8).",
    ),
    (
        "Is the Lark stove allowed on planes?",
        "The burner is allowed once it's clean and dry; gas canisters never are. Please check with the airline too (§7.4).",
    ),
    (
        "Ich möchte meine Bestellung stornieren, Nummer 20431.",
        "Ihre Bestellung 20431 ist noch nicht verpackt, ich habe sie storniert. Das Geld ist in drei bis fünf Tagen zurück (§3.5).",
    ),
    (
        "How do I wash a down sleeping bag?",
        "Wash it at 30 °C with down soap, then tumble-dry low with two tennis balls until no clump is left. It takes about three hours (§8.1).",
    ),
    (
        "I was charged twice!!",
        "I can see two authorisations but one payment; the second one falls away by itself within five days. If it doesn't, write to us and we'll call the bank (§3.2).",
    ),
    (
        "Which of your tents stands up to a gale?",
        "The Ridge 2 and the Ridge 3 are the ones we'd take: both are tested to 90 km/h with all guy lines set (§2.3).",
    ),
    (
        "can you write me a poem about goats",
        "I'm here for questions about Larch & Lane: orders, returns, gear and care. Is there something of that kind I can help with?",
    ),
    (
        "Do you repair tents from other brands?",
        "We patch fabric and replace poles of any brand; zips and sewn-in floors only on our own. Prices are in the repair list (§6.7).",
    ),
]
USERS = [
    "ada.marsh",
    "jonas.k",
    "priya_r",
    "m.okafor",
    "lena-h",
    "tom.b",
    "sofia.l",
    "wren",
    "guest-8841",
    "guest-1207",
]
MODELS = [
    ("openai", "gpt-4o-mini", "0.15", "0.6"),
    ("anthropic", "claude-haiku-4-5", "1", "5"),
    ("openai", "gpt-4.1", "2", "8"),
]


def picture(width: int = 240, height: int = 160) -> bytes:
    """A small PNG: a parcel, dented."""
    rows = []
    for y in range(height):
        row = bytearray([0])
        for x in range(width):
            inside = 40 < x < 200 and 30 < y < 135
            tape = inside and (112 < x < 128 or 78 < y < 88)
            dent = inside and (x - 168) ** 2 + (y - 52) ** 2 < 420
            row += bytes(
                (70, 58, 44)
                if dent
                else (222, 204, 160)
                if tape
                else (178, 138, 92)
                if inside
                else (226, 229, 226)
            )
        rows.append(bytes(row))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"".join(rows)))
        + chunk(b"IEND", b"")
    )


def encoded(messages: list[Message]) -> str:
    return msgspec.json.encode(messages).decode()


class Seed:
    """Makes spans and scores; ids come from a counter, everything else from a seeded generator."""

    def __init__(self, now: int, seed: int = 7) -> None:
        self.now = now
        self.random = random.Random(seed)
        self.spans: list[Span] = []
        self.scores: list[Score] = []
        self._ids = random.Random(seed + 1)

    def id(self, width: int) -> str:
        return format(self._ids.getrandbits(4 * width), f"0{width}x")

    def span(self, **columns: Any) -> Span:
        columns.setdefault("span_id", self.id(16))
        span = Span(**{"project_id": PROJECT, "status": "ok", **columns})
        self.spans.append(span)
        return span

    def score(self, span: Span, name: str, value: float | None, **columns: Any) -> None:
        columns.setdefault("source", "user")
        columns.setdefault("span_id", span.span_id)
        self.scores.append(
            Score(
                project_id=PROJECT,
                score_id=self.id(32),
                time=span.start + 20 * SECOND,
                name=name,
                value=value,
                trace_id=span.trace_id,
                session_id=span.session_id,
                **columns,
            )
        )

    def call(self, start: int, question: str, answer: str, **columns: Any) -> Span:
        """One model call through the gateway."""
        pick = self.random
        provider, model, price_in, price_out = MODELS[pick.choices(range(3), weights=(7, 3, 1))[0]]
        tokens_in = 180 + len(question) // 3 + pick.randrange(160)
        tokens_out = max(8, len(answer) // 4 + pick.randrange(12))
        first = int(pick.lognormvariate(5.7, 0.35)) * MS
        cost = (tokens_in * Decimal(price_in) + tokens_out * Decimal(price_out)) / 1_000_000
        said = [
            Message(role="system", parts=[TextPart(HANDBOOK)]),
            Message(role="user", parts=[TextPart(question)]),
        ]
        values: dict[str, Any] = {
            "trace_id": self.id(32),
            "name": "chat support",
            "kind": "client",
            "source": "gateway",
            "operation": "chat",
            "start": start,
            "duration": first + tokens_out * pick.randrange(9, 16) * MS,
            "time_to_first_token": first,
            "route": "support",
            "target": f"{provider}/{model}",
            "provider": provider,
            "request_model": model,
            "response_model": model,
            "response_id": f"chatcmpl-{self.id(12)}",
            "stream": True,
            "http_status": 200,
            "service": "ratchet",
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "cached_tokens": tokens_in // 2 if pick.random() < 0.4 else 0,
            "cost": cost,
            "finish_reasons": ["stop"],
            "input_messages": encoded(said),
            "output_messages": encoded(
                [Message(role="assistant", parts=[TextPart(answer)], finish_reason="stop")]
            ),
            "input_preview": question,
            "output_preview": answer,
            "app_version": "2.14.0",
            "key_id": "key-1",
            "attributes": {
                "server.address": "api.example.org",
                "gen_ai.request.temperature": "0.2",
                "gen_ai.request.max_tokens": "400",
            },
        }
        return self.span(**{**values, **columns})


def support_traffic(now: int, traces: int = 140) -> Seed:
    """The seed for pages: single calls, failures, a chat with a picture, agents with tools, an unknown price."""
    seed = Seed(now)
    pick = seed.random
    at = now - 40 * SECOND
    for number in range(traces):
        user = pick.choice(USERS)
        session = f"chat-{9100 - number // 2}"
        who = {
            "user_id": user,
            "session_id": session,
            "organisation_id": pick.choice(["north", "south", ""]),
            "tags": [pick.choice(["web", "app"])],
        }
        question, answer = pick.choice(TALKS)
        if number == 1:
            agent(seed, at, who)
        elif number == 3:
            with_picture(seed, at, who)
        elif number == 5:
            unpriced(seed, at, who)
        elif number % 11 == 4:
            failed(seed, at, who, question)
        elif number % 7 == 2:
            agent(seed, at, who, short=True)
        else:
            span = seed.call(at, question, answer, **who)
            if pick.random() < 0.4:
                seed.score(span, "thumb", 1.0 if pick.random() < 0.8 else 0.0, author=user)
            if pick.random() < 0.25:
                seed.score(
                    span,
                    "groundedness",
                    round(pick.uniform(0.4, 1), 2),
                    source="judge",
                    author="judge/handbook",
                )
        at -= int(pick.expovariate(1 / 800)) * SECOND + 17 * SECOND
    return seed


def failed(seed: Seed, at: int, who: dict[str, Any], question: str) -> Span:
    return seed.call(
        at,
        question,
        "",
        **who,
        status="error",
        error_type="rate_limit_exceeded",
        http_status=429,
        output_messages="",
        error_message="Rate limit reached for gpt-4o-mini: 200,000 tokens a minute. Try again in 1.2 s.",
        input_tokens=None,
        output_tokens=None,
        cached_tokens=None,
        cost=None,
        time_to_first_token=None,
        duration=212 * MS,
        finish_reasons=[],
    )


def unpriced(seed: Seed, at: int, who: dict[str, Any]) -> Span:
    return seed.call(
        at,
        "Is the Lark stove allowed on planes?",
        "The burner is, once clean and dry. Gas canisters never are (§7.4).",
        **who,
        provider="vllm",
        target="local/qwen-3-32b",
        request_model="qwen-3-32b",
        response_model="qwen-3-32b",
        cost=None,
    )


def with_picture(seed: Seed, at: int, who: dict[str, Any]) -> Span:
    question = "It arrived like this. What now?"
    answer = "I'm sorry it arrived dented. Please keep the box, and don't open it further.\n\nWe have two ways (§4.4):\n  1. we send another one today, or\n  2. you keep it and get 15 % back.\n\nWhich one would you like?"
    said = [
        Message(role="system", parts=[TextPart(HANDBOOK)]),
        Message(
            role="user",
            parts=[
                TextPart(question),
                BlobPart("image", base64.b64encode(picture()).decode(), "image/png"),
                UriPart("image", "https://pictures.example.org/label.jpg"),
            ],
        ),
    ]
    reply = [
        Message(
            role="assistant",
            parts=[
                ReasoningPart(
                    "The box in the picture is dented at the top right. The handbook's §4.4 is about damage in transit: replace, or 15 % back."
                ),
                TextPart(answer),
            ],
            finish_reason="stop",
        )
    ]
    span = seed.call(
        at,
        question,
        answer,
        **who,
        input_messages=encoded(said),
        output_messages=encoded(reply),
        reasoning_tokens=64,
    )
    seed.score(span, "thumb", 1.0, author=who["user_id"], comment="Quick and friendly, thank you.")
    return span


def agent(seed: Seed, at: int, who: dict[str, Any], *, short: bool = False) -> Span:
    """An app's own spans around two model calls, two tools and a search."""
    trace = seed.id(32)
    question = "Where is order 20417, and can I still change the address?"
    answer = "Order 20417 left us this morning, so the address can't be changed any more (§3.4). You can redirect it on the carrier's page with the code in your dispatch e-mail."
    system = Message(role="system", parts=[TextPart(HANDBOOK)])
    asked = Message(role="user", parts=[TextPart(question)])
    calls = Message(
        role="assistant",
        parts=[
            ToolCallPart("call_7Q", "find_order", {"order": 20417}),
            ToolCallPart(
                "call_7R", "search_handbook", {"question": "change the delivery address after dispatch"}
            ),
        ],
        finish_reason="tool_call",
    )
    results = [
        Message(
            role="tool",
            parts=[
                ToolCallResponsePart(
                    "call_7Q",
                    {
                        "order": 20417,
                        "state": "dispatched",
                        "carrier": "Postway",
                        "items": [{"name": "Ridge 2 tent", "count": 1}, {"name": "Peg set", "count": 2}],
                    },
                )
            ],
        ),
        Message(
            role="tool",
            parts=[
                ToolCallResponsePart(
                    "call_7R",
                    "§3.4 The address can be changed until the parcel is handed over.\n§4.2 What to do when a parcel is late.",
                )
            ],
        ),
    ]
    reply = Message(role="assistant", parts=[TextPart(answer)], finish_reason="stop")
    own = {"trace_id": trace, "service": "support-bot", "source": "otlp", **who}
    root = seed.span(
        **own,
        name="POST /chat",
        kind="server",
        start=at,
        duration=3120 * MS,
        input_preview=question,
        output_preview=answer,
    )
    seed.span(
        **own,
        name="load session",
        start=at + 6 * MS,
        duration=22 * MS,
        parent_id=root.span_id,
        attributes={"db.system": "postgresql"},
    )
    loop = seed.span(
        **own,
        name="answer customer",
        operation="invoke_agent",
        start=at + 31 * MS,
        duration=3040 * MS,
        parent_id=root.span_id,
    )
    seed.call(
        at + 44 * MS,
        question,
        "",
        **{
            **who,
            "trace_id": trace,
            "parent_id": loop.span_id,
            "tool_definitions": TOOLS,
            "finish_reasons": ["tool_calls"],
            "duration": 812 * MS,
            "time_to_first_token": 402 * MS,
            "input_messages": encoded([system, asked]),
            "output_messages": encoded([calls]),
            "output_preview": "find_order(…), search_handbook(…)",
        },
    )
    tools = seed.span(**own, name="run tools", start=at + 868 * MS, duration=640 * MS, parent_id=loop.span_id)
    seed.span(
        **own,
        name="find_order",
        operation="execute_tool",
        start=at + 872 * MS,
        duration=188 * MS,
        parent_id=tools.span_id,
        attributes={"gen_ai.tool.name": "find_order", "gen_ai.tool.call.id": "call_7Q"},
    )
    search = seed.span(
        **own,
        name="search_handbook",
        operation="execute_tool",
        start=at + 874 * MS,
        duration=610 * MS,
        parent_id=tools.span_id,
    )
    seed.span(
        **own,
        name="embed question",
        operation="embeddings",
        start=at + 880 * MS,
        duration=95 * MS,
        parent_id=search.span_id,
        request_model="text-embedding-3-small",
        input_tokens=9,
        cost=Decimal("0.00000018"),
    )
    seed.span(
        **own,
        name="nearest sections",
        operation="retrieval",
        start=at + 980 * MS,
        duration=488 * MS,
        parent_id=search.span_id,
    )
    if not short:
        seed.span(
            **own,
            name="reserve carrier slot",
            operation="execute_tool",
            start=at + 1515 * MS,
            duration=260 * MS,
            parent_id=loop.span_id,
            status="error",
            error_type="TimeoutError",
            error_message="Postway did not answer within 250 ms.\n  at carrier.reserve (carrier.py:88)\n  at tools.run (tools.py:31)",
        )
        seed.span(
            **own,
            name="write audit line",
            start=at + 2980 * MS,
            duration=14 * MS,
            parent_id="feedfacefeedface",
        )
    last = seed.call(
        at + 1790 * MS,
        question,
        answer,
        **{
            **who,
            "trace_id": trace,
            "parent_id": loop.span_id,
            "tool_definitions": TOOLS,
            "duration": 1240 * MS,
            "time_to_first_token": 388 * MS,
            "input_messages": encoded([system, asked, calls, *results]),
            "output_messages": encoded([reply]),
        },
    )
    if not short:
        seed.score(
            last,
            "thumb",
            0.0,
            author=who["user_id"],
            comment="I wanted to change it, not to be told I can't.",
        )
        seed.score(last, "groundedness", 0.96, source="judge", author="judge/handbook")
        seed.score(
            root,
            "quality",
            0.8,
            source="member",
            author="ada@example.org",
            span_id="",
            comment="Right, but could offer to write to the carrier.",
            correction="It has left us, so the address is fixed. Shall I ask Postway to redirect it for you?",
        )
    return root


def refusal(seed: Seed, at: int) -> Span:
    reply = Message(
        role="assistant",
        parts=[RefusalPart("I can't help with that.")],
        finish_reason="content_filter",
    )
    return seed.call(
        at,
        "How do I get into my neighbour's shed?",
        "",
        output_messages=encoded([reply]),
        finish_reasons=["content_filter"],
    )


def wide_trace(now: int, spans: int = 10_000) -> Seed:
    """One trace of very many spans: a nightly job, 40 batches, each with its calls, and one long flat family."""
    seed = Seed(now, seed=11)
    trace = seed.id(32)
    start = now - 30 * MINUTE
    root = seed.span(
        trace_id=trace, name="nightly re-index", start=start, duration=20 * MINUTE, service="indexer"
    )
    batches = 40
    each = (spans - 1) // batches
    for number in range(batches):
        begun = start + number * 29 * SECOND
        size = each if number < batches - 1 else spans - 1 - each * (batches - 1)
        batch = seed.span(
            trace_id=trace,
            name=f"batch {number + 1}",
            start=begun,
            duration=29 * SECOND,
            parent_id=root.span_id,
            service="indexer",
        )
        for item in range(size - 1):
            broken = number == 17 and item == 41
            seed.span(
                trace_id=trace,
                name="embed section",
                operation="embeddings",
                start=begun + item * 100 * MS,
                duration=90 * MS,
                parent_id=batch.span_id,
                service="indexer",
                request_model="text-embedding-3-small",
                input_tokens=200,
                cost=Decimal("0.000004"),
                status="error" if broken else "ok",
                error_type="HTTP 500" if broken else "",
            )
    return seed
