"""The pages and the JSON behind them, on a real SQLite and a real chDB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from browser.studio_harness import Studio, fill, running_studio
from browser.studio_seed import HANDBOOK, Seed, picture, refusal, support_traffic, wide_trace
from ratchet.domain.access import Role
from ratchet.domain.messages import Message, TextPart, UriPart
from ratchet.domain.spans import Event
from ratchet.store.spans import TraceRow
from ratchet.studio.conversation import MAX_CHARACTERS

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "rect", "path", "circle", "use"}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio")) as running:
        fill(running, support_traffic(running.clock()), "support")
        yield running


@pytest.fixture
def browser(studio: Studio):
    return studio.visitor(Role.ANNOTATOR)


class Balance(HTMLParser):
    """Complains about tags that are closed in the wrong order, or never."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def balanced(text: str) -> str:
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids)), "an id stands for one element"
    return text


def rows(browser: Any, query: str = "") -> list[TraceRow]:
    answer = browser.get(f"/api/traces?{query}")
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(msgspec.json.encode(answer.json()["rows"]), type=list[TraceRow])


def first(browser: Any, query: str) -> TraceRow:
    found = rows(browser, query)
    assert found
    return found[0]


def test_the_list_shows_the_newest_first_with_n_of_m_and_pages(browser) -> None:
    text = balanced(browser.get("/traces?range=all").text)
    assert "1 to 50 of 140" in text
    assert text.count('class="row-link') == 50
    assert len(text) < 100_000
    older = re.search(r'rel="next" href="/traces\?([^"]+)"', text)
    assert older
    second = browser.get("/traces?" + older[1].replace("&amp;", "&")).text
    assert "51 to 100 of 140" in second
    assert 'rel="prev" href="/traces?range=all"' in second
    last = browser.get("/traces?range=all&offset=100").text
    assert "101 to 140 of 140" in last
    assert 'rel="next" aria-disabled="true"' in last
    starts = [row.start for row in rows(browser, "limit=140")]
    assert starts == sorted(starts, reverse=True)


def test_the_default_range_is_a_day_and_the_api_has_all_of_time(studio: Studio, browser) -> None:
    day = len([row for row in rows(browser, "limit=1000") if row.start >= studio.clock() - 86_400 * 10**9])
    assert 0 < day < 140
    assert f"of {day}<" in browser.get("/traces").text
    assert browser.get("/api/traces?limit=3").json()["total"] == 140
    assert len(rows(browser, "limit=3")) == 3


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("user=wren", lambda row: row.user_id == "wren"),
        ("model=claude-haiku-4-5", lambda row: "claude-haiku-4-5" in row.models),
        ("route=support", lambda row: row.route == "support"),
        ("status=error", lambda row: row.error_count > 0),
        ("status=ok", lambda row: row.error_count == 0),
        ("organisation=north", lambda row: row.organisation_id == "north"),
        ("latency_min=2s", lambda row: row.duration >= 2 * 10**9),
        ("latency_max=700ms", lambda row: row.duration <= 700 * 10**6),
        ("cost_min=0.0004", lambda row: row.cost is not None and float(row.cost) >= 0.0004),
        ("score=thumb&score_max=0", lambda row: ("thumb", 0.0, 1) in row.scores),
        (
            "score=groundedness&score_min=0.9",
            lambda row: any(s[0] == "groundedness" and s[1] >= 0.9 for s in row.scores),
        ),
        ("q=tarp", lambda row: "tarp" in row.input_preview),
        ("tag=web", lambda row: "web" in row.tags),
    ],
)
def test_each_filter_keeps_what_fits_and_nothing_else(browser, query: str, holds) -> None:
    everything = rows(browser, "limit=1000")
    kept = rows(browser, query + "&limit=1000")
    assert len(kept) > 0
    assert {row.trace_id for row in kept} == {row.trace_id for row in everything if holds(row)}
    page = balanced(browser.get(f"/traces?range=all&{query}").text)
    assert f"of {len(kept)}<" in page
    assert page.count("Remove the filter") == query.count("=")


def test_a_chip_leads_to_the_page_without_its_filter(browser) -> None:
    text = browser.get("/traces?range=all&user=wren&status=ok&q=tarp").text
    links = [
        link.replace("&amp;", "&") for link in re.findall(r'href="/traces\?([^"]*)" aria-label="Remove', text)
    ]
    assert links == [
        "user=wren&status=ok&range=all",
        "q=tarp&status=ok&range=all",
        "q=tarp&user=wren&range=all",
    ]


def test_a_custom_range_takes_moments(studio: Studio, browser) -> None:
    middle = studio.clock() - 12 * 3600 * 10**9
    moment = datetime.fromtimestamp(middle // 10**9, UTC).isoformat().replace("+00:00", "Z")
    late = rows(browser, f"since={moment}&limit=1000")
    early = rows(browser, f"until={moment}&limit=1000")
    assert len(late) + len(early) == 140
    assert all(row.start >= middle for row in late)
    assert "Remove the time range" in browser.get(f"/traces?since={moment}").text


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("latency_min=fast", "latency_min"),
        ("cost_max=cheap", "cost_max"),
        ("score_min=nan", "score_min"),
        ("status=fine", "status"),
        ("range=2y", "range"),
        ("since=yesterday", "since"),
        ("since=2026-02-02&until=2026-02-01", "since"),
        ("limit=0", "limit"),
        ("offset=-1", "offset"),
        ("q=" + "x" * 501, "q"),
    ],
)
def test_a_wrong_filter_is_named_in_json_and_on_the_page(browser, query: str, param: str) -> None:
    answer = browser.get(f"/api/traces?{query}")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert error["message"]
    assert error["remedy"]
    page = browser.get(f"/traces?{query}")
    assert page.status_code == 400
    assert "<html" in page.text


def test_an_unknown_cost_is_said_to_be_unknown(browser) -> None:
    row = first(browser, "model=qwen-3-32b")
    assert row.cost is None
    assert row.unpriced_calls == 1
    page = browser.get("/traces?range=all&model=qwen-3-32b").text
    assert ">unknown</span>" in page
    assert "$0" not in page.split("<tbody>")[1]
    assert ">unknown</span>" in browser.get(f"/traces/{row.trace_id}").text


def test_new_traces_are_counted_quietly(studio: Studio, browser) -> None:
    newest = first(browser, "limit=1").start
    quiet = browser.get(f"/traces/new?after={newest}&route=support", headers={"hx-request": "true"})
    assert quiet.text.strip() == ""
    assert "140 new traces" in browser.get("/traces/new?range=all&after=0").text
    text = browser.get("/traces").text
    assert f"after={newest}" in text


def test_no_match_says_so_and_leads_back(browser) -> None:
    text = balanced(browser.get("/traces?user=nobody").text)
    assert "No trace matches" in text
    assert "0 of 0" in text
    assert 'href="/traces">Clear filters' in text
    assert "Look at all of time" in text


def test_an_empty_project_shows_how_to_send_the_first_trace(studio: Studio, tmp_path) -> None:
    with running_studio(tmp_path, spans=studio.store, project_id="new") as fresh:
        text = balanced(fresh.client(fresh.member(Role.VIEWER)).get("/traces").text)
    assert "No traces yet" in text
    assert "/v1/chat/completions" in text
    assert "from openai import OpenAI" in text
    assert "data-filters" not in text


def test_what_people_wrote_is_never_markup(studio: Studio, browser) -> None:
    seed = Seed(studio.clock(), seed=31)
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    said = msgspec.json.encode(
        [Message(role="user", parts=[TextPart(evil), UriPart("image", "javascript:alert(3)")])]
    ).decode()
    span = seed.call(
        studio.clock() - 10**15,
        evil,
        evil,
        name=evil,
        user_id=evil,
        route=evil,
        error_message=evil,
        input_messages=said,
    )
    seed.score(span, evil, 1.0, comment=evil)
    studio.store.insert_spans(seed.spans, token="evil")
    studio.store.insert_scores(seed.scores, token="evil")
    for path in (
        "/traces?until=2026-09-15T00:00:00Z",
        f"/traces/{span.trace_id}",
        f"/traces/{span.trace_id}/spans/{span.span_id}/raw",
    ):
        text = browser.get(path).text
        assert "&lt;script&gt;" in text, path
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert 'href="javascript:' not in text


def test_a_trace_shows_its_tree_its_totals_and_the_last_call(browser) -> None:
    row = first(browser, "status=error&latency_min=3s")
    text = balanced(browser.get(f"/traces/{row.trace_id}").text)
    assert text.count('role="treeitem"') == row.span_count == 12
    assert f'data-copy="{row.trace_id}"' in text
    assert ">orphan</em>" in text
    assert "3.12 s" in text
    assert "§3.4" in text
    assert text.count('aria-selected="true"') >= 2  # the span and its tab
    levels = [int(level) for level in re.findall(r'aria-level="(\d+)"', text)]
    assert levels[0] == 1
    assert max(levels) == 5
    assert "find_order" in text
    assert "&#34;order&#34;: 20417" in text


def test_totals_count_a_call_once_though_an_apps_own_span_repeats_it(studio: Studio, browser) -> None:
    seed = Seed(studio.clock(), seed=33)
    outer = seed.span(
        trace_id=seed.id(32),
        name="chat gpt-4o-mini",
        operation="chat",
        request_model="gpt-4o-mini",
        start=studio.clock() - 10**15,
        duration=10**9,
        input_tokens=100,
        output_tokens=10,
    )
    inner = seed.call(
        outer.start + 10**6,
        "Hi",
        "Hi",
        trace_id=outer.trace_id,
        parent_id=outer.span_id,
        input_tokens=100,
        output_tokens=10,
    )
    studio.store.insert_spans(seed.spans, token="wrapped")
    text = browser.get(f"/traces/{outer.trace_id}").text
    assert "100 in, 10 out" in text
    assert rows(browser, f"q={outer.trace_id}")[0].input_tokens == inner.input_tokens


def test_ten_thousand_spans_open_in_a_bounded_page_and_unfold_in_windows(studio: Studio, browser) -> None:
    seed = wide_trace(studio.clock() - 10**15)
    studio.store.insert_spans(seed.spans, token="wide")
    trace = seed.spans[0].trace_id
    answer = browser.get(f"/traces/{trace}")
    text = balanced(answer.text)
    shown = set(re.findall(r'id="([0-9a-f]{16})" role="treeitem"', text))
    assert 40 < len(shown) <= 200
    assert len(text) < 100_000
    # Follow the first of the "more" and closed rows; that every span can be reached is proved on the outline itself.
    links = [f"/traces/{trace}/tree?parent={span}" for span in closed(text)[:6]]
    for _ in range(12):
        piece = browser.get(links.pop(0), headers={"hx-request": "true"}).text
        found = set(re.findall(r'id="([0-9a-f]{16})" role="treeitem"', piece))
        assert 0 < len(found) <= 100
        assert not found & shown, "no row comes twice"
        shown |= found
        links += [
            link.replace("&amp;", "&") for link in re.findall(r'hx-get="(/traces/[^"]+/tree[^"]+)"', piece)
        ]
    assert len(shown) > 1_000
    assert "<html" not in piece


def closed(text: str) -> list[str]:
    return re.findall(r'id="([0-9a-f]{16})" role="treeitem" aria-level="\d+" aria-expanded="false"', text)


def test_a_span_pane_shows_a_picture_from_the_span_and_only_links_to_others(browser) -> None:
    row = first(browser, "q=dented")
    text = browser.get(f"/traces/{row.trace_id}").text
    source = re.search(r'<img loading="lazy" src="([^"]+)"', text)
    assert source
    answer = browser.get(source[1])
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == picture()
    assert "sandbox" in answer.headers["content-security-policy"]
    assert 'src="https://pictures' not in text
    assert 'href="https://pictures.example.org/label.jpg"' in text
    assert "Reasoning ·" in text
    assert browser.get(source[1].replace("/input/1/1", "/input/9/9")).status_code == 404
    assert browser.get(source[1].replace("/input/1/1", "/sideways/1/1")).status_code == 400
    whole = browser.get(source[1].replace("/input/1/1", "/input/0/0"))
    assert (whole.text, whole.headers["content-type"]) == (HANDBOOK, "text/plain; charset=utf-8")


def test_a_pane_is_a_fragment_for_htmx_and_a_page_for_people(browser) -> None:
    row = first(browser, "status=error&latency_min=3s")
    spans = browser.get(f"/api/traces/{row.trace_id}").json()["spans"]
    broken = next(span for span in spans if span["status"] == "error")
    url = f"/traces/{row.trace_id}/spans/{broken['span_id']}"
    pane = browser.get(url, headers={"hx-request": "true"}).text
    assert "<html" not in pane
    assert "Postway did not answer within 250 ms." in pane
    assert "<html" in browser.get(url).text
    raw = browser.get(url + "/raw").text
    assert "TimeoutError" in raw
    column = browser.get(f"/api/traces/{row.trace_id}/spans/{broken['span_id']}").json()
    assert column["error_type"] == "TimeoutError"


def test_long_conversations_and_long_texts_are_cut_and_can_be_had_whole(studio: Studio, browser) -> None:
    seed = Seed(studio.clock(), seed=32)
    long = "word " * 4_000
    said = [Message(role="system", parts=[TextPart(HANDBOOK)])]
    said += [Message(role="user", parts=[TextPart(f"turn {number}")]) for number in range(300)]
    said.append(Message(role="user", parts=[TextPart(long)]))
    span = seed.call(
        studio.clock() - 10**15, "long", "fine", input_messages=msgspec.json.encode(said).decode()
    )
    studio.store.insert_spans(seed.spans, token="long")
    text = browser.get(f"/traces/{span.trace_id}").text
    assert len(text) < 100_000
    assert "Show 261 earlier messages" in text
    assert "You answer customers" in text
    assert "turn 10<" not in text
    assert long[: MAX_CHARACTERS + 10] not in text
    rest = re.search(r'data-rest="([^"]+)"', text)
    assert rest
    assert browser.get(rest[1]).text == long
    whole = browser.get(f"/traces/{span.trace_id}/spans/{span.span_id}/messages").text
    assert "turn 10<" in whole


def test_refusals_and_unreadable_messages_are_shown_as_what_they_are(studio: Studio, browser) -> None:
    seed = Seed(studio.clock(), seed=34)
    refused = refusal(seed, studio.clock() - 10**15)
    odd = seed.call(studio.clock() - 10**15, "odd", "odd", input_messages='{"not": "messages"}')
    studio.store.insert_spans(seed.spans, token="odd")
    assert "<b>Refusal</b>" in browser.get(f"/traces/{refused.trace_id}").text
    assert "not in a form that can be shown" in browser.get(f"/traces/{odd.trace_id}").text


def test_a_missing_trace_or_span_is_a_clear_404(browser) -> None:
    row = first(browser, "limit=1")
    for path in ("/traces/00000000000000000000000000000000", f"/traces/{row.trace_id}?span=0000000000000000"):
        answer = browser.get(path)
        assert answer.status_code == 404
        assert "There is no" in answer.text
    answer = browser.get(f"/api/traces/{row.trace_id}/spans/0000000000000000")
    assert answer.json()["error"]["code"] == "not_found"
    fragment = browser.get(f"/traces/{row.trace_id}/spans/00", headers={"hx-request": "true"})
    assert fragment.status_code == 404
    assert "<html" not in fragment.text


def test_a_score_from_the_page_takes_the_durable_way_and_shows_at_once(studio: Studio, browser) -> None:
    row = first(browser, "q=dented")
    span = browser.get(f"/api/traces/{row.trace_id}").json()["spans"][0]["span_id"]
    form = {
        "name": "quality",
        "thumb": "up",
        "comment": "Kind & <clear>",
        "span_id": span,
        "label": "",
        "value": "",
        "correction": "",
    }
    answer = browser.post(f"/traces/{row.trace_id}/scores", data=form, headers={"hx-request": "true"})
    assert answer.status_code == 200
    assert "Kind &amp; &lt;clear&gt;" in answer.text
    assert "annotator@example.org" in answer.text
    score = studio.appended[-1]
    assert (score.name, score.value, score.source, score.author) == (
        "quality",
        1.0,
        "member",
        "annotator@example.org",
    )
    assert (score.trace_id, score.span_id, score.time) == (row.trace_id, span, studio.clock())
    plain = browser.post(f"/traces/{row.trace_id}/scores", data={**form, "thumb": "", "value": "0.25"})
    assert plain.status_code == 303
    assert studio.appended[-1].value == 0.25
    wrong = browser.post(
        f"/traces/{row.trace_id}/scores",
        data={**form, "thumb": "", "value": "good"},
        headers={"hx-request": "true"},
    )
    assert wrong.status_code == 400
    assert "is not a number" in wrong.text


def test_viewers_are_shown_no_form(studio: Studio, browser) -> None:
    row = first(browser, "q=dented")
    assert "Add score" in browser.get(f"/traces/{row.trace_id}").text
    assert "Add score" not in studio.client(studio.member(Role.VIEWER)).get(f"/traces/{row.trace_id}").text


def test_the_design_page_shows_every_token(browser) -> None:
    text = balanced(browser.get("/design").text)
    assert "--accent-soft" in text
    assert "--s4" in text
    assert 'role="treeitem"' in text


def test_pages_are_compressed_and_events_and_summary_are_json(studio: Studio, browser) -> None:
    assert browser.get("/traces?range=all").headers["content-encoding"] == "gzip"
    studio.store.insert_events(
        [
            Event(
                project_id="default",
                event_id="e1",
                time=studio.clock() - 5,
                kind="spool.refused",
                message="full",
            )
        ],
        token="event",
    )
    assert [event["kind"] for event in browser.get("/api/events").json()] == ["spool.refused"]
    assert browser.get("/api/events?kind=other").json() == []
    summary = browser.get("/api/summary?since=0").json()
    assert summary["requests"] >= 140
    health = studio.client().get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "ok", "records": "ok", "spans": "ok"})
    assert "spool" in browser.get("/healthz").json()
