"""Publishable keys' callers solve a challenge: once, at one place, harder where trust is low."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from tests.challenges import BODY, earned, solution
from tests.conftest import RunningGateway, eventually

from ratchet.domain.access import Key
from ratchet.gateway.standing import proving
from ratchet.gateway.standing.challenge import Bound, Pass, issue, open_pass, read_payload, seal_pass, solved

PAGE = "https://app.example.org"
CHAT = "/v1/chat/completions"
KEY = Key(id="k1", project_id="default", name="web", prefix="", secret_hash="", routes=[], created=0, created_by="",
          publishable=True, origins=[PAGE], signing_secret="ab" * 32)  # fmt: skip
OTHER = Key(id="k2", project_id="default", name="web2", prefix="", secret_hash="", routes=[], created=0, created_by="",
            publishable=True, origins=[PAGE], signing_secret="cd" * 32)  # fmt: skip


@contextlib.asynccontextmanager
async def browsing(
    gateway: RunningGateway, name: str = "web", origin: str = PAGE
) -> AsyncIterator[httpx2.AsyncClient]:
    key = gateway.new_key(name, publishable=True, origins=[PAGE, "https://other.example.org"])
    await eventually(lambda: any(key.name == name for key in gateway.services.snapshot.keys.values()))
    headers = {"authorization": f"Bearer {key}", "origin": origin, "user-agent": "Browser/1"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        yield client


@pytest.fixture
async def browser(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with browsing(gateway) as client:
        yield client


async def refused(client: httpx2.AsyncClient, **headers: str) -> str:
    answer = await client.post(
        CHAT, json=BODY, headers={name.replace("_", "-"): said for name, said in headers.items()}
    )
    assert answer.status_code == 403, answer.text
    assert "/v1/challenge" in answer.json()["error"]["message"]
    return answer.json()["error"]["code"]


async def test_without_work_there_is_no_answer(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    assert await refused(browser) == "challenge_required"
    assert [call.error_type for call in gateway.calls()] == ["challenge_required"]


async def test_a_server_needs_no_challenge(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    answer = await browser.post(CHAT, json=BODY, headers={"authorization": f"Bearer {gateway.key}"})
    assert answer.status_code == 200


async def test_a_solved_challenge_is_answered_and_gives_a_pass(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    given = await browser.get("/v1/challenge")
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    assert given.headers["access-control-allow-origin"] == PAGE
    first = await browser.post(CHAT, json=BODY, headers={"x-altcha": solution(given.json())})
    assert first.status_code == 200
    shown = {"x-ratchet-pass": first.headers["x-ratchet-pass"]}
    for _ in range(3):
        again = await browser.post(CHAT, json=BODY | {"stream": True}, headers=shown)
        assert again.status_code == 200
        assert "x-ratchet-pass" not in again.headers
    feedback = await browser.post("/v1/feedback", json={"session_id": "s", "value": True}, headers=shown)
    assert feedback.status_code == 202


async def test_asking_for_challenges_leaves_nothing_behind(
    gateway: RunningGateway, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever invents browsers by the thousand fills no counters with them."""

    async def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a counter was begun")

    for name in ("tally", "note_member", "claim", "put", "admit"):
        monkeypatch.setattr(gateway.services.counters, name, never)
    for number in range(5):
        answer = await browser.get("/v1/challenge", headers={"user-agent": f"Browser/{number}"})
        assert answer.status_code == 200
    monkeypatch.undo()


async def test_a_solution_counts_once(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    shown = solution((await browser.get("/v1/challenge")).json())
    assert (await browser.post(CHAT, json=BODY, headers={"x-altcha": shown})).status_code == 200
    assert await refused(browser, x_altcha=shown) == "challenge_used"


async def test_a_pass_is_bound_to_page_and_key(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    shown = await earned(browser)
    assert (await browser.post(CHAT, json=BODY, headers={"x-ratchet-pass": shown})).status_code == 200
    assert (
        await refused(browser, x_ratchet_pass=shown, origin="https://other.example.org")
        == "challenge_required"
    )
    async with browsing(gateway, "second") as other:
        assert await refused(other, x_ratchet_pass=shown) == "challenge_required"
        theirs = solution((await other.get("/v1/challenge")).json())
    assert await refused(browser, x_altcha=theirs) == "challenge_failed"


@pytest.mark.parametrize(
    "shown", ["", "nonsense", "e30=", base64.b64encode(b'{"challenge":{}}').decode(), "A" * 9_000]
)
async def test_what_is_no_solution_is_refused(
    gateway: RunningGateway, browser: httpx2.AsyncClient, shown: str
) -> None:
    assert await refused(browser, x_altcha=shown) == "challenge_failed"
    assert await refused(browser, x_ratchet_pass=shown) == "challenge_required"


async def test_a_challenge_can_not_be_made_easier(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    given = (await browser.get("/v1/challenge")).json()
    given["parameters"]["keyPrefix"] = "00"
    assert await refused(browser, x_altcha=solution(given)) == "challenge_failed"


async def test_a_server_may_name_the_user(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    server = {"authorization": f"Bearer {gateway.key}"}
    query = {"key": "web", "user": "ada", "organisation": "acme"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=server, timeout=20) as client:
        given = (await client.get("/v1/challenge", params=query)).json()
    first = await browser.post(CHAT, json=BODY, headers={"x-altcha": solution(given)})
    assert first.status_code == 200
    await browser.post(
        CHAT, json=BODY | {"user": "eve"}, headers={"x-ratchet-pass": first.headers["x-ratchet-pass"]}
    )
    assert [(call.user_id, call.organisation_id) for call in gateway.calls()] == [("ada", "acme")] * 2


@pytest.mark.parametrize(
    ("query", "status", "param"),
    [({}, 400, "key"), ({"key": "web"}, 400, "user"), ({"key": "test", "user": "ada"}, 404, "key")],
)
async def test_a_server_that_names_nobody_is_told(
    gateway: RunningGateway, query: dict[str, str], status: int, param: str
) -> None:
    server = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=server, timeout=20) as client:
        answer = await client.get("/v1/challenge", params=query)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


async def test_the_work_grows_as_trust_falls(
    gateway: RunningGateway, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def remembered(*args: Any, work: float, **options: Any) -> dict[str, Any]:
        asked.append(work)
        return issue(*args, work=work, **options)

    monkeypatch.setattr(proving, "issue", remembered)
    browser.headers["x-ratchet-pass"] = await earned(browser)
    for _ in range(100):  # answered with 404: the caller's mistakes
        await browser.post(CHAT, json=BODY | {"model": "nothing"})
    await browser.get("/v1/challenge")
    assert asked[0] == 1
    assert 4.5 < asked[1] < 5.5


@pytest.mark.parametrize("work", [0.1, 0.4])
def test_the_work_is_what_it_is_said_to_be(work: float) -> None:
    """Counters spread evenly from a half to one and a half of the average."""
    shown = [solution(issue(KEY, Bound(), work=work, now=time.time_ns())) for _ in range(40)]
    counters = [json.loads(base64.b64decode(each))["solution"]["counter"] for each in shown]
    assert 100 * work <= min(counters)
    assert max(counters) <= 300 * work
    assert 150 * work < sum(counters) / len(counters) < 250 * work  # five standard errors each way


def given(key: Key = KEY, bound: Bound | None = None, *, now: int | None = None) -> str:
    return solution(issue(key, bound or Bound(source="1.2.3.4"), work=0.02, now=now or time.time_ns()))


def judged(shown: str, key: Key = KEY, source: str = "1.2.3.4") -> str:
    payload = read_payload(shown.encode())
    assert payload is not None
    return solved(key, payload, source=source)


def test_where_and_when_a_solution_counts() -> None:
    assert judged(given()) == ""
    assert judged(given(), source="1.2.3.5") == "elsewhere"
    assert judged(given(), key=OTHER) == "wrong"
    assert judged(given(now=time.time_ns() - 400 * 10**9)) == "expired"
    assert judged(given(bound=Bound(user="ada")), source="anywhere") == ""
    assert judged(given(bound=Bound())) == "elsewhere"


def test_a_wrong_answer_is_wrong() -> None:
    payload = json.loads(base64.b64decode(given()))
    payload["solution"]["derivedKey"] = "00" * 32
    assert judged(base64.b64encode(json.dumps(payload).encode()).decode()) == "wrong"


def test_a_pass_expires_and_can_not_be_changed() -> None:
    sealed = seal_pass(KEY, Pass(1000, "ada", "acme"), origin=b"https://a", source="1.2.3.4")
    here: dict[str, Any] = {"origin": b"https://a", "source": "1.2.3.4", "now": 999}
    assert open_pass(KEY, sealed, **here) == Pass(1000, "ada", "acme")
    assert open_pass(KEY, sealed, **here | {"now": 1000}) is None
    assert open_pass(KEY, sealed, **here | {"source": "1.2.3.5"}) is None
    assert open_pass(KEY, sealed, **here | {"origin": b"https://b"}) is None
    assert open_pass(OTHER, sealed, **here) is None


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_every_byte_of_a_pass_is_sealed(at: int) -> None:
    sealed = bytearray(seal_pass(KEY, Pass(1000, "ada", "acme"), origin=b"https://a", source="1.2.3.4"))
    sealed[at] = ord("A") if sealed[at] != ord("A") else ord("B")
    assert open_pass(KEY, bytes(sealed), origin=b"https://a", source="1.2.3.4", now=1) is None


@given_any(st.binary(max_size=300))
def test_nothing_else_is_a_pass_or_a_solution(shown: bytes) -> None:
    assert open_pass(KEY, shown, origin=b"https://a", source="1.2.3.4", now=1) is None
    assert read_payload(shown) is None
