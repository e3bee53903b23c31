"""Who is blocked, allowed or given more room: kept, looked up, and enforced by a real gateway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.challenges import BODY, earned, solution
from tests.conftest import RunningGateway, eventually, running_gateway
from tests.test_cli import as_json, ratchet
from tests.test_gateway_trust import ask, events

from ratchet.domain.access import Key
from ratchet.domain.standings import Standing, checked_subject
from ratchet.errors import InvalidRequest, NotFound
from ratchet.gateway.caller import Caller
from ratchet.gateway.standing.standings import Standings
from ratchet.simulator.app import Simulator
from ratchet.store.records import Records
from ratchet.store.records.auditing import AuditFilter, audit_rows
from ratchet.store.records.standings import drop_standing, list_standings, live_standings, put_standing

HOUR = 3_600 * 10**9
KEY = Key(
    id="k1", project_id="default", name="app", prefix="", secret_hash="", routes=[], created=0, created_by=""
)


def decide(records: Records, kind: str, name: str, action: Any = "block", **more: Any) -> Standing:
    return put_standing(
        records, project_id="default", kind=kind, name=name, action=action, now=time.time_ns(), by="admin@example.org",
        **more,
    )  # fmt: skip


async def decided(
    gateway: RunningGateway, kind: str, name: str, action: Any = "block", **more: Any
) -> Standing:
    """Once the gateway knows it."""
    made = decide(gateway.records, kind, name, action, **more)
    revision = gateway.records.revision("gateway")
    await eventually(lambda: gateway.services.snapshot.revision >= revision)
    return made


def test_there_is_one_standing_for_each_subject(records: Records) -> None:
    decide(records, "user", "mallory", reason="spam")
    second = decide(records, "user", " mallory ", "raise", factor=2.0, until=time.time_ns() + HOUR)
    assert list_standings(records, project_id="default") == [second]
    assert list_standings(records, project_id="other") == []
    assert live_standings(records, now=time.time_ns()) == [second]
    assert live_standings(records, now=time.time_ns() + 2 * HOUR) == []
    assert drop_standing(records, project_id="default", standing_id=second.id) == second
    with pytest.raises(NotFound):
        drop_standing(records, project_id="default", standing_id=second.id)
    with records.read() as connection:
        said = [row.action for row in audit_rows(connection, AuditFilter(), project_id="default", limit=9)]
    assert said[:2] == ["standing.deleted", "standing.created"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("2001:DB8::1", "2001:db8::1"),
        ("2001:db8::1/64", "2001:db8::/64"),
    ],
)
def test_an_address_is_kept_in_one_form(written: str, kept: str) -> None:
    assert checked_subject("ip", written) == ("ip", kept)


@pytest.mark.parametrize(
    ("what", "param"),
    [
        ({"kind": "planet", "name": "mars"}, "kind"),
        ({"kind": "user", "name": " "}, "name"),
        ({"kind": "ip", "name": "somewhere"}, "name"),
        ({"kind": "ip", "name": "0.0.0.0/0"}, "name"),
        ({"kind": "user", "name": "a", "action": "raise", "factor": 0.0}, "factor"),
        ({"kind": "user", "name": "a", "action": "raise", "factor": float("nan")}, "factor"),
        ({"kind": "user", "name": "a", "action": "raise"}, "factor"),
        ({"kind": "user", "name": "a", "action": "block", "factor": 2.0}, "factor"),
        ({"kind": "user", "name": "a", "reason": "x" * 501}, "reason"),
        ({"kind": "user", "name": "a", "until": 5}, "until"),
    ],
)
def test_what_makes_no_sense_is_refused(records: Records, what: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decide(records, **what)
    assert caught.value.param == param
    assert list_standings(records, project_id="default") == []


def standing(kind: Any, name: str, action: Any = "block", until: int | None = None) -> Standing:
    return Standing(
        id=f"{kind}-{name}", project_id="default", kind=kind, name=name, action=action, until=until, created=0,
        created_by="",
    )  # fmt: skip


def found(standings: Standings, *, now: int = 0, key: Key = KEY, **caller: str) -> str:
    one = standings.of(key, Caller(**caller), now)
    return one.id if one else ""


def test_the_most_particular_decides() -> None:
    standings = Standings(
        standing(kind, name)
        for kind, name in (
            ("user", "ada"), ("fingerprint", "f"), ("ip", "10.0.0.0/8"), ("ip", "10.1.0.0/16"), ("ip", "10.1.2.3"),
            ("ip", "2001:db8::/32"), ("organisation", "acme"), ("key", "app"),
        )
    )  # fmt: skip
    assert found(standings, user="ada", fingerprint="f", ip="10.1.2.3", organisation="acme") == "user-ada"
    assert found(standings, user="bob", fingerprint="f", ip="10.1.2.3") == "fingerprint-f"
    assert found(standings, user="bob", ip="10.1.2.3", organisation="acme") == "ip-10.1.2.3"
    assert found(standings, ip="::ffff:10.1.2.4") == "ip-10.1.0.0/16"
    assert found(standings, ip="10.2.0.1") == "ip-10.0.0.0/8"
    assert found(standings, ip="2001:db8:7::1") == "ip-2001:db8::/32"
    assert found(standings, ip="11.0.0.1", organisation="acme") == "organisation-acme"
    assert found(standings, ip="an app's word") == found(standings) == "key-app"


def test_a_key_is_known_by_name_or_id_and_projects_are_apart() -> None:
    other = Key(
        id="k2",
        project_id="other",
        name="app",
        prefix="",
        secret_hash="",
        routes=[],
        created=0,
        created_by="",
    )
    assert found(Standings([standing("key", "k1")])) == "key-k1"
    assert found(Standings([standing("key", "app"), standing("user", "ada")]), key=other, user="ada") == ""


def test_a_standing_ends_by_itself() -> None:
    standings = Standings([standing("user", "ada", until=100), standing("ip", "10.0.0.1", until=100)])
    assert found(standings, now=99, user="ada") == "user-ada"
    assert found(standings, now=100, user="ada") == found(standings, now=100, ip="10.0.0.1") == ""


@given(st.ip_addresses(v=4), st.integers(1, 32))
def test_an_address_is_found_in_every_network_around_it(address: Any, length: int) -> None:
    _, name = checked_subject("ip", f"{address}/{length}")
    assert found(Standings([standing("ip", name)]), ip=str(address)) == f"ip-{name}"
    across = f"{int(address) ^ (1 << (32 - length))}"
    assert found(Standings([standing("ip", name)]), ip=str(type(address)(int(across)))) == ""


async def test_the_blocked_are_turned_away_with_the_reason_and_not_the_note(gateway: RunningGateway) -> None:
    assert (await ask(gateway, "mallory")).status_code == 200
    made = await decided(gateway, "user", "mallory", reason="Too many complaints.", note="see ticket 7")
    refused = await ask(gateway, "mallory")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "blocked")
    assert "Too many complaints." in refused.json()["error"]["message"]
    assert "ticket" not in refused.text
    assert (await ask(gateway, "ada")).status_code == 200
    assert [call.error_type for call in gateway.calls()] == ["", "blocked", ""]
    (event,) = events(gateway, "caller.blocked")
    assert (event.subject, event.attributes["by"]) == ("mallory", "admin@example.org")
    drop_standing(gateway.records, project_id="default", standing_id=made.id)
    await eventually(lambda: gateway.services.snapshot.stand is None)
    assert (await ask(gateway, "mallory")).status_code == 200


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("ip", "203.0.113.0/24", {"client_ip": "203.0.113.9"}),
        ("fingerprint", "device-1", {"fingerprint": "device-1"}),
        ("organisation", "acme", {"organisation": "acme"}),
        ("key", "test", {}),
    ],
)
async def test_whatever_is_said_of_a_caller_may_be_blocked(
    gateway: RunningGateway, kind: str, name: str, said: dict[str, str]
) -> None:
    await decided(gateway, kind, name)
    assert (await ask(gateway, "ada", **said)).json()["error"]["code"] == "blocked"
    await decided(gateway, "user", "ada", "allow")
    assert (await ask(gateway, "ada", **said)).status_code == 200


@pytest.mark.parametrize(
    ("blocked", "said"),
    [
        ("203.0.113.0/24", "203.0.113.77:8080"),
        ("203.0.113.77", " 203.0.113.77"),
        ("203.0.113.77", "[::ffff:cb00:714d]"),
        ("::ffff:203.0.113.77", "203.0.113.77"),
        ("2001:db8::1", "[2001:0DB8::0001]:443"),
        ("2001:db8::/32", "2001:db8::1%eth0"),
    ],
)
async def test_a_blocked_address_is_blocked_however_it_is_written(
    gateway: RunningGateway, blocked: str, said: str
) -> None:
    await decided(gateway, "ip", blocked)
    assert (await ask(gateway, "ada", client_ip=said)).json()["error"]["code"] == "blocked"


LIMITED = """
[segments.default]
starts = "untrusted"
scale = [0.1, 1.0]
[limits.each]
by = ["user"]
requests = "10/hour burst 10"
"""


async def answered(gateway: RunningGateway, user: str) -> int:
    """How many of 40 requests in a row pass."""
    return sum([(await ask(gateway, user)).status_code == 200 for _ in range(40)])


async def test_limits_follow_trust_and_standings(tmp_path: Path, simulator: tuple[str, Simulator]) -> None:
    """The same limit: little for a stranger, all of it for somebody allowed, more for somebody raised."""
    settings = f"""
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.support]
targets = ["sim/gpt-4o"]
{LIMITED}
"""
    async with running_gateway(tmp_path, settings) as gateway:
        await decided(gateway, "user", "ada", "allow")
        await decided(gateway, "organisation", "acme", "raise", factor=10.0)
        stranger = await answered(gateway, "bob")
        allowed = await answered(gateway, "ada")
        raised = sum([(await ask(gateway, "eve", organisation="acme")).status_code == 200 for _ in range(40)])
        assert stranger < allowed < raised
        assert (stranger, allowed) == (3, 10)


async def test_a_browsers_address_is_blocked_before_any_challenge(gateway: RunningGateway) -> None:
    key = gateway.new_key("web", publishable=True, origins=["https://app.example.org"])
    await eventually(lambda: gateway.services.snapshot.origins)
    headers = {"authorization": f"Bearer {key}", "origin": "https://app.example.org"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        shown = {"x-ratchet-pass": await earned(client)}
        assert (await client.post("/v1/chat/completions", json=BODY, headers=shown)).status_code == 200
        await decided(gateway, "ip", "127.0.0.0/8")
        for answer in (
            await client.get("/v1/challenge"),
            await client.post("/v1/chat/completions", json=BODY),
            await client.post("/v1/chat/completions", json=BODY, headers=shown),
            await client.post("/v1/feedback", json={"session_id": "s", "value": True}, headers=shown),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "blocked")


async def test_a_user_named_by_a_pass_is_blocked_too(gateway: RunningGateway) -> None:
    key = gateway.new_key("web", publishable=True, origins=["https://app.example.org"])
    await eventually(lambda: gateway.services.snapshot.origins)
    page = {"authorization": f"Bearer {key}", "origin": "https://app.example.org"}
    await decided(gateway, "user", "mallory")
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=20) as client:
        server = {"authorization": f"Bearer {gateway.key}"}
        ask_for = {"key": "web", "user": "mallory"}
        refused = await client.get("/v1/challenge", headers=server, params=ask_for)
        assert refused.json()["error"]["code"] == "blocked"
        await decided(gateway, "user", "mallory", "raise", factor=2.0)
        given_ = await client.get("/v1/challenge", headers=server, params=ask_for)
        await decided(gateway, "user", "mallory")
        shown = {**page, "x-altcha": solution(given_.json())}
        answer = await client.post("/v1/chat/completions", json=BODY, headers=shown)
        assert answer.json()["error"]["code"] == "blocked"


def test_decisions_from_the_command_line(tmp_path: Path) -> None:
    made = as_json(
        tmp_path, "standing", "create", "ip", "203.0.113.7/24", "--reason", "scraper", "--until", "30d"
    )
    assert (made["name"], made["action"], made["created_by"]) == ("203.0.113.0/24", "block", "local")
    ratchet(tmp_path, "standing", "create", "user", "ada", "--action", "raise", "--factor", "2.5")
    listed = ratchet(tmp_path, "standing", "list")
    assert "ip 203.0.113.0/24" in listed
    assert "raise × 2.5" in listed
    (ada,) = [line for line in listed.splitlines() if "user ada" in line]
    assert "for good" in ada
    assert "raise needs a factor" in ratchet(
        tmp_path, "standing", "create", "user", "ben", "--action", "raise", code=1
    )
    assert "neither an address nor a network" in ratchet(tmp_path, "standing", "create", "ip", "x", code=1)
    assert "is decided" in ratchet(tmp_path, "standing", "delete", made["id"])
    assert [each["name"] for each in as_json(tmp_path, "standing", "list")] == ["ada"]
