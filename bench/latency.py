"""What a gateway adds to one request at a time: raw sockets, direct and through it in turn."""

from __future__ import annotations

import gc
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figures import Figure, Part, at_most, percentile
from bench.gateways import STARTERS, Running, start_gateway
from bench.nginx import MODEL, start_upstream
from bench.processes import BenchError, Children
from bench.setting import Setting, chat_body

__all__ = ["Line", "measure", "quiet"]

PATH = "/v1/chat/completions"


class Line:
    """One kept-open HTTP/1.1 connection; a request and its whole answer at a time."""

    def __init__(self, port: int, headers: dict[str, str], body: bytes, path: str = PATH) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fields = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", **headers}
        fields["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._request = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def ask(self) -> int:
        """Nanoseconds from the first byte sent to the last byte received. Raises BenchError unless it was a 200."""
        began = time.perf_counter_ns()
        self._socket.sendall(self._request)
        answer = self._socket.recv(65536)
        while not _whole(answer):
            more = self._socket.recv(65536)
            if not more:
                raise BenchError(f"the connection was closed in the middle of an answer: {answer[:300]!r}")
            answer += more
        took = time.perf_counter_ns() - began
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"a request failed: {answer[:300]!r}")
        return took

    def close(self) -> None:
        self._socket.close()


def _whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    lowered = head.lower()
    start = lowered.find(b"\r\ncontent-length:")
    if start >= 0:
        end = lowered.find(b"\r\n", start + 2)
        return len(body) >= int(lowered[start + 17 : end if end > 0 else None])
    return body.endswith(b"0\r\n\r\n")  # chunked; the answer's JSON can't end so


def measure(setting: Setting, children: Children) -> Part:
    upstream = start_upstream(children, core=setting.load_core)
    names = list(STARTERS) if setting.rivals else ["ratchet", "nginx"]
    gateways: list[Running] = []
    for name in names:
        setting.say(f"starting {name} …")
        running = start_gateway(name, children, upstream, setting.gateway_core)
        running.child.pause()
        gateways.append(running)
    blocks = 3 if setting.quick else 6
    direct: dict[str, list[int]] = {running.name: [] for running in gateways}
    through: dict[str, list[int]] = {running.name: [] for running in gateways}
    with quiet(setting.load_core):
        for block in range(blocks):
            for running in gateways:
                running.child.resume()
                slow = running.name in {"Portkey", "LiteLLM"}
                count = (100 if slow else 1000) // (4 if setting.quick else 1)
                _block(upstream, running, count, direct[running.name], through[running.name])
                running.child.pause()
            setting.say(f"block {block + 1}/{blocks}")
    for running in gateways:
        running.child.resume()
    return _part(gateways, direct, through)


def _block(upstream: int, running: Running, count: int, direct: list[int], through: list[int]) -> None:
    bare = Line(upstream, {"Authorization": "Bearer sk-up"}, chat_body(MODEL))
    line = Line(running.port, running.headers, chat_body(running.model))
    try:
        for _ in range(count // 2):  # warm up: code paths, connections, processor clocks
            bare.ask()
            line.ask()
        for _ in range(count):
            direct.append(bare.ask())
            through.append(line.ask())
    finally:
        bare.close()
        line.close()


@contextmanager
def quiet(core: int) -> Iterator[None]:
    """This process on `core`, with no garbage collection in the middle of a measurement."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        os.sched_setaffinity(0, before)


def _part(gateways: list[Running], direct: dict[str, list[int]], through: dict[str, list[int]]) -> Part:
    figures: list[Figure] = []
    for running in gateways:
        name = running.name
        for share, label, bound in ((0.50, "p50", 0.4), (0.99, "p99", 0.8)):
            bare, whole = percentile(direct[name], share) / 1e6, percentile(through[name], share) / 1e6
            note = f"{whole:.3f} through it, {bare:.3f} direct; {len(through[name]):,} samples each"
            title = f"{name}: added latency {label}"
            if name == "ratchet":
                figures.append(at_most(title, whole - bare, bound, "ms", digits=3, note=note))
            else:
                figures.append(Figure(name=title, value=whole - bare, unit="ms", digits=3, note=note))
    remarks = [
        (
            "One request at a time over one kept-open connection; a request direct to the upstream and one through the "
            "gateway in turn. Added p50 (p99) is the p50 (p99) through it less the p50 (p99) direct."
        )
    ]
    return Part(
        name="latency", title="Added latency, one request at a time", figures=figures, remarks=remarks
    )
