"""Segments, trust and crowded sources, through a real gateway."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.challenges import earned
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.domain.spans import Event
from ratchet.simulator.app import Simulator

SEGMENTS = """
[segments.default]
starts = "untrusted"
ripens_after = "1s"

[segments.pro]
plans = ["pro"]
users = ["ada"]
"""


@contextlib.asynccontextmanager
async def serving(folder: Path, simulator: tuple[str, Simulator], more: str) -> AsyncIterator[RunningGateway]:
    settings = f"""
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.support]
targets = ["sim/gpt-4o"]
{more}
"""
    async with running_gateway(folder, settings) as gateway:
        yield gateway


async def ask(gateway: RunningGateway, user: str = "", text: str = "Hello", **said: str) -> httpx2.Response:
    body: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": text}]}
    if user:
        body["user"] = user
    if said:
        body["metadata"] = said
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        return await client.post("/v1/chat/completions", json=body)


def events(gateway: RunningGateway, kind: str) -> list[Event]:
    return [record for record in gateway.recorded() if isinstance(record, Event) and record.kind == kind]


async def trust(gateway: RunningGateway, user: str, **said: str) -> float:
    assert (await ask(gateway, user, **said)).status_code == 200
    return float(gateway.calls()[-1].notes["ratchet.trust"])


async def test_where_nothing_is_declared_nothing_happens(gateway: RunningGateway) -> None:
    assert gateway.services.snapshot.admission == ()
    await ask(gateway, "bob", client_ip="1.2.3.4")
    (call,) = gateway.calls()
    assert (call.segment, call.notes) == ("", {})


async def test_a_new_user_is_trusted_little_and_grows(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, SEGMENTS) as gateway:
        assert await trust(gateway, "bob") < 0.3
        assert await trust(gateway, "ada") >= 0.8
        assert await trust(gateway, "eve", plan="pro") >= 0.8
        assert [call.segment for call in gateway.calls()] == ["default", "pro", "pro"]

        async def grown() -> bool:
            return await trust(gateway, "bob") >= 0.8

        await eventually(grown)


async def test_a_request_that_names_nobody_has_a_segment_and_no_trust(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, SEGMENTS) as gateway:
        assert (await ask(gateway)).status_code == 200
        assert (gateway.calls()[0].segment, gateway.calls()[0].notes) == ("default", {})


async def test_mistakes_lower_trust_and_people_see_why(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, SEGMENTS) as gateway:
        before = await trust(gateway, "ada")
        headers = {"authorization": f"Bearer {gateway.key}"}
        body = {"model": "nothing", "messages": [], "user": "ada"}
        async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
            for _ in range(40):
                assert (await client.post("/v1/chat/completions", json=body)).status_code == 404
        assert await trust(gateway, "ada") < before - 0.3
        (event,) = await eventually(lambda: events(gateway, "trust.changed"))
        assert event.subject == "ada"
        assert "fell from good to fair: requests that could not be read or served" in event.message


async def test_many_accounts_behind_one_address_are_suspected(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    more = "[segments.default]\n[trust]\naccounts_per_source = 5"
    async with serving(tmp_path, simulator, more) as gateway:
        for number in range(12):
            await ask(gateway, f"sock-{number}", client_ip="203.0.113.7")
        for number in range(5):
            await ask(gateway, f"other-{number}", client_ip="203.0.113.8", fingerprint="device-1")
        event = (await eventually(lambda: events(gateway, "abuse.suspected")))[0]
        assert event.subject == "203.0.113.7"
        assert "More than 5 users came from the address 203.0.113.7 within 1d" in event.message
        assert event.attributes["source"] == "ip"
        crowded = await trust(gateway, "sock-1", client_ip="203.0.113.7")
        elsewhere = await trust(gateway, "sock-1", client_ip="203.0.113.9")
        assert crowded < 0.65 < elsewhere
        assert all(each.subject == "203.0.113.7" for each in events(gateway, "abuse.suspected"))


@pytest.mark.parametrize("kind", ["ip", "fingerprint"])
async def test_the_same_user_again_and_again_is_no_crowd(
    tmp_path: Path, simulator: tuple[str, Simulator], kind: str
) -> None:
    more = "[segments.default]\n[trust]\naccounts_per_source = 2"
    said = {"client_ip": "203.0.113.7"} if kind == "ip" else {"fingerprint": "device-1"}
    async with serving(tmp_path, simulator, more) as gateway:
        for _ in range(6):
            await ask(gateway, "bob", **said)
        await ask(gateway, "eve", **said)
        assert events(gateway, "abuse.suspected") == []
        await ask(gateway, "mallory", **said)
        assert await eventually(lambda: events(gateway, "abuse.suspected"))


async def test_somebody_in_two_segments_is_refused_and_the_last_good_settings_stay(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, SEGMENTS) as gateway:
        text = gateway.config.read_text()
        gateway.config.write_text(text + '\n[segments.other]\nusers = ["ada"]\n')
        await eventually(lambda: gateway.services.snapshot.settings_refused)
        assert await trust(gateway, "ada") >= 0.8
        gateway.config.write_text(text + '\n[segments.other]\nusers = ["eve"]\n')
        await eventually(lambda: not gateway.services.snapshot.settings_refused)
        await ask(gateway, "eve")
        assert gateway.calls()[-1].segment == "other"


async def tell(gateway: RunningGateway, key: str = "", **feedback: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {key or gateway.key}", "origin": "https://app.example.org"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        return await client.post("/v1/feedback", json=feedback)


async def test_the_app_may_speak_for_and_against_users(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, "[segments.default]") as gateway:
        before = await trust(gateway, "ada")
        told = await tell(gateway, name="trust", user="ada", value=-1, comment="card was stolen")
        assert (told.status_code, told.json()["value"]) == (202, -1)
        lowered = await trust(gateway, "ada")
        assert lowered < before - 0.3
        for value in (True, "up", 0.5):
            assert (await tell(gateway, name="trust", user="ada", value=value)).status_code == 202
        assert await trust(gateway, "ada") > lowered + 0.2
        first = events(gateway, "trust.told")[0]
        assert (first.subject, first.severity) == ("ada", "warning")
        assert first.message == "The app speaks against the user 'ada': card was stolen"


@pytest.mark.parametrize(
    ("feedback", "param"),
    [
        ({"name": "trust", "value": -1}, "user"),
        ({"name": "trust", "user": "ada"}, "value"),
        ({"name": "trust", "user": "ada", "value": 2}, "value"),
        ({"name": "trust", "user": "ada", "value": 0}, "value"),
        ({"name": "trust", "user": "ada", "value": "much"}, "value"),
    ],
)
async def test_words_about_nobody_and_words_that_say_nothing_are_refused(
    gateway: RunningGateway, feedback: dict[str, Any], param: str
) -> None:
    answer = await tell(gateway, **feedback)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert gateway.recorded() == []


async def test_a_browser_can_not_speak_about_users(gateway: RunningGateway) -> None:
    key = gateway.new_key("web", publishable=True, origins=["https://app.example.org"])
    await eventually(lambda: gateway.services.snapshot.origins)
    headers = {"authorization": f"Bearer {key}", "origin": "https://app.example.org"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        shown = {"x-ratchet-pass": await earned(client)}
        answer = await client.post(
            "/v1/feedback", json={"name": "trust", "user": "ada", "value": 1}, headers=shown
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "key_not_allowed")


async def test_a_thumb_up_counts_once_for_each_answer(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with serving(tmp_path, simulator, "[segments.default]") as gateway:
        await tell(gateway, name="trust", user="ada", value=-1)
        lowered = await trust(gateway, "ada")
        trace = "0af7651916cd43dd8448eb211c80319c"
        for _ in range(50):
            assert (await tell(gateway, trace_id=trace, value=True, user="ada")).status_code == 202
        assert await trust(gateway, "ada") < lowered + 0.02
        for number in range(50):
            await tell(gateway, trace_id=f"{number + 1:032x}", value="up", user="ada")
        assert await trust(gateway, "ada") > lowered + 0.1
