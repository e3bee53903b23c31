"""Serves the simulator alone: `ratchet simulate`, benchmarks and tests."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ratchet.errors import InvalidRequest, Misconfigured
from ratchet.serving import address_of, bind, serve_app
from ratchet.simulator.app import simulator_app
from ratchet.simulator.exchange import TRANSPORT
from ratchet.simulator.faults import Rule, parse_rules

__all__ = ["SimulatorProtocol", "load_script", "serve"]


class SimulatorProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with the connection handed to the app: faults must be able to break it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: self.transport}  # type: ignore[typeddict-item]  # a private extension


def load_script(path: Path) -> tuple[Rule, ...]:
    """The rules in a JSON or TOML file. Raises Misconfigured naming the file and the mistake."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise Misconfigured(
            f"The script {path} can't be read: {problem}.", "Give the path of a JSON or TOML file."
        ) from problem
    try:
        return parse_rules(tomllib.loads(text) if path.suffix == ".toml" else msgspec.json.decode(text))
    except (tomllib.TOMLDecodeError, msgspec.DecodeError) as problem:
        raise Misconfigured(
            f"The script {path} is not valid: {problem}.", "Write JSON, or TOML in a .toml file."
        ) from problem
    except InvalidRequest as problem:
        raise Misconfigured(f"The script {path} is wrong: {problem.message}", problem.remedy) from problem


async def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int | None = 0,
    script: Path | Sequence[Rule] = (),
    pace: float = 0.0,
    api_key: str | None = None,
    on_ready: Callable[[str], Any] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Runs until `stop` is set or the task is cancelled, then gives open requests a second to finish.

    `port` 0 takes a free one. `on_ready` is called with the base URL, such as `http://127.0.0.1:4010/v1`, once
    connections are accepted. Raises Misconfigured for a wrong script, or an address that can't be listened on.
    """
    rules = load_script(script) if isinstance(script, Path) else tuple(script)
    app = simulator_app(seed=seed, script=rules, pace=pace, api_key=api_key)
    listener = bind(host, port, option="--port")
    address = f"{address_of(listener)}/v1"
    try:
        await serve_app(
            app,
            listener,
            stop=stop or asyncio.Event(),
            on_ready=lambda: on_ready(address) if on_ready else None,
            drain_timeout=1.0,
            protocol=SimulatorProtocol,
        )
    finally:
        listener.close()
