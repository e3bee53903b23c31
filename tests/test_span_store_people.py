"""Sessions, users and organisations: what they came to, by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from ratchet.errors import InvalidRequest
from ratchet.store.spans import OWNER_ORDERS, SESSION_ORDERS, Feedback, OwnerKind, SpanStore, TraceFilter
from test_span_store import NOON, call, make, project, score, store, text, trace_id

__all__ = ["project", "store"]  # fixtures

SECOND = 10**9


def sessions(
    store: SpanStore, project: str, *, order: str = "last", ascending: bool = False, **wanted: Any
) -> list[str]:
    found = store.sessions(project, TraceFilter(**wanted), order=order, ascending=ascending)
    assert found.total == len(found.rows)
    return [row.session_id for row in found.rows]


def owners(
    store: SpanStore, project: str, kind: OwnerKind = "user", *, order: str = "requests", ascending: bool = False,
    **wanted: Any,
) -> list[str]:  # fmt: skip
    found = store.owners(project, kind, TraceFilter(**wanted), order=order, ascending=ascending)
    assert found.total == len(found.rows)
    return [row.id for row in found.rows]


# ---- sessions --------------------------------------------------------------------------------------------------


def talk(project: str) -> list[Any]:
    """Three sessions: `long` of three turns, `short` of one, and `late`, which failed."""
    own = {"user_id": "ann", "organisation_id": "acme", "language": "de"}
    return [
        call(project, 1, session_id="long", route="a", input_preview="first", output_preview="one", **own),
        call(project, 2, session_id="long", route="b", cost=None, input_preview="second", **own),
        make(project, 3, 1, session_id="long", name="step", status="error", error_type="timeout"),
        call(project, 3, 2, session_id="long", route="a", duration=9 * SECOND, output_preview="last", **own),
        call(project, 4, session_id="short", user_id="bob", cost=Decimal(2), input_tokens=9999),
        call(project, 9, session_id="late", user_id="bob", status="error", cost=None, input_tokens=None,
             output_tokens=None),
        call(project, 5, user_id="bob"),  # no session
    ]  # fmt: skip


def test_a_session_tells_what_it_came_to(store: SpanStore, project: str) -> None:
    store.insert_spans(talk(project), token=project)
    scores = [
        score(project, 1, "thumb", 1.0), score(project, 2, "thumb", 0.0),
        score(project, 0, "ease", 4.0, trace_id="", session_id="long"), score(project, 5, "thumb", 1.0),
    ]  # fmt: skip
    store.insert_scores(scores, token=project)
    found = store.sessions(project, TraceFilter())
    assert (found.total, [row.session_id for row in found.rows]) == (3, ["long", "late", "short"])
    long, late, short = found.rows
    assert (long.start, long.end, long.duration) == (NOON + SECOND, NOON + 12 * SECOND, 11 * SECOND)
    assert (long.turns, long.calls, long.error_count, long.unpriced_calls) == (3, 3, 1, 1)
    assert (long.input_tokens, long.output_tokens, long.cost) == (300, 60, Decimal("0.000246"))
    assert (long.user_id, long.organisation_id, long.languages) == ("ann", "acme", ["de"])
    assert (long.routes, long.models) == (["a", "b"], ["gpt-4o-2024"])
    assert (long.input_preview, long.output_preview) == ("first", "last")
    assert long.scores == [("ease", 4.0, 1), ("thumb", 0.5, 2)]
    assert (short.turns, short.scores, short.cost) == (1, [], Decimal(2))
    assert (late.cost, late.input_tokens, late.error_count) == (None, None, 1)


def test_sessions_can_be_sorted_by_every_column(store: SpanStore, project: str) -> None:
    store.insert_spans(talk(project), token=project)
    assert sessions(store, project, order="start") == ["late", "short", "long"]
    assert sessions(store, project, order="turns") == ["long", "late", "short"]
    assert sessions(store, project, order="duration") == ["long", "late", "short"]
    assert sessions(store, project, order="tokens") == ["short", "long", "late"]
    assert sessions(store, project, order="cost") == ["short", "long", "late"]
    assert sessions(store, project, order="cost", ascending=True) == ["long", "short", "late"]
    assert sessions(store, project, order="errors", ascending=True) == ["short", "late", "long"]
    assert all(len(sessions(store, project, order=order)) == 3 for order in SESSION_ORDERS)
    with pytest.raises(InvalidRequest, match="mood"):
        sessions(store, project, order="mood")


def test_sessions_are_found_by_their_traces_and_shown_whole(store: SpanStore, project: str) -> None:
    store.insert_spans(talk(project), token=project)
    store.insert_scores([score(project, 4, "thumb", 1.0)], token=project)
    assert sessions(store, project, user_id="bob") == ["late", "short"]
    assert sessions(store, project, organisation_id="acme") == ["long"]
    assert sessions(store, project, route="b") == sessions(store, project, language="de") == ["long"]
    assert sessions(store, project, route="b", user_id="bob") == []
    assert sessions(store, project, model="gpt-4o") == ["long", "late", "short"]
    assert sessions(store, project, status="error") == ["long", "late"]
    assert sessions(store, project, status="ok") == ["short"]
    assert sessions(store, project, score_name="thumb") == ["short"]
    assert sessions(store, project, cost_min=Decimal("0.0002")) == ["long", "short"]
    assert sessions(store, project, cost_max=Decimal("0.0003"), status="error") == ["long"]
    assert sessions(store, project, latency_min=8 * SECOND) == ["long"]
    assert sessions(store, project, query="timeout") == ["long"]
    assert sessions(store, project, without=("language",)) == ["late", "short"]
    # One turn of `long` began in this time; its figures are of the whole session all the same.
    (row,) = store.sessions(project, TraceFilter(since=NOON + 2 * SECOND, until=NOON + 3 * SECOND)).rows
    assert (row.session_id, row.turns) == ("long", 3)


def test_pages_of_sessions_cover_each_once(store: SpanStore, project: str) -> None:
    store.insert_spans([call(project, n, session_id=f"s{n:03}") for n in range(70)], token=project)
    pages = [store.sessions(project, TraceFilter(), limit=30, offset=offset) for offset in (0, 30, 60, 90)]
    assert [page.total for page in pages] == [70] * 4
    assert [row.session_id for page in pages for row in page.rows] == [
        f"s{n:03}" for n in reversed(range(70))
    ]


def test_a_call_that_names_no_session_belongs_to_its_traces(store: SpanStore, project: str) -> None:
    spans = [
        make(project, 1, 1, session_id="s", user_id="ann", organisation_id="acme"),
        call(project, 1, 2, parent_id=f"{1:016x}"),  # the gateway's, told nothing
        call(project, 2, 1),
    ]
    store.insert_spans(spans, token=project)
    (row,) = store.sessions(project, TraceFilter()).rows
    assert (row.session_id, row.calls, row.cost) == ("s", 1, Decimal("0.000123"))
    (user,) = store.owners(project, "user", TraceFilter()).rows
    assert (user.id, user.requests, user.cost, user.sessions) == ("ann", 1, Decimal("0.000123"), 1)
    assert [
        one.requests for one in store.owners(project, "organisation", TraceFilter(user_id="ann")).rows
    ] == [1]
    session = store.session(project, "s")
    assert session is not None
    assert (session.row.calls, [turn.calls for turn in session.turns]) == (1, [1])


def test_a_session_is_read_turn_by_turn(store: SpanStore, project: str) -> None:
    spans = [
        call(project, n, session_id="s", input_messages=text(*["x"] * n), output_messages=text(f"answer {n}"))
        for n in range(1, 13)
    ]
    spans += [
        call(
            project, 2, 2, start=NOON + 2 * SECOND + 5, input_messages=text("y"), session_id="s"
        ),  # a shorter call
        call(project, 2, 3, start=NOON, operation="embeddings", input_messages=text(*["z"] * 99)),
        make(project, 3, 9, status="error", error_message="it broke"),
        call(project, 40, session_id="other"),
    ]
    store.insert_spans(spans, token=project)
    scores = [
        score(project, 6, "thumb", 1.0), score(project, 1, "thumb", 0.0),
        score(project, 0, "ease", 4.0, trace_id="", session_id="s"),
    ]  # fmt: skip
    store.insert_scores(scores, token=project)
    found = store.session(project, "s", limit=4, offset=0)
    assert found is not None
    assert (found.total, found.row.turns, found.earlier) == (12, 12, [])
    assert [turn.trace_id for turn in found.turns] == [
        trace_id(n) for n in (2, 1, 3, 4)
    ]  # an embedding came first
    assert [turn.input_messages for turn in found.turns] == [text(*["x"] * n) for n in (2, 1, 3, 4)]
    assert found.turns[2].error_message == "it broke"
    later = store.session(project, "s", limit=4, offset=6)
    assert later is not None
    assert [turn.trace_id for turn in later.turns] == [trace_id(n) for n in (7, 8, 9, 10)]
    assert [turn.trace_id for turn in later.earlier] == [trace_id(n) for n in (1, 3, 4, 5, 6)]
    assert {(one.name, one.trace_id) for one in later.scores} == {
        ("thumb", trace_id(6)),
        ("ease", ""),
        ("thumb", trace_id(1)),
    }
    past = store.session(project, "s", limit=4, offset=50)
    assert past is not None
    assert (past.turns, past.total) == ([], 12)
    assert store.session(project, "nobody's") is None
    assert store.session("another", "s") is None


# ---- users and organisations -----------------------------------------------------------------------------------


def people(project: str) -> list[Any]:
    return [
        call(project, 1, user_id="ann", organisation_id="acme", session_id="s1", language="de", route="a"),
        call(project, 2, user_id="ann", organisation_id="acme", session_id="s2", language="en", cost=None),
        call(project, 3, user_id="ann", organisation_id="acme", session_id="s2", status="error"),
        call(
            project, 4, user_id="bob", organisation_id="acme", cost=Decimal(3), route="a", input_tokens=7000
        ),
        make(project, 5, user_id="cy"),  # no call
        call(project, 6),  # nobody's
    ]


def test_a_user_tells_what_they_came_to(store: SpanStore, project: str) -> None:
    store.insert_spans(people(project), token=project)
    scores = [
        score(project, 1, "thumbs", 1.0), score(project, 2, "thumbs", 1.0), score(project, 3, "thumbs", 0.0),
        score(project, 3, "stars", 4.0), score(project, 1, "stars", 1.0), score(project, 3, "words", None, comment="hm"),
        score(project, 1, "judge", 0.1, source="judge"), score(project, 4, "thumbs", 0.0),
        score(project, 0, "ease", 2.0, trace_id="", session_id="s2"), score(project, 6, "thumbs", 0.0),
    ]  # fmt: skip
    store.insert_scores(scores, token=project)
    found = store.owners(project, "user", TraceFilter())
    assert (found.total, [row.id for row in found.rows]) == (3, ["ann", "bob", "cy"])
    ann, bob, cy = found.rows
    assert (ann.requests, ann.errors, ann.sessions, ann.unpriced) == (3, 1, 2, 1)
    assert (ann.cost, ann.input_tokens, ann.output_tokens) == (Decimal("0.000246"), 300, 60)
    assert (ann.languages, ann.organisation_id) == (["de", "en"], "acme")
    assert (ann.first, ann.last) == (NOON + SECOND, NOON + 3 * SECOND)
    assert ann.feedback == Feedback(up=2, down=1, rated=6, mean=1.5)
    assert ann.feedback.rate == 2 / 3
    assert (bob.cost, bob.feedback) == (Decimal(3), Feedback(up=0, down=1, rated=1, mean=0.0))
    assert (cy.requests, cy.cost, cy.feedback, cy.feedback.rate) == (0, None, Feedback(), None)
    assert store.graded_names(project) == {"stars", "ease", "judge"}
    (acme,) = store.owners(project, "organisation", TraceFilter()).rows
    assert (acme.id, acme.users, acme.requests, acme.sessions) == ("acme", 2, 4, 2)
    assert acme.feedback == Feedback(up=2, down=2, rated=7, mean=9 / 7)


def test_users_can_be_sorted_by_every_column(store: SpanStore, project: str) -> None:
    store.insert_spans(people(project), token=project)
    store.insert_scores([score(project, 4, "thumbs", 1.0), score(project, 1, "thumbs", 0.0)], token=project)
    assert owners(store, project, order="id", ascending=True) == ["ann", "bob", "cy"]
    assert owners(store, project, order="sessions") == ["ann", "bob", "cy"]
    assert owners(store, project, order="cost") == ["bob", "ann", "cy"]
    assert owners(store, project, order="cost", ascending=True) == ["ann", "bob", "cy"]
    assert owners(store, project, order="errors", ascending=True) == ["bob", "cy", "ann"]
    assert owners(store, project, order="tokens") == ["bob", "ann", "cy"]
    assert owners(store, project, order="feedback") == ["bob", "ann", "cy"]
    assert owners(store, project, order="feedback", ascending=True) == ["ann", "bob", "cy"]
    assert owners(store, project, order="first", ascending=True) == ["ann", "bob", "cy"]
    assert owners(store, project, order="last") == ["cy", "bob", "ann"]
    assert all(len(owners(store, project, order=order)) == 3 for order in OWNER_ORDERS)
    with pytest.raises(InvalidRequest, match="mood"):
        owners(store, project, order="mood")


def test_figures_of_users_are_of_what_matches(store: SpanStore, project: str) -> None:
    store.insert_spans(people(project), token=project)
    store.insert_scores([score(project, 1, "thumbs", 1.0), score(project, 2, "thumbs", 0.0)], token=project)
    (ann, bob) = store.owners(project, "user", TraceFilter(route="a"), order="id", ascending=True).rows
    assert (ann.requests, ann.languages, ann.feedback.up, ann.feedback.down) == (1, ["de"], 1, 0)
    assert bob.requests == 1
    assert owners(store, project, status="error") == ["ann"]
    assert owners(store, project, language="en") == ["ann"]
    assert owners(store, project, since=NOON + 4 * SECOND) == ["bob", "cy"]
    assert owners(store, project, until=NOON + 4 * SECOND) == ["ann"]
    assert owners(store, project, "organisation", user_id="bob") == ["acme"]
    assert owners(store, project, user_id="ann") == ["ann"]
    late = store.owners(project, "user", TraceFilter(), limit=2, offset=9)
    assert (late.rows, late.total) == ([], 3)


def test_a_project_without_spans_has_nobody(store: SpanStore, project: str) -> None:
    assert not store.has_spans(project)
    assert store.sessions(project, TraceFilter()).rows == []
    for order in OWNER_ORDERS:
        assert store.owners(project, "user", TraceFilter(), order=order).total == 0
    store.insert_spans([call(project, 1)], token=project)
    assert store.has_spans(project)
    assert owners(store, project) == []
    assert sessions(store, project) == []
