"""`ratchet.toml`, the environment and hot reload: mistakes are named, and the last good settings stay."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import httpx2
import pytest
from tests.conftest import RunningGateway, eventually

from ratchet.app.settings import config_file
from ratchet.errors import Misconfigured
from ratchet.gateway.loading.reload import Reloader, build_snapshot
from ratchet.gateway.loading.remembered import Known
from ratchet.gateway.providers import ProviderPool
from ratchet.store.records import Records, keys
from ratchet.store.records.migrate import migrate

BODY = {"messages": [{"role": "user", "content": "When are you open?"}]}


def write(folder: Path, text: str) -> Path:
    path = folder / "ratchet.toml"
    path.write_text(text)
    return path


def test_no_file_means_the_simulator_and_what_the_environment_implies(tmp_path: Path) -> None:
    variables = {"OPENAI_API_KEY": "sk", "OLLAMA_HOST": "127.0.0.1:11434"}
    settings = config_file(tmp_path / "none.toml", variables).read()
    assert sorted(settings.providers) == ["ollama", "openai", "simulator"]
    assert str(settings.providers["ollama"].base_url) == "http://127.0.0.1:11434/v1"
    assert list(config_file(tmp_path / "none.toml", {}).read().providers) == ["simulator"]
    bare = config_file(tmp_path / "none.toml", {"OLLAMA_HOST": "127.0.0.1"}).read()
    assert str(bare.providers["ollama"].base_url) == "http://127.0.0.1:11434/v1"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[store]\nspans = "chdb:///elsewhere"\n')
    variables = {
        "RATCHET_STORE__SPANS": "clickhouse://host:8123/db",
        "RATCHET_GATEWAY__MAX_BODY_BYTES": "4096",
        "RATCHET_DATA_DIR": "ignored here",
    }
    settings = config_file(path, variables).read()
    assert settings.store.spans == "clickhouse://host:8123/db"
    assert settings.gateway.max_body_bytes == 4096


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[providers.a\n", ["not TOML", "line 1"]),
        ('[providers.a]\nkind = "opena"\n', ["providers.a.kind", "'opena'", "'openai'"]),
        ('[providers.a]\nkind = "openai"\nbase_ulr = "x"\n', ["base_ulr", "did you mean base_url"]),
        ('[providers.a]\nkind = "openai"\nbase_url = "nope"\n', ["providers.a.base_url", "'nope'"]),
        (
            '[providers.a]\nkind = "openai"\nbase_url = "http://u:p@h/v1"\n',
            ["providers.a.base_url", "host, port and path"],
        ),
        ('[route.a]\ntargets = ["a/b"]\n', ["route", "did you mean routes"]),
        ('[routes.a]\ntargets = ["gpt-4o"]\n', ["routes.a.targets.0", "'gpt-4o'"]),
        ("[routes.a]\ntargets = []\n", ["routes.a.targets"]),
        ('[gateway]\nmax_body_bytes = "big"\n', ["gateway.max_body_bytes", "'big'"]),
        ('[store]\nrecords = "mysql://x"\n', ["store.records", "'mysql://x'"]),
        (
            '[routes.r]\ntargets = ["simulator/m"]\ncommit = "later"\n',
            ["routes.r.commit is 'later': expected 'first_token' or 'whole', or a whole number."],
        ),
        (
            '[routes.r]\ntargets = ["simulator/m"]\ncommit = 0\n',
            ["routes.r.commit is 0: expected 'first_token' or 'whole', or a number of at least 1."],
        ),
        ('[routes.r]\ntargets = ["simulator/m"]\n[routes.r.cache]\ntt = "1h"\n', ["did you mean ttl"]),
        ("[limits.a]\nrequests = 20\n", ["limits.a.requests is 20: expected a rate such as 100/minute"]),
        ("[limits.a]\ncost = 5\n", ["limits.a.cost is 5: expected dollars for a time, such as 5/day"]),
        (
            "[limits.a]\nrequests = '1/day'\nips = [7]\n",
            ["limits.a.ips.0 is 7: expected an address or a network"],
        ),
        ("[trust]\nhalf_life = 7\n", ["trust.half_life is 7: expected a span such as 30s"]),
        (
            "[budgets.b]\namount = 1e-10\n",
            ["budgets.b.amount is 1e-10: expected a number with no more than 9 digits after the point"],
        ),
        (
            '[budgets.b]\namount = 5\nwebhook = "https://u:p@h/hook"\n',
            ["budgets.b.webhook is 'https://u:…@h/hook'", "no name, password or query is sent there"],
        ),
    ],
)
def test_a_mistake_is_named_with_what_was_found_and_expected(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(Misconfigured) as caught:
        config_file(write(tmp_path, text), {}).read()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('base_url = "http://x/v1"', ["embeddings", "base_url needs model"]),
        ('model = "m"', ["embeddings", "model needs base_url"]),
        ('api_key = "env:KEY"', ["embeddings", "api_key needs base_url and model"]),
        ('base_url = "http://u:p@x/v1"\nmodel = "m"', ["embeddings.base_url", "api_key"]),
        ('base_url = "there"\nmodel = "m"', ["embeddings.base_url"]),
        ('base_url = "http://x/v1"\nmodel = ""', ["embeddings.model"]),
        (
            'base_url = "http://x/v1"\nmodel = "m"\napi_key = "sk-secret"',
            ["embeddings.api_key", "by reference"],
        ),
        ('url = "http://x/v1"', ["embeddings.url"]),
    ],
)
def test_embeddings_that_are_none_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(Misconfigured) as caught:
        config_file(write(tmp_path, f"[embeddings]\n{text}\n"), {}).read()
    for word in words:
        assert word in str(caught.value)
    assert "sk-secret" not in str(caught.value)


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = write(tmp_path, '[providers.a]\nkind = "openai"\napi_key = "sk-very-secret"\n')
    with pytest.raises(Misconfigured, match="by reference") as caught:
        config_file(path, {}).read()
    assert "very-secret" not in str(caught.value)


def test_a_route_to_an_undeclared_provider_is_named(tmp_path: Path) -> None:
    settings = config_file(write(tmp_path, '[routes.a]\ntargets = ["nobody/m"]\n'), {}).read()
    with pytest.raises(Misconfigured, match=r"routes\.a\.targets names the provider 'nobody'"):
        build_snapshot(settings, Known(), ProviderPool({}), "http://127.0.0.1:1/v1")


async def test_settings_are_taken_over_while_running_and_mistakes_are_not(gateway: RunningGateway) -> None:
    good = gateway.config.read_text()
    async with httpx2.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
    ) as http:

        async def status(model: str) -> int:
            return (await http.post("/v1/chat/completions", json={**BODY, "model": model})).status_code

        assert await status("new") == 404
        gateway.config.write_text(good + '\n[routes.new]\ntargets = ["sim/gpt-4o"]\n')

        async def is_there() -> bool:
            return await status("new") == 200

        await eventually(is_there)
        before = gateway.services.snapshot
        gateway.config.write_text("[routes.broken\n")
        key = gateway.new_key("later")  # the poller has been round when this one is known
        await eventually(lambda: len(gateway.services.snapshot.keys) == 2)
        assert gateway.services.snapshot.routes.keys() == before.routes.keys()
        assert await status("new") == 200
        # As an editor may do for a moment; the poller has been round after each.
        for number, lost in enumerate(("", None, "", None), start=3):
            if lost is None:
                gateway.config.unlink()
            else:
                gateway.config.write_text(lost)
            gateway.new_key(f"key {number}")
            await eventually(lambda number=number: len(gateway.services.snapshot.keys) == number)
            assert await status("new") == 200
        gateway.config.write_text(good)

        async def is_gone() -> bool:
            return await status("new") == 404

        await eventually(is_gone)
        assert key


async def test_what_waits_for_a_restart_is_told(
    gateway: RunningGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ratchet.gateway")
    good = gateway.config.read_text()

    async def told(text: str, expected: str) -> None:
        caplog.clear()
        gateway.config.write_text(good + text)
        await eventually(lambda: expected in caplog.messages)

    await told('[limits.a]\nrequests = "5/second"\n', "settings reloaded")
    late = "settings reloaded; changes of these wait for a restart: "
    await told(
        '[gateway]\nhost = "127.0.0.2"\n[store]\ncounters = "redis://elsewhere"\n',
        f"{late}gateway.host, store.counters",
    )
    await told("[gateway]\ndrain_timeout = 1\n", f"{late}gateway.drain_timeout")
    await told("", "settings reloaded")


def test_a_gateway_starts_with_the_last_known_keys_while_the_records_are_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'records.db'}"
    records = Records.open(url)
    migrate(records)
    key, _ = keys.create_key(records, project_id="default", name="app", now=time.time_ns(), created_by="test")
    remembered = tmp_path / "keys.json"
    source = config_file(tmp_path / "none.toml", {})

    def start(opened: Records) -> int:
        return len(
            Reloader(source, opened, remembered, ProviderPool({}), "http://127.0.0.1:1/v1")
            .start(source.read())
            .keys
        )

    assert start(records) == 1
    assert remembered.stat().st_mode & 0o777 == 0o600
    records.close()
    down = Records.open("postgresql://nobody@127.0.0.1:9/none")
    assert start(down) == 1
    assert "last known keys" in caplog.text
    assert key.secret_hash in remembered.read_text()
    remembered.write_bytes(b"{ not json")
    assert start(down) == 0
    down.close()


def test_after_a_restart_the_last_good_settings_stand_in_for_broken_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, '[routes.a]\ntargets = ["simulator/m"]\n')
    copy = tmp_path / "copy.toml"
    first = config_file(path, {}, copy=copy)
    assert list(first.read().routes) == ["a"]
    assert first.last_good() is None  # reading is not proof: the gateway keeps what it serves with
    first.keep()
    path.write_text("[routes.a\n")
    with pytest.raises(Misconfigured):
        config_file(path, {}, copy=copy).read()
    restarted = config_file(path, {}, copy=copy)
    assert list(restarted.read_after_restart().routes) == ["a"]
    assert "last good settings" in caplog.text
    path.write_text('[routes.b]\ntargets = ["simulator/m"]\n')
    assert restarted.changed()
    assert list(restarted.read().routes) == ["b"]
    with pytest.raises(Misconfigured):
        config_file(write(tmp_path, "["), {}, copy=tmp_path / "none.toml").read_after_restart()


LOST = ("", " \n", "[routes.a\n", None)


@pytest.mark.parametrize("states", itertools.product(LOST, repeat=3))
def test_a_file_that_is_gone_empty_or_broken_in_any_order_drops_nothing(
    tmp_path: Path, states: tuple[str | None, ...]
) -> None:
    path = write(tmp_path, '[routes.a]\ntargets = ["simulator/m"]\n')
    copy = tmp_path / "copy.toml"
    source = config_file(path, {}, copy=copy)
    source.read()
    source.keep()
    for state in states:
        if state is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(state)
        with pytest.raises(Misconfigured):
            source.read()
        # A gateway that dies now, more than once, has not forgotten them either.
        for _ in range(2):
            restarted = config_file(path, {}, copy=copy)
            assert list(restarted.read_after_restart().routes) == ["a"]
            restarted.keep()
    path.write_text("# nothing any more\n")
    assert source.read().routes == {}, "somebody who says that nothing is declared is believed"


def test_who_never_had_a_file_needs_none(tmp_path: Path) -> None:
    path = tmp_path / "ratchet.toml"
    source = config_file(path, {}, copy=tmp_path / "copy.toml")
    assert source.read().routes == {}
    source.keep()
    path.write_text("")
    assert source.read().routes == {}
    path.unlink()
    assert source.read().routes == {}
    assert config_file(path, {}, copy=tmp_path / "copy.toml").read_after_restart().routes == {}


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="RATCHET_GATWAY__HOST"):
        config_file(tmp_path / "none.toml", {"RATCHET_GATWAY__HOST": "x"}).read()
