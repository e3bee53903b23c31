"""Keys that live in browsers: where they count, who their callers are, and what a page's script may read."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.challenges import earned
from tests.conftest import RunningGateway, eventually, running_gateway

from ratchet.domain.origins import origin_of
from ratchet.domain.spans import Score
from ratchet.errors import InvalidRequest
from ratchet.gateway.identity import client_address, fingerprint_of, source_of
from ratchet.simulator.app import Simulator
from ratchet.store.records import Records, keys
from ratchet.store.records.auditing import AuditFilter, audit_rows

PAGE = "https://app.example.org"
BODY: dict[str, Any] = {
    "model": "support",
    "messages": [{"role": "user", "content": "Hello"}],
    "user": "ada",
    "metadata": {"organisation": "acme", "client_ip": "9.9.9.9", "fingerprint": "forged", "session_id": "s1"},
}


def networks(*texts: str) -> list[Any]:
    return [ipaddress.ip_network(text) for text in texts]


@pytest.fixture
async def browser(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    key = gateway.new_key("web", publishable=True, origins=[PAGE])
    await known(gateway, "web")
    headers = {"authorization": f"Bearer {key}", "origin": PAGE, "user-agent": "Browser/1"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        client.headers["x-ratchet-pass"] = await earned(client)
        yield client


async def known(gateway: RunningGateway, name: str) -> None:
    await eventually(lambda: any(key.name == name for key in gateway.services.snapshot.keys.values()))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://app.example.org", "https://app.example.org"),
        ("https://App.Example.org/", "https://app.example.org"),
        (" https://app.example.org:443 ", "https://app.example.org"),
        ("https://app.example.org:8443", "https://app.example.org:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_an_origin_is_kept_as_browsers_write_it(written: str, expected: str) -> None:
    assert origin_of(written) == expected


@pytest.mark.parametrize(
    "written",
    ["", "*", "app.example.org", "https://*.example.org", "http://app.example.org", "https://a.example/path",
     "ftp://a.example", "https://u:p@a.example", "https://a.example?x", "https://a.example:99999", "https://"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_by_name(written: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        origin_of(written)
    assert repr(written) in caught.value.message


def test_a_publishable_key_needs_an_origin_and_no_other_may_have_one(records: Records) -> None:
    make = {"project_id": "default", "now": time.time_ns(), "created_by": "test"}
    with pytest.raises(InvalidRequest, match="has no origin"):
        keys.create_key(records, name="web", publishable=True, **make)
    with pytest.raises(InvalidRequest, match="is not publishable"):
        keys.create_key(records, name="web", origins=[PAGE], **make)
    made, secret = keys.create_key(records, name="web", publishable=True, origins=[PAGE, f"{PAGE}/"], **make)
    assert secret.startswith("rk-pub-")
    assert secret.startswith(made.prefix)
    assert made.origins == [PAGE]
    assert len(made.signing_secret) == 64
    assert keys.live_keys(records) == [made]


def test_what_signs_passes_is_told_to_nobody(records: Records) -> None:
    made, _ = keys.create_key(
        records,
        name="web",
        publishable=True,
        origins=[PAGE],
        project_id="default",
        now=time.time_ns(),
        created_by="a",
    )
    keys.revoke_key(records, project_id="default", name_or_id="web", now=time.time_ns())
    with records.read() as connection:
        rows = audit_rows(connection, AuditFilter(), project_id="default", limit=10)
    assert {row.action for row in rows} >= {"key.created", "key.changed"}
    assert made.signing_secret not in str(rows)
    assert any(row.after and row.after.get("origins") == [PAGE] for row in rows)


async def test_a_caller_is_who_the_gateway_sees(gateway: RunningGateway, browser: httpx2.AsyncClient) -> None:
    answer = await browser.post("/v1/chat/completions", json=BODY, headers={"x-forwarded-for": "6.6.6.6"})
    assert answer.status_code == 200
    again = await browser.post("/v1/chat/completions", json=BODY | {"user": "bob"})
    assert again.status_code == 200
    disguised = await browser.post("/v1/chat/completions", json=BODY, headers={"user-agent": "Browser/2"})
    assert disguised.status_code == 200
    browser.headers["user-agent"] = "Browser/3"
    browser.headers.pop("x-ratchet-pass")
    browser.headers["x-ratchet-pass"] = await earned(browser)
    assert (await browser.post("/v1/chat/completions", json=BODY)).status_code == 200
    first, second, third, another = gateway.calls()
    assert first.user_id.startswith("anonymous-")
    assert first.user_id == second.user_id == third.user_id != another.user_id
    assert first.organisation_id == ""
    assert first.session_id == "s1"


async def test_a_server_speaks_for_its_users(gateway: RunningGateway) -> None:
    headers = {"authorization": f"Bearer {gateway.key}", "origin": "https://anywhere.example"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        answer = await client.post("/v1/chat/completions", json=BODY)
    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers
    assert (gateway.calls()[0].user_id, gateway.calls()[0].organisation_id) == ("ada", "acme")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_a_key_counts_on_its_own_pages_only(
    gateway: RunningGateway, browser: httpx2.AsyncClient, origin: str | None
) -> None:
    browser.headers.pop("origin")
    said = {"origin": origin} if origin else {}
    for path, body in (("/v1/chat/completions", BODY), ("/v1/feedback", {"session_id": "s", "value": True})):
        answer = await browser.post(path, json=body, headers=said)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "origin_not_allowed"
        assert "access-control-allow-origin" not in answer.headers
    assert gateway.recorded() == []


async def test_a_page_may_read_answers_and_errors(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    asked = (
        await browser.get("/v1/models"),
        await browser.post("/v1/chat/completions", json=BODY),
        await browser.post("/v1/chat/completions", json=BODY | {"stream": True}),
        await browser.post("/v1/chat/completions", json=BODY | {"model": "nothing"}),
        await browser.post("/v1/feedback", json={"session_id": "s", "value": True}),
        await browser.post("/v1/feedback", json={}),
        await browser.get("/v1/models", headers={"authorization": "Bearer wrong"}),
    )
    assert [answer.status_code for answer in asked] == [200, 200, 200, 404, 202, 400, 401]
    for answer in asked:
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["vary"] == "origin"
        readable = answer.headers["access-control-expose-headers"].split(", ")
        limits = {
            f"x-ratelimit-{what}-{unit}"
            for what in ("limit", "remaining", "reset")
            for unit in ("requests", "tokens")
        }
        ours = {
            "x-ratchet-trace-id",
            "x-ratchet-cache",
            "x-ratchet-degraded",
            "x-ratchet-pass",
            "retry-after",
        }
        assert ours | limits <= set(readable)


async def test_a_browser_may_ask_whether_it_may_ask(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    asks = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    browser.headers.pop("authorization")
    yes = await browser.request("OPTIONS", "/v1/chat/completions", headers=asks)
    assert yes.status_code == 204
    assert yes.headers["access-control-allow-origin"] == PAGE
    assert {"authorization", "content-type", "x-altcha"} <= set(
        yes.headers["access-control-allow-headers"].split(", ")
    )
    no = await browser.request(
        "OPTIONS", "/v1/chat/completions", headers=asks | {"origin": "https://evil.example"}
    )
    assert no.status_code == 403
    assert "access-control-allow-origin" not in no.headers


async def test_a_revoked_keys_pages_are_forgotten(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    keys.revoke_key(gateway.records, project_id="default", name_or_id="web", now=time.time_ns())
    await eventually(lambda: not gateway.services.snapshot.origins)
    assert (await browser.get("/v1/models")).headers.get("access-control-allow-origin") is None


async def test_feedback_from_a_browser_is_from_whom_the_gateway_sees(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    await browser.post("/v1/chat/completions", json=BODY)
    await browser.post("/v1/feedback", json={"session_id": "s1", "value": True, "user": "ada"})
    score = next(record for record in gateway.recorded() if isinstance(record, Score))
    assert score.author == gateway.calls()[0].user_id


async def test_what_is_for_servers_is_not_for_browsers(
    gateway: RunningGateway, browser: httpx2.AsyncClient
) -> None:
    for path in ("/v1/traces", "/v1/tools/select"):
        refused = await browser.post(path, json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "key_not_allowed")
    run = {"x-ratchet-run": "run=r1&candidate=c&case=1&repeat=0"}
    await browser.post("/v1/chat/completions", json=BODY, headers=run)
    assert gateway.calls()[0].run_id == ""


async def test_a_page_is_told_nothing_of_what_is_behind_the_gateway(tmp_path: Path, free_port: int) -> None:
    settings = f"""
[gateway]
allow_private = ["127.0.0.0/8"]
[providers.inside]
kind = "openai"
base_url = "http://127.0.0.1:{free_port}/v1"
[routes.support]
targets = ["inside/gpt-4o"]
max_attempts = 1
"""
    async with running_gateway(tmp_path, settings) as gateway:
        key = gateway.new_key("web", publishable=True, origins=[PAGE])
        await known(gateway, "web")
        headers = {"authorization": f"Bearer {key}", "origin": PAGE}
        async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
            client.headers["x-ratchet-pass"] = await earned(client)
            for stream in (False, True):
                answer = await client.post("/v1/chat/completions", json=BODY | {"stream": stream})
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (502, "upstream_unreachable")
                assert str(free_port) not in answer.text
                assert "inside" not in answer.text
                assert error["message"] == "The model can't be asked right now. Try again in a moment."
        assert [f":{free_port}/v1" in call.error_message for call in gateway.calls()] == [True, True]
        server = {"authorization": f"Bearer {gateway.new_key('app')}"}
        await known(gateway, "app")
        async with httpx2.AsyncClient(base_url=gateway.url, headers=server, timeout=20) as client:
            whole = await client.post("/v1/chat/completions", json=BODY)
        assert f":{free_port}/v1" in whole.json()["error"]["message"]


async def test_a_forged_forwarded_for_is_not_believed(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    """A proxy of ours writes the last address; what stands before it is its caller's word."""
    settings = f"""
[gateway]
trusted_proxies = ["127.0.0.0/8", "10.0.0.1"]
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.support]
targets = ["sim/gpt-4o"]
"""
    async with running_gateway(tmp_path, settings) as gateway:
        key = gateway.new_key("web", publishable=True, origins=[PAGE])
        await known(gateway, "web")
        headers = {"authorization": f"Bearer {key}", "origin": PAGE}
        async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
            shown = {at: await earned(client, {"x-forwarded-for": at}) for at in ("1.2.3.4", "1.2.3.5")}
            for said in ("1.2.3.4", "9.9.9.9, 1.2.3.4", "8.8.8.8, 1.2.3.4, 10.0.0.1", "1.2.3.5"):
                at = "1.2.3.5" if said == "1.2.3.5" else "1.2.3.4"
                forwarded = {"x-forwarded-for": said, "x-ratchet-pass": shown[at]}
                await client.post("/v1/chat/completions", json=BODY, headers=forwarded)
            client.headers["x-ratchet-pass"] = shown["1.2.3.4"]
            forged = await client.post(
                "/v1/chat/completions", json=BODY, headers={"x-forwarded-for": "1.2.3.4, 6.6.6.6"}
            )
            assert forged.json()["error"]["code"] == "challenge_required"
            lines = [("x-forwarded-for", "7.7.7.7"), ("x-forwarded-for", "1.2.3.4"), *client.headers.items()]
            await client.post("/v1/chat/completions", json=BODY, headers=lines)
        users = [call.user_id for call in gateway.calls() if call.status == "ok"]
        assert users[0] == users[1] == users[2] == users[4] != users[3]


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("5.5.5.5", "1.1.1.1", "5.5.5.5"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
        ("10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "1.1.1.1", ""),
    ],
)
def test_whose_address_counts(peer: str, forwarded: str, expected: str) -> None:
    assert client_address(peer, [forwarded.encode()] if forwarded else [], networks("10.0.0.0/8")) == expected


@given(st.lists(st.text(max_size=20)), st.ip_addresses())
def test_nothing_a_caller_writes_changes_what_a_trusted_proxy_saw(written: list[str], seen: Any) -> None:
    trusted = networks("10.0.0.0/8")
    address = getattr(seen, "ipv4_mapped", None) or seen
    if any(address in network for network in trusted):
        return
    forged = ",".join(written).encode("latin-1", "replace")
    found = client_address("10.0.0.1", [forged, str(seen).encode()], trusted)
    assert ipaddress.ip_address(found) == address


def test_a_source_is_an_address_or_what_one_line_is_given() -> None:
    assert source_of("1.2.3.4") == "1.2.3.4"
    assert source_of("2001:db8:1:2:aaaa::1") == source_of("2001:db8:1:2:bbbb::2") == "2001:db8:1:2::/64"
    assert source_of("the app's own: word") == "the app's own: word"


def test_a_fingerprint_is_the_browsers() -> None:
    headers = {b"user-agent": b"B/1", b"accept-language": b"de"}
    assert fingerprint_of(headers) == fingerprint_of(headers | {b"x-other": b"1"})
    assert fingerprint_of(headers) != fingerprint_of(headers | {b"accept-language": b"fr"})
