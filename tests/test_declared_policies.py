"""Limits, segments and budgets that are declared in the studio: by page, by API, by command; gateways hold to them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import eventually
from tests.test_declarations import declare
from tests.test_limits import limited

from browser.studio_harness import Studio, running_studio
from ratchet.app.in_force import CurrentSettings
from ratchet.app.settings import config_file
from ratchet.domain.access import Role
from ratchet.gateway.pipeline import STEPS
from ratchet.simulator.app import Simulator

FILE = """
[routes.support]
targets = ["simulator/gpt-4o-mini"]
[limits.everything]
requests = "500/second"
[segments.free]
users = ["ada"]
"""


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    path = tmp_path / "ratchet.toml"
    path.write_text(FILE)
    source = config_file(path, {})
    current = CurrentSettings(source, source.read())
    with running_studio(tmp_path, in_force=current.in_force) as running:
        yield running


def browser(studio: Studio, role: Role = Role.DEVELOPER) -> Any:
    return studio.visitor(role)


def test_a_limit_is_made_changed_and_deleted_on_its_pages(studio: Studio) -> None:
    client = browser(studio)
    assert "everything" in client.get("/limits").text
    listed = client.get("/limits?new").text
    assert "everything" in listed
    assert "500/second" in listed
    wrong = client.post("/limits", data={"name": "free", "by": "user\nplanet", "requests": "20 a minute"})
    assert wrong.status_code == 400
    assert "20 a minute" in wrong.text  # nothing that was typed is lost
    assert "Expected a rate such as 100/minute" in wrong.text
    assert "Found" in wrong.text or "found" in wrong.text
    made = client.post("/limits", data={"name": "free", "by": "user\nroute", "requests": "20/minute"})
    assert made.headers["location"] == "/limits/free"
    one = client.get("/limits/free").text
    assert "20/minute" in one
    changed = client.post("/limits/free", data={"by": "user", "requests": "30/minute", "tokens": "50k/hour"})
    assert changed.headers["location"] == "/limits/free?saved=1"
    assert client.get("/api/limits/free").json()["settings"] == {
        "by": ["user"],
        "requests": "30/minute",
        "tokens": "50k/hour",
    }
    assert client.post("/limits/everything", data={"requests": "1/second"}).status_code == 409
    assert "changed there" in client.get("/limits/everything").text
    assert client.post("/limits/free/delete").headers["location"] == "/limits"
    assert client.get("/limits/free").status_code == 404


@pytest.mark.parametrize("kind", ["limits", "segments", "budgets"])
def test_the_pages_are_there_for_everybody_and_the_forms_for_developers(studio: Studio, kind: str) -> None:
    viewer, developer = browser(studio, Role.VIEWER), browser(studio)
    assert viewer.get(f"/{kind}?new").status_code == 200
    assert 'id="new"' not in viewer.get(f"/{kind}?new").text
    assert 'id="new"' in developer.get(f"/{kind}?new").text
    assert viewer.post(f"/{kind}", data={"name": "a"}).status_code == 403
    assert viewer.delete(f"/api/{kind}/a").status_code == 403


def test_the_api_names_what_cannot_be(studio: Studio) -> None:
    client = browser(studio)

    def refused(kind: str, name: str, **settings: Any) -> tuple[int, str]:
        answer = client.post(f"/api/{kind}", json={"name": name, "settings": settings})
        return answer.status_code, answer.json()["error"]["message"]

    assert refused("limits", "everything", requests="1/second") == (
        409,
        "ratchet.toml declares the limit 'everything' already ([limits.everything]).",
    )
    status, message = refused("budgets", "b", amount=5, degrade_to="nowhere")
    assert (status, "names 'nowhere', which is neither a route nor a provider's model" in message) == (
        409,
        True,
    )
    status, message = refused("budgets", "b", amount=5, webhook="http://127.0.0.1:9/x")
    assert (status, "127.0.0.1 is a private address" in message) == (400, True)
    status, message = refused("segments", "paid", users=["ada"])
    assert (status, "The user 'ada' is in two segments" in message) == (409, True)
    made = client.post(
        "/api/budgets", json={"name": "b", "settings": {"amount": "5.5", "degrade_to": "support"}}
    )
    assert (made.status_code, made.json()["settings"]) == (201, {"amount": "5.5", "degrade_to": "support"})
    changed = client.patch("/api/budgets/b", json={"settings": {"degrade_to": None, "by": ["user"]}})
    assert changed.json()["settings"] == {"amount": "5.5", "by": ["user"]}
    assert client.delete("/api/budgets/b").status_code == 200
    assert client.get("/api/budgets").json() == []


def ratchet(folder: Path, *arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_command_line_declares_them(tmp_path: Path) -> None:
    ratchet(
        tmp_path, "limit", "create", "free", "--by", "user", "--requests", "20/minute", "--set", 'users=["a"]'
    )
    ratchet(tmp_path, "limit", "update", "free", "--set", "requests=30/minute", "--set", "users=")
    shown = json.loads(ratchet(tmp_path, "limit", "show", "free", "--json"))
    assert shown["settings"] == {"by": ["user"], "requests": "30/minute"}
    assert "30/minute" in ratchet(tmp_path, "limit", "list")
    assert "is deleted" in ratchet(tmp_path, "limit", "delete", "free")
    refused = ratchet(tmp_path, "limit", "create", "x", "--requests", "many", code=1)
    assert "requests is 'many': expected a rate such as 100/minute" in refused


def test_a_key_that_is_not_there_is_told_wherever_limits_are_shown(tmp_path: Path) -> None:
    made = ratchet(tmp_path, "limit", "create", "free", "--requests", "2/minute", "--set", 'keys=["app"]')
    text = "The limit 'free' is for the key 'app', which is not there. Nobody has it until it is made."
    assert text in " ".join(made.split())
    assert text in " ".join(ratchet(tmp_path, "limit", "list").split())
    ratchet(tmp_path, "key", "create", "--name", "app")
    assert "not there" not in ratchet(tmp_path, "limit", "list")
    wrong = ratchet(tmp_path, "limit", "update", "free", "--set", 'routes=["nope"]', code=1)
    assert "names 'nope', which is neither a route nor a provider's model" in " ".join(wrong.split())


def test_the_pages_warn_of_a_key_that_is_not_there(studio: Studio) -> None:
    client = browser(studio)
    client.post("/limits", data={"name": "free", "keys": "app", "requests": "20/minute"})
    for place in ("/limits?new", "/limits/free"):
        assert "is for the key &#39;app&#39;, which is not there" in client.get(place).text


async def test_gateways_log_a_key_that_is_not_there(
    tmp_path: Path, simulator: tuple[str, Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    settings = '[limits.free]\nkeys = ["app"]\nrequests = "2/minute"\n[segments.pro]\nkeys = ["app"]'
    async with limited(tmp_path, simulator, settings) as at:

        def told() -> list[str]:
            return [line for line in caplog.messages if "is for the key 'app', which is not there" in line]

        assert len(told()) == 2
        at.gateway.new_key("other")
        await eventually(lambda: len(at.gateway.services.snapshot.keys) == 2)
        assert len(told()) == 2
        at.gateway.new_key("app")
        await eventually(lambda: len(at.gateway.services.snapshot.keys) == 3)
        assert len(told()) == 2


async def test_gateways_hold_to_what_the_studio_declares(
    tmp_path: Path, simulator: tuple[str, Simulator]
) -> None:
    async with limited(tmp_path, simulator, "") as at:
        records = at.gateway.records
        assert at.gateway.services.snapshot.routes["mini"].steps == STEPS
        declare(records, "segment", "free", users=["ada"])
        declare(records, "limit", "tight", by=["user"], segments=["free"], requests="1/hour")
        declare(records, "budget", "none", users=["bob"], amount="0.0000001")

        async def held() -> bool:
            return (await at.ask(user="ada")).status_code == 429

        assert await eventually(held)
        refused = await at.ask(user="bob")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "request_exceeds_budget")
        assert (await at.ask(user="eve")).status_code == 200
