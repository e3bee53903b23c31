"""Providers and routes from the studio: merged with the file's, taken over while running, remembered, never in conflict."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually, running_app

from ratchet.app.settings import config_file
from ratchet.domain.declarations import Declarations
from ratchet.errors import Misconfigured
from ratchet.gateway.loading.merging import Merged, merge
from ratchet.gateway.loading.reload import Reloader
from ratchet.gateway.providers import ProviderPool
from ratchet.simulator.app import simulator_app
from ratchet.simulator.server import SimulatorProtocol
from ratchet.store.records import Records, keys
from ratchet.store.records.declarations import add_declared, change_declared, declared, drop_declared
from ratchet.store.records.migrate import migrate

BODY = {"messages": [{"role": "user", "content": "When are you open?"}]}
FILE = '[providers.lab]\nkind = "simulator"\n[routes.support]\ntargets = ["lab/gpt-4o"]\n'


def declare(records: Records, what: Any, name: str, /, **settings: Any) -> None:
    add_declared(
        records,
        what,
        project_id="default",
        name=name,
        settings=settings,
        now=time.time_ns(),
        by="ada@example.org",
    )


@pytest.fixture
def records(tmp_path: Path):
    opened = Records.open(f"sqlite:///{tmp_path / 'records.db'}")
    migrate(opened)
    yield opened
    opened.close()


def merged(folder: Path, text: str, records: Records, environment: dict[str, str] | None = None) -> Merged:
    path = folder / "ratchet.toml"
    path.write_text(text)
    return merge(config_file(path, environment or {}).read(), declared(records, project_id="default"))


# -- merging -------------------------------------------------------------------------------------------------------


def test_file_environment_and_studio_make_one_list(tmp_path: Path, records: Records) -> None:
    declare(records, "provider", "vllm", kind="openai", base_url="http://10.0.0.5:8000/v1")
    declare(records, "route", "cheap", targets=["vllm/llama"])
    found = merged(tmp_path, FILE, records, {"OPENAI_API_KEY": "sk"})
    assert found.flaws == ()
    assert found.origins["provider"] == {
        "simulator": "environment",
        "openai": "environment",
        "lab": "file",
        "vllm": "studio",
    }
    assert found.origins["route"] == {"support": "file", "cheap": "studio"}
    assert found.routes["cheap"].targets == ["vllm/llama"]


def test_the_studio_wins_over_what_the_environment_implies(tmp_path: Path, records: Records) -> None:
    declare(records, "provider", "openai", kind="openai", base_url="http://proxy/v1", api_key="env:OTHER")
    found = merged(tmp_path, "", records, {"OPENAI_API_KEY": "sk"})
    assert found.flaws == ()
    assert found.providers["openai"].api_key == "env:OTHER"
    assert found.origins["provider"]["openai"] == "studio"


def test_a_name_declared_twice_is_refused_with_both_places_named(tmp_path: Path, records: Records) -> None:
    declare(records, "provider", "lab", kind="openai")
    declare(records, "route", "support", targets=["simulator/x"])
    found = merged(tmp_path, FILE, records)
    assert [(flaw.kind, flaw.name) for flaw in found.flaws] == [("provider", "lab"), ("route", "support")]
    for flaw in found.flaws:
        assert f"[{flaw.kind}s.{flaw.name}]" in flaw.message
        assert "ratchet.toml" in flaw.message
        assert "studio" in flaw.message
        assert f"ratchet {flaw.kind} delete {flaw.name}" in flaw.remedy
    assert found.providers["lab"].kind == "simulator"


def test_a_route_needs_its_provider_wherever_either_is_declared(tmp_path: Path, records: Records) -> None:
    declare(records, "route", "cheap", targets=["gone/llama"])
    found = merged(tmp_path, FILE + '[routes.other]\ntargets = ["vllm/llama"]\n', records)
    assert {flaw.name: flaw.message for flaw in found.flaws} == {
        "cheap": "The route 'cheap', declared in the studio, names the provider 'gone', which is not declared.",
        "other": "routes.other.targets names the provider 'vllm', which is not declared.",
    }
    declare(records, "provider", "vllm", kind="openai", base_url="http://10.0.0.5:8000/v1")
    assert [flaw.name for flaw in merged(tmp_path, FILE, records).flaws] == ["cheap"]


def test_settings_that_this_version_can_not_read_are_named(tmp_path: Path, records: Records) -> None:
    declare(records, "provider", "odd", kind="telepathy", base_ulr="x")
    (flaw,) = merged(tmp_path, FILE, records).flaws
    assert "'odd'" in flaw.message
    assert "kind is 'telepathy'" in flaw.message
    assert "did you mean base_url" in flaw.message


# -- a running gateway ---------------------------------------------------------------------------------------------


@pytest.fixture
async def http(gateway: RunningGateway):
    async with httpx2.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
    ) as client:
        yield client


async def status(http: httpx2.AsyncClient, model: str) -> int:
    return (await http.post("/v1/chat/completions", json={**BODY, "model": model})).status_code


async def test_a_route_made_in_the_studio_is_served_within_a_second(
    gateway: RunningGateway, http: httpx2.AsyncClient
) -> None:
    with gateway.config.open("a") as file:
        file.write('[gateway]\nallow_private = ["127.0.0.1"]\n')
    assert await status(http, "cheap") == 404
    async with running_app(simulator_app(seed=1, pace=0), SimulatorProtocol) as address:
        declare(gateway.records, "provider", "second", kind="simulator", base_url=f"{address}/v1")
        declare(gateway.records, "route", "cheap", targets=["second/gpt-4o"])
        saved = time.monotonic()

        async def served() -> bool:
            return await status(http, "cheap") == 200

        await eventually(served)
        assert time.monotonic() - saved < 1.0
        assert gateway.calls()[-1].target == "second/gpt-4o"

        before = gateway.services.snapshot
        change_declared(
            gateway.records,
            "route",
            project_id="default",
            name="cheap",
            settings={"targets": ["sim/gpt-4o-mini"]},
            now=time.time_ns(),
            by="ada@example.org",
        )
        await eventually(lambda: gateway.services.snapshot.routes["cheap"].targets[0].model == "gpt-4o-mini")
        assert gateway.services.snapshot.prices is before.prices, "looked-up prices are kept"
        assert gateway.services.snapshot.providers["sim"] is before.providers["sim"], "connections are kept"
    drop_declared(gateway.records, "route", project_id="default", name="cheap")
    drop_declared(gateway.records, "provider", project_id="default", name="second")

    async def gone() -> bool:
        return await status(http, "cheap") == 404

    await eventually(gone)
    assert "second" not in gateway.services.snapshot.providers


async def test_a_file_that_gains_a_name_of_the_studio_is_not_taken_over_until_one_of_them_goes(
    gateway: RunningGateway, http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    declare(gateway.records, "route", "cheap", targets=["sim/gpt-4o-mini"])
    await eventually(lambda: "cheap" in gateway.services.snapshot.routes)
    good = gateway.config.read_text()
    gateway.config.write_text(
        good + '\n[routes.cheap]\ntargets = ["sim/gpt-4o"]\n[routes.more]\ntargets = ["sim/gpt-4o"]\n'
    )
    await eventually(lambda: gateway.services.snapshot.settings_refused)
    assert "'cheap' is declared twice" in caplog.text
    assert await status(http, "cheap") == 200
    assert gateway.services.snapshot.routes["cheap"].targets[0].model == "gpt-4o-mini"
    assert "more" not in gateway.services.snapshot.routes
    assert "ratchet_settings_refused 1" in (await http.get("/metrics")).text

    keys.revoke_key(
        gateway.records, project_id="default", name_or_id=gateway.key_id, now=time.time_ns()
    )  # keys wait for nobody
    await eventually(lambda: not gateway.services.snapshot.keys)
    declare(gateway.records, "route", "other", targets=["sim/gpt-4o"])  # nor does what is in nobody's way
    await eventually(lambda: "other" in gateway.services.snapshot.routes)
    assert gateway.services.snapshot.settings_refused

    drop_declared(gateway.records, "route", project_id="default", name="cheap")
    await eventually(lambda: "more" in gateway.services.snapshot.routes)
    assert gateway.services.snapshot.routes["cheap"].targets[0].model == "gpt-4o"
    assert not gateway.services.snapshot.settings_refused
    assert "ratchet_settings_refused 0" in (await http.get("/metrics")).text


async def test_declarations_that_can_not_be_used_leave_the_last_good_ones(gateway: RunningGateway) -> None:
    declare(gateway.records, "route", "cheap", targets=["sim/gpt-4o-mini"])
    await eventually(lambda: "cheap" in gateway.services.snapshot.routes)
    declare(gateway.records, "route", "broken", targets=["nobody/x"])
    await eventually(lambda: gateway.services.snapshot.settings_refused)
    gateway.new_key("later")
    await eventually(lambda: len(gateway.services.snapshot.keys) == 2)
    assert "cheap" in gateway.services.snapshot.routes
    assert "broken" not in gateway.services.snapshot.routes
    gateway.config.write_text(gateway.config.read_text() + '\n[routes.more]\ntargets = ["sim/gpt-4o"]\n')
    await eventually(lambda: "more" in gateway.services.snapshot.routes)  # the file is in nobody's way


async def test_metrics_say_whose_key_is_missing(gateway: RunningGateway, http: httpx2.AsyncClient) -> None:
    declare(gateway.records, "provider", "far", kind="openai", api_key="env:NO_SUCH_VARIABLE")
    await eventually(lambda: "far" in gateway.services.snapshot.providers)
    text = (await http.get("/metrics")).text
    assert 'ratchet_provider_ready{provider="far"} 0' in text
    assert 'ratchet_provider_ready{provider="sim"} 1' in text
    assert f"ratchet_records_revision {gateway.records.revision('gateway')}" in text


# -- starting ------------------------------------------------------------------------------------------------------


def reloader(folder: Path, source: Any, records: Records) -> Reloader:
    return Reloader(source, records, folder / "known.json", ProviderPool({}), "http://127.0.0.1:9/v1")


def test_a_start_without_records_serves_what_was_known(tmp_path: Path, records: Records) -> None:
    declare(records, "provider", "vllm", kind="openai", base_url="http://10.0.0.5:8000/v1")
    declare(records, "route", "cheap", targets=["vllm/llama"])
    keys.create_key(records, project_id="default", name="app", now=1, created_by="test")
    source = config_file(tmp_path / "none.toml", {})
    assert "cheap" in reloader(tmp_path, source, records).start(source.read()).routes
    down = Records.open("postgresql://nobody@127.0.0.1:9/none")
    snapshot = reloader(tmp_path, source, down).start(source.read())
    assert (list(snapshot.routes), len(snapshot.keys)) == (["cheap"], 1)
    assert str(snapshot.providers["vllm"].base_url) == "http://10.0.0.5:8000/v1"
    down.close()


def test_a_conflict_stops_a_start_but_not_the_return_of_a_gateway_that_died(
    tmp_path: Path, records: Records, caplog: pytest.LogCaptureFixture
) -> None:
    declare(records, "route", "cheap", targets=["simulator/a"])
    path = tmp_path / "ratchet.toml"
    path.write_text('[routes.support]\ntargets = ["simulator/b"]\n')
    source = config_file(path, {}, copy=tmp_path / "copy.toml")
    reloader(tmp_path, source, records).start(source.read())
    path.write_text('[routes.cheap]\ntargets = ["simulator/c"]\n')
    with pytest.raises(Misconfigured, match="'cheap' is declared twice"):
        reloader(tmp_path, source, records).start(source.read())
    snapshot = reloader(tmp_path, source, records).start(
        source.read_after_restart(), last_good=source.last_good()
    )
    assert sorted(snapshot.routes) == ["cheap", "support"]
    assert snapshot.settings_refused
    assert "declared twice" in caplog.text


def test_nothing_is_declared_at_first(records: Records) -> None:
    assert declared(records, project_id="default") == Declarations()
