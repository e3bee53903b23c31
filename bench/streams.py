"""256 streams at once through one core: is every frame there, how wide do gaps get, how much later is the first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from bench.figures import Figure, Part, at_most, percentile
from bench.gateways import Running, start_gateway
from bench.machine import core_ticks
from bench.nginx import MODEL
from bench.processes import BenchError, Children, free_port
from bench.setting import Setting, chat_body
from bench.stream_client import Plan, Reading
from bench.stream_server import CADENCE, FRAMES

__all__ = ["measure"]

_ROOT = Path(__file__).resolve().parent.parent
_STREAMS = 256
_APART = 0.005  # seconds; with 66 frames of 20 ms each, some 264 streams are then open at the same time
_PATIENCE = 120.0


class _Path(msgspec.Struct, frozen=True):
    """One way to the upstream, and what was read over it."""

    name: str
    port: int
    headers: dict[str, str]
    model: str
    gateway: Running | None
    staggered: list[Reading]
    at_once: list[Reading]
    busy: list[float]  # share of the load's core
    used: list[float]  # share of its own core that the gateway used


def measure(setting: Setting, children: Children) -> Part:
    upstream = free_port()
    server = children.start(
        "stream-upstream",
        [sys.executable, "-m", "bench.stream_server", "--port", str(upstream)],
        core=setting.load_core,
        cwd=_ROOT,
    )
    server.wait_answer(upstream, "/healthz", seconds=15)
    ways = [_Path("direct", upstream, {"Authorization": "Bearer sk-up"}, MODEL, None, [], [], [], [])]
    for name in ["ratchet", "nginx", "Portkey", "LiteLLM"] if setting.rivals else ["ratchet", "nginx"]:
        setting.say(f"starting {name} …")
        running = start_gateway(name, children, upstream, setting.gateway_core)
        running.child.pause()
        ways.append(_Path(name, running.port, running.headers, running.model, running, [], [], [], []))
    rounds = 1 if setting.quick else 3
    for turn in range(rounds):
        for way in ways:
            slow = way.name in {"Portkey", "LiteLLM"}
            if slow and turn:
                continue  # they take long, and once is enough to see by how much
            _round(setting, way, slow=slow)
    return _part(ways)


def _round(setting: Setting, way: _Path, *, slow: bool) -> None:
    if way.gateway:
        way.gateway.child.resume()
    _read(setting, way, streams=16, apart=_APART)  # warm up
    before, used = core_ticks(setting.load_core), way.gateway.child.cpu_seconds() if way.gateway else 0.0
    staggered = _read(setting, way, streams=_STREAMS if slow or setting.quick else 4 * _STREAMS, apart=_APART)
    after, used = (
        core_ticks(setting.load_core),
        (way.gateway.child.cpu_seconds() if way.gateway else 0.0) - used,
    )
    at_once = _read(setting, way, streams=_STREAMS, apart=0)
    if way.gateway:
        way.gateway.child.pause()
    way.staggered.append(staggered)
    way.used.append(used / staggered.seconds)
    way.at_once.append(at_once)
    way.busy.append((after[0] - before[0]) / max(1, after[2] - before[2]))
    setting.say(f"{way.name:<8} 5 ms apart: {_line(staggered)}")
    setting.say(f"{'':<8} all at once: {_line(at_once)}")


def _read(setting: Setting, way: _Path, *, streams: int, apart: float) -> Reading:
    plan = Plan(way.port, way.headers, chat_body(way.model, stream=True).decode(), streams, apart, _PATIENCE)
    file = setting.room("streams") / "plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    command = [
        "taskset",
        "-c",
        str(setting.load_core),
        sys.executable,
        "-m",
        "bench.stream_client",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=_ROOT, check=False)
    if done.returncode:
        raise BenchError(f"the stream client failed:\n{done.stderr[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Reading)


def _line(reading: Reading) -> str:
    first = f"{percentile(reading.first_frame, 0.99):.1f} ms" if reading.first_frame else "never"
    said = f"{reading.whole}/{reading.streams} whole, {reading.frames_lost} frames lost, widest gap {reading.widest_gap:.0f} ms, "
    said += f"first frame p99 {first}, {reading.at_once} open at most, {reading.seconds:.1f} s"
    return said + (f"; {reading.failures[0]}" if reading.failures else "")


def _part(ways: list[_Path]) -> Part:
    figures: list[Figure] = []
    bare = ways[0]
    for way in ways:
        own = way.name == "ratchet"
        readings = way.staggered + way.at_once
        lost = sum(reading.frames_lost for reading in readings)
        broken = sum(reading.streams - reading.whole for reading in readings)
        gap = max(reading.widest_gap for reading in readings)
        total = sum(reading.streams for reading in readings)
        open_at_once = max(reading.at_once for reading in readings)
        note = f"{total:,} streams, {open_at_once} open at once" + (f", {broken} not whole" if broken else "")
        if way.gateway:
            note += f"; {max(way.used):.0%} of its core, 5 ms apart"
        first = [value for reading in way.staggered for value in reading.first_frame]
        delays = [value for reading in way.staggered for value in reading.delays]
        bound = 0.0 if own else None
        figures.append(
            Figure(name=f"{way.name}: frames lost", value=lost, unit="frames", most=bound, note=note)
        )
        if own:
            figures.append(
                Figure(name=f"{way.name}: streams not whole", value=broken, unit="streams", most=0)
            )
        figures.append(
            Figure(name=f"{way.name}: widest gap", value=gap, unit="ms", most=200.0 if own else None)
        )
        if way is bare:
            note = f"the load's core {max(way.busy):.0%} busy, starts at most {max(r.late_starts for r in way.staggered):.1f} ms late"
            figures.append(_plain(f"{way.name}: first frame p99", first, note))
            continue
        figures.append(_added(way, bare, first, own=own))
        if delays:
            figures.append(
                _plain(f"{way.name}: a frame's way, p99", delays, f"p50 {percentile(delays, 0.5):.2f}")
            )
    return Part(
        name="streams",
        title="256 streams at once on one core",
        figures=figures,
        remarks=[
            f"An answer is {FRAMES} frames: a role chunk, 64 deltas, a finish chunk, [DONE]; one each {CADENCE * 1000:.0f} ms.",
            "Frames and gaps: streams started 5 ms apart and 256 started at the same moment. First frame: 5 ms apart.",
        ],
    )


def _plain(name: str, values: list[float], note: str) -> Figure:
    return Figure(
        name=name, value=percentile(values, 0.99) if values else None, unit="ms", digits=2, note=note
    )


def _added(way: _Path, bare: _Path, first: list[float], *, own: bool) -> Figure:
    direct = [value for reading in bare.staggered for value in reading.first_frame]
    if not first or not direct:
        return Figure(
            name=f"{way.name}: added first frame p99", value=None, unit="ms", most=10.0 if own else None
        )
    whole, base = percentile(first, 0.99), percentile(direct, 0.99)
    title, note = f"{way.name}: added first frame p99", f"{whole:.2f} through it, {base:.2f} direct"
    if own:
        return at_most(title, whole - base, 10.0, "ms", digits=2, note=note)
    return Figure(name=title, value=whole - base, unit="ms", digits=2, note=note)
