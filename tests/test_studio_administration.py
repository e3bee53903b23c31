"""The pages on which things are declared: keys, providers, routes, members, settings. Forms lose nothing."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import RunningGateway

from browser.studio_harness import Clock, Studio, error_beside, running_studio, text_of
from browser.studio_seed import Seed
from ratchet.app.in_force import CurrentSettings, GatewayPlace, installation
from ratchet.app.paths import DataDir
from ratchet.app.settings import config_file
from ratchet.domain.access import Role
from ratchet.store.records.keys import STUDIO, lend_key, list_keys
from ratchet.store.spans import SpanStore

FILE = """
[gateway]
allow_private = ["10.0.0.0/8"]

[providers.lab]
kind = "simulator"

[providers.far]
kind = "openai"
api_key = "env:FAR_KEY"

[routes.support]
targets = ["lab/gpt-4o-mini"]

[telemetry.export]
endpoint = "http://user:hidden-word@127.0.0.1:9/v1/traces?token=hidden-word"
headers = { authorization = "Bearer hidden-word", other = "env:OTHER" }
"""
ENVIRONMENT = {
    "RATCHET_STORE__RECORDS": "postgresql://me:hidden-word@db/ratchet",
    "RATCHET_GATEWAY__HOST": "0.0.0.0",
}


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpanStore]:
    opened = SpanStore.open(f"chdb://{tmp_path_factory.mktemp('administration')}/spans")
    yield opened
    opened.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "ratchet.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def studio(tmp_path: Path, config: Path, spans: SpanStore) -> Iterator[Studio]:
    source = config_file(config, ENVIRONMENT)
    settings = source.read()
    current = CurrentSettings(source, settings)
    data = DataDir.at(tmp_path / "data")
    with running_studio(
        tmp_path,
        spans=spans,
        clock=Clock(time.time_ns()),
        in_force=current.in_force,
        installation=lambda: installation(settings, data),
    ) as running:
        yield running


def browser(studio: Studio, role: Role = Role.DEVELOPER) -> Any:
    return studio.visitor(role)


# -- keys ----------------------------------------------------------------------------------------------------------


def test_a_key_is_made_shown_once_and_revoked(studio: Studio) -> None:
    client = browser(studio)
    assert "No keys yet" in client.get("/keys").text
    form = client.get("/keys?new").text
    assert 'value="support"' in form
    assert 'value="lab/*"' in form
    made = client.post(
        "/keys",
        data={"name": "shop", "routes": ["support", "lab/*"], "others": "far/x, far/y", "expires": "90d"},
    )
    assert made.status_code == 201
    (secret,) = set(re.findall(r'data-copy="(rk-\w+)"', made.text))
    (key,) = list_keys(studio.records, project_id="default")
    assert key.routes == ["far/x", "far/y", "lab/*", "support"]
    assert key.expires is not None
    assert key.created_by == "developer@example.org"
    listed = client.get("/keys").text
    assert secret not in listed
    assert f"{secret[:9]}…" in listed
    gone = client.post(f"/keys/{key.id}/revoke")
    assert gone.headers["location"] == f"/keys?revoked={key.id}"
    assert "Gateways refuse it within a second" in client.get(gone.headers["location"]).text
    assert "revoked" in client.get("/keys").text


def test_a_wrong_key_form_comes_back_with_everything_typed(studio: Studio) -> None:
    client = browser(studio)
    sent = {"name": "shop", "routes": "support", "others": "far/x", "expires": "soon"}
    page = client.post("/keys", data=sent)
    assert page.status_code == 400
    assert "'soon' is no expiry" in error_beside(page, "expires")
    assert 'value="shop"' in page.text
    assert 'value="far/x"' in page.text
    assert re.search(r'value="support" checked', page.text)
    assert "can't be" in error_beside(client.post("/keys", data={**sent, "name": " ", "expires": ""}), "name")
    client.post("/keys", data={"name": "shop"})
    assert "There is a key named 'shop' already" in error_beside(
        client.post("/keys", data={"name": "shop"}), "name"
    )


def test_the_studios_own_keys_are_hidden_unless_asked_for(studio: Studio) -> None:
    lend_key(
        studio.records,
        project_id="default",
        name="studio: try it",
        now=studio.clock(),
        expires=studio.clock() + 10**12,
    )
    client = browser(studio)
    assert "studio: try it" not in client.get("/keys").text
    assert "studio: try it" in client.get("/keys?internal").text
    assert client.get("/api/keys").json() == []
    (shown,) = client.get("/api/keys?internal=true&use=true").json()
    assert (shown["created_by"], shown["last_used"]) == (STUDIO, None)


# -- providers and routes ------------------------------------------------------------------------------------------


def test_a_provider_and_its_route_are_declared_changed_and_deleted(studio: Studio) -> None:
    client = browser(studio)
    made = client.post(
        "/providers",
        data={
            "name": "vllm",
            "kind": "openai",
            "base_url": "http://10.0.0.5:8000/v1",
            "timeout": "12",
            "drop_fields": "user\r\nmetadata",
        },
    )
    assert (made.status_code, made.headers["location"]) == (303, "/providers/vllm")
    page = client.get("/providers/vllm")
    assert "declared in the studio" in text_of(page)
    assert client.get("/api/providers/vllm").json()["settings"] == {
        "kind": "openai",
        "base_url": "http://10.0.0.5:8000/v1",
        "timeout": 12.0,
        "drop_fields": ["user", "metadata"],
    }
    assert client.post("/routes", data={"name": "cheap", "targets": "vllm/llama"}).status_code == 303
    assert "Used by cheap" in text_of(client.get("/providers/vllm"))
    refused = client.post("/providers/vllm/delete")
    assert refused.status_code == 409
    assert "The route 'cheap' needs the provider 'vllm'" in text_of(refused)
    seen = re.search(r'name="seen" value="(\d+)"', client.get("/routes/cheap").text)
    assert seen
    saved = client.post("/routes/cheap", data={"seen": seen[1], "targets": "lab/gpt-4o"})
    assert saved.headers["location"] == "/routes/cheap?saved=1"
    assert "Saved." in client.get("/routes/cheap?saved=1").text
    late = client.post("/routes/cheap", data={"seen": seen[1], "targets": "lab/other"})
    assert late.status_code == 409
    assert "developer@example.org has changed the route 'cheap' meanwhile" in text_of(late)
    assert "lab/other</textarea>" in late.text
    assert client.post("/routes/cheap/delete").headers["location"] == "/routes"
    assert client.post("/providers/vllm/delete").headers["location"] == "/providers"
    assert client.get("/providers/vllm").status_code == 404


@pytest.mark.parametrize(
    ("sent", "field", "words"),
    [
        ({"name": "", "kind": "openai"}, "name", "Fill this in."),
        ({"name": "a b", "kind": "openai"}, "name", "Expected a name of letters, digits"),
        (
            {"name": "lab", "kind": "openai"},
            "name",
            "ratchet.toml declares the provider 'lab' already ([providers.lab])",
        ),
        ({"name": "x", "kind": "telepathy"}, "kind", "found 'telepathy'"),
        ({"name": "x", "kind": "openai", "base_url": "nope"}, "base_url", "Expected an address such as"),
        (
            {"name": "x", "kind": "openai", "base_url": "http://169.254.169.254/v1"},
            "base_url",
            "Expected a public address, or one that gateway.allow_private names; found '169.254.169.254'",
        ),
        (
            {"name": "x", "kind": "openai", "base_url": "http://localhost:9/v1"},
            "base_url",
            "Expected a public address",
        ),
        ({"name": "x", "kind": "openai", "timeout": "0"}, "timeout", "Expected a number above 0; found '0'"),
        ({"name": "x", "kind": "openai", "timeout": "long"}, "timeout", "Expected a number; found 'long'"),
        ({"name": "x", "kind": "openai", "api_key": "sk-hidden-word"}, "api_key", "by reference"),
        ({"name": "x", "kind": "openai", "api_key": "env:9x"}, "api_key", "the name of a variable"),
    ],
)
def test_a_wrong_provider_form_says_what_is_wrong_beside_the_field(
    studio: Studio, sent: dict[str, str], field: str, words: str
) -> None:
    page = browser(studio).post("/providers", data={"connect_timeout": "7", **sent})
    assert page.status_code in (400, 409)
    assert words in error_beside(page, field)
    assert 'name="connect_timeout" type="text" value="7"' in page.text, "nothing typed is lost"
    assert "hidden-word" not in page.text, "what may be a secret is not repeated"
    assert "Input should" not in page.text
    assert "aria-invalid" in page.text
    assert len(browser(studio).get("/api/providers").json()) == 3


def test_a_wrong_route_form(studio: Studio) -> None:
    client = browser(studio)
    for target, words in [
        ("nonsense", "Expected provider/model, such as openai/gpt-4o-mini; found 'nonsense'"),
        ("", "Fill this in."),
    ]:
        assert words in error_beside(client.post("/routes", data={"name": "r", "targets": target}), "targets")
    nobody = client.post("/routes", data={"name": "r", "targets": "nobody/x"})
    assert "names the provider 'nobody', which is not declared" in text_of(nobody)
    assert "nobody/x</textarea>" in nobody.text


def test_what_the_file_declares_is_shown_and_not_changed(studio: Studio) -> None:
    client = browser(studio)
    page = client.get("/routes/support")
    assert "declared in ratchet.toml" in text_of(page)
    assert "[routes.support]" in page.text
    assert 'name="targets"' not in page.text
    assert "Delete" not in page.text
    for answer in (
        client.post("/routes/support", data={"targets": "lab/x"}),
        client.post("/routes/support/delete"),
    ):
        assert answer.status_code == 409
        assert "The route 'support' is declared in ratchet.toml." in text_of(answer)
    assert client.delete("/api/providers/simulator").json()["error"]["code"] == "declared_by_environment"


def test_a_name_that_the_file_gains_is_shown_as_refused_until_one_goes(studio: Studio, config: Path) -> None:
    client = browser(studio)
    client.post("/routes", data={"name": "cheap", "targets": "lab/a"})
    config.write_text(FILE + '[routes.cheap]\ntargets = ["lab/b"]\n')
    for path in ("/routes", "/routes/cheap", "/settings"):
        shown = text_of(client.get(path))
        assert (
            "The route 'cheap' is declared twice: in ratchet.toml ([routes.cheap]) and in the studio."
            in shown
        ), path
    assert client.post("/routes", data={"name": "other", "targets": "lab/a"}).status_code == 303, (
        "others go on"
    )
    assert client.post("/routes/cheap/delete").status_code == 303
    assert "declared twice" not in client.get("/settings").text
    assert client.get("/api/routes/cheap").json()["origin"] == "file"
    config.write_text(FILE + "[routes.broken\n")
    shown = text_of(client.get("/settings"))
    assert "The file is not in force as it is now" in shown
    assert "is not TOML" in shown


def test_health_comes_from_the_gateways_spans(studio: Studio) -> None:
    seed = Seed(studio.clock())
    ago = studio.clock() - 30 * 60 * 10**9
    for number in range(10):
        failing = (
            {"status": "error", "error_type": "upstream_failed", "error_message": "It broke."}
            if number == 9
            else {}
        )
        seed.call(
            ago + number * 10**9,
            "Hello?",
            "Hello!",
            source="gateway",
            route="support",
            target="lab/gpt-4o-mini",
            provider="simulator",
            **failing,
        )
    seed.call(
        ago,
        "?",
        "!",
        source="gateway",
        route="support",
        target="lab/gpt-4o-mini",
        status="error",
        error_type="client_closed_request",
    )
    studio.store.insert_spans(seed.spans, token="health")
    client = browser(studio, Role.VIEWER)
    (lab,) = [each for each in client.get("/api/providers?health=1h").json() if each["name"] == "lab"]
    health = lab["health"]
    assert (health["calls"], health["errors"], health["label"]) == (11, 1, "simulator")
    assert health["latency_p50"] <= health["latency_p95"]
    assert (health["error_type"], health["error_message"]) == ("upstream_failed", "It broke.")
    page = client.get("/providers?window=1h")
    assert "9.1 %" in text_of(page)
    assert f"/traces/{health['error_trace_id']}?span={health['error_span_id']}" in page.text
    assert client.get("/providers?window=1w").status_code == 400
    assert client.get("/api/providers?health=1w").json()["error"]["param"] == "health"
    assert "far" in {
        each["name"] for each in client.get("/api/providers?health=24h").json() if each["health"] is None
    }


def test_whether_a_key_is_set_is_told_as_the_studio_sees_it_where_no_gateway_answers(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(studio)
    assert "missing" in text_of(client.get("/providers"))
    text = text_of(client.get("/providers"))
    assert "can’t be asked" in text
    assert "Connection refused" in text
    assert "causes" not in text
    monkeypatch.setenv("FAR_KEY", "x")
    assert client.get("/api/providers/far").json()["key"] == {
        "variable": "FAR_KEY",
        "ready": True,
        "seen_by": "studio",
    }


def test_roles(studio: Studio) -> None:
    viewer = browser(studio, Role.VIEWER)
    for path in ("/providers", "/providers/lab", "/routes", "/routes/support", "/settings"):
        page = viewer.get(path)
        assert page.status_code == 200
        assert "New " not in page.text
        assert "Try it" not in page.text
        assert "/keys" not in page.text
    assert viewer.get("/keys").status_code == 403
    assert browser(studio).get("/members").status_code == 403
    stranger = studio.client(studio.member(Role.ADMIN), headers={"sec-fetch-site": "cross-site"})
    assert stranger.post("/routes", data={"name": "x", "targets": "lab/a"}).status_code == 403


def test_the_api_names_the_field_and_checks_bodies(studio: Studio) -> None:
    client = browser(studio)
    wrong = client.post("/api/providers", json={"name": "x", "settings": {"kind": "openai", "base_ulr": "y"}})
    assert wrong.status_code == 400
    assert "did you mean base_url" in wrong.json()["error"]["message"]
    assert wrong.json()["error"]["param"] == "base_ulr"
    for body in (
        {},
        {"name": 7, "settings": {}},
        {"name": "x", "settings": []},
        [],
        {"name": "x", "settings": {}, "z": 1},
    ):
        answer = client.post("/api/routes", json=body)
        assert answer.status_code == 400, body
        assert "Input should" not in answer.text
    client.post("/api/routes", json={"name": "r", "settings": {"targets": ["lab/a"]}})
    changed = client.patch("/api/routes/r", json={"settings": {"targets": ["lab/b"]}})
    assert changed.json()["settings"] == {"targets": ["lab/b"]}
    assert client.patch("/api/routes/r", json={"settings": {"targets": None}}).status_code == 400
    assert (
        client.patch("/api/routes/r", json={"settings": {}, "seen": 1}).json()["error"]["code"]
        == "changed_meanwhile"
    )
    assert client.delete("/api/routes/r").json()["settings"] == {"targets": ["lab/b"]}


# -- trying --------------------------------------------------------------------------------------------------------


async def test_try_it_sends_one_real_request_through_the_gateway(
    gateway: RunningGateway, tmp_path: Path, spans: SpanStore
) -> None:
    source = config_file(gateway.config, {})
    current = CurrentSettings(source, source.read())

    def walk() -> None:
        with running_studio(
            tmp_path, spans=spans, clock=Clock(time.time_ns()), records=gateway.records,
            gateway_address=gateway.url, in_force=current.in_force,
        ) as studio:  # fmt: skip
            client = browser(studio)
            client.post("/routes", data={"name": "fresh", "targets": "sim/gpt-4o"})
            page = client.post("/routes/fresh/try", data={"prompt": "When are you open?"})
            assert page.status_code == 200
            assert "Brackwater" in text_of(page)
            tried = client.post(
                "/api/providers/sim/try", json={"model": "gpt-4o", "prompt": "When are you open?"}
            ).json()
            assert tried["ok"]
            assert tried["output_tokens"] > 0
            piece = client.post("/routes/fresh/try", data={"prompt": " "}, headers={"hx-request": "true"})
            assert "The prompt is empty." in text_of(piece)
            assert "<html" not in piece.text
            keys = [
                key for key in list_keys(studio.records, project_id="default") if key.created_by == STUDIO
            ]
            assert [key.name for key in keys] == ["studio: try it"]
            assert keys[0].expires is not None
            assert keys[0].expires - studio.clock() <= 3600 * 10**9
            assert client.get("/api/settings").json()["gateway"]["ready"]["sim"] is True
            with studio.records.write("gateway") as connection:
                connection.exec_driver_sql("UPDATE keys SET revoked = 1 WHERE created_by = 'studio'")
            again = client.post("/api/routes/fresh/try", json={"prompt": "When are you open?"})
            assert again.json()["ok"], "a revoked key is replaced"

    await asyncio.to_thread(walk)
    assert [call.target for call in gateway.calls()] == ["sim/gpt-4o"] * 3
    assert {call.key_id for call in gateway.calls()}.isdisjoint({gateway.key_id})


def test_where_no_gateway_answers_that_is_said(studio: Studio) -> None:
    client = browser(studio)
    page = client.post("/routes/support/try", data={"prompt": "Keep this prompt."})
    assert page.status_code == 503
    assert "The gateway at http://127.0.0.1:9 did not answer" in text_of(page)
    assert "Keep this prompt." in page.text


# -- members -------------------------------------------------------------------------------------------------------


def test_members_are_invited_given_roles_and_tokens_and_removed(studio: Studio) -> None:
    admin = browser(studio, Role.ADMIN)
    invited = admin.post("/members", data={"email": "bob@example.org", "role": "annotator"})
    assert invited.status_code == 201
    link = re.search(r'data-copy="(http://studio\.test/welcome/rl-\w+)"', invited.text)
    assert link
    assert studio.client().get(link[1].removeprefix("http://studio.test")).status_code == 200
    assert admin.post("/members/bob@example.org/role", data={"role": "developer"}).status_code == 303
    token = re.search(
        r'data-copy="(rt-\w+)"', admin.post("/members/bob@example.org/token", data={"name": "ci"}).text
    )
    assert token
    assert studio.client(headers={"authorization": f"Bearer {token[1]}"}).get("/api/keys").status_code == 200
    late = admin.post("/members/bob@example.org/token", data={"name": "kept", "expires": "soon"})
    assert late.status_code == 400
    assert "is no expiry" in text_of(late)
    assert 'value="kept"' in late.text
    again = admin.post("/members", data={"email": "bob@example.org", "role": "viewer"})
    assert "is a member already" in error_beside(again, "email")
    assert "is not an e-mail address" in error_beside(admin.post("/members", data={"email": "bob"}), "email")
    assert admin.post("/members/bob@example.org/link").status_code == 201
    assert admin.post("/members/bob@example.org/remove").status_code == 303
    assert "bob@example.org" not in admin.get("/members").text


def test_the_last_admin_stays(studio: Studio) -> None:
    admin = browser(studio, Role.ADMIN)
    for answer in (
        admin.post("/members/admin@example.org/remove"),
        admin.post("/members/admin@example.org/role", data={"role": "viewer"}),
    ):
        assert answer.status_code == 409
        assert "admin@example.org is the only admin." in text_of(answer)


# -- settings ------------------------------------------------------------------------------------------------------


def test_settings_say_what_is_in_force_and_where_from_and_no_secret(studio: Studio, config: Path) -> None:
    client = browser(studio, Role.VIEWER)
    shown = client.get("/api/settings")
    page = client.get("/settings")
    assert "hidden-word" not in shown.text + page.text
    by_key = {each["key"]: each for each in shown.json()["settings"]}
    assert by_key["gateway.host"] == {
        "key": "gateway.host",
        "value": "0.0.0.0",
        "source": "RATCHET_GATEWAY__HOST",
        "waits": False,
    }
    assert by_key["store.records"]["value"] == "postgresql://me:…@db/ratchet"
    assert by_key["telemetry.export.endpoint"]["source"] == "file"
    assert by_key["telemetry.export.headers"]["value"] == "authorization: …, other: env:OTHER"
    assert by_key["gateway.drain_timeout"]["source"] == "default"
    assert shown.json()["file"] == str(config)
    config.write_text(
        FILE.replace("[gateway]", "[gateway]\ndrain_timeout = 5\nkeep_content = false")
        + '[prices."lab/x"]\ninput = 1\noutput = 2\n'
    )
    by_key = {each["key"]: each for each in client.get("/api/settings").json()["settings"]}
    assert by_key["gateway.drain_timeout"]["waits"], "it is read at the start"
    assert not by_key["gateway.keep_content"]["waits"], "it is taken over at once"
    assert by_key["prices.lab/x"]["source"] == "file"
    assert "after a restart" in client.get("/settings").text


@pytest.mark.parametrize(
    ("place", "text", "asked", "shown"),
    [
        (GatewayPlace(), "", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (GatewayPlace(port=9000), "", "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        (GatewayPlace(port=9000), '[gateway]\nhost = "0.0.0.0"', "http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        (GatewayPlace(port=9000), '[gateway]\nhost = "10.0.0.7"', "http://10.0.0.7:9000", "http://10.0.0.7:9000"),
        (GatewayPlace(port=9000), '[studio]\ngateway_url = "https://llm.example.org"', "http://127.0.0.1:9000", "https://llm.example.org"),
        (GatewayPlace(), '[studio]\ngateway_url = "https://llm.example.org"', "https://llm.example.org", "https://llm.example.org"),
        (GatewayPlace(url="http://gw:1"), '[studio]\ngateway_url = "https://llm.example.org"', "http://gw:1", "http://gw:1"),
    ],
)  # fmt: skip
def test_where_the_gateway_is(tmp_path: Path, place: GatewayPlace, text: str, asked: str, shown: str) -> None:
    path = tmp_path / "ratchet.toml"
    path.write_text(text)
    settings = config_file(path, {}).read()
    assert (place.asked(settings), place.shown(settings)) == (asked, shown)
