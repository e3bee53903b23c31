"""A whole ratchet under proof: upstream, `ratchet serve` or its parts, and what its stores hold in the end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.drain import spool_files, start_studio, wait_empty
from bench.gateways import create_key, ratchet_command, ratchet_config
from bench.processes import Child, Children, free_port
from bench.store_rows import Held, embedded, read_store

from prove.load import Load

__all__ = ["Town", "assert_exactly_once", "start_upstream"]

_READY = 30.0  # seconds
_UPSTREAM = Path(__file__).with_name("upstream.py")


def start_upstream(children: Children, name: str, *arguments: str) -> int:
    """A provider of `upstream.py`, ready; its port."""
    port = free_port()
    command = [sys.executable, _UPSTREAM, "--port", str(port), *arguments]
    children.start(name, command).wait_answer(port, "/")
    return port


class Town:
    """Ports, folders and processes of one proof."""

    def __init__(
        self, children: Children, say: Callable[[str], None], *, more: str = "", spans: str = ""
    ) -> None:
        """`more` is appended to ratchet.toml; `spans` is the store's address where it isn't the embedded one."""
        self.children = children
        self.say = say
        self.data = children.folder / "data"
        self.spans = spans
        upstream = start_upstream(children, "upstream")
        store = f'\n[store]\nspans = "{spans}"\n' if spans else ""
        self.config = ratchet_config(children.folder, upstream, more=store + more)
        self.key = create_key(self.data, self.config)
        self.gateway_port, self.studio_port = free_port(), free_port()
        self._running: Child | None = None

    def start(self) -> Child:
        """`ratchet serve`; doesn't wait for it."""
        ports = ["--gateway-port", str(self.gateway_port), "--studio-port", str(self.studio_port)]
        command = ratchet_command(self.data, self.config, "serve", *ports)
        self._running = self.children.start("serve", command, env={"UP_KEY": "sk-up"})
        return self._running

    def start_gateway(self) -> Child:
        """The data plane alone, ready."""
        command = ratchet_command(self.data, self.config, "gateway", "--gateway-port", str(self.gateway_port))
        gateway = self.children.start("gateway", command, env={"UP_KEY": "sk-up"})
        gateway.wait_answer(self.gateway_port, "/healthz", seconds=_READY)
        return gateway

    async def ready(self, *parts: str) -> None:
        """Wait until `gateway`, `studio` or both answer; fails the proof when they don't in half a minute."""
        assert self._running is not None
        ports = {"gateway": self.gateway_port, "studio": self.studio_port}
        for part in parts or tuple(ports):
            await asyncio.to_thread(self._running.wait_answer, ports[part], "/healthz", seconds=_READY)

    def pids(self, part: str) -> list[int]:
        """The processes of one part: `gateway`, `studio`, `both`, or `serve` (the supervisor and both)."""
        assert self._running is not None
        family = self._running.pids()
        if part == "serve":
            return family
        wanted = {"gateway", "studio"} if part == "both" else {part}
        return [pid for pid in family if wanted & set(_arguments(pid))]

    async def kill(self, part: str) -> int:
        """`kill -9`, as soon as there is something to kill; how many processes it hit."""
        deadline = time.monotonic() + _READY
        while not (pids := self.pids(part)):
            assert time.monotonic() < deadline, f"no {part} process came back in {_READY:.0f} s"
            await asyncio.sleep(0.005)
        for pid in pids:
            # Between finding it and killing it, it may have ended by itself.
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return len(pids)

    async def stop(self) -> None:
        """Ask `ratchet serve` to end, and wait until it has."""
        assert self._running is not None
        await asyncio.to_thread(self.children.stop, self._running)
        self._running = None

    async def settle(self) -> Held:
        """With everything stopped: drain what is left in the spool, then say what the store holds."""
        left = sum(file.stat().st_size for file in spool_files(self.data))
        self.say(f"{left / 1e6:.1f} MB left in the spool; draining")
        studio, _ = start_studio(self.children, self.data, self.config, core=None)
        await asyncio.to_thread(wait_empty, studio, self.data, seconds=120)
        await asyncio.to_thread(self.children.stop, studio)
        return await asyncio.to_thread(read_store, self.spans or embedded(self.data))


def assert_exactly_once(load: Load, held: Held, say: Callable[[str], None]) -> None:
    """Every whole answer is a call in the store, once; and nothing at all is there twice."""
    missing = [trace for trace in load.whole if trace not in held.calls]
    twice = [trace for trace, count in held.calls.items() if count > 1]
    say(
        f"{len(load.whole):,} whole answers ({load.streamed:,} streamed), {len(held.calls):,} calls in the store, "
        f"{len(missing)} missing, {len(twice)} more than once; not answered: {dict(load.broken)}, {dict(load.refused)}"
    )
    assert not missing, f"{len(missing)} answered calls are not in the store, e.g. {missing[:5]}"
    assert not twice, f"{len(twice)} calls are in the store more than once, e.g. {twice[:5]}"
    assert held.rows == held.spans, f"{held.rows - held.spans} spans are in the store more than once"


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
