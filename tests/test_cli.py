"""The command line, as people and scripts use it: real processes, with and without a running studio."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typer.main import get_command

from ratchet.app.supervisor import reserved_port
from ratchet.cli import COMMANDS
from ratchet.cli.context import print_record, print_table
from ratchet.cli.loading import load
from ratchet.serving import bind

ANSWER = {"model": "simulator/gpt-4o-mini", "messages": [{"role": "user", "content": "When are you open?"}]}


def ratchet(folder: Path, *arguments: str, code: int = 0) -> str:
    """What the command prints; its exit code has to be `code`."""
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def as_json(folder: Path, *arguments: str) -> Any:
    return json.loads(ratchet(folder, *arguments, "--json"))


class Served:
    """`ratchet serve` in a folder, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ratchet", "serve", "--gateway-port", "0", "--studio-port", "0"],
            cwd=folder,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def said(self, pattern: str, *, within: float = 60) -> str:
        end = time.monotonic() + within
        while time.monotonic() < end:
            found = re.search(pattern, self.log.read_text(), re.MULTILINE)
            if found:
                return found[1]
            assert self.process.poll() is None or "ready" in pattern, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"{pattern} not in {self.log.read_text()}")

    def children(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(line) for line in listed.stdout.split()]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    running = Served(tmp_path)
    try:
        running.said(r"^(ready in)")
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(60)
        except subprocess.TimeoutExpired:
            running.process.kill()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_listed_help_is_the_commands_own(name: str) -> None:
    command = get_command(load(f"cli.{COMMANDS[name][0]}").app)
    assert (command.help or "").strip().splitlines()[0] == COMMANDS[name][1]


def test_keys_and_members_without_a_running_studio(tmp_path: Path) -> None:
    made = as_json(tmp_path, "key", "create", "--name", "app", "--route", "support", "--expires", "12h")
    assert made["key"].startswith("rk-")
    assert made["routes"] == ["support"]
    shown = as_json(tmp_path, "key", "show", "app")
    assert shown["id"] == made["id"]
    assert "key" not in shown
    assert "app" in ratchet(tmp_path, "key", "list")
    assert as_json(tmp_path, "key", "revoke", "app")["state"] == "revoked"
    assert "no key 'nope'" in ratchet(tmp_path, "key", "revoke", "nope", code=1)
    assert "no expiry" in ratchet(tmp_path, "key", "create", "--name", "b", "--expires", "soon", code=1)
    assert ratchet(tmp_path, "member", "list").startswith("There are no members yet")
    invited = as_json(tmp_path, "member", "create", "bob@example.org", "--role", "annotator")
    assert invited["link"].startswith("/welcome/rl-")
    again = as_json(tmp_path, "member", "link", "bob@example.org")
    assert again["link"] != invited["link"]
    assert as_json(tmp_path, "member", "update", "bob@example.org", "--role", "admin")["role"] == "admin"
    assert ratchet(tmp_path, "member", "token", "bob@example.org").startswith("rt-")
    assert "only admin" in ratchet(tmp_path, "member", "remove", "bob@example.org", code=1)
    changes = as_json(tmp_path, "audit", "list", "--action", "key")
    assert [(row["action"], row["subject"], row["who"]) for row in changes] == [
        ("key.changed", "app", "local"),
        ("key.created", "app", "local"),
    ]
    assert "role.changed" in ratchet(tmp_path, "audit", "list", "-q", "bob@")
    assert ratchet(tmp_path, "trace", "list").startswith("No trace matches")
    assert as_json(tmp_path, "trace", "list") == []


def test_what_apps_send_can_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"name": "\x1b[31mred\x1b]0;title\x07\nnext", "id": "x" * 500}], empty="")
    print_record({"a\x1b": "b\u202ec"})
    shown = capsys.readouterr().out
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}
    assert "\\x1b[31mred" in shown
    assert max(map(len, shown.splitlines())) < 140


def test_providers_routes_and_doctor(tmp_path: Path) -> None:
    (tmp_path / "ratchet.toml").write_text(
        '[providers.a]\nkind = "openai"\napi_key = "env:SURELY_NOT_SET"\n[routes.r]\ntargets = ["a/m"]\n'
    )
    (route,) = as_json(tmp_path, "route", "list")
    assert (route["name"], route["targets"], route["origin"]) == ("r", ["a/m"], "file")
    assert as_json(tmp_path, "provider", "show", "a")["api_key"] == "env:SURELY_NOT_SET (not set)"
    report = ratchet(tmp_path, "doctor", "--gateway-port", "0", "--studio-port", "0", code=1)
    assert "PROBLEM  provider a: The variable SURELY_NOT_SET is not set." in report
    for topic in (
        "configuration",
        "records",
        "spans",
        "disk",
        "spool",
        "gateway port",
        "studio port",
        "clock",
    ):
        assert f"ok       {topic}:" in report, report
    (tmp_path / "ratchet.toml").write_text("[routes.r]\ntargets = 7\n")
    assert "PROBLEM  configuration" in ratchet(tmp_path, "doctor", code=1)
    assert "routes.r.targets" in ratchet(tmp_path, "route", "list", code=78)


def test_providers_and_routes_are_declared_and_deleted(tmp_path: Path) -> None:
    (tmp_path / "ratchet.toml").write_text(
        '[routes.fixed]\ntargets = ["simulator/m"]\n[studio]\ngateway_url = "http://127.0.0.1:9"\n'
        '[gateway]\nallow_private = ["10.0.0.0/8"]\n'
    )
    made = as_json(
        tmp_path, "provider", "create", "vllm", "--kind", "openai", "--base-url", "http://10.0.0.5:8000/v1",
        "--set", "timeout=30", "--set", 'drop_fields=["user"]',
    )  # fmt: skip
    assert made["settings"]["timeout"] == 30
    assert made["settings"]["drop_fields"] == ["user"]
    assert as_json(tmp_path, "provider", "show", "vllm")["declared"] == "studio"
    assert "vllm" in ratchet(tmp_path, "provider", "list")
    ratchet(tmp_path, "route", "create", "cheap", "--target", "vllm/llama")
    listed = ratchet(tmp_path, "route", "list")
    assert re.search(r"cheap +vllm/llama +studio", listed)
    assert re.search(r"fixed +simulator/m +ratchet\.toml", listed)
    used = ratchet(tmp_path, "provider", "delete", "vllm", code=1)
    assert "The route 'cheap' needs the provider 'vllm'" in used
    assert "declared in ratchet.toml" in ratchet(tmp_path, "route", "delete", "fixed", code=1)
    wrong = ratchet(tmp_path, "route", "create", "odd", "--target", "nonsense", code=1)
    assert "targets.0 is 'nonsense': expected provider/model" in wrong
    assert "is no setting" in ratchet(
        tmp_path, "route", "create", "odd", "--target", "a/b", "--set", "x", code=1
    )
    assert as_json(tmp_path, "route", "delete", "cheap")["name"] == "cheap"
    assert "is deleted" in ratchet(tmp_path, "provider", "delete", "vllm")
    assert "did not answer" in ratchet(tmp_path, "route", "try", "fixed", "hello", code=1)


def test_a_route_is_declared_and_tried_while_everything_runs(served: Served) -> None:
    ratchet(served.folder, "route", "create", "shop", "--target", "simulator/gpt-4o-mini")
    tried = as_json(served.folder, "route", "try", "shop", "When are you open?")
    assert tried["ok"]
    assert tried["answer"]
    assert tried["recorded"]
    assert as_json(served.folder, "trace", "show", tried["trace_id"])["spans"][0]["route"] == "shop"
    assert "trace" in ratchet(served.folder, "route", "try", "shop", "When are you open?")
    ratchet(
        served.folder, "provider", "create", "off", "--kind", "openai", "--base-url", "http://name.invalid/v1"
    )
    ratchet(served.folder, "route", "create", "dead", "--target", "off/m")
    assert "can't be reached" in ratchet(served.folder, "route", "try", "dead", "hello", code=1)


def test_the_doctor_calls_providers_when_asked(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "ratchet.toml").write_text(
        f'[providers.off]\nkind = "openai"\nbase_url = "http://127.0.0.1:{free_port}/v1"\n'
    )
    command = ["doctor", "--gateway-port", "0", "--studio-port", "0"]
    assert "ok       provider off: configured" in ratchet(tmp_path, *command)
    called = json.loads(ratchet(tmp_path, *command, "--call", "--json", code=1))
    found = {finding["topic"]: finding for finding in called}
    assert found["provider off"]["state"] == "problem"
    assert "can't be reached" in found["provider off"]["message"]


def test_serve_from_first_start_to_a_trace_on_the_command_line(served: Served) -> None:
    gateway, studio = served.said(r"^gateway  (\S+)"), served.said(r"^studio   (\S+)")
    assert served.said(r"^sign in  (\S+)").startswith(f"{studio}/welcome/rl-")
    key = as_json(served.folder, "key", "create", "--name", "app")["key"]
    headers = {"authorization": f"Bearer {key}"}
    end = time.monotonic() + 10
    while (
        answer := httpx2.post(f"{gateway}/v1/chat/completions", json=ANSWER, headers=headers)
    ).status_code == 401:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert answer.status_code == 200
    trace_id = answer.headers["x-ratchet-trace-id"]
    while trace_id not in [
        trace["trace_id"] for trace in as_json(served.folder, "trace", "list", "--limit", "5")
    ]:
        assert time.monotonic() < end + 10
    made = as_json(served.folder, "score", "create", "--name", "good", "--trace-id", trace_id, "--value", "1")
    while made["score_id"] not in [s["score_id"] for s in as_json(served.folder, "score", "list")]:
        assert time.monotonic() < end + 20
    assert "chat gpt-4o-mini" in ratchet(served.folder, "trace", "show", trace_id)
    taken = ratchet(served.folder, "studio", "--studio-port", "0", code=78)
    assert "in use by process" in taken
    port = gateway.rpartition(":")[2]
    assert f"Port {port}" in ratchet(served.folder, "gateway", "--gateway-port", port, code=78)
    assert "served by ratchet" in ratchet(
        served.folder, "doctor", "--gateway-port", port, "--studio-port", studio.rpartition(":")[2]
    )


def test_serve_starts_a_part_again_that_was_killed_and_leaves_no_orphans(served: Served) -> None:
    gateway = served.said(r"^gateway  (\S+)")
    before = served.children()
    assert len(before) == 2
    (served.folder / "ratchet.toml").write_text("[broken\n")  # must not keep the gateway from coming back
    os.kill(before[0], signal.SIGKILL)
    end = time.monotonic() + 60
    while len(children := served.children()) != 2 or before[0] in children:
        assert time.monotonic() < end
        time.sleep(0.05)
    while True:
        try:
            assert httpx2.get(f"{gateway}/healthz").status_code == 200
            break
        except httpx2.TransportError:
            assert time.monotonic() < end
            time.sleep(0.05)
    served.process.kill()
    served.process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < end + 60, "a child outlived its supervisor"
        time.sleep(0.05)


def test_serve_gives_up_on_settings_that_can_not_work(tmp_path: Path) -> None:
    (tmp_path / "ratchet.toml").write_text("[nonsense]\n")
    said = ratchet(tmp_path, "serve", "--gateway-port", "0", "--studio-port", "0", code=78)
    assert "nonsense is not a setting" in said


def test_a_reserved_port_is_kept_from_others_and_bound_again_and_again() -> None:
    with reserved_port() as port, socket.socket() as stranger:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        with pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        for host in ("127.0.0.1", "0.0.0.0"):
            with bind(host, port, option="--gateway-port"), socket.create_connection(("127.0.0.1", port)):
                pass
