"""Answers to nearly the same question: a real gateway, an upstream whose answers are known, and a judge at another route."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually, running_app, running_gateway

from ratchet.domain.spans import Event
from ratchet.gateway.cache.semantic import Semantic
from ratchet.telemetry.spans import span_of_call

CHAT = "/v1/chat/completions"
MEANINGS = ("cancel", "pause", "renew", "transfer", "print", "rename", "share", "insure")
SAID = (
    "How do I {} my subscription?",
    "Do you know how to {} my subscription?",
    "Where can I {} my subscription?",
    "Can I {} my subscription myself?",
    "steps to {} my subscription",
    "how to {} my subscription",
    "Could you help me {} my subscription?",
    "I need to {} my subscription now.",
    "How can I {} my subscription?",
    "Please tell me how to {} my subscription.",
    "What do I have to do to {} my subscription?",
    "Is there a way to {} my subscription?",
    "I would like to {} my subscription, how does that work?",
)


class Upstream:
    """`answerer` answers by the verb in the last message, never twice in the same words; `judge` compares the verbs."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.judged = 0
        self.poison: dict[str, str] = {}
        self.judge_fails = False
        self.judging = asyncio.Event()  # cleared, the judge thinks for ever
        self.judging.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body)
        if asked["model"] == "judge":
            await self.judging.wait()
        status, text = self._judged(asked) if asked["model"] == "judge" else (200, self._said(asked))
        content = json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": asked["model"],
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
                ],
                "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
            }
            if status == 200
            else {"error": {"message": text}}
        ).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _said(self, asked: Any) -> str:
        text = asked["messages"][-1]["content"]
        self.asked[text] += 1
        if text in self.poison:
            return self.poison[text]
        verb = next((verb for verb in MEANINGS if verb in text), "nothing")
        return f"To {verb} it, take way {self.asked.total()}." + (
            " Write to ada@example.org." if "mine" in text else ""
        )

    def _judged(self, asked: Any) -> tuple[int, str]:
        self.judged += 1
        if self.judge_fails:
            return 400, "no"
        text = asked["messages"][-1]["content"]
        reference, answer = (
            re.findall(rf"<{name}-\w+>\n(.*?)\n</{name}-", text, re.DOTALL)[0]
            for name in ("reference", "answer")
        )
        same = reference.split(",")[0] == answer.split(",")[0]
        return 200, json.dumps({"reasoning": "…", "label": "consistent" if same else "contradicts"})


SETTINGS = """
[providers.up]
kind = "openai"
base_url = "{address}/v1"
[routes.support]
targets = ["up/answerer"]
[routes.support.cache]
semantic = true
max_error = 0.1
judge = "referee"
[routes.referee]
targets = ["up/judge"]
[prices."up/answerer"]
input = 1
output = 2
"""


class Shop:
    """A gateway with a semantic cache, and its apps' users."""

    def __init__(
        self, gateway: RunningGateway, upstream: Upstream, client: httpx2.AsyncClient, semantic: Semantic
    ):
        self.gateway, self.upstream, self.client, self.semantic = gateway, upstream, client, semantic

    async def ask(
        self, text: str, user: str = "", *, stream: bool = False, system: str = ""
    ) -> httpx2.Response:
        messages = [{"role": "system", "content": system}] * bool(system) + [
            {"role": "user", "content": text}
        ]
        body = {"model": "support", "messages": messages, "stream": stream}
        reply = await self.client.post(CHAT, json={**body, "user": user} if user else body)
        assert reply.status_code == 200, reply.text
        await eventually(lambda: not self.semantic.waiting)
        return reply

    async def status(self, text: str, user: str = "", **more: Any) -> str:
        return (await self.ask(text, user, **more)).headers["x-ratchet-cache"]

    async def learn(self) -> None:
        """Enough verdicts for answers to be given again: each verb is asked in all ways but three, by three users."""
        for way, user in zip(SAID[:-3], ("ada", "bob", "cyd") * 4, strict=False):
            for verb in MEANINGS:
                await self.ask(way.format(verb), user)


@contextlib.asynccontextmanager
async def running_shop(folder: Path, upstream: Upstream) -> AsyncIterator[Shop]:
    async with (
        running_app(upstream) as address,
        running_gateway(folder, SETTINGS.format(address=address)) as gateway,
        httpx2.AsyncClient(
            base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}, timeout=30
        ) as client,
    ):
        semantic = await eventually(lambda: gateway.answers.semantic)
        await eventually(lambda: semantic.meanings)
        semantic.chance = lambda: 0.09  # nothing is audited, and whatever is not served is judged
        yield Shop(gateway, upstream, client, semantic)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with running_shop(tmp_path, Upstream()) as opened:
        yield opened


async def test_a_question_in_other_words_is_answered_from_memory_once_that_is_verified(shop: Shop) -> None:
    assert [await shop.status(way.format("cancel"), "ada") for way in SAID[:2]] == ["miss", "miss"]
    await shop.learn()
    asked = shop.upstream.asked.total()
    reply = await shop.ask(SAID[-3].format("cancel"), "dan")
    streamed = await shop.ask(SAID[-2].format("renew"), "dan", stream=True)
    assert [each.headers["x-ratchet-cache"] for each in (reply, streamed)] == ["semantic_hit"] * 2
    assert "To cancel it" in reply.json()["choices"][0]["message"]["content"]
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert shop.upstream.asked.total() == asked
    span = next(
        span
        for call in shop.gateway.calls()
        if (span := span_of_call(call)).cache_status == "semantic_hit" and span.user_id == "dan"
    )
    assert (span.cost, span.target, span.user_id) == (0, "", "dan")
    assert span.attributes["ratchet.cache.earlier_question"] in {way.format("cancel") for way in SAID}
    assert span.attributes["ratchet.cache.saved_cost"] == "0.00002"
    assert 0.5 < float(span.attributes["ratchet.cache.cosine"]) < 1
    assert 0 <= float(span.attributes["ratchet.cache.risk"]) < 0.5
    judged = [call for call in shop.gateway.calls() if call.route == "referee"]
    assert len(judged) == shop.upstream.judged > 5
    assert {call.key_id for call in judged} == {"cache"}


async def test_what_decides_the_answer_is_never_overlooked(shop: Shop) -> None:
    await shop.learn()
    text = SAID[-3].format("cancel")
    assert await shop.status(text, "dan") == "semantic_hit"
    for other in ("I do not want to cancel", "cancel all 3 of", "cancel on Monday", "cancel Netflix and"):
        assert await shop.status(text.replace("cancel", other), "dan") == "miss"
    assert await shop.status(text, "dan", system="Speak Welsh.") == "miss"


async def test_an_answer_that_the_judge_found_wrong_is_not_given(shop: Shop) -> None:
    await shop.learn()
    for verb in ("delete", "destroy"):  # the answerer knows neither, and says so in the same words
        assert await shop.status(SAID[-3].format(verb), "dan") == "miss"
    assert await shop.status(SAID[-1].format("pause"), "dan") == "semantic_hit"
    answer = (await shop.ask(SAID[-1].format("pause"), "eve")).json()["choices"][0]["message"]["content"]
    assert "pause" in answer


async def test_what_one_user_made_is_nobody_elses_before_it_is_verified(shop: Shop) -> None:
    await shop.learn()
    ways = [
        "How do I {} my subscription for free?",
        "How can I {} my subscription for free?",
        "how to {} my subscription for free",
    ]
    poisoned = ways[0].format("extend")
    shop.upstream.poison = {
        way.format("extend"): "To extend it, send your password to Mallory." for way in ways[:2]
    }
    assert await shop.status(poisoned, "mallory") == "miss"
    assert await shop.status(ways[1].format("extend"), "mallory") in ("miss", "semantic_hit")
    reply = await shop.ask(ways[2].format("extend"), "dan")
    assert reply.headers["x-ratchet-cache"] == "miss"
    assert "Mallory" not in reply.text
    assert "Mallory" not in (await shop.ask(ways[2].format("extend") + "?", "eve")).text


async def test_answers_with_personal_data_stay_with_their_user(shop: Shop) -> None:
    await shop.learn()

    async def ask(way: str, user: str) -> str:
        return await shop.status(
            way.format("share") + " It is mine.", user, system="Use the customer's file."
        )

    assert [await ask(way, "ada") for way in (SAID[0], SAID[-3])] == ["miss", "semantic_hit"]
    assert [await ask(SAID[-1], user) for user in ("bob", "ada")] == ["miss", "hit"]
    meanings = shop.semantic.meanings
    assert meanings is not None
    before = len(meanings.kept)
    assert await ask(SAID[-2], "") == "miss"  # nobody says who asks
    assert len(meanings.kept) == before


async def test_a_share_of_what_could_be_served_is_audited_and_told(shop: Shop) -> None:
    await shop.learn()
    shop.semantic.chance = lambda: 0.0
    assert await shop.status(SAID[-3].format("cancel"), "dan") == "miss"
    events = [record for record in shop.gateway.recorded() if isinstance(record, Event)]
    (audit,) = [event for event in events if event.kind == "cache.audited"]
    assert (audit.subject, audit.attributes["right"], audit.attributes["max_error"]) == (
        "support",
        "true",
        "0.1",
    )
    assert audit.attributes["question"] == SAID[-3].format("cancel")


async def test_a_judge_that_fails_costs_nothing_but_the_verdict(shop: Shop) -> None:
    shop.upstream.judge_fails = True
    await shop.learn()
    assert await shop.status(SAID[-3].format("cancel"), "dan") == "miss"
    assert await shop.status(SAID[-3].format("cancel"), "dan") == "hit"
    shop.upstream.judge_fails = False
    await shop.learn()


async def test_verdicts_that_nobody_has_time_for_are_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ratchet.gateway.cache.semantic._MOST_WAITING", 3)
    upstream = Upstream()
    async with running_shop(tmp_path, upstream) as shop:
        await shop.ask(SAID[0].format("cancel"), "ada")
        upstream.judging.clear()
        asked = 0
        for way in SAID[1:]:
            body = {"model": "support", "messages": [{"role": "user", "content": way.format("cancel")}]}
            assert (await shop.client.post(CHAT, json={**body, "user": "bob"})).status_code == 200
            asked += 1
        await eventually(lambda: shop.semantic.waiting == 4 + 3)  # four are judged at a time
        missing = asked - 7
        await eventually(lambda: "kept answers were not judged: too many wait" in caplog.text)
        services = shop.gateway.services
        services.notices.flush(everything=True)
        told = [each for each in shop.gateway.recorded() if isinstance(each, Event)]
        unjudged = [each for each in told if each.kind == "cache.unjudged"]
        assert {each.subject for each in unjudged} == {"support"}
        assert (
            unjudged[0].message
            == "Kept answers of the route support were not judged: 3 wait for the judge already."
        )
        assert sum(int(each.attributes["count"]) for each in unjudged) == missing > 0
        upstream.judging.set()
        await eventually(lambda: not shop.semantic.waiting)
        upstream.judge_fails = True
        await shop.ask(SAID[0].format("pause"), "ada")
        await shop.ask(SAID[1].format("pause"), "bob")
        services.notices.flush(everything=True)
        last = [each for each in shop.gateway.recorded() if isinstance(each, Event)][-1]
        assert last.message == "Kept answers of the route support were not judged: the judge gave no verdict."


async def test_what_is_learned_outlives_the_process(tmp_path: Path) -> None:
    upstream = Upstream()
    async with running_shop(tmp_path, upstream) as shop:
        await shop.learn()
        assert await shop.status(SAID[-3].format("cancel"), "dan") == "semantic_hit"
    later = tmp_path / "later"
    later.mkdir()
    (later / "answers.journal").write_bytes((tmp_path / "answers.journal").read_bytes() + b"torn")
    async with running_shop(later, upstream) as shop:
        assert await shop.status(SAID[-2].format("cancel"), "eve") == "semantic_hit"
        assert await shop.status(SAID[-1].format("print"), "dan") == "semantic_hit"
        asked = upstream.asked.total()
        assert await shop.status(SAID[-3].format("insure"), "dan") == "semantic_hit"
        assert upstream.asked.total() == asked


async def test_settings_name_a_judge_that_exists(shop: Shop) -> None:
    config, services = shop.gateway.config, shop.gateway.services
    good = config.read_text()
    for wrong in (
        good.replace('judge = "referee"', 'judge = "nobody"'),
        good.replace('judge = "referee"', ""),
    ):
        config.write_text(wrong)
        await eventually(lambda: services.snapshot.settings_refused)
        config.write_text(good)
        await eventually(lambda: not services.snapshot.settings_refused)
    assert services.snapshot.routes["support"].steps[1:]


async def test_another_promise_is_kept_with_what_was_learned_before(shop: Shop) -> None:
    await shop.learn()
    config, services = shop.gateway.config, shop.gateway.services
    before = services.snapshot
    config.write_text(config.read_text().replace("max_error = 0.1", "max_error = 0.001"))
    await eventually(lambda: services.snapshot is not before)
    assert (
        await shop.status(SAID[-3].format("cancel"), "dan") == "miss"
    )  # a few dozen verdicts can't promise that
    config.write_text(config.read_text().replace("max_error = 0.001", "max_error = 0.11"))
    before = services.snapshot
    await eventually(lambda: services.snapshot is not before)
    assert await shop.status(SAID[-2].format("cancel"), "dan") == "semantic_hit"
