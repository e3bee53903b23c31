"""Stars and leaderboard scores, kept on SQLite and on PostgreSQL; and how quick models are, out of the span store."""

from __future__ import annotations

import statistics

import pytest

from ratchet.domain.stars import Hint, Star
from ratchet.errors import InvalidRequest, NotFound
from ratchet.store.records import Records
from ratchet.store.records.opinions import give_stars, keep_hints, list_hints, list_stars, take_back_stars
from ratchet.store.spans import ModelCalls, SpanStore
from test_span_store import HOUR, call, project, store

__all__ = ["project", "store"]  # fixtures

NOW = 1_790_000_000 * 10**9
SECOND = 10**9
BEGIN = 1_760_000_400 * SECOND


def give(
    records: Records, member: str, stars: int, *, model: str = "phi-4", comment: str = "", now: int = NOW
) -> Star:
    return give_stars(
        records, project_id="default", model=model, member=member, stars=stars, comment=comment, now=now
    )


def hint(model: str = "phi-4", score: float = 0.5, *, benchmark: str = "MMLU", source: str = "HELM") -> Hint:
    return Hint(
        model=model, benchmark=benchmark, score=score, date="2026-05", source=source, listed_as="Phi 4",
        imported=NOW, imported_by="ada@example.org",
    )  # fmt: skip


def test_a_member_has_one_opinion_of_a_model_and_the_last_counts(records: Records) -> None:
    give(records, "ada@example.org", 2, comment="  slow  ")
    give(records, "bo@example.org", 5)
    give(records, "ada@example.org", 4, comment="quick now", now=NOW + 7)
    found = list_stars(records, project_id="default", model="phi-4")
    assert [(star.member, star.stars, star.comment) for star in found] == [
        ("ada@example.org", 4, "quick now"),
        ("bo@example.org", 5, ""),
    ]
    assert (found[0].created, found[0].changed) == (NOW, NOW + 7)
    assert list_stars(records, project_id="default", model="gpt-5.5") == []
    assert list_stars(records, project_id="another") == []


def test_stars_can_be_taken_back_once(records: Records) -> None:
    give(records, "ada@example.org", 2)
    give(records, "bo@example.org", 3)
    take_back_stars(records, project_id="default", model="phi-4", member="ada@example.org")
    assert [star.member for star in list_stars(records, project_id="default")] == ["bo@example.org"]
    with pytest.raises(NotFound, match="no stars"):
        take_back_stars(records, project_id="default", model="phi-4", member="ada@example.org")


@pytest.mark.parametrize("stars", [0, 6, -1])
def test_stars_are_one_to_five(records: Records, stars: int) -> None:
    with pytest.raises(InvalidRequest, match="stars"):
        give(records, "ada@example.org", stars)
    assert list_stars(records, project_id="default") == []


def test_a_comment_has_an_end(records: Records) -> None:
    with pytest.raises(InvalidRequest, match="2,001 characters"):
        give(records, "ada@example.org", 3, comment="x" * 2001)


def test_a_score_imported_again_replaces_the_one_before(records: Records) -> None:
    keep_hints(
        records, [hint(score=0.5), hint(benchmark="IFEval"), hint(source="Open LLM")], project_id="default"
    )
    keep_hints(records, [hint(score=0.75)], project_id="default")
    found = list_hints(records, project_id="default")
    assert [(each.benchmark, each.source, each.score) for each in found] == [
        ("IFEval", "HELM", 0.5),
        ("MMLU", "HELM", 0.75),
        ("MMLU", "Open LLM", 0.5),
    ]
    assert list_hints(records, project_id="default", model="gpt-5.5") == []
    keep_hints(records, [], project_id="default")


def test_the_longest_names_fit_their_index(records: Records) -> None:
    wide = hint("𝒎" * 200, benchmark="𝒃" * 150, source="𝒔" * 200)
    keep_hints(records, [wide], project_id="default")
    assert list_hints(records, project_id="default", model=wide.model) == [wide]


# -- speed ---------------------------------------------------------------------------------------------------------


def test_speed_is_measured_over_what_was_answered_through_the_gateway(store: SpanStore, project: str) -> None:
    streamed = [
        call(project, n, start=BEGIN + n, target="openai/gpt-4o-mini", request_model="gpt-4o-mini",
             response_model="gpt-4o-mini-2024-07-18", source="gateway", duration=n * SECOND,
             time_to_first_token=SECOND // 2, output_tokens=10 * n)
        for n in range(1, 21)
    ]  # fmt: skip
    others = [
        call(project, 30, start=BEGIN, target="openai/gpt-4o-mini", response_model="gpt-4o-mini-2024-07-18",
             source="gateway", duration=900 * SECOND, status="error"),
        call(project, 31, start=BEGIN, target="openai/gpt-4o-mini", response_model="gpt-4o-mini-2024-07-18",
             source="gateway", duration=1, cache_status="hit"),
        call(project, 32, start=BEGIN, target="", response_model="gpt-4o-mini-2024-07-18", source="otlp"),
        call(project, 33, start=BEGIN - 1, target="openai/gpt-4o-mini", source="gateway"),
        call(project, 34, start=BEGIN, target="azure/gpt-4o-mini", request_model="gpt-4o-mini",
             response_model="", source="gateway", duration=4 * SECOND, time_to_first_token=None,
             output_tokens=100),
    ]  # fmt: skip
    store.insert_spans(streamed + others, token=project)
    since = BEGIN
    assert store.models_called(project, since=since) == [
        ModelCalls("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18", 20),
        ModelCalls("azure/gpt-4o-mini", "gpt-4o-mini", 1),
    ]
    pair = ("openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18")
    found = store.speed(project, since=since, groups={pair: "mini"})["mini"]
    assert (found.calls, found.streamed) == (20, 20)
    assert (found.latency_p50, found.latency_p95) == (11 * SECOND, 20 * SECOND)
    assert (found.ttft_p50, found.ttft_p95) == (SECOND // 2, SECOND // 2)
    rates = sorted(10 * n / (n - 0.5) for n in range(1, 21))
    assert found.tokens_per_second == pytest.approx(rates[10])
    assert statistics.median_high(rates) == rates[10]


def test_calls_of_several_targets_are_one_group_where_they_are_one_model(
    store: SpanStore, project: str
) -> None:
    store.insert_spans(
        [
            call(project, n, start=BEGIN, target=target, request_model="m", response_model="", source="gateway",
                 duration=2 * SECOND, time_to_first_token=None, output_tokens=50)
            for n, target in enumerate(["a/m", "b/m", "c/m"], 1)
        ],
        token=project,
    )  # fmt: skip
    groups = {("a/m", "m"): "both", ("b/m", "m"): "both"}
    found = store.speed(project, since=BEGIN - HOUR, groups=groups)
    assert list(found) == ["both"]
    assert (found["both"].calls, found["both"].streamed) == (2, 0)
    assert found["both"].ttft_p50 is None
    assert found["both"].tokens_per_second == pytest.approx(25)  # the whole call's: nothing was streamed
    assert store.speed(project, since=BEGIN - HOUR, groups={}) == {}
    assert store.speed(project, since=BEGIN + HOUR, groups=groups) == {}
