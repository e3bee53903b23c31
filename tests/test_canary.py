"""Canaries: a worse version goes, a version that is no worse stays, and who looks often is not fooled."""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.clickhouse_server import clickhouse_server

from ratchet.domain.prompts import CanaryPolicy, Release, Share, Template, TemplateMessage
from ratchet.domain.releases import CanaryReport
from ratchet.domain.spans import Event, Score, Span
from ratchet.prompts.hashing import content_hash
from ratchet.release.canary import CanaryWatch
from ratchet.release.keeper import CanaryKeeper
from ratchet.store.records import Records, prompts, releases
from ratchet.store.records.migrate import migrate
from ratchet.store.spans import Opinion, Served, SpanStore

NOON = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
POLICY = CanaryPolicy(baseline=1, canary=2)


def served(
    rng: np.random.Generator,
    users: int,
    *,
    failing: tuple[float, float],
    slower: float = 1.0,
    dearer: float = 1.0,
) -> list[Served]:
    """Calls of as many users, a tenth of whom get the canary. `failing`: shares of errors, baseline's and canary's."""
    canary = rng.random(users) < 0.1
    failed = rng.random(users) < np.where(canary, failing[1], failing[0])
    seconds = rng.lognormal(0.0, 0.5, users) * np.where(canary, slower, 1.0)
    dollars = rng.lognormal(-7.0, 0.3, users) * np.where(canary, dearer, 1.0)
    return [
        Served(
            f"user {number}",
            2 if canary[number] else 1,
            NOON + number * SECOND,
            bool(failed[number]),
            int(seconds[number] * SECOND),
            Decimal(str(dollars[number])),
        )
        for number in range(users)
    ]


def watched(calls: list[Served], policy: CanaryPolicy = POLICY) -> CanaryReport:
    watch = CanaryWatch(policy)
    watch.take_calls(calls)
    return watch.report()


def test_a_canary_that_is_alike_stays_however_often_one_looks() -> None:
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(60):
        watch = CanaryWatch(CanaryPolicy(baseline=1, canary=2, alpha=0.2, latency_ratio=1.0, cost_ratio=1.0))
        calls = served(rng, 400, failing=(0.05, 0.05))
        for start in range(0, len(calls), 100):
            watch.take_calls(calls[start : start + 100])
            if watch.report().worse:
                alarms += 1
                break
    assert alarms <= 20  # of 60 at α = 0.2; 20 or more have a probability below 0.1 % at exactly α


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"failing": (0.02, 0.35)}, "errors"),
        ({"failing": (0.02, 0.02), "slower": 3.0}, "latency"),
        ({"failing": (0.02, 0.02), "dearer": 2.5}, "cost"),
    ],
)
def test_a_worse_canary_is_found(change: dict[str, Any], name: str) -> None:
    report = watched(served(np.random.default_rng(3), 3000, **change))
    assert report.worse == [name]
    assert report.reason.startswith(f"Version 2 is worse: {name} ")
    found = next(measure for measure in report.measures if measure.name == name)
    assert found.low is not None
    assert found.low > 0


def test_scores_count_once_a_user_and_the_first_names_only() -> None:
    rng = np.random.default_rng(5)
    watch = CanaryWatch(POLICY)
    opinions = [
        Opinion(
            f"user {number}", 2 if number % 5 == 0 else 1, "thumb", NOON + number, float(rng.random() < share)
        )
        for number in range(2500)
        for share in [0.3 if number % 5 == 0 else 0.9]
    ]
    watch.take_scores(opinions + opinions)
    watch.take_scores([Opinion("someone", 1, f"name {number}", NOON, 1.0) for number in range(9)])
    report = watch.report()
    assert report.worse == ["thumb"]
    thumb = next(measure for measure in report.measures if measure.name == "thumb")
    assert (thumb.baseline_users, thumb.canary_users) == (2000, 500)
    assert len(report.measures) == 3 + 5


def test_a_user_counts_once_and_other_versions_not_at_all() -> None:
    watch = CanaryWatch(POLICY)
    call = Served("user 1", 2, NOON, False, SECOND, None)
    watch.take_calls([call, call, Served("user 2", 3, NOON, True, SECOND, None)])
    report = watch.report()
    assert (watch.users, report.canary_users, report.baseline_users) == (1, 1, 0)
    assert report.reason.startswith("Nothing to compare yet")


def test_prices_of_nothing_are_waited_out() -> None:
    free = [
        Served(f"user {number}", 1 + number % 2, NOON, False, SECOND, Decimal(0)) for number in range(100)
    ]
    cost = next(measure for measure in watched(free).measures if measure.name == "cost")
    assert (cost.finding, cost.low) == ("undecided", None)


@pytest.fixture(scope="module", params=["chdb", "clickhouse"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[SpanStore]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "chdb":
        opened = SpanStore.open(f"chdb://{folder}/spans")
        yield opened
        opened.close()
    else:
        with clickhouse_server(folder / "spans") as port:
            opened = SpanStore.open(f"clickhouse://127.0.0.1:{port}/observed")
            yield opened
            opened.close()


def span(
    number: int, version: int, *, project: str, user: str = "", start: int | None = None, **more: Any
) -> Span:
    fields: dict[str, Any] = {
        "source": "gateway", "operation": "chat", "name": "chat", "duration": SECOND, "status": "ok",
        "prompt": "support", "prompt_version": str(version), "release": "production.2", "cost": Decimal("0.001"),
    }  # fmt: skip
    return Span(
        project_id=project,
        trace_id=f"{number:032x}",
        span_id=f"{number:016x}",
        user_id=user or f"u{number}",
        start=NOON + number * SECOND if start is None else start,
        **(fields | more),
    )


def thumb(number: int, value: float, *, project: str, name: str = "thumb") -> Score:
    return Score(
        project_id=project,
        score_id=f"{name}-{number}",
        time=NOON + number * SECOND + 1,
        name=name,
        value=value,
        source="user",
        trace_id=f"{number:032x}",
    )


def test_the_store_tells_each_users_first_call_and_first_score(
    store: SpanStore, request: pytest.FixtureRequest
) -> None:
    project = request.node.name
    spans = [
        span(1, 1, project=project, user="ada"),
        span(2, 1, project=project, user="ada", status="error"),
        span(3, 2, project=project, user="bob", status="error", cost=None),
        span(4, 2, project=project, user="cem", run_id="offline"),
        span(5, 2, project=project, user="dan", release="staging.1"),
    ]
    store.insert_spans(spans, token=f"{project}-spans")
    scores = [
        thumb(1, 0.0, project=project),
        thumb(2, 1.0, project=project),
        thumb(3, 4.0, project=project, name="stars"),
        thumb(3, 0.5, project=project, name="grade"),
        thumb(5, 1.0, project=project),
    ]
    store.insert_scores(scores, token=f"{project}-scores")
    calls = store.served_by(
        project, "support", "production.2", since=NOON, until=NOON + 99 * SECOND, limit=10
    )
    assert calls == [
        Served("user ada", 1, NOON + SECOND, False, SECOND, Decimal("0.001")),
        Served("user bob", 2, NOON + 3 * SECOND, True, SECOND, None),
    ]
    opinions = store.opinions_of(
        project, "support", "production.2", since=NOON, scored_since=NOON, until=NOON + 99 * SECOND, limit=10
    )
    assert opinions == [
        Opinion("user ada", 1, "thumb", NOON + SECOND + 1, 0.0),
        Opinion("user bob", 2, "grade", NOON + 3 * SECOND + 1, 0.5),
    ]


@pytest.fixture
def records(tmp_path: Path) -> Generator[Records]:
    opened = Records.open(f"sqlite:///{tmp_path}/records.db")
    migrate(opened)
    yield opened
    opened.close()


def released(records: Records, prompt: str) -> Release:
    """Version 1 for everybody, then version 2 for a tenth of the users."""
    for text in ("Be kind.", "Be terse."):
        template = Template(messages=[TemplateMessage(role="system", content=text)])
        new = prompts.NewVersion(prompt=prompt, template=template, hash=content_hash(template))
        prompts.push_versions(records, [new], project_id="default", author="ada", message="", now=NOON)
    whole = [Share(version=1)]
    releases.release_split(records, prompt, "production", whole, project_id="default", by="ada", now=NOON)
    return releases.release_split(
        records,
        prompt,
        "production",
        [Share(version=1, weight=9), Share(version=2, weight=1)],
        project_id="default",
        by="ada",
        now=NOON,
        canary=POLICY,
    )


def answered(number: int, prompt: str) -> Span:
    version = 2 if number % 10 == 0 else 1
    status = "error" if version == 2 else "ok"
    return span(number, version, project="default", prompt=prompt, start=NOON + number * 1000, status=status)


def test_a_broken_canary_is_taken_back_once_and_an_event_says_so(
    store: SpanStore, records: Records, request: pytest.FixtureRequest
) -> None:
    prompt = "broken"
    release = released(records, prompt)
    assert release.name == "production.2"
    events: list[Event] = []
    keeper = CanaryKeeper(records, lambda: store, now=lambda: NOON + 60 * SECOND, append_event=events.append)
    assert keeper.look() == []
    token = request.node.name
    store.insert_spans([answered(number, prompt) for number in range(900)], token=token)
    [back] = keeper.look()
    assert (back.split, back.created_by, back.number, back.canary) == ([Share(version=1)], "canary", 3, None)
    assert back.message.startswith("Version 2 is worse: errors 100.0% instead of 0.0%")
    assert [(event.kind, event.subject, event.attributes["worse"]) for event in events] == [
        ("release.rolled_back", "broken@production", "errors")
    ]
    assert keeper.look() == []
    assert len(events) == 1
    assert keeper.report(back) is None


def test_a_label_that_somebody_moved_meanwhile_is_left_alone(
    store: SpanStore, records: Records, request: pytest.FixtureRequest
) -> None:
    prompt = "moved"
    released(records, prompt)
    events: list[Event] = []
    keeper = CanaryKeeper(records, lambda: store, now=lambda: NOON + 60 * SECOND, append_event=events.append)
    keeper.look()
    release = releases.current_releases(records, project_id="default")[prompt][0]
    moved = releases.release_split(
        records, prompt, "production", [Share(version=2)], project_id="default", by="bob", now=NOON + 1
    )
    token = request.node.name
    store.insert_spans([answered(number, prompt) for number in range(900)], token=token)
    report = keeper.report(release)
    assert report is not None
    assert report.worse == ["errors"]
    assert keeper.look() == []
    assert releases.current_releases(records, project_id="default")[prompt] == [moved]
    assert events == []
