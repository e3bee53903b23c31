"""The pure parts of the studio: how numbers look, filters, trees, conversations, colours."""

from __future__ import annotations

import base64
import itertools
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.domain.messages import BlobPart, FilePart, Message, Part, TextPart, ToolCallPart, UriPart
from ratchet.errors import InvalidRequest
from ratchet.store.spans import SpanHead, TraceFilter
from ratchet.studio import formats
from ratchet.studio.conversation import (
    MAX_CHARACTERS,
    MAX_MESSAGES,
    picture_of,
    text_of,
    tools_of,
    transcript,
)
from ratchet.studio.design_tokens import contrast, read_tokens
from ratchet.studio.filters import CRITERIA, parse_duration, parse_time, select_traces
from ratchet.studio.formats import pretty_json, tick
from ratchet.studio.outline import TICKS, More, Outline, Row, round_step
from ratchet.studio.prompt_form import read_values

NOW = 1_790_000_000 * 10**9
SECOND = 10**9


# ---- numbers and times -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (None, "–"),
        (0, "0 µs"),
        (840_000, "840 µs"),
        (4_200_000, "4.2 ms"),
        (842_000_000, "842 ms"),
        (999_600_000, "1.00 s"),
        (1_240_000_000, "1.24 s"),
        (12_340_000_000, "12.3 s"),
        (123 * SECOND, "2 min 03 s"),
        (3_725 * SECOND, "1 h 02 min"),
    ],
)
def test_durations(nanoseconds: int | None, text: str) -> None:
    assert formats.duration(nanoseconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        (None, "unknown"),
        ("0", "$0"),
        ("0.0000001", "<$0.000001"),
        ("0.000041", "$0.000041"),
        ("0.00123", "$0.00123"),
        ("0.0123", "$0.0123"),
        ("0.25", "$0.250"),
        ("12.5", "$12.50"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money_is_exact_enough_and_never_zero_when_unknown(dollars: str | None, text: str) -> None:
    assert formats.money(None if dollars is None else Decimal(dollars)) == text


@given(st.decimals(min_value="0.000001", max_value="1000000", places=9))
def test_money_never_shows_a_known_cost_as_nothing(dollars: Decimal) -> None:
    assert any(digit in "123456789" for digit in formats.money(dollars))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (12, "12 s ago"),
        (300, "5 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-60, "in the future"),
    ],
)
def test_relative_times(seconds: int, text: str) -> None:
    assert formats.relative(NOW - seconds * SECOND, NOW) == text


def test_times_are_written_in_utc() -> None:
    assert formats.iso(NOW + 7_000_000) == "2026-09-21T14:13:20.007Z"
    assert formats.utc(NOW) == "2026-09-21 14:13:20.000 UTC"


def test_axis_ticks_are_short() -> None:
    assert [formats.tick(value) for value in (0, 780_000_000, 1_560_000_000, 300 * SECOND, 5400 * SECOND)] == [
        "0 µs", "780 ms", "1.6 s", "5 min", "1.5 h",
    ]  # fmt: skip


@given(st.text(max_size=300), st.integers(min_value=2, max_value=80))
def test_a_clipped_text_is_one_line_of_at_most_that_length(text: str, limit: int) -> None:
    clipped = formats.clip(text, limit)
    assert len(clipped) <= limit
    assert "\n" not in clipped


def test_json_is_laid_out_and_other_text_left_alone() -> None:
    assert formats.pretty_json('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert formats.pretty_json("not {json") == "not {json"
    assert formats.pretty_json({"ü": 1}) == '{\n  "ü": 1\n}'


# ---- filters ---------------------------------------------------------------------------------------------------


def test_every_criterion_names_a_field_of_the_trace_filter() -> None:
    fields = set(TraceFilter.__struct_fields__)
    named = [criterion.field for criterion in CRITERIA]
    assert set(named) | {"since", "until"} == fields
    assert len(named) == len(set(named))


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("800ms", 800_000_000),
        ("2s", 2 * SECOND),
        ("1.5", 1_500_000_000),
        ("2 min", 120 * SECOND),
        ("3h", 10_800 * SECOND),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, nanoseconds: int) -> None:
    assert parse_duration("latency_min", text) == nanoseconds


def test_moments_are_read_in_utc_unless_they_say_otherwise() -> None:
    assert parse_time("since", "2026-09-21T14:13:20") == NOW
    assert parse_time("since", "2026-09-21T16:13:20+02:00") == NOW
    assert parse_time("since", str(NOW)) == NOW


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_a_clear_refusal(text: str) -> None:
    read, blamed = 0, None
    try:
        read = parse_duration("latency_max", text)
    except InvalidRequest as error:
        blamed = error.param
    assert read >= 0
    assert blamed in (None, "latency_max")


values = st.fixed_dictionaries(
    {},
    optional={
        "q": st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        "user": st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        "status": st.sampled_from(["ok", "error"]),
        "cost_min": st.decimals(min_value=0, max_value=10, places=4).map(str),
        "latency_max": st.integers(0, 10_000).map(lambda number: f"{number}ms"),
        "score_min": st.floats(-5, 5).map(repr),
        "range": st.sampled_from(["15m", "1h", "24h", "all"]),
    },
)


@given(values)
def test_a_selection_survives_its_own_address(params: dict[str, str]) -> None:
    from urllib.parse import parse_qsl

    chosen = select_traces(params, now=NOW)
    again = select_traces(dict(parse_qsl(chosen.query())), now=NOW)
    assert again == chosen
    for chip in chosen.chips:
        without = select_traces(dict(parse_qsl(chip.without)), now=NOW)
        assert chip.param not in without.params
        assert len(without.chips) == len(chosen.chips) - 1


# ---- trees -----------------------------------------------------------------------------------------------------


def head(span_id: str, parent_id: str = "", start: int = 0, **columns: Any) -> SpanHead:
    plain: dict[str, Any] = dict.fromkeys(SpanHead.__struct_fields__, "")
    numbers = dict.fromkeys(("time_to_first_token", "input_tokens", "output_tokens", "cost"))
    return SpanHead(
        **{
            **plain,
            **numbers,
            "span_id": span_id,
            "parent_id": parent_id,
            "start": start,
            "duration": 10,
            **columns,
        }
    )


def reachable(outline: Outline, rows: int, window: int) -> list[str]:
    """Every span that can be brought to the page, in the order it would be asked for."""
    found: list[str] = []
    asking = [outline.first(rows=rows, window=window)]
    while asking:
        for row in asking.pop().rows:
            if isinstance(row, More):
                asking.append(outline.under(row.parent_id, row.offset, rows=rows, window=window))
            else:
                found.append(row.span.span_id)
                if row.children and not row.open:
                    asking.append(outline.under(row.span.span_id, rows=rows, window=window))
    return found


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(-3, 40), st.integers(0, 100)), max_size=40),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_every_span_can_be_reached_once_whatever_its_parent(
    links: list[tuple[int, int]], rows: int, window: int
) -> None:
    """Parents may be missing, later, themselves, or in a cycle."""
    spans = [
        head(f"s{number}", "" if parent < 0 else f"s{parent}", start)
        for number, (parent, start) in enumerate(links)
    ]
    outline = Outline(spans)
    found = reachable(outline, rows, window)
    assert sorted(found) == sorted(span.span_id for span in spans)


def test_the_first_window_is_bounded_and_in_reading_order() -> None:
    spans = [head("root", start=0, duration=1000)]
    for number in range(30):
        spans.append(head(f"a{number}", "root", number))
        spans += [head(f"a{number}-{child}", f"a{number}", number) for child in range(30)]
    window = Outline(spans).first(rows=100, window=50)
    rows = [row for row in window.rows if isinstance(row, Row)]
    assert len(rows) <= 100
    assert [row.span.span_id for row in rows[:4]] == ["root", "a0", "a0-0", "a0-1"]
    closed = [row for row in rows if row.children and not row.open]
    assert closed
    assert all(row.below == 30 for row in closed)
    for before, after in itertools.pairwise(rows):
        assert after.depth <= before.depth + 1


def test_a_hidden_span_is_revealed_with_its_ancestors() -> None:
    spans = [head("root")]
    spans += [head(f"a{number}", "root", number) for number in range(20)]
    spans += [head(f"a{number}-{child}", f"a{number}", 50) for number in range(20) for child in range(20)]
    plain = Outline(spans).first(rows=40, window=30)
    aimed = Outline(spans).first(rows=41, window=30, reveal="a17-3")
    assert "a17-3" not in {row.span.span_id for row in plain.rows if isinstance(row, Row)}
    assert "a17-3" in {row.span.span_id for row in aimed.rows if isinstance(row, Row)}


def test_a_very_deep_trace_does_not_overflow() -> None:
    spans = [head(f"s{number}", f"s{number - 1}" if number else "", number) for number in range(10_000)]
    outline = Outline(spans)
    assert len(outline.first(rows=50).rows) <= 51
    assert len(outline.ancestors("s9999")) == 9_999


def test_bars_are_percent_of_the_trace_and_failures_below_are_counted() -> None:
    spans = [
        head("root", start=100, duration=1000),
        head("a", "root", 300, duration=500, time_to_first_token=100),
        head("b", "a", 350, status="error"),
        head("lost", "nowhere", 1099, duration=1),
    ]
    rows = {row.span.span_id: row for row in Outline(spans).first().rows if isinstance(row, Row)}
    axis = 4 * 250  # four steps of the least round one that holds 1,000
    assert (rows["a"].left, rows["a"].wait, rows["a"].width) == (100 * 200 / axis, 10, 50)
    assert (rows["root"].below, rows["root"].errors_below) == (2, 1)
    assert (rows["lost"].mark, rows["root"].mark) == ("orphan", "")


def test_a_cycle_is_cut_at_its_earliest_span_and_marked() -> None:
    spans = [head("b", "a", 2), head("a", "b", 1), head("self", "self", 3), head("under", "a", 4)]
    rows = {row.span.span_id: row for row in Outline(spans).first().rows if isinstance(row, Row)}
    assert {name: row.mark for name, row in rows.items()} == {
        "a": "loop",
        "b": "",
        "under": "",
        "self": "loop",
    }
    assert rows["b"].depth == 1


@given(st.integers(0, 10**16))
def test_the_steps_of_an_axis_are_round_and_close(duration: int) -> None:
    step = round_step(duration)
    assert step * TICKS >= duration
    assert step * TICKS <= max(4, duration * 2.01), "at most half of the axis stays empty"
    assert len(tick(step).split()[0]) <= 4


@pytest.mark.parametrize(
    ("duration", "ticks"),
    [
        (677 * 10**6, ["200 ms", "400 ms", "600 ms"]),
        (3_120 * 10**6, ["800 ms", "1.6 s", "2.4 s"]),
        (95 * 10**9, ["30 s", "1 min", "1.5 min"]),
        (5 * 3600 * 10**9, ["1.5 h", "3 h", "4.5 h"]),
        (40 * 60 * 10**9, ["10 min", "20 min", "30 min"]),
        (812_345, ["250 µs", "500 µs", "750 µs"]),
    ],
)
def test_ticks_are_round_numbers(duration: int, ticks: list[str]) -> None:
    assert [tick(round_step(duration) * at) for at in range(1, TICKS)] == ticks


# ---- conversations ---------------------------------------------------------------------------------------------


def messages(*parts: Part, role: str = "user") -> str:
    return msgspec.json.encode([Message(role=role, parts=list(parts))]).decode()


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_in_the_message_columns_can_be_shown(one: str, other: str) -> None:
    shown = transcript(one, other)
    assert isinstance(shown.bubbles, list)
    assert set(shown.unread) <= {"input_messages", "output_messages"}


def test_long_texts_are_cut_and_whole_on_request() -> None:
    text = "x" * (MAX_CHARACTERS + 1)
    piece = transcript(messages(TextPart(text)), "").bubbles[0].pieces[0]
    assert piece.cut
    assert len(piece.text) == MAX_CHARACTERS
    assert piece.address == "input/0/0"
    assert text_of(messages(TextPart(text)), 0, 0) == text
    assert text_of(messages(TextPart(text)), 3, 0) is None


def test_long_conversations_keep_the_prompt_and_the_end() -> None:
    said = [Message(role="system", parts=[TextPart("be brief")])]
    said += [Message(role="user", parts=[TextPart(str(number))]) for number in range(100)]
    text = msgspec.json.encode(said).decode()
    shown = transcript(text, "")
    assert shown.bubbles[0].folded
    assert [bubble.pieces[0].text for bubble in shown.bubbles[1:]] == [
        str(number) for number in range(60, 100)
    ]
    assert shown.skipped == 101 - 1 - MAX_MESSAGES
    assert transcript(text, "", everything=True).skipped == 0


def test_only_pictures_that_came_along_are_shown() -> None:
    png = b"\x89PNG\r\n\x1a\nrest"
    data = base64.b64encode(png).decode()
    shown = transcript(
        messages(
            BlobPart("image", data, "image/png"),
            UriPart("image", f"data:image/png;base64,{data}"),
            UriPart("image", "https://example.org/a.png"),
            UriPart("image", "javascript:alert(1)"),
            BlobPart("image", data, "image/svg+xml"),
            BlobPart("audio", data, "audio/wav"),
            FilePart("document", "file-1"),
        ),
        "",
    )
    pieces = shown.bubbles[0].pieces
    assert [piece.kind for piece in pieces] == ["image", "image", "link", "link", "file", "file", "file"]
    assert pieces[2].uri == "https://example.org/a.png"
    assert pieces[3].uri == ""
    assert picture_of(messages(BlobPart("image", data, "image/png")), 0, 0).content == png
    assert (
        picture_of(messages(UriPart("image", f"data:image/png;base64,{data}")), 0, 0).content_type
        == "image/png"
    )
    assert picture_of(messages(BlobPart("image", data, None)), 0, 0).content_type == "image/png"
    assert picture_of(messages(BlobPart("image", data, "image/svg+xml")), 0, 0) is None
    assert picture_of(messages(BlobPart("image", data, "text/html")), 0, 0) is None
    assert picture_of(messages(TextPart("hello")), 0, 0) is None


def test_tool_calls_show_their_arguments_as_json_or_as_they_came() -> None:
    shown = transcript(
        messages(ToolCallPart("c1", "find", {"a": 1}), ToolCallPart(None, "find", '{"a": ')), ""
    )
    assert [piece.text for piece in shown.bubbles[0].pieces] == ['{\n  "a": 1\n}', '{"a": ']


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "[1]", "{", '"word"', '[{"type": "function"}]', '{"name": "a"}', '[{"function": 3}]'],
)
def test_odd_tool_definitions_never_break_a_page(text: str) -> None:
    assert all(tool.name for tool in tools_of(text))


def test_tool_definitions_are_read_flat_and_nested() -> None:
    nested = '[{"type": "function", "function": {"name": "find", "description": "d", "parameters": {"type": "object"}}}]'
    flat = '[{"name": "find", "description": "d", "input_schema": {"type": "object"}}]'
    assert tools_of(nested) == tools_of(flat)
    assert tools_of(flat)[0].name == "find"


# ---- colours ---------------------------------------------------------------------------------------------------

TEXT_PAIRS = [
    (ink, ground)
    for ground in ("canvas", "surface", "sunken", "hover", "accent-soft")
    for ink in ("text", "text-2", "text-3")
] + [
    ("accent", "canvas"), ("accent", "surface"), ("accent", "sunken"), ("accent", "hover"), ("accent", "accent-soft"),
    ("on-accent", "accent"),
    ("good", "good-soft"), ("good", "surface"), ("warn", "warn-soft"), ("warn", "surface"),
    ("bad", "bad-soft"), ("bad", "surface"), ("bad", "canvas"), ("bad", "hover"), ("bad", "accent-soft"),
    ("text", "good-soft"), ("text", "warn-soft"), ("text", "bad-soft"),
]  # fmt: skip
MARK_PAIRS = [
    (mark, ground)
    for mark in (
        "kind-model",
        "kind-tool",
        "kind-agent",
        "kind-search",
        "kind-other",
        "line-strong",
        "accent",
        "good",
        "bad",
    )
    for ground in ("canvas", "surface")
]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_PAIRS)
def test_text_can_be_read_on_its_ground(theme: str, ink: str, ground: str) -> None:
    tokens = {token.name: token for token in read_tokens().colours}
    ratio = contrast(getattr(tokens[ink], theme), getattr(tokens[ground], theme))
    assert ratio >= 4.5, f"--{ink} on --{ground}, {theme}: {ratio:.2f}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), MARK_PAIRS)
def test_marks_and_borders_of_fields_can_be_seen(theme: str, mark: str, ground: str) -> None:
    tokens = {token.name: token for token in read_tokens().colours}
    ratio = contrast(getattr(tokens[mark], theme), getattr(tokens[ground], theme))
    assert ratio >= 3, f"--{mark} on --{ground}, {theme}: {ratio:.2f}"


def test_contrast_is_wcags() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_what_is_nested_too_deeply_is_shown_as_it_came_and_told_in_forms() -> None:
    deep = "[" * 5000
    assert tools_of(deep)[0].name == "(not JSON)"
    assert pretty_json(deep) == deep
    for text in (deep, "\x00", '{"a": ' * 5000):
        with pytest.raises(InvalidRequest) as caught:
            read_values(text, "parameters", dict)
        assert caught.value.param == "parameters"
