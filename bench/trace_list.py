"""The studio's lists and overview over a store with a million spans, as a browser gets them."""

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
from bench.span_store import BATCH, DAY, DAYS, START, Maker, feedback, traces
from ratchet.domain.spans import Score, Span
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
# Each page with the milliseconds it may take, and what it is asked.
_ANALYTICS: dict[str, tuple[str, int, dict[str, dict[str, str]]]] = {
    "overview": (
        "/overview",
        500,
        {
            "by route, of all": _ALL_OF_TIME,
            "by user, of all": {"by": "user", **_ALL_OF_TIME},
            "one route, of all": {"route": "route-3", **_ALL_OF_TIME},
            "one user, of all": {"user": "user-77", **_ALL_OF_TIME},
            "full text, of all": {"q": "kalo", **_ALL_OF_TIME},
            "of 7 days, and the 7 before": {"range": "7d"},
            "of 24 hours": {},
        },
    ),
    "sessions": (
        "/sessions",
        300,
        {
            "last active, of all": _ALL_OF_TIME,
            "by cost, of all": {"sort": "cost", **_ALL_OF_TIME},
            "one route, of all": {"route": "route-3", **_ALL_OF_TIME},
            "with errors, of all": {"status": "error", **_ALL_OF_TIME},
            "full text, of all": {"q": "kalo", **_ALL_OF_TIME},
            "of 24 hours": {},
        },
    ),
    "one session": ("/sessions/session-30000", 300, {"its turns": {}}),
    "users": (
        "/users",
        300,
        {
            "most requests, of all": _ALL_OF_TIME,
            "by cost, of all": {"sort": "cost", **_ALL_OF_TIME},
            "by feedback, of all": {"sort": "feedback", **_ALL_OF_TIME},
            "one route, of all": {"route": "route-3", **_ALL_OF_TIME},
            "organisations, of all": {**_ALL_OF_TIME},
            "of 24 hours": {},
        },
    ),
}


def fill_store(folder: Path, spans: int) -> float:
    """Put the bench's traces, moved to the fortnight before now, into an embedded store; inserted spans/s."""
    shift = time.time_ns() - DAYS * DAY - START
    store = SpanStore.open(f"chdb://{folder.absolute()}")
    spent, batch = 0.0, 0
    rows: list[Span] = []
    scores: list[Score] = []
    maker = Maker()

    def flush() -> None:
        nonlocal spent, batch
        began = time.perf_counter()
        store.insert_spans(rows, token=f"bench:{batch}")
        spent += time.perf_counter() - began
        batch += 1
        store.insert_scores(scores, token=f"bench:{batch}:scores")
        rows.clear()
        scores.clear()

    try:
        for trace in traces(maker, spans):
            moved = [
                msgspec.structs.replace(s, project_id=DEFAULT_PROJECT, start=s.start + shift) for s in trace
            ]
            rows += moved
            scores += feedback(maker, moved)
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
    for name, (path, bound, queries) in _ANALYTICS.items():
        for what, query in queries.items():
            at = "/organisations" if what.startswith("organisations") else path
            took = _page_millis(port, f"{at}?{urlencode(query)}", headers)
            value = statistics.median(took[1:])
            setting.say(f"{name}, {what}: {took[0]:.0f} ms first, {value:.0f} ms after")
            note = f"the first time {took[0]:.0f}"
            figures.append(at_most(f"{name}, {what}", value, bound, "ms", digits=1, note=note))
    figures.append(Figure(name="the studio's memory", value=studio.resident() / 2**20, unit="MB"))
    title = f"The studio over {spans:,} spans"
    return [
        Part(
            name="traces",
            title=title,
            figures=figures,
            remarks=["The whole page over HTTP, 50 rows in a list, median of 15."],
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
