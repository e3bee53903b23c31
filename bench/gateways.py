"""The gateways that are compared: ratchet, and others installed once under `.bench/`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.machine import version_line
from bench.nginx import MODEL, nginx_binary, start_proxy
from bench.processes import BenchError, Child, Children, free_port

__all__ = [
    "STARTERS",
    "Running",
    "Started",
    "create_key",
    "ratchet_command",
    "ratchet_config",
    "start_gateway",
    "start_ratchet",
]

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".bench"
ROUTE = "bench"
# Pinned, so that a ratio measured today can be measured again.
_LITELLM = "1.106.2"
_PORTKEY = "1.15.2"
# From 1.14 on, this part of what Portkey asks for makes each of its streams a 500 (headers it wants to add to are fixed).
_PORTKEY_SERVER = "1.13.8"


class Running(msgspec.Struct, frozen=True):
    """A gateway that answers: where, with what headers, and which model name reaches the upstream."""

    name: str
    version: str
    child: Child
    port: int
    headers: dict[str, str]
    model: str


Started = Callable[[Children, int, int], Running]  # (children, upstream port, core)


def ratchet_command(data: Path, config: Path, *argv: str) -> list[str | Path]:
    """`ratchet` with its global options, from the environment this bench runs in."""
    return [Path(sys.executable).with_name("ratchet"), "--data-dir", data, "--config", config, *argv]


def ratchet_config(folder: Path, upstream: int, *, more: str = "") -> Path:
    """A ratchet.toml with one provider, `up`, and one route, `bench`."""
    path = folder / "ratchet.toml"
    path.write_text(
        f'[providers.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:{upstream}/v1"\napi_key = "env:UP_KEY"\n\n'
        f'[routes.{ROUTE}]\ntargets = ["up/{MODEL}"]\n{more}'
    )
    return path


def create_key(data: Path, config: Path) -> str:
    """A fresh server key. Raises BenchError with what the command said when it gives none."""
    command = [
        str(part) for part in ratchet_command(data, config, "key", "create", "--name", "bench", "--json")
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "UP_KEY": "sk-up"}, check=False
    )
    if done.returncode:
        raise BenchError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}")
    return str(json.loads(done.stdout)["key"])


def start_ratchet(children: Children, upstream: int, core: int, *, more: str = "") -> Running:
    """The data plane alone, with key check, routing, cost and durable telemetry on. `more` is added to its settings."""
    folder = children.folder / "ratchet"
    folder.mkdir(exist_ok=True)
    data, port = folder / "data", free_port()
    config = ratchet_config(folder, upstream, more=more)
    key = create_key(data, config)
    child = children.start(
        "ratchet",
        ratchet_command(data, config, "gateway", "--gateway-port", str(port)),
        core=core,
        env={"UP_KEY": "sk-up"},
    )
    child.wait_answer(port, "/healthz")
    version = version_line(str(ratchet_command(data, config)[0]), "--version")
    return Running("ratchet", version, child, port, {"Authorization": f"Bearer {key}"}, ROUTE)


def start_nginx(children: Children, upstream: int, core: int) -> Running:
    child, port = start_proxy(children, upstream, core=core, buffering=False)
    version = version_line(nginx_binary(), "-v").removeprefix("nginx version: ")
    return Running("nginx", version, child, port, {"Authorization": "Bearer sk-up"}, MODEL)


def start_litellm(children: Children, upstream: int, core: int) -> Running:
    """LiteLLM's proxy with a master key, one worker, no database, and its logging quiet."""
    python = _litellm_python()
    port = free_port()
    folder = children.folder / "litellm"
    folder.mkdir(exist_ok=True)
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n  - model_name: {ROUTE}\n    litellm_params:\n      model: openai/{MODEL}\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n      api_key: sk-up\n"
        "general_settings:\n  master_key: sk-bench\n"
        "litellm_settings:\n  set_verbose: false\n  telemetry: false\n"
    )
    child = children.start(
        "litellm",
        [
            python.with_name("litellm"),
            "--config",
            config,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--num_workers",
            "1",
        ],
        core=core,
        env={"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"},
    )
    child.wait_answer(port, "/health/liveliness", seconds=180)
    headers = {"Authorization": "Bearer sk-bench"}
    return Running("LiteLLM", f"litellm {_LITELLM}", child, port, headers, ROUTE)


def start_portkey(children: Children, upstream: int, core: int) -> Running:
    """Portkey's gateway, told by header where the upstream is (it keeps no keys)."""
    server = _portkey_server()
    port = free_port()
    child = children.start(
        "portkey",
        [_found("node"), server, f"--port={port}", "--headless"],
        core=core,
        env={"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1"},
        cwd=server.parent,
    )
    child.wait_answer(port, "/", seconds=60)
    headers = {
        "Authorization": "Bearer sk-up",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
    }
    return Running("Portkey", f"@portkey-ai/gateway {_PORTKEY}", child, port, headers, MODEL)


STARTERS: dict[str, Started] = {
    "ratchet": start_ratchet,
    "nginx": start_nginx,
    "Portkey": start_portkey,
    "LiteLLM": start_litellm,
}


def start_gateway(name: str, children: Children, upstream: int, core: int) -> Running:
    """Start one by name, installing it first where that hasn't happened yet."""
    return STARTERS[name](children, upstream, core)


def _litellm_python() -> Path:
    python = CACHE / "litellm" / "bin" / "python"
    marker = CACHE / "litellm" / f".version-{_LITELLM}"
    if not marker.exists():
        print(f"  installing litellm {_LITELLM} into {CACHE / 'litellm'} (once) …", flush=True)
        _run([sys.executable, "-m", "venv", CACHE / "litellm"])
        _run(
            [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                f"litellm[proxy]=={_LITELLM}",
            ]
        )
        marker.touch()
    return python


def _portkey_server() -> Path:
    folder = CACHE / "portkey"
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    marker = folder / f".version-{_PORTKEY}-{_PORTKEY_SERVER}"
    if not marker.exists():
        print(f"  installing @portkey-ai/gateway {_PORTKEY} into {folder} (once) …", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        needs = {"name": "bench", "private": True, "overrides": {"@hono/node-server": _PORTKEY_SERVER}}
        (folder / "package.json").write_text(json.dumps(needs))
        _run(
            [_found("npm"), "install", "--no-audit", "--no-fund", f"@portkey-ai/gateway@{_PORTKEY}"],
            cwd=folder,
        )
        marker.touch()
    return server


def _found(program: str) -> str:
    found = shutil.which(program)
    if not found:
        raise BenchError(f"{program} is not installed. Install it: apt-get install -y nodejs npm")
    return found


def _run(argv: list[str | Path], *, cwd: Path | None = None) -> None:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, cwd=cwd, check=False)
    if done.returncode:
        raise BenchError(f"`{' '.join(map(str, argv))}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
