"""Answers given again: the same request through a real gateway, streamed or not, in any dialect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import RunningGateway, eventually, redis_address, running_app, running_gateway
from tests.runs_harness import Upstream

from ratchet.dialects import openai_chat
from ratchet.domain.usage import Usage
from ratchet.errors import Unavailable
from ratchet.gateway.cache.entries import Entry, decode_entry, encode_entry
from ratchet.gateway.cache.keys import digest, request_fields
from ratchet.gateway.cache.replay import answer_in, as_body, as_stream, text_of
from ratchet.simulator.app import Simulator
from ratchet.store.counters import MemoryCounters
from ratchet.store.counters.shared import SharedCounters
from ratchet.telemetry.spans import span_of_call

CHAT = "/v1/chat/completions"


def asked(text: str = "How long may I return shoes?", **more: Any) -> dict[str, Any]:
    return {"model": "kept", "messages": [{"role": "user", "content": text}], **more}


@pytest.fixture
async def gateway(tmp_path: Path, simulator: tuple[str, Simulator]) -> AsyncIterator[RunningGateway]:
    settings = f"""
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.kept.cache]
ttl = "1h"
[routes.kept]
targets = ["sim/gpt-4o"]
[routes.own]
targets = ["sim/gpt-4o"]
cache = {{ personal = "always" }}
[routes.plain]
targets = ["sim/gpt-4o"]
"""
    async with running_gateway(tmp_path, settings) as running:
        yield running


@pytest.fixture
async def http(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=30) as opened:
        yield opened


def status(reply: httpx2.Response) -> str | None:
    return reply.headers.get("x-ratchet-cache")


def spoken(stream: str) -> tuple[str, dict[str, Any] | None]:
    """The text of a stream of chat completion chunks, and its token counts."""
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    assert stream.endswith("data: [DONE]\n\n")
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    return text, next((chunk["usage"] for chunk in chunks if chunk.get("usage")), None)


async def test_the_same_request_is_answered_from_memory(
    gateway: RunningGateway, http: httpx2.AsyncClient, simulator: tuple[str, Simulator]
) -> None:
    first = await http.post(CHAT, json=asked(user="ada", temperature=0.7))
    body = json.dumps(asked(temperature=0.7, user="bob", metadata={"session_id": "7"}), indent=3)
    second = await http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert (status(first), status(second)) == ("miss", "hit")
    assert first.content == second.content
    made, again = (span_of_call(call) for call in gateway.calls())
    assert (made.cache_status, again.cache_status) == ("miss", "hit")
    assert made.cost is not None
    assert made.cost > 0
    assert (again.cost, again.target, again.output_tokens) == (0, "", None)
    assert again.attributes["ratchet.cache.saved_cost"] == f"{made.cost:f}"
    assert float(again.attributes["ratchet.cache.saved_seconds"]) >= 0
    assert (again.response_model, again.finish_reasons) == (made.response_model, made.finish_reasons)
    assert again.output_messages == made.output_messages
    assert again.user_id == "bob"


@pytest.mark.parametrize(
    "other",
    [
        {"temperature": 0},
        {"seed": 5},
        {"n": 2},
        {"max_tokens": 500},
        {"model": "plain"},
        {"messages": [{"role": "system", "content": "Be brief."}, *asked()["messages"]]},
        {"messages": asked("How long may I return boots?")["messages"]},
        {
            "tools": [
                {"type": "function", "function": {"name": "get_order", "parameters": {"type": "object"}}}
            ]
        },
    ],
    ids=str,
)
async def test_another_request_is_not(http: httpx2.AsyncClient, other: dict[str, Any]) -> None:
    await http.post(CHAT, json=asked())
    reply = await http.post(CHAT, json={**asked(), **other})
    assert reply.status_code == 200
    assert status(reply) == (None if other.get("model") else "miss")


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("usage", [False, True])
async def test_streams_and_whole_answers_stand_for_each_other(
    http: httpx2.AsyncClient, before: bool, after: bool, usage: bool
) -> None:
    told = {"stream_options": {"include_usage": True}}
    first = await http.post(CHAT, json=asked(stream=before, **(told if before else {})))
    second = await http.post(CHAT, json=asked(stream=after, **(told if after and usage else {})))
    assert (status(first), status(second)) == ("miss", "hit")
    assert second.headers["content-type"].startswith("text/event-stream" if after else "application/json")
    texts: list[str] = []
    for reply, streamed, counted in ((first, before, True), (second, after, usage)):
        if streamed:
            text, counts = spoken(reply.text)
            assert (counts is not None) == counted
        else:
            text = reply.json()["choices"][0]["message"]["content"]
        texts.append(text)
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "kept", "input": "How long may I return shoes?"}),
        ("/v1/messages", {**asked(), "max_tokens": 300}),
    ],
)
async def test_every_dialect_gets_its_own(http: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> None:
    await http.post(CHAT, json=asked())
    first = await http.post(path, json=body)
    whole = await http.post(path, json=body)
    streamed = await http.post(path, json={**body, "stream": True})
    assert [status(reply) for reply in (first, whole, streamed)] == ["miss", "hit", "hit"]
    assert whole.content == first.content
    last = "event: response.completed" if "responses" in path else "event: message_stop"
    assert last in streamed.text


async def test_embeddings_are_kept_too(http: httpx2.AsyncClient) -> None:
    body = {"model": "kept", "input": ["one", "two"]}
    replies = [await http.post("/v1/embeddings", json=body) for _ in range(2)]
    assert [status(reply) for reply in replies] == ["miss", "hit"]
    assert replies[0].json() == replies[1].json()


@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        *((fault, False) for fault in ("refusal", "content-filter", "empty", "status=500", "body=html")),
        *(
            (fault, True)
            for fault in ("refusal", "content-filter", "empty", "cut=3", "no-finish; no-done", "error=2")
        ),
    ],
)
async def test_only_whole_good_answers_are_kept(http: httpx2.AsyncClient, fault: str, stream: bool) -> None:
    with contextlib.suppress(httpx2.RemoteProtocolError):
        await http.post(CHAT, json=asked(stream=stream, metadata={"simulate": fault}))
    again = await http.post(CHAT, json=asked(stream=stream))
    assert (again.status_code, status(again)) == (200, "miss")
    assert status(await http.post(CHAT, json=asked(stream=stream))) == "hit"


async def test_an_answer_that_was_cut_short_is_not_kept(http: httpx2.AsyncClient) -> None:
    replies = [await http.post(CHAT, json=asked(max_tokens=3)) for _ in range(2)]
    assert replies[0].json()["choices"][0]["finish_reason"] == "length"
    assert [status(reply) for reply in replies] == ["miss", "miss"]


async def test_a_client_says_whether_it_wants_what_is_kept(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    async def ask(text: str, wish: str = "") -> str | None:
        return status(
            await http.post(CHAT, json=asked(text), headers={"cache-control": wish} if wish else {})
        )

    assert [await ask("one", "no-store"), await ask("one"), await ask("one", "no-store")] == [
        None,
        "miss",
        None,
    ]
    assert [await ask("one", "no-cache"), await ask("one")] == ["miss", "hit"]
    assert [await ask("two", "no-cache"), await ask("two")] == ["miss", "hit"]
    run = {"x-ratchet-run": "run=r&candidate=c&case=1&repeat=0"}
    assert status(await http.post(CHAT, json=asked("two"), headers=run)) is None
    assert [call.cache_status for call in gateway.calls()][:2] == ["", "miss"]


async def test_answers_stay_with_their_user_where_the_route_says_so(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    async def ask(**more: Any) -> str | None:
        return status(await http.post(CHAT, json=asked(**{"model": "own", **more})))

    assert [await ask(user="ada"), await ask(user="bob"), await ask(user="ada")] == ["miss", "miss", "hit"]
    assert [await ask(), await ask()] == [None, None]
    other = {"authorization": f"Bearer {gateway.new_key('another app')}"}

    async def known() -> httpx2.Response | None:
        reply = await http.post(CHAT, json=asked(model="own", user="ada"), headers=other)
        return None if reply.status_code == 401 else reply

    assert status(await eventually(known)) == "miss"


async def test_what_is_kept_ends_with_its_time_and_settings_are_taken_over(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    assert [status(await http.post(CHAT, json=asked())) for _ in range(2)] == ["miss", "hit"]
    before = gateway.services.now
    gateway.services.now = lambda: before() + 3600 * 10**9
    assert [status(await http.post(CHAT, json=asked())) for _ in range(2)] == ["miss", "hit"]
    gateway.config.write_text(gateway.config.read_text().replace('[routes.kept.cache]\nttl = "1h"\n', ""))
    await eventually(lambda: not gateway.services.snapshot.routes["kept"].steps[1:])
    assert status(await http.post(CHAT, json=asked())) is None


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[tuple[Upstream, RunningGateway, httpx2.AsyncClient]]:
    """An upstream that takes its time."""
    upstream = Upstream(delay=0.3)
    async with running_app(upstream) as address:
        settings = f"""
[providers.up]
kind = "openai"
base_url = "{address}/v1"
[routes.kept]
targets = ["up/small"]
[routes.kept.cache]
"""
        async with running_gateway(tmp_path, settings) as running:
            headers = {"authorization": f"Bearer {running.key}"}
            async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
                yield upstream, running, client


async def test_those_who_ask_the_same_at_once_are_asked_for_once(
    slow: tuple[Upstream, RunningGateway, httpx2.AsyncClient],
) -> None:
    upstream, running, client = slow
    replies = await asyncio.gather(
        *(client.post(CHAT, json=asked(user=str(n), stream=bool(n % 2))) for n in range(20))
    )
    assert upstream.total == 1
    assert sorted(str(status(reply)) for reply in replies) == ["hit"] * 19 + ["miss"]
    assert all(
        "HOW LONG MAY I RETURN SHOES?" in reply.text.replace('"}', "") or "data:" in reply.text
        for reply in replies
    )
    assert {reply.status_code for reply in replies} == {200}
    await eventually(lambda: len(running.calls()) == 20)


async def test_a_first_that_fails_takes_nobody_with_it(
    slow: tuple[Upstream, RunningGateway, httpx2.AsyncClient],
) -> None:
    upstream, _, client = slow
    upstream.refuse = {"HOW"}
    one = asyncio.create_task(client.post(CHAT, json=asked("HOW")))
    await eventually(lambda: upstream.under_way)
    others = [asyncio.create_task(client.post(CHAT, json=asked("HOW"))) for _ in range(5)]
    await asyncio.sleep(0.05)
    upstream.refuse = set()
    first = await one
    replies = await asyncio.gather(*others)
    assert first.status_code in (200, 502)
    assert {reply.status_code for reply in replies} == {200}


async def test_a_first_that_leaves_hands_over_to_the_next(
    slow: tuple[Upstream, RunningGateway, httpx2.AsyncClient],
) -> None:
    upstream, running, client = slow
    upstream.hold = {"held"}
    headers = {"authorization": f"Bearer {running.key}"}
    async with httpx2.AsyncClient(base_url=running.url, headers=headers) as other:
        first = asyncio.create_task(other.post(CHAT, json=asked("held")))
        await eventually(lambda: upstream.under_way)
        rest = [asyncio.create_task(client.post(CHAT, json=asked("held"))) for _ in range(5)]
        await asyncio.sleep(0.1)
        upstream.hold = set()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    replies = await asyncio.gather(*rest)
    assert {reply.status_code for reply in replies} == {200}
    assert sorted(str(status(reply)) for reply in replies) == ["hit"] * 4 + ["miss"]
    assert upstream.asked["held"] == 2


# -- the pieces ----------------------------------------------------------------------------------------------------


def entry(content: bytes = b"{}", *, expires: int = 10, streamed: bool = False) -> Entry:
    return Entry(
        content, streamed, False, b"application/json", "id", "model", ["stop"], Usage(), "0.1", 5, 1, expires
    )


async def test_memory_is_bounded_and_the_longest_unused_goes_first(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    gateway.services.counters = MemoryCounters(cache_bytes=6000)
    texts = [f"What is {word}?" for word in ("one", "two", "three", "four", "five", "six", "seven", "eight")]
    for text in texts:
        assert status(await http.post(CHAT, json=asked(text))) == "miss"
        assert status(await http.post(CHAT, json=asked(texts[0]))) in ("hit", "miss")
    assert status(await http.post(CHAT, json=asked(texts[0]))) == "hit"
    assert status(await http.post(CHAT, json=asked(texts[-1]))) == "hit"
    assert status(await http.post(CHAT, json=asked(texts[1]))) == "miss"


async def test_counters_that_are_down_keep_nobody_from_an_answer(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    class Down(MemoryCounters):
        async def get(self, key: str) -> bytes | None:
            raise Unavailable("down", "", code="counters_down")

        async def put(self, key: str, value: bytes, *, keep: int) -> None:
            raise Unavailable("down", "", code="counters_down")

    gateway.services.counters = Down()
    replies = [await http.post(CHAT, json=asked()) for _ in range(2)]
    assert [(reply.status_code, status(reply)) for reply in replies] == [(200, "miss")] * 2


def test_entries_are_written_and_read() -> None:
    assert decode_entry(encode_entry(entry())) == entry()
    assert decode_entry(b"\xc1") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=5), st.randoms())
def test_keys_depend_on_what_is_said_and_not_on_how(fields: dict[str, Any], random: Any) -> None:
    names = list(fields)
    random.shuffle(names)
    shuffled = {name: fields[name] for name in names}
    one = request_fields(json.dumps(fields).encode())
    other = request_fields(
        json.dumps(shuffled, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")
    )
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert digest(["p"], one) == digest(["p"], other)
        assert digest(["q"], one) != digest(["p"], one)
        assert digest(["p"], {**one, "another": 1}) != digest(["p"], one)


def test_what_changes_something_at_the_provider_is_never_kept() -> None:
    assert request_fields(b'{"model":"m","input":"x","conversation":"conv_1"}') is None
    assert request_fields(b'{"model":"m","input":"x","background":true}') is None
    assert request_fields(b'{"model":"m","input":"x","background":false}') is not None
    assert request_fields(b"[]") is None


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=300))
def test_a_stream_made_of_a_whole_answer_says_the_same_in_small_pieces(text: str) -> None:
    body = json.dumps(
        {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }
    ).encode()
    dialect = openai_chat.DIALECT
    pieces = as_stream(entry(body), dialect, b'{"model":"m","messages":[],"stream":true}', wants_usage=False)
    stream = b"".join(pieces)
    answer = answer_in(dialect, stream, streamed=True)
    assert answer is not None
    assert text_of(answer) == text
    assert all(piece.endswith(b"\n\n") for piece in pieces)
    assert pieces[-1] == b"data: [DONE]\n\n"
    again = as_stream(entry(stream, streamed=True), dialect, b"", wants_usage=False)
    assert b"".join(again) == stream
    assert again[-1] == b"data: [DONE]\n\n"
    back = json.loads(as_body(entry(stream, streamed=True), dialect, b'{"model":"m","messages":[]}'))
    assert back["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize("kept", [True, False])
async def test_gateways_that_share_counters_share_answers(
    tmp_path: Path, simulator: tuple[str, Simulator], kept: bool
) -> None:
    """Unless messages may be written nowhere."""
    settings = f"""
[gateway]
keep_content = {str(kept).lower()}
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.kept]
targets = ["sim/gpt-4o"]
[routes.kept.cache]
"""
    prefix, found = secrets.token_hex(6), list[str | None]()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        async with running_gateway(tmp_path / name, settings) as running:
            running.services.counters = SharedCounters(redis_address(), prefix=prefix)
            headers = {"authorization": f"Bearer {running.key}"}
            async with httpx2.AsyncClient(base_url=running.url, headers=headers, timeout=30) as client:
                reply = await client.post(CHAT, json=asked(stream=name == "two"))
                found.append(status(reply))
                assert reply.status_code == 200
            await running.services.counters.close()
    assert found == ["miss", "hit" if kept else "miss"]
