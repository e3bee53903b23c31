"""How fast the span store is: insert, the trace list with each filter, one big trace, a summary, and memory.

    python -m bench.span_store [--spans 1000000] [--folder DIR] [--json]

Makes realistic spans (apps with one to ten spans a trace over 14 days, 30 routes, 12 models, 5,000 users, messages
of a few hundred characters, 5 % errors, scores on 10 % of traces) in an embedded store and prints what it measured.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

from ratchet.domain.spans import Score, Span
from ratchet.store.spans import SpanStore, TraceFilter

DAY = 86_400_000_000_000
START = 1_750_000_000_000_000_000
DAYS = 14
BATCH = 20_000
ROUTES = [f"route-{number}" for number in range(30)]
MODELS = [f"model-{number}" for number in range(12)]
STEPS = ["retrieve", "rerank", "lookup_order", "plan", "check_policy", "summarise"]
ERRORS = ["rate_limited", "upstream_timeout", "upstream_failed", "content_filter"]
LANGUAGES = ["en", "en", "en", "de", "es", "fr", ""]
SYLLABLES = [
    "ka",
    "lo",
    "mi",
    "ren",
    "tas",
    "vo",
    "der",
    "shi",
    "pal",
    "un",
    "est",
    "or",
    "fi",
    "na",
    "gru",
    "bel",
    "tor",
    "qui",
    "zan",
    "wem",
]


def vocabulary(rng: random.Random, size: int = 8_000) -> list[str]:
    """Made-up words, short ones more often."""
    return ["".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3, 3, 4)))) for _ in range(size)]


class Maker:
    """Makes traces from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        words = vocabulary(self.rng)
        # Words of a language follow a power law; so do these.
        weights = [1 / (rank + 5) for rank in range(len(words))]
        pool = self.rng.choices(words, weights=weights, k=200_000)
        self.sentences = [
            " ".join(pool[at : at + self.rng.randint(6, 18)])
            for at in self.rng.sample(range(199_900), 20_000)
        ]

    def text(self, sentences: int) -> str:
        return ". ".join(self.rng.choices(self.sentences, k=sentences)) + "."

    def trace(self, start: int, spans: int, session: int = 0) -> list[Span]:
        """One trace; a session is one user's, whose language is not always known."""
        rng = self.rng
        trace_id = f"{rng.getrandbits(128):032x}"
        root = f"{rng.getrandbits(64):016x}"
        user = session * 7919 % 5000
        whose = {
            "user_id": f"user-{user}",
            "session_id": f"session-{session}",
            "language": LANGUAGES[user % len(LANGUAGES)],
        }
        if spans == 1:
            return [self._call(trace_id, "", start, whose)]
        found = [
            Span(
                project_id="shop", trace_id=trace_id, span_id=root, name="answer", source="otlp",
                service="support-app", operation="invoke_agent", start=start, duration=3_000_000_000,
                status="ok", **whose,
            )
        ]  # fmt: skip
        for step in range(1, spans):
            at = start + step * 200_000_000
            if step % 2:
                found.append(self._call(trace_id, root, at, whose))
            else:
                found.append(
                    Span(
                        project_id="shop", trace_id=trace_id, span_id=f"{rng.getrandbits(64):016x}",
                        parent_id=root, name=rng.choice(STEPS), service="support-app", operation="execute_tool",
                        start=at, duration=rng.randrange(1_000_000, 90_000_000), status="ok",
                        attributes={"tool.input": "order"}, **whose,
                    )
                )  # fmt: skip
        return found

    def _call(self, trace_id: str, parent: str, start: int, whose: dict[str, str]) -> Span:
        rng = self.rng
        failed = rng.random() < 0.05
        asked, answered = self.text(rng.randint(2, 5)), "" if failed else self.text(rng.randint(2, 6))
        model = rng.choice(MODELS)
        tokens = rng.randint(50, 900)
        return Span(
            project_id="shop", trace_id=trace_id, span_id=f"{rng.getrandbits(64):016x}", parent_id=parent,
            name="chat", kind="client", source="gateway", service="ratchet", operation="chat", start=start,
            duration=rng.randrange(200_000_000, 4_000_000_000),
            time_to_first_token=None if failed else rng.randrange(80_000_000, 900_000_000),
            status="error" if failed else "ok", error_type=rng.choice(ERRORS) if failed else "",
            error_message="the provider did not answer" if failed else "", http_status=504 if failed else 200,
            key_id=f"key-{rng.randrange(8)}", organisation_id=f"org-{rng.randrange(300)}",
            tags=[rng.choice(("beta", "web", "mobile", "eu"))], route=rng.choice(ROUTES), target=f"openai/{model}",
            provider=rng.choice(("openai", "anthropic", "groq")), request_model=model, response_model=model,
            response_id=f"chatcmpl-{rng.getrandbits(80):x}", stream=rng.random() < 0.5,
            input_tokens=None if failed else tokens, output_tokens=None if failed else tokens // 2,
            cost=None if failed or rng.random() < 0.02 else Decimal(tokens) * Decimal("0.0000015"),
            finish_reasons=[] if failed else ["stop"],
            input_messages='[{"role":"user","parts":[{"type":"text","content":"' + asked + '"}]}]',
            output_messages='[{"role":"assistant","parts":[{"type":"text","content":"' + answered + '"}]}]',
            input_preview=asked[:200], output_preview=answered[:200], **whose,
        )  # fmt: skip


def traces(maker: Maker, spans: int) -> Iterator[list[Span]]:
    """Traces in order of time until there are `spans` spans."""
    sizes = (1, 1, 3, 4, 5, 6, 8, 10, 7, 5)  # 5 spans on average
    count = max(1, spans // 5)
    made = 0
    for number in range(count):
        start = START + int(number * DAYS * DAY / count)
        size = min(maker.rng.choice(sizes), spans - made) if number < count - 1 else min(10, spans - made)
        if size <= 0:
            return
        made += size
        # A few turns of each session, among those of some forty others at the same time.
        yield maker.trace(start, size, max(0, number * 3 // 10 - maker.rng.randrange(40)))


def feedback(maker: Maker, trace: list[Span]) -> list[Score]:
    """One score about each tenth trace."""
    rng = maker.rng
    if rng.random() >= 0.1:
        return []
    first = trace[0]
    return [
        Score(
            project_id=first.project_id, score_id=f"{rng.getrandbits(64):x}", time=first.start + DAY // 1000,
            name=rng.choice(("thumbs", "helpful", "tone")), value=float(rng.random() < 0.8),
            source="user", trace_id=first.trace_id,
        )
    ]  # fmt: skip


def fill(store: SpanStore, spans: int) -> float:
    """Insert everything; the seconds that inserts took."""
    maker = Maker()
    rows: list[Span] = []
    scores: list[Score] = []
    spent, batch = 0.0, 0

    def flush() -> None:
        nonlocal spent, batch
        began = time.perf_counter()
        store.insert_spans(rows, token=f"bench:{batch}:spans")
        spent += time.perf_counter() - began
        store.insert_scores(scores, token=f"bench:{batch}:scores")
        rows.clear()
        scores.clear()
        batch += 1

    for trace in traces(maker, spans):
        rows += trace
        scores += feedback(maker, trace)
        if len(rows) >= BATCH:
            flush()
    if rows:
        flush()
    return spent


def timed(work: Callable[[], object], repeats: int = 9) -> str:
    """Median, best and first time."""
    found: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return f"{statistics.median(found[1:]):7.1f} ms (best {min(found):.1f}, first {found[0]:.1f})"


def filters() -> dict[str, TraceFilter]:
    """One of each kind."""
    word = Maker().sentences[77].split()
    return {
        "none": TraceFilter(),
        "last day": TraceFilter(since=START + (DAYS - 1) * DAY),
        "route": TraceFilter(route="route-3"),
        "model": TraceFilter(model="model-3"),
        "provider": TraceFilter(provider="openai"),
        "user": TraceFilter(user_id="user-77"),
        "session": TraceFilter(session_id="session-77"),
        "organisation": TraceFilter(organisation_id="org-77"),
        "key": TraceFilter(key_id="key-3"),
        "tag": TraceFilter(tag="beta"),
        "status error": TraceFilter(status="error"),
        "status ok": TraceFilter(status="ok"),
        "score": TraceFilter(score_name="thumbs", score_max=0.0),
        "cost": TraceFilter(cost_min=Decimal("0.002")),
        "latency": TraceFilter(latency_min=3_900_000_000),
        "text, common word": TraceFilter(query=min(word, key=len)),
        "text, two words": TraceFilter(query=" ".join(sorted(word, key=len)[-2:])),
        "text, absent": TraceFilter(query="nowhere"),
        "route, error, text": TraceFilter(route="route-3", status="error", query=max(word, key=len)),
        "route, model, cost": TraceFilter(route="route-3", model="model-5", cost_min=Decimal("0.001")),
    }


def rss() -> int:
    """Resident memory of this process in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) // 1024
    return 0


def measure(store: SpanStore, spans: int) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, wanted in filters().items():
        took = timed(lambda wanted=wanted: store.traces("shop", wanted))
        figures[f"traces: {name}"] = f"{took}, n={store.traces('shop', wanted).total:,}"
    figures["traces: page 400"] = timed(lambda: store.traces("shop", TraceFilter(), limit=50, offset=20_000))
    page = store.traces("shop", TraceFilter())
    figures["trace: small"] = timed(lambda: store.trace("shop", page.rows[7].trace_id))
    big = Maker(1).trace(START + DAY, 10_000)
    store.insert_spans(big, token="bench:big")
    figures["trace: 10,000 spans"] = timed(lambda: store.trace("shop", big[0].trace_id))
    figures["span"] = timed(lambda: store.span("shop", big[77].trace_id, big[77].span_id))
    for name, since in (("all", START), ("last day", START + (DAYS - 1) * DAY)):
        figures[f"summary: {name}"] = timed(lambda since=since: store.summary("shop", since=since))
        figures[f"facets: {name}"] = timed(lambda since=since: store.facets("shop", since=since))
    figures["memory"] = f"{rss()} MiB resident"
    figures["disk"] = f"{store.check().bytes_on_disk / spans:,.0f} bytes a span"
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the store here, and use what is there already")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="ratchet-bench-"))
    store = SpanStore.open(f"chdb://{folder.absolute() / 'spans'}")
    figures: dict[str, object] = {"memory, open": f"{rss()} MiB resident"}
    try:
        if not store.check().tables["spans"].rows:
            spent = fill(store, arguments.spans)
            figures["insert"] = f"{arguments.spans / spent:,.0f} spans/s in batches of {BATCH:,}"
        figures |= measure(store, arguments.spans)
    finally:
        store.close()
        if not arguments.folder:
            shutil.rmtree(folder, ignore_errors=True)
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
