"""`/v1/tools/select`: a tool that is clearly nearest is chosen without a model, and any other by the model."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually, running_app, running_gateway
from tests.test_standings import decided
from tests.tool_requests import SETS, Requests

from ratchet.domain.spans import Event, Span
from ratchet.embeddings import LocalEmbedder
from ratchet.gateway.cache.choosing import Choosing, Tool
from ratchet.gateway.cache.wishes import Openings, doubt, manner_of, reading_of
from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.gateway.endpoints.selecting import ToolSelector
from ratchet.gateway.trust.book import Known

SELECT = "/v1/tools/select"
CHOOSING = Choosing(LocalEmbedder().vectors)
PLAY = "Put on something by Miles Davis"


def function(name: str, description: str) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": {"type": "object"}},
    }


TOOLS = [
    function("get_weather", "Get the weather forecast for a city."),
    function("get_stock_price", "Get the current price of a stock by its symbol."),
    function("play_music", "Play a song, an artist or an album."),
]


class Model:
    """Calls the tool it was told to; None for words."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.calls: str | None = "play_music"
        self.status = 200

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.asked.append(json.loads(body))
        said: dict[str, Any] = {"role": "assistant", "content": "Which one?"}
        if self.calls:
            call = {"id": "c", "type": "function", "function": {"name": self.calls, "arguments": "{}"}}
            said = {"role": "assistant", "content": None, "tool_calls": [call]}
        answer = {
            "id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": said, "finish_reason": "tool_calls" if self.calls else "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        } if self.status == 200 else {"error": {"message": "no"}}  # fmt: skip
        content = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


class Desk:
    def __init__(
        self, gateway: RunningGateway, model: Model, client: httpx2.AsyncClient, selector: ToolSelector
    ) -> None:
        self.gateway, self.model, self.client, self.selector = gateway, model, client, selector
        selector.chance = lambda: 0.5  # nothing is audited

    async def select(self, text: str, **more: Any) -> httpx2.Response:
        return await self.client.post(SELECT, json={"text": text, "tools": TOOLS, "model": "chooser", **more})

    async def chosen(self, text: str, **more: Any) -> tuple[str | None, str]:
        reply = await self.select(text, **more)
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert set(answer) == {"tool", "distance", "decided_by"}
        assert 0 <= answer["distance"] <= 2
        return answer["tool"], answer["decided_by"]


@contextlib.asynccontextmanager
async def at_desk(folder: Path, more: str = "") -> AsyncIterator[Desk]:
    model = Model()
    async with running_app(model) as address:
        settings = f"""
[providers.up]
kind = "openai"
base_url = "{address}/v1"
[routes.chooser]
targets = ["up/m"]
{more}
"""
        async with running_gateway(folder, settings) as gateway:
            app = GatewayApp(gateway.services)
            headers = {"authorization": f"Bearer {gateway.key}"}
            async with (
                running_app(app) as url,
                httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
            ):
                yield Desk(gateway, model, client, app.selector)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with at_desk(tmp_path) as opened:
        yield opened


async def test_a_tool_that_is_clearly_nearest_needs_no_model(desk: Desk) -> None:
    assert await desk.chosen("What's the weather in Paris?") == ("get_weather", "distance")
    assert await desk.chosen("current stock price of AAPL") == ("get_stock_price", "distance")
    flat = [{"type": "function", **tool["function"]} for tool in TOOLS]
    assert await desk.chosen("weather forecast for Rome", tools=flat, model="") == ("get_weather", "distance")
    assert desk.model.asked == []
    spans = [record for record in desk.gateway.recorded() if isinstance(record, Span)]
    assert [(span.operation, span.output_preview, span.route) for span in spans][:2] == [
        ("select_tool", "get_weather", "chooser"),
        ("select_tool", "get_stock_price", "chooser"),
    ]


async def test_any_other_choice_is_the_models(desk: Desk) -> None:
    assert await desk.chosen(PLAY, user="ada", metadata={"session_id": "s"}) == ("play_music", "model")
    (asked,) = desk.model.asked
    assert asked["tools"] == TOOLS
    assert asked["messages"] == [{"role": "user", "content": PLAY}]
    (call,) = desk.gateway.calls()
    assert (call.route, call.user_id, call.session_id, call.status) == ("chooser", "ada", "s", "ok")
    desk.model.calls = None
    assert await desk.chosen("Hello there") == (None, "model")


async def test_it_learns_from_what_the_model_chooses(desk: Desk) -> None:
    texts = [
        f"Put on something by {name}"
        for name in ("Miles Davis", "Nina Simone", "Abba", "Bach", "Prince", "Queen")
    ]
    decided = [await desk.chosen(text) for text in texts]
    assert decided[0] == ("play_music", "model")
    assert decided[-1] == ("play_music", "distance")


async def test_whoever_does_not_want_it_is_never_taken_at_the_words(desk: Desk) -> None:
    tools = [function(name, about) for name, about in SETS["support"].tools.items()]
    desk.model.calls = "get_order"
    for text in ("Please don't cancel my order, just tell me where it is", "cancel my email"):
        for _ in range(
            20
        ):  # what the model says of such a text doesn't make the next one a matter of distance
            assert await desk.chosen(text, tools=tools) == ("get_order", "model")
    assert await desk.chosen("Please cancel my order 4711", tools=tools) == ("cancel_order", "distance")
    reply = await desk.select("Do not send an email, tell me the weather", tools=tools, model="")
    assert reply.status_code == 400
    assert "No tool is plainly asked for" in reply.json()["error"]["message"]


async def test_a_share_of_clear_choices_is_audited_and_the_models_word_counts(desk: Desk) -> None:
    desk.selector.chance = lambda: 0.0
    desk.model.calls = "get_stock_price"
    text = "What's the weather in Paris?"
    assert await desk.chosen(text) == ("get_stock_price", "model")
    for number in range(30):
        await desk.chosen(f"weather report number {number}")
    desk.selector.chance = lambda: 0.5
    assert (await desk.chosen("weather report of today"))[
        0
    ] == "get_stock_price"  # the model has taught it so


async def test_what_goes_wrong_is_said(desk: Desk) -> None:
    async def refused(**body: Any) -> tuple[int, str]:
        reply = await desk.client.post(SELECT, json=body)
        error = reply.json()["error"]
        return reply.status_code, f"{error['param']} {error['message']}"

    assert (await refused(text="Hi", tools=[]))[1].startswith("tools `tools` holds 0 tools.")
    assert (await refused(tools=TOOLS))[0] == 400
    assert (await refused(text=" ", tools=TOOLS))[1].startswith("text ")
    assert (await refused(text="Hi", tools=[{"type": "web_search"}]))[1].startswith("tools[0] ")
    assert (await refused(text="Hi", tools=[TOOLS[0], TOOLS[0]]))[1].startswith("tools[1] ")
    assert (await refused(text="Hi", tools=TOOLS, max_error=0.9))[1].startswith("max_error ")
    assert (await refused(text="Hello there", tools=TOOLS))[1].startswith("model ")
    assert (await refused(text="Hello there", tools=TOOLS, model="nobody"))[1].startswith("model There is no")
    desk.model.status = 400
    assert (await desk.select("Hello there")).status_code == 400
    only = desk.gateway.new_key("other", routes=["another"])

    async def forbidden() -> bool:
        headers = {"authorization": f"Bearer {only}"}
        body = {"text": "What's the weather in Paris?", "tools": TOOLS, "model": "chooser"}
        return (await desk.client.post(SELECT, json=body, headers=headers)).status_code == 403

    await eventually(forbidden)


# -- who may choose, and how often ---------------------------------------------------------------------------------

NEAR = "What's the weather in Paris?"


async def test_a_choice_without_a_model_counts_as_a_request(tmp_path: Path) -> None:
    async with at_desk(tmp_path, '[limits.few]\nby = ["user"]\nrequests = "4/hour"') as desk:
        found = [await desk.select(NEAR, user="ada") for _ in range(2)]
        found.append(await desk.select(PLAY, user="ada"))
        found.append(await desk.select(NEAR, user="ada", model=""))
        assert [each.status_code for each in found] == [200] * 4
        assert [each.json()["decided_by"] for each in found] == ["distance", "distance", "model", "distance"]
        assert [each.headers["x-ratelimit-remaining-requests"] for each in found] == ["3", "2", "1", "0"]
        for text in (NEAR, PLAY):
            refused = await desk.select(text, user="ada")
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
            assert 0 < int(refused.headers["retry-after"]) <= 900
        assert len(desk.model.asked) == 1
        assert (await desk.select(NEAR, user="bob")).status_code == 200
        hits = [each for each in desk.gateway.recorded() if isinstance(each, Event)]
        assert [(each.kind, each.attributes["user"]) for each in hits] == [("limit.hit", "ada")]


async def test_a_place_is_given_back_whoever_chooses(tmp_path: Path) -> None:
    async with at_desk(tmp_path, "[limits.one]\nconcurrency = 1") as desk:
        desk.model.calls = None
        for text in (NEAR, PLAY, "Hello there") * 2:
            assert (await desk.select(text)).status_code == 200
        assert (await desk.select("Hello there", model="")).status_code == 400
        assert (await desk.select("Hello there", model="nobody")).status_code == 404
        assert (await desk.select(NEAR)).status_code == 200


async def test_tokens_and_money_are_only_a_models(tmp_path: Path) -> None:
    spent = """
[limits.words]
tokens = "1/day"
[budgets.none]
amount = 0.000000001
[prices."up/m"]
input = 1
output = 2
"""
    async with at_desk(tmp_path, spent) as desk:
        for _ in range(3):
            assert (await desk.select(NEAR)).status_code == 200
        assert (await desk.select(PLAY)).status_code == 400
        assert desk.model.asked == []


async def test_a_limit_of_a_route_is_for_choices_of_that_route(tmp_path: Path) -> None:
    limits = '[limits.route]\nroutes = ["chooser"]\nrequests = "1/day"'
    async with at_desk(tmp_path, limits) as desk:
        assert [(await desk.select(NEAR)).status_code for _ in range(2)] == [200, 429]
        assert [(await desk.select(NEAR, model=name)).status_code for name in ("", "up/m")] == [200, 200]


@pytest.mark.parametrize(
    ("kind", "name"),
    [("user", "mallory"), ("organisation", "acme"), ("ip", "203.0.113.0/24"), ("key", "test")],
)
async def test_the_blocked_choose_nothing(desk: Desk, kind: str, name: str) -> None:
    said: dict[str, Any] = {
        "user": "mallory",
        "metadata": {"organisation": "acme", "client_ip": "203.0.113.9"},
    }
    assert (await desk.select(NEAR, **said)).status_code == 200
    await decided(desk.gateway, kind, name, reason="Enough.")
    for text in (NEAR, PLAY):
        refused = await desk.select(text, **said)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "blocked")
        assert "Enough." in refused.json()["error"]["message"]
    assert desk.model.asked == []
    assert (await desk.select(NEAR, user="ada")).status_code == (403 if kind == "key" else 200)


async def test_a_choice_says_of_its_user_what_any_request_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = '[segments.free]\nplans = ["free"]\n[limits.few]\nby = ["user"]\nsegments = ["free"]\nrequests = "20/day"'
    async with at_desk(tmp_path, more) as desk:
        noted: list[str] = []
        book = desk.gateway.services.trust
        note, answered = book.note, Known.answered

        def answering(known: Known) -> None:
            noted.append("answered")
            answered(known)

        def noting(subject: Any, event: str, **options: Any) -> None:
            noted.append(event)
            note(subject, event, **options)

        monkeypatch.setattr(book, "note", noting)
        monkeypatch.setattr(Known, "answered", answering)
        assert (await desk.select(NEAR, user="ada", metadata={"plan": "free"})).status_code == 200
        assert noted == ["answered"]
        assert (await desk.select(PLAY, user="ada", metadata={"plan": "free"})).status_code == 200
        assert noted == ["answered"] * 2, "once, though a model was asked"
        spans = [record for record in desk.gateway.recorded() if isinstance(record, Span)]
        assert (spans[0].user_id, spans[0].segment) == ("ada", "free")
        assert "ratchet.trust" in spans[0].attributes
        while (await desk.select(NEAR, user="ada", metadata={"plan": "free"})).status_code == 200:
            assert len(noted) < 50
        assert noted[-1] == "limit_hit"


def test_clear_choices_are_right_as_often_as_promised() -> None:
    """Of the tools that a set brings along, those that are clear to who knows only the other sets are mostly right."""
    clear = [right for risk, right in CHOOSING.taught if risk <= 0.1]
    # docs/caching.md says these numbers. They are the same each time: nothing in them is drawn.
    assert (sum(clear), len(clear), len(CHOOSING.taught)) == (98, 101, 157)


def chosen_by_distance(
    requests: Requests, texts: Sequence[tuple[str, str | None]]
) -> list[tuple[str, str, str | None]]:
    """Those of `texts` that no model is asked about: with what is chosen and what is right."""
    tools = [Tool.made(*about) for about in requests.tools.items()]
    found = [(text, CHOOSING.nearest("", tools, text, most=0.1), right) for text, right in texts]
    return [(text, nearest.tool, right) for text, nearest, right in found if nearest.clear]


def test_of_requests_that_are_near_a_tool_they_dont_ask_for_hardly_any_is_decided_by_distance() -> None:
    decided = [case for requests in SETS.values() for case in chosen_by_distance(requests, requests.hard)]
    count = sum(len(requests.hard) for requests in SETS.values())
    wrong = [case for case in decided if case[1] != case[2]]
    assert count > 190
    assert len(wrong) <= 0.02 * count, wrong


def test_plain_requests_need_no_model() -> None:
    plain = {
        name: [(text, tool) for tool, texts in requests.plain.items() for text in texts]
        for name, requests in SETS.items()
    }
    decided = [case for name, texts in plain.items() for case in chosen_by_distance(SETS[name], texts)]
    assert [case for case in decided if case[1] != case[2]] == []
    assert len(decided) >= 0.95 * sum(map(len, plain.values()))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Cancel order 5", ""),
        ("Could you please cancel my order?", ""),
        ("cancel this order, thanks!", ""),
        ("cancel the order before it ships", ""),
        ("Please don’t cancel my order", "negation"),
        ("dont cancel my order", "condition"),
        ("cancel order 5 nicht", "negation"),
        ("cancel order 5 しないで", "negation"),
        ("cancel my order unless it is on its way", "negation"),
        ("cancel my order if it is late", "condition"),
        ("cancel my order, wait, show it", "condition"),
        ("cancel my email", "another tool"),
        ("cancel order 5 and send an e-mail", "another tool"),
        ("cancel my flight", "another thing"),
        ("Was order 5 cancelled?", "no request"),
        ("How do I cancel an order?", "no request"),
        ("Can you cancel orders?", "no request"),
        ('"Cancel my order" is what she wrote', "no request"),
        ("I cancelled my order", "no request"),
        ("Cancel order 5. I never said so, my son did.", "negation"),
        ("Cancel order 5. That is what my son said.", "no request"),
        ("cancel the cancellation of my order", "no request"),
        ("uncancel order 5", "unheard"),
        ("my order, cancel", "unheard"),
    ],
)
def test_what_speaks_against_a_tool_that_does_something(text: str, why: str) -> None:
    order = manner_of(
        "cancel order", "Cancel an order before it ships.", "cancel order. Cancel an order before it ships."
    )
    email = manner_of("send email", "Send an e-mail to a person.", "send email. Send an e-mail to a person.")
    assert doubt(reading_of(text), order, [email]) == why


@pytest.mark.parametrize(
    ("name", "description", "reads"),
    [
        ("get order", "Look up an order.", True),
        ("weather", "Get the weather forecast for a city.", True),
        ("search", "", True),
        ("cancel order", "Cancel an order.", False),
        ("find and delete", "Find a file and delete it.", False),
        ("check out", "Check out and pay.", False),
        ("cleanup", "Check files and delete the old ones.", False),
        ("human agent", "Hand over to a person.", False),
        ("", "", False),
    ],
)
def test_tools_that_only_look_something_up_are_told_from_others(
    name: str, description: str, *, reads: bool
) -> None:
    assert manner_of(name, description, f"{name}. {description}").reads is reads


def test_a_beginning_is_learned_once_it_was_always_for_one_tool() -> None:
    openings = Openings()
    assert not openings.says("storniere", "cancel_order")
    openings.learn("storniere", "cancel_order")
    assert not openings.says("storniere", "cancel_order")
    openings.learn("storniere", "cancel_order")
    assert openings.says("storniere", "cancel_order")
    assert not openings.says("storniere", "get_order")
    openings.learn("storniere", "")
    assert not openings.says("storniere", "cancel_order")


@pytest.mark.parametrize("piece", ["x", ".", "@", "?! ", "1,", "please ", "'"])
def test_long_texts_are_read_in_time(piece: str) -> None:
    begin = time.process_time()
    reading_of((piece * 40_000)[:40_000])
    assert time.process_time() - begin < 2  # what grows with the square takes ten times that


def test_a_tools_name_and_parameters_say_what_it_does() -> None:
    schema = {"type": "object", "properties": {"city_name": {}, "day": {}}}
    assert Tool.made("getWeather", "For a city.", schema).text == "get weather city name day. For a city."
    assert Tool.made("send-email", "", None).text == "send email. "
