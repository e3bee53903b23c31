"""The pure parts of the analytics pages: scales, shapes, changes, links, and what is new in a turn."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ratchet.domain.messages import (
    BlobPart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)
from ratchet.errors import InvalidRequest
from ratchet.store.spans import Figures, Group, Overview, Point
from ratchet.studio import formats
from ratchet.studio.charts import Track, bars, lines, round_ticks, round_times, time_ticks
from ratchet.studio.dialogue import Said, news
from ratchet.studio.filters import parse_time, select_traces
from ratchet.studio.listing import Heading, order_of
from ratchet.studio.traffic import Traffic, moment, traffic_of

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
NOW = 1_790_000_400 * SECOND


# ---- scales ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "ticks"),
    [(0, [0, 1]), (1, [0, 0.5, 1]), (7, [0, 5, 10]), (10, [0, 5, 10]), (84, [0, 50, 100]), (312, [0, 200, 400]),
     (0.0023, [0, 0.001, 0.002, 0.003])],
)  # fmt: skip
def test_ticks_are_round(top: float, ticks: list[float]) -> None:
    assert round_ticks(top) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("top", "labels"),
    [(840 * 10**6, ["0 µs", "500 ms", "1 s"]), (4 * SECOND, ["0 µs", "2 s", "4 s"]), (50 * SECOND, ["0 µs", "20 s", "40 s", "1 min"]),
     (70 * MINUTE, ["0 µs", "30 min", "1 h", "1.5 h"])],
)  # fmt: skip
def test_ticks_of_durations_are_a_clocks(top: int, labels: list[str]) -> None:
    assert [formats.tick(int(tick)) for tick in round_times(top)] == labels


@given(st.floats(1e-9, 1e18), st.sampled_from([round_ticks, round_times]))
def test_ticks_reach_the_top_in_a_few_even_steps(top: float, ticks_of: Any) -> None:
    ticks = ticks_of(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top * (1 - 1e-6)
    assert 2 <= len(ticks) <= 5
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps))


@given(st.integers(0, 10**18), st.integers(1, 10**18))
def test_ticks_of_time_are_few_in_order_and_within(since: int, width: int) -> None:
    ticks = time_ticks(since, since + width)
    assert len(ticks) <= 7
    assert all(4 <= tick.at <= 96 for tick in ticks)
    assert [tick.at for tick in ticks] == sorted({tick.at for tick in ticks})


def test_ticks_of_time_are_round_moments() -> None:
    noon = 1_790_078_400 * SECOND  # 2026-09-22 12:00 UTC
    assert [tick.label for tick in time_ticks(noon, noon + HOUR)] == [
        "12:10",
        "12:20",
        "12:30",
        "12:40",
        "12:50",
    ]
    assert [tick.label for tick in time_ticks(noon, noon + 24 * HOUR)] == [
        "16:00",
        "20:00",
        "23 Sep",
        "04:00",
        "08:00",
    ]
    assert [tick.label for tick in time_ticks(noon, noon + 7 * 24 * HOUR)] == ["24 Sep", "26 Sep", "28 Sep"]
    assert time_ticks(noon, noon) == []


# ---- shapes ----------------------------------------------------------------------------------------------------


def test_bars_stack_and_nothing_is_drawn_for_nothing() -> None:
    first, second, before = bars(
        [Track("a", "x", [1, 0, None]), Track("b", "y", [3, 2, None])], [4, 0, 0], [0, 4]
    )
    assert first.path == "M40 100h253.3v-25h-253.3z"
    assert second.path == "M40 75h253.3v-75h-253.3zM373.3 100h253.3v-50h-253.3z"
    assert before.path == "M166.7 0L500 100L833.3 100"


def test_lines_break_where_nothing_is_known_and_a_point_alone_is_a_dot() -> None:
    line, before = lines([Track("p50", "x", [2, 4, None, 1, None])], [None] * 5, [0, 4])
    assert line.path == "M100 50L300 0M700 75h0"
    assert (line.dots, before.path) == ("M700 75h0", "")
    assert lines([], [], [0, 1])[0].path == ""


@given(st.lists(st.none() | st.floats(0, 1e9), max_size=60))
@example([5e-324])
def test_a_line_has_one_corner_for_each_known_value_inside_its_box(values: list[float | None]) -> None:
    line = lines([Track("x", "x", values)], [], round_ticks(max((v for v in values if v), default=0)))[0]
    corners = re.findall(r"[ML](\S+?) ([\d.]+)", line.path)
    assert len(corners) == sum(value is not None for value in values)
    assert all(0 <= float(x) <= 1000 and 0 <= float(y) <= 100 for x, y in corners)


# ---- what a page shows of an overview --------------------------------------------------------------------------


def shown(query: dict[str, str], **fields: Any) -> Traffic:
    selection = select_traces(query, now=NOW)
    values = {
        "since": NOW - HOUR, "until": NOW, "step": 30 * MINUTE, "current": Figures(), "before": None, "points": [],
        "dimension": "route", "groups": [], "group_count": 0,
    }  # fmt: skip
    return traffic_of(Overview(**(values | fields)), selection)


def test_headlines_say_what_changed_and_whether_that_is_good() -> None:
    now = Figures(requests=300, errors=3, cost=Decimal(2), unpriced=4, latency_p50=1, latency_p95=SECOND, ttft_p95=50,
                  input_tokens=900, output_tokens=100, cached_tokens=300)  # fmt: skip
    was = Figures(requests=100, errors=5, cost=Decimal(4), latency_p50=1, latency_p95=2 * SECOND, ttft_p95=40,
                  input_tokens=900, output_tokens=100)  # fmt: skip
    found = {figure.label: figure for figure in shown({"route": "a"}, current=now, before=was).figures}
    changes = {
        label: (one.change.text, one.change.direction, one.change.tone)
        for label, one in found.items()
        if one.change
    }
    assert changes == {
        "Requests": ("3.0×", "up", ""),
        "Error rate": ("4.0 points", "down", "good"),
        "Cost": ("50 %", "down", ""),
        "Latency": ("50 %", "down", "good"),
        "Time to first token": ("25 %", "up", "bad"),
        "Tokens": ("0 %", "same", ""),
    }
    assert (found["Cost"].value, found["Cost"].note) == ("$2.00", "4 calls of unknown cost")
    assert found["Cost"].href == "/traces?route=a&without=cost"
    assert found["Error rate"].href == "/traces?route=a&status=error"
    assert found["Tokens"].note == "900 in, 100 out, 300 cached"
    alone = shown({}, current=now)
    assert [figure.change for figure in alone.figures] == [None] * 6
    assert shown({}, current=now, before=Figures()).figures[0].change.text == "new"  # type: ignore[union-attr]
    assert [figure.value for figure in shown({}).figures] == ["0", "–", "–", "–", "–", "–"]


def test_points_and_groups_lead_to_their_traces() -> None:
    some = Figures(requests=2, errors=1)
    traffic = shown(
        {"user": "ann", "q": "a&b", "range": "1h"},
        points=[Point(NOW - 70 * MINUTE, some, None), Point(NOW - 40 * MINUTE, some, None), Point(NOW - 10 * MINUTE, some, None)],
        groups=[Group("x/y", some), Group("", some)],
        dimension="language",
        current=Figures(requests=8),
    )  # fmt: skip
    windows = []
    for hit in traffic.charts[0].hits:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(hit.href).query).items()}
        windows.append((parse_time("since", asked.pop("since")), parse_time("until", asked.pop("until"))))
        assert asked == {"user": "ann", "q": "a&b"}
    # Whole pieces of time, but never beyond the time that was asked for.
    assert windows == [
        (NOW - HOUR, NOW - 40 * MINUTE),
        (NOW - 40 * MINUTE, NOW - 10 * MINUTE),
        (NOW - 10 * MINUTE, NOW),
    ]
    first, second = traffic.groups
    assert (first.label, first.share, first.bar) == ("x/y", 25.0, 100.0)
    assert parse_qs(urlsplit(first.traces).query)["language"] == ["x/y"]
    assert (second.label, parse_qs(urlsplit(second.traces).query)["without"]) == ("not said", ["language"])
    assert parse_qs(urlsplit(second.errors).query)["status"] == ["error"]
    again = shown({"without": "cost"}, dimension="user", groups=[Group("", some), Group("a/b", some)])
    assert parse_qs(urlsplit(again.groups[0].traces).query)["without"] == ["cost,user"]
    assert again.groups[1].page == "/users/a%252Fb?"


@given(st.integers(0, 4 * 10**18))
def test_a_moment_in_an_address_is_read_back_exactly(nanoseconds: int) -> None:
    for one in (nanoseconds, nanoseconds // SECOND * SECOND, nanoseconds // MINUTE * MINUTE):
        assert parse_time("since", moment(one)) == one


@given(st.text(min_size=1))
def test_any_id_is_one_step_of_an_address_and_comes_back(text: str) -> None:
    try:
        step = formats.segment(text)
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text that could have been stored
    assert re.fullmatch(r"[\w.~%-]+", step, re.ASCII)
    arrived = unquote(step)  # what a server makes of the path
    assert "/" not in arrived
    assert arrived.strip(".") != ""
    assert unquote(arrived) == text


# ---- lists -----------------------------------------------------------------------------------------------------


def test_a_column_sorts_downwards_first_and_names_upwards() -> None:
    cost, name = Heading("cost", "Cost", "cost"), Heading("id", "User", "id", rising=True)
    plain = order_of({}, ("requests", "cost", "id"), "requests")
    assert (plain.params, plain.state(cost)) == ({}, "none")
    assert plain.by(cost) == {"sort": "cost", "order": ""}
    assert plain.by(name) == {"sort": "id", "order": "asc"}
    by_cost = order_of({"sort": "cost"}, ("requests", "cost", "id"), "requests")
    assert (by_cost.state(cost), by_cost.by(cost)) == ("descending", {"sort": "cost", "order": "asc"})
    for wrong in ({"sort": "mood"}, {"order": "up"}):
        with pytest.raises(InvalidRequest) as error:
            order_of(wrong, ("requests",), "requests")
        assert error.value.param in wrong


def test_chips_and_parameters_know_what_is_left_unsaid() -> None:
    chosen = select_traces({"without": "language, cost,language", "language": "de"}, now=NOW)
    assert (chosen.filter.without, chosen.filter.language) == (("language", "cost"), "de")
    with pytest.raises(InvalidRequest, match="mood"):
        select_traces({"without": "mood"}, now=NOW)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1000, "1k"), (12_345, "12.3k"), (999_960, "1M"), (3_060_000, "3.06M"), (250 * 10**9, "250G"), (None, "–")],
)  # fmt: skip
def test_counts_in_three_figures(value: int | None, text: str) -> None:
    assert formats.short(value) == text


# ---- what is new in a turn -------------------------------------------------------------------------------------


def said(role: str, *texts: str) -> Message:
    return Message(role=role, parts=[TextPart(text) for text in texts])


SYSTEM = said("system", "Be brief.")
U1, A1, U2, A2, U3, A3 = (
    said(role, text) for role, text in zip(("user", "assistant") * 3, "abcdef", strict=True)
)


def test_a_turn_says_only_what_is_new() -> None:
    first, second = Said([SYSTEM, U1], [A1]), Said([SYSTEM, U1, A1, U2], [A2])
    assert news(first, []) == [0, 1]
    assert news(second, [first]) == [3]
    assert news(Said([SYSTEM, U1, A1, U2, A2, U3], [A3]), [first, second]) == [5]
    assert news(Said([said("system", "Be long."), U1, A1, U2], [A2]), [first]) == [0, 3]


def test_a_history_cut_at_the_front_is_known_all_the_same() -> None:
    before = Said([SYSTEM, U1, A1, U2], [A2])
    assert news(Said([SYSTEM, A1, U2, A2, U3], [A3]), [before]) == [4]
    assert news(Said([SYSTEM, A2, U3], [A3]), [before]) == [2]


def test_the_same_words_again_are_news() -> None:
    yes = said("user", "yes")
    before = Said([yes, A1, yes], [A2])
    assert news(Said([yes, A1, yes, A2, yes], [A3]), [before]) == [4]
    assert news(Said([yes], [A1]), [Said([yes], [A1])]) == [0], "asked again"
    assert news(Said([U1, A1, U3], [A3]), [Said([U1, A1, U2], [A2])]) == [2], "edited"
    assert news(Said([U3], [A3]), [Said([U1], [A1])]) == [0], "an app that sends no history"
    assert news(Said([], [A1]), [before]) == []


def test_another_thread_in_between_does_not_make_old_words_new() -> None:
    thread, other = (
        Said([SYSTEM, U1], [A1]),
        Said([said("system", "Name this chat."), U1, U1], [said("assistant", "Parcels")]),
    )
    assert news(Said([SYSTEM, U1, A1, U2], [A2]), [thread, other]) == [3]


def test_thoughts_ids_and_spelling_of_arguments_do_not_matter() -> None:
    asked = Message(
        "assistant",
        [ReasoningPart("hm"), ToolCallPart("c1", "find", {"a": 1, "b": 2})],
        finish_reason="tool_call",
    )
    replayed = Message("assistant", [TextPart(" "), ToolCallPart("other", "find", '{"b": 2, "a": 1}')])
    result = Message("tool", [ToolCallResponsePart("c1", "found")])
    assert news(Said([U1, replayed, result], [A1]), [Said([U1], [asked])]) == [2]
    picture = Message("user", [BlobPart("image", "AAAA")])
    assert news(Said([picture, A1, U2], [A2]), [Said([picture], [A1])]) == [2]
    assert news(Said([Message("user", [BlobPart("image", "BBBB")]), U2], [A2]), [Said([picture], [A1])]) == [
        0,
        1,
    ]


@given(st.lists(st.sampled_from("abc"), min_size=2, max_size=12), st.integers(1, 6))
def test_turns_put_together_are_the_conversation(words: list[str], kept: int) -> None:
    """Whatever is said, and however much of the history goes in again: nothing is lost, nothing comes twice."""
    history: list[Message] = []
    turns: list[Said] = []
    told: list[Message] = []
    for number, word in enumerate(words):
        history.append(said("user", f"{word}{number if kept == 1 else ''}"))
        turn = Said([SYSTEM, *history[-2 * kept - 1 :]], [said("assistant", f"answer {number}")])
        told += [turn.asked[place] for place in news(turn, turns[-5:])] + list(turn.answered)
        turns.append(turn)
        history += turn.answered
    assert told == [SYSTEM, *history]
