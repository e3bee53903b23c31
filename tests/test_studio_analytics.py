"""Overview, sessions, users and organisations over HTTP, on a real chDB: pages, and the same in JSON."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from browser.studio_harness import Studio, fill, running_studio
from browser.studio_seed import Seed, support_traffic
from browser.studio_talks import LONG, SLASHED, conversations
from ratchet.domain.access import Role
from ratchet.errors import Unavailable
from ratchet.store.spans import Overview, OwnerPage, SessionPage, TraceFilter
from ratchet.studio.formats import segment
from ratchet.studio.pages.owners import OwnerView
from ratchet.studio.pages.sessions import SessionView
from test_studio import balanced

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(tmp_path_factory.mktemp("studio"), collect_at_once=True) as running:
        fill(running, support_traffic(running.clock(), 220), "support")
        fill(running, conversations(running.clock()), "talks")
        yield running


@pytest.fixture
def browser(studio: Studio):
    return studio.visitor(Role.ANNOTATOR)


def read(browser: Any, path: str, kind: Any) -> Any:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=kind)


def links(text: str, start: str) -> list[str]:
    return [html.unescape(link) for link in re.findall(rf'href="({re.escape(start)}[^"]*)"', text)]


def sent(link: str) -> str:
    """A link as a browser would send it: the test client takes off one layer of escapes more than a server does."""
    return link.replace("%", "%25")


def total(browser: Any, link: str) -> int:
    """How many traces a link to the list leads to."""
    answer = browser.get(link)
    assert answer.status_code == 200, answer.text
    shown = re.search(r"of ([\d,]+)</span>", answer.text)
    assert shown
    return int(shown[1].replace(",", ""))


# ---- overview --------------------------------------------------------------------------------------------------


def test_home_is_the_overview_once_there_is_traffic(studio: Studio, browser, tmp_path) -> None:
    assert browser.get("/").headers["location"] == "/overview"
    with running_studio(tmp_path, spans=studio.store, project_id="quiet") as fresh:
        assert fresh.client(fresh.member(Role.VIEWER)).get("/").headers["location"] == "/traces"


def test_the_overview_shows_figures_charts_and_a_break_down(browser) -> None:
    answer = browser.get("/overview")
    text = balanced(answer.text)
    assert len(text) < 100_000
    found = read(browser, "/api/overview", Overview)
    assert f'<b class="num">{found.current.requests}</b>' in text
    assert "compared with the 24 hours before" in text
    assert text.count('role="img" aria-labelledby="c-') == 5
    for title in ("Requests", "Cost", "Latency", "Time to first token", "Tokens"):
        assert re.search(rf"<title[^>]*>{title}</title><desc[^>]*>{title} from 20\d\d-", text)
    assert text.count('class="before" d="M') == 5
    assert text.count("<tr data-at=") == len(found.points) == 49
    assert sum(point.figures.requests for point in found.points) == found.current.requests
    assert ">support</a>" in text
    assert ">not said</a>" in text
    assert "style=" not in text, "nothing inline applies"


def test_every_point_and_row_leads_to_exactly_its_traces(browser) -> None:
    text = browser.get("/overview?user=kim.0&range=all").text
    found = read(browser, "/api/overview?user=kim.0&range=all", Overview)
    points = links(text.partition('class="hits"')[2].partition("</svg>")[0], "/traces?")
    busy = [
        (link, point.figures)
        for link, point in zip(points, found.points, strict=True)
        if point.figures.requests
    ]
    assert busy
    for link, figures in busy:
        shown = list(browser.get(f"/api{link}&limit=1000").json()["rows"])
        assert sum(row["user_id"] == "kim.0" for row in shown) == len(shown) > 0
        # One trace of the talk with tools has two calls.
        assert figures.requests - 1 <= len(shown) <= figures.requests
    day = browser.get("/overview?by=language&range=all").text
    unsaid = next(
        link for link in links(day, "/traces?") if "without=language" in link and "status" not in link
    )
    wanted = {
        row["trace_id"]
        for row in browser.get("/api/traces?limit=1000").json()["rows"]
        if not row["user_id"].startswith(("noor", "kim", "ravi", "elin")) or row["user_id"].startswith("elin")
    }
    assert 0 < total(browser, unsaid) <= len(wanted)
    assert total(browser, next(link for link in links(day, "/traces?") if "language=de" in link)) > 60


def test_failed_and_unpriced_calls_are_one_click_away(browser) -> None:
    text = browser.get("/overview?range=7d").text
    found = read(browser, "/api/overview?range=7d", Overview)
    errors = next(
        link
        for link in links(text, "/traces?")
        if set(link.partition("?")[2].split("&")) == {"status=error", "range=7d"}
    )
    assert found.current.errors <= total(browser, errors) <= found.current.errors + 1  # a tool failed too
    assert f"{found.current.unpriced} calls of unknown cost" in text
    unpriced = next(
        link
        for link in links(text, "/traces?")
        if set(link.partition("?")[2].split("&")) == {"without=cost", "range=7d"}
    )
    assert total(browser, unpriced) == found.current.unpriced
    chips = browser.get(unpriced).text
    assert "Remove the filter no given cost" in chips


@pytest.mark.parametrize("by", ["route", "model", "provider", "user", "organisation", "language"])
def test_every_break_down_adds_up(browser, by: str) -> None:
    found = read(browser, f"/api/overview?range=all&by={by}", Overview)
    assert found.dimension == by
    listed = sum(group.figures.requests for group in found.groups)
    assert listed == found.current.requests or found.group_count > len(found.groups) == 20
    text = balanced(browser.get(f"/overview?range=all&by={by}").text)
    assert f"Requests by {by}" in text
    assert (
        'href="/overview?by=model&amp;range=all' in text or 'href="/overview?range=all&amp;by=model' in text
    )
    assert len(text) < 100_000


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/api/overview?by=mood", "by"), ("/api/overview?without=mood", "without"), ("/api/overview?range=2y", "range"),
        ("/api/sessions?sort=mood", "sort"), ("/api/sessions?order=up", "order"), ("/api/sessions?limit=0", "limit"),
        ("/api/users?sort=mood", "sort"), ("/api/users?cost_min=cheap", "cost_min"),
        ("/api/organisations?offset=-1", "offset"), (f"/api/sessions/{LONG}?limit=101", "limit"),
        ("/api/users/kim.0?since=never", "since"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(browser, path: str, param: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert browser.get(path.removeprefix("/api")).status_code == 400


def test_a_time_before_the_project_and_one_after_it_show_nothing(browser) -> None:
    for query in (
        "since=1990-01-01&until=1991-01-01",
        "since=2100-01-01",
        "until=9999999999999999999",
        "since=0",
    ):
        assert browser.get(f"/overview?{query}").status_code == 200, query
        assert browser.get(f"/sessions?{query}").status_code == 200, query
        assert browser.get(f"/users?{query}").status_code == 200, query
    text = balanced(browser.get("/overview?since=1990-01-01&until=1991-01-01").text)
    assert "Look at all of time" in text


# ---- empty states ----------------------------------------------------------------------------------------------

PAGES = ("/overview", "/sessions", "/users", "/organisations")


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_project_is_told_how_to_begin(studio: Studio, tmp_path, path: str) -> None:
    with running_studio(tmp_path, spans=studio.store, project_id="new") as fresh:
        text = balanced(fresh.client(fresh.member(Role.VIEWER)).get(path).text)
    assert "No traces yet" in text
    assert "/v1/chat/completions" in text
    assert "data-filters" not in text


@pytest.mark.parametrize("path", PAGES)
def test_no_match_leads_back(browser, path: str) -> None:
    text = balanced(browser.get(f"{path}?route=nowhere&range=7d").text)
    assert "Nothing fits all of these filters in the last 7 d." in text
    assert f'href="{path}?range=7d">Clear filters' in text
    assert f'href="{path}?route=nowhere&amp;range=all">Look at all of time' in text


def test_traces_without_sessions_say_how_to_name_one(studio: Studio, tmp_path) -> None:
    seed = Seed(studio.clock(), seed=5)
    span = seed.call(studio.clock() - 10**10, "Hi", "Hi")
    studio.store.insert_spans([msgspec.structs.replace(span, project_id="plain")], token="plain")
    with running_studio(tmp_path, spans=studio.store, project_id="plain") as fresh:
        client = fresh.client(fresh.member(Role.VIEWER))
        assert "metadata.session_id" in client.get("/sessions").text
        assert "metadata.organisation" in client.get("/users").text


# ---- sessions --------------------------------------------------------------------------------------------------


def test_sessions_are_listed_sorted_and_paged(browser) -> None:
    text = balanced(browser.get("/sessions?range=all").text)
    assert "1 to 50 of 138" in text
    assert len(text) < 100_000
    assert 'aria-sort="descending"><a href="/sessions?range=all&amp;order=asc">Last activity' in text
    found = read(browser, "/api/sessions?sort=turns&limit=3", SessionPage)
    assert (found.rows[0].session_id, found.rows[0].turns, found.total) == (LONG, 60, 138)
    down = browser.get("/sessions?range=all&sort=cost").text
    costs = [row.cost for row in read(browser, "/api/sessions?sort=cost&limit=1000", SessionPage).rows]
    known = [cost for cost in costs if cost is not None]
    assert known == sorted(known, reverse=True) == costs[: len(known)]
    assert 'aria-sort="descending"><a href="/sessions?range=all&amp;sort=cost&amp;order=asc">Cost' in down
    assert 'rel="next" href="/sessions?range=all&amp;sort=cost&amp;offset=50"' in down
    assert '<input type="hidden" name="sort" value="cost">' in down, "filtering keeps the order"
    assert "101 to 138 of 138" in browser.get("/sessions?range=all&sort=cost&offset=100").text


def test_a_session_is_one_conversation_in_which_nothing_comes_twice(browser) -> None:
    text = balanced(browser.get("/sessions/talk-tools").text)
    for words in (
        "Has order 20417 left yet?",
        "Not yet: it is packed and leaves tomorrow.",
        "That was quick.",
        "Easy enough.",
    ):
        assert text.count(f">{words}") == 1 + (words.startswith("Has")), (
            words
        )  # the first words are the title too
    assert text.count('class="bubble system"') == 1
    assert '<details class="call"><summary>' in text
    assert "5 earlier messages went in again" in text
    view = read(browser, "/api/sessions/talk-tools", SessionView)
    assert [len(turn.messages) for turn in view.turns] == [4, 1]
    assert [turn.places for turn in view.turns] == [[0, 1, 2, 3], [5]]
    assert ([score.name for score in view.scores], [score.name for score in view.turns[1].scores]) == (
        ["ease"],
        ["thumb"],
    )
    assert view.turns[0].calls == 2
    cut = read(browser, "/api/sessions/talk-cut", SessionView)
    assert [len(turn.messages) for turn in cut.turns] == [2] + [1] * 7


def test_a_long_session_is_read_in_pages_and_still_says_nothing_twice(browser) -> None:
    seen: list[str] = []
    for offset in (0, 20, 40):
        answer = browser.get(f"/sessions/{LONG}?offset={offset}")
        text = balanced(answer.text)
        assert len(text) < 100_000
        assert f"{offset + 1} to {offset + 20} of 60" in text
        view = read(browser, f"/api/sessions/{LONG}?offset={offset}", SessionView)
        assert [turn.number for turn in view.turns] == list(range(offset + 1, offset + 21))
        seen += [
            message.parts[0].content
            for turn in view.turns
            for message in turn.messages
            if message.role == "user"
        ]  # type: ignore[union-attr]
        assert [turn.known for turn in view.turns] == [
            0 if n == 0 else 2 * n + 1 for n in range(offset, offset + 20)
        ]
    assert len(seen) == len(set(seen)) == 60
    assert f'href="/sessions/{LONG}?offset=40">Go to the last turns' in browser.get(f"/sessions/{LONG}").text
    assert "Back to the first" in browser.get(f"/sessions/{LONG}?offset=999").text


def test_a_score_is_added_where_it_belongs(studio: Studio, browser) -> None:
    view = read(browser, "/api/sessions/talk-cut", SessionView)
    turn = view.turns[2]
    form = {
        "name": "tone",
        "thumb": "up",
        "comment": "Kind.",
        "trace_id": turn.trace_id,
        "span_id": turn.span_id,
    }
    answer = browser.post("/sessions/talk-cut/scores", data=form, headers={"hx-request": "true"})
    assert answer.status_code == 200, answer.text
    assert "<html" not in answer.text
    assert "Kind." in answer.text
    assert studio.appended[-1].session_id == "talk-cut"
    again = read(browser, "/api/sessions/talk-cut", SessionView)
    assert [score.name for score in again.turns[2].scores] == ["tone"]
    assert not again.scores
    whole = browser.post("/sessions/talk-cut/scores", data={"name": "ease", "value": "3"})
    assert (whole.status_code, whole.headers["location"]) == (303, "/sessions/talk-cut")
    assert [score.value for score in read(browser, "/api/sessions/talk-cut", SessionView).scores] == [3.0]
    empty = browser.post("/sessions/talk-cut/scores", data={"name": "ease"}, headers={"hx-request": "true"})
    assert empty.status_code == 400
    viewer = studio.visitor(Role.VIEWER)
    assert viewer.post("/sessions/talk-cut/scores", data=form).status_code == 403
    assert "score-form" not in viewer.get("/sessions/talk-cut").text


def test_ids_that_only_an_app_could_think_of_have_pages(browser) -> None:
    link = f"/sessions/{segment(SLASHED)}"
    assert link in links(browser.get("/sessions?range=all").text, "/sessions/")
    assert ">shop/10 % off?<" in browser.get(sent(link)).text
    assert read(browser, sent(f"/api{link}"), SessionView).session.session_id == SLASHED
    user = f"/users/{segment('a/b c')}"
    text = browser.get(sent(user) + "?range=all").text
    assert ">a/b c</h1>" in text
    assert link in links(text, "/sessions/")
    assert read(browser, sent(f"/api/organisations/{segment('50%')}") + "?range=all", OwnerView).id == "50%"
    assert browser.get("/api/organisations/50%25?range=all").status_code == 200, (
        "encoded once, as programs do"
    )


def test_what_is_not_there_is_not_found(browser) -> None:
    for path in ("/sessions/nobody", "/users/nobody", "/organisations/nobody"):
        assert browser.get(path).status_code == 404
        error = browser.get(f"/api{path}").json()["error"]
        assert (error["code"], "nobody" in error["message"]) == ("not_found", True)


def test_what_apps_and_models_say_is_never_markup(studio: Studio, browser) -> None:
    seed = Seed(studio.clock(), seed=31)
    evil = "<script>alert(1)</script>"
    span = seed.call(
        studio.clock() - 10**15, evil, evil, name=evil, user_id=evil, route=evil, session_id=evil, organisation_id=evil,
        language=evil, error_message=evil, status="error", response_model=evil, provider=evil,
    )  # fmt: skip
    seed.score(span, evil, 1.0, comment=evil)
    studio.store.insert_spans(seed.spans, token="evil")
    studio.store.insert_scores(seed.scores, token="evil")
    window = "until=2026-09-15T00:00:00Z"
    for path in (
        f"/overview?{window}&by=user", f"/overview?{window}&by=language", f"/sessions?{window}", f"/users?{window}",
        f"/organisations?{window}", sent(f"/sessions/{segment(evil)}"), sent(f"/users/{segment(evil)}") + f"?{window}",
    ):  # fmt: skip
        text = browser.get(path).text
        assert "&lt;script&gt;" in text, path
        assert "<script>alert" not in text, path


# ---- users and organisations -----------------------------------------------------------------------------------


def test_users_are_listed_with_their_figures(browser) -> None:
    found = read(browser, "/api/users?limit=1000", OwnerPage)
    text = balanced(browser.get("/users?range=all").text)
    assert f"of {found.total}<" in text
    assert len(text) < 100_000
    assert [row.requests for row in found.rows] == sorted((row.requests for row in found.rows), reverse=True)
    first = found.rows[0]
    assert f'href="/users/{first.id}?range=all">{first.id}</a>' in text
    noor = next(row for row in found.rows if row.id == "noor.1")
    assert (noor.requests, noor.sessions, noor.languages) == (65, 2, ["de", "en"]) or noor.requests > 60
    names = read(browser, "/api/users?sort=id&order=asc", OwnerPage).rows
    assert [row.id for row in names] == sorted(row.id for row in names)
    rates = [
        row.feedback.rate for row in read(browser, "/api/users?sort=feedback&limit=1000", OwnerPage).rows
    ]
    known = [rate for rate in rates if rate is not None]
    assert known == sorted(known, reverse=True) == rates[: len(known)]
    assert (
        'aria-sort="ascending"><a href="/users?range=all&amp;sort=id">User'
        in browser.get("/users?range=all&sort=id&order=asc").text
    )


def test_a_users_page_has_their_charts_sessions_and_traces(studio: Studio, browser) -> None:
    text = balanced(browser.get("/users/kim.0?range=all").text)
    assert len(text) < 100_000
    view = read(browser, "/api/users/kim.0?range=all", OwnerView)
    assert view.row is not None
    assert view.row.requests == view.overview.current.requests > 8
    assert view.row.sessions == studio.store.sessions("default", TraceFilter(user_id="kim.0")).total
    assert (
        {session.user_id for session in view.sessions}
        == {trace.user_id for trace in view.traces}
        == {"kim.0"}
    )
    assert text.count('class="chart"') == 5
    assert 'href="/sessions/talk-tools"' in text
    assert 'href="/sessions?user=kim.0&amp;range=all"' in text
    assert 'href="/organisations/fjord?range=all"' in text
    assert "Remove the filter user" not in text, "the page is about this user: that is no filter to remove"
    quiet = browser.get("/users/kim.0?since=1990-01-01&until=1991-01-01")
    assert (quiet.status_code, "No trace matches" in quiet.text) == (200, True)


def test_organisations_know_their_users(browser) -> None:
    rows = {row.id: row for row in read(browser, "/api/organisations?limit=1000", OwnerPage).rows}
    assert set(rows) >= {"north", "south", "fjord", "mesa", "50%"}
    users = read(browser, "/api/users?organisation=fjord&limit=1000", OwnerPage)
    assert rows["fjord"].users == users.total
    assert sum(row.requests for row in users.rows) == rows["fjord"].requests
    text = balanced(browser.get("/organisations/fjord?range=all").text)
    assert f">{rows['fjord'].users}</a>" in text


def test_a_trace_leads_to_its_user_session_and_organisation(browser) -> None:
    row = browser.get("/api/traces?session=talk-tools").json()["rows"][0]
    text = browser.get(f"/traces/{row['trace_id']}").text
    for link in ("/users/kim.0?range=all", "/sessions/talk-tools", "/organisations/fjord?range=all"):
        assert f'href="{link}"' in text


# ---- around them -----------------------------------------------------------------------------------------------


def test_the_description_has_the_answers(browser) -> None:
    whole = browser.get("/api/openapi.json").json()
    schemas = whole["components"]["schemas"]
    for path, name in (
        ("/api/overview", "Overview"),
        ("/api/users", "OwnerPage"),
        ("/api/sessions/{session_id}", "SessionView"),
    ):
        schema = whole["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert {"$ref": f"#/components/schemas/{name}"} in (schema, *schema.get("anyOf", ()))
    found = browser.get("/api/overview").json()
    assert set(found) == set(schemas["Overview"]["properties"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', browser.get("/api/openapi.json").text))
    assert references <= set(schemas)


def test_a_store_that_is_down_is_said(studio: Studio) -> None:
    services = studio.app.state.services

    def down():
        raise Unavailable("The span store can't be reached.", "`ratchet doctor` says more.")

    studio.app.state.services = type(services)(**{**vars(services), "spans": down})
    try:
        client = studio.client(studio.member(Role.VIEWER))
        answers = [client.get(path) for path in ("/", *PAGES, "/sessions/x", "/users/x")]
        data = client.get("/api/overview")
    finally:
        studio.app.state.services = services
    assert {answer.status_code for answer in answers} == {503}
    assert data.json()["error"]["code"] == "unavailable"
