"""The studio's trace list over a store with a million spans, as a browser gets it."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from bench.drain import start_studio
from bench.figures import Figure, Part, at_most
from bench.gateways import ratchet_config
from bench.processes import BenchError, Children, get
from bench.setting import Setting
from bench.span_store import BATCH, DAY, DAYS, START, Maker, traces
from ratchet.domain.spans import Span
from ratchet.store.records import DEFAULT_PROJECT
from ratchet.store.spans import SpanStore

__all__ = ["measure"]

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = {
    "newest": {},
    "one route": {"route": "route-3"},
    "one user": {"user": "user-77"},
    "with errors": {"status": "error"},
    "slow ones": {"latency_min": "3.9"},
    "full text": {"q": "kalo"},
}
_ALL_OF_TIME = {"range": "all"}


def fill_store(folder: Path, spans: int) -> float:
    """Put the bench's traces, moved to the fortnight before now, into an embedded store; inserted spans/s."""
    shift = time.time_ns() - DAYS * DAY - START
    store = SpanStore.open(f"chdb://{folder.absolute()}")
    spent, batch = 0.0, 0
    rows: list[Span] = []

    def flush() -> None:
        nonlocal spent, batch
        began = time.perf_counter()
        store.insert_spans(rows, token=f"bench:{batch}")
        spent += time.perf_counter() - began
        batch += 1
        rows.clear()

    try:
        for trace in traces(Maker(), spans):
            rows += [
                msgspec.structs.replace(s, project_id=DEFAULT_PROJECT, start=s.start + shift) for s in trace
            ]
            if len(rows) >= BATCH:
                flush()
        if rows:
            flush()
    finally:
        store.close()
    return spans / spent


def measure(setting: Setting, children: Children) -> list[Part]:
    spans = 100_000 if setting.quick else 1_000_000
    folder = children.folder / "traces"
    data = folder / "data"
    data.mkdir(parents=True)
    setting.say(f"making {spans:,} spans …")
    # In a process of its own: an embedded store stays open in the process that opened it.
    done = subprocess.run(
        [sys.executable, "-m", "bench.trace_list", str(data / "spans"), str(spans)],
        capture_output=True,
        text=True,
        cwd=_ROOT,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the store could not be filled:\n{done.stderr[-2000:]}")
    inserted = float(done.stdout)
    studio, port = start_studio(children, data, ratchet_config(folder, 9), core=None)
    headers = {"Authorization": f"Bearer {_token(data)}"}
    figures = [Figure(name="inserted in batches of 20,000", value=inserted, unit="spans/s")]
    pages = {f"{name}, of all": {**query, **_ALL_OF_TIME} for name, query in _PAGES.items()}
    pages["newest, of 24 hours"] = {}
    for name, query in pages.items():
        took = _page_millis(port, f"/traces?{urlencode(query)}", headers)
        setting.say(f"trace list, {name}: {took[0]:.0f} ms first, {statistics.median(took[1:]):.0f} ms after")
        value, note = statistics.median(took[1:]), f"the first time {took[0]:.0f}"
        title = f"trace list, {name}"
        figures.append(at_most(title, value, 150, "ms", digits=1, note=note))
    figures.append(Figure(name="the studio's memory", value=studio.resident() / 2**20, unit="MB"))
    title = f"The trace list over {spans:,} spans"
    return [
        Part(
            name="traces",
            title=title,
            figures=figures,
            remarks=["The whole page over HTTP, 50 traces, median of 15."],
        )
    ]


def _page_millis(port: int, path: str, headers: dict[str, str]) -> list[float]:
    took: list[float] = []
    for _ in range(16):
        began = time.perf_counter()
        status, body = get(port, path, headers=headers, timeout=30)
        took.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise BenchError(f"{path} answered {status}: {body[:500]!r}")
    return took


def _token(data: Path) -> str:
    """What lets this machine's own programs into the studio."""
    return str(json.loads((data / "studio.json").read_text())["token"])


if __name__ == "__main__":
    print(fill_store(Path(sys.argv[1]), int(sys.argv[2])))
