"""A real browser on the overview, sessions, users and organisations."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from browser_site import Site, fits, needs_chromium
from playwright.sync_api import Page, expect
from studio_harness import fill

from browser.studio_talks import LONG, SLASHED, conversations
from ratchet.studio.formats import segment

pytestmark = needs_chromium


@pytest.fixture(scope="module", autouse=True)
def talks(site: Site) -> None:
    fill(site.studio, conversations(site.studio.clock()), "talks")


def test_home_leads_to_the_overview_and_a_bar_to_its_traces(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page).to_have_url(f"{site.url}/overview")
    busy = page.locator(".chart").first.locator(".hits a[aria-label*=request]").last
    label = busy.get_attribute("aria-label") or ""
    busy.hover()
    # Every chart tells of the same piece of time.
    for chart in page.locator(".chart").all():
        expect(chart.locator("[data-readout]")).not_to_be_empty()
    expect(page.locator(".chart [data-readout]").first).to_contain_text(label.split(": ", 1)[1])
    page.mouse.move(0, 0)
    expect(page.locator(".chart [data-readout]").first).to_be_empty()
    busy.click()
    expect(page).to_have_url(re.compile(r"/traces\?since="))
    asked = parse_qs(urlsplit(page.url).query)
    assert set(asked) == {"since", "until"}
    expect(page.get_by_role("heading", name="Traces")).to_be_visible()
    expect(page.locator(".row-link").first).to_be_visible()


def test_charts_can_be_walked_with_the_keyboard(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/overview")
    hits = page.locator(".chart").first.locator(".hits a")
    assert hits.evaluate_all("links => links.filter(link => link.tabIndex === 0).length") == 1, (
        "one stop a chart"
    )
    hits.last.focus()
    page.keyboard.press("ArrowLeft")
    expect(hits.nth(-2)).to_be_focused()
    expect(page.locator(".chart [data-readout]").nth(3)).not_to_be_empty()
    page.keyboard.press("Home")
    expect(hits.first).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/traces\?since="))


def test_the_break_down_can_be_switched_and_leads_to_the_traces(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/overview?range=all")
    page.get_by_label("Break down by").get_by_role("link", name="Language").click()
    expect(page.get_by_role("heading", name="Requests by language")).to_be_visible()
    page.get_by_role("link", name="not said").click()
    expect(page.locator(".chips.active")).to_contain_text("no given")
    expect(page.locator(".row-link").first).to_be_visible()


def test_filters_and_ranges_keep_the_break_down(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/overview?by=user")
    page.get_by_label("Time range").get_by_role("link", name="7 d", exact=True).click()
    expect(page.get_by_role("heading", name="Requests by user")).to_be_visible()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Language").select_option("de")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator(".chips.active")).to_contain_text("de")
    expect(page.get_by_role("heading", name="Requests by user")).to_be_visible()
    page.get_by_role("link", name="Page of noor.1").click()
    expect(page.get_by_role("heading", name="noor.1")).to_be_visible()
    expect(page.locator(".chart")).to_have_count(5)


def test_the_figures_stand_in_a_table_too(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/overview")
    page.get_by_text("All figures as a table").click()
    rows = page.locator("[data-points] tbody tr")
    expect(rows).to_have_count(page.locator(".chart").first.locator(".hits a").count())
    expect(rows.get_by_role("link").last).to_be_visible()
    assert fits(page)


def test_a_session_is_read_and_scored_in_place(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sessions?range=all")
    page.get_by_role("link", name="talk-tools").click()
    expect(page.get_by_role("heading", name="Turn 2")).to_be_visible()
    call = page.locator("details.call").first
    expect(call.locator("pre")).not_to_be_visible()
    call.locator("summary").click()
    expect(call.locator("pre")).to_be_visible()
    first = page.locator(".turn").first
    first.get_by_text("Add a score").click()
    first.get_by_text("Up", exact=True).click()
    first.get_by_label("Comment").fill("Looked it up, as it should.")
    first.get_by_role("button", name="Add score").click()
    expect(first.locator(".verdict")).to_contain_text("Looked it up, as it should.")
    expect(page.locator(".turn")).to_have_count(3)
    page.reload()
    expect(page.locator(".turn").first.locator(".verdict")).to_contain_text("Looked it up, as it should.")
    page.get_by_role("link", name="the trace of turn 1").click()
    expect(page.get_by_role("tree")).to_be_visible()


def test_a_session_with_an_awkward_name_opens(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sessions?range=all")
    page.get_by_role("link", name=SLASHED).click()
    expect(page.locator(".crumbs")).to_contain_text(SLASHED)
    page.get_by_role("link", name="a/b c").click()
    expect(page.get_by_role("heading", name="a/b c")).to_be_visible()
    assert segment("a/b c") in page.url


def test_long_sessions_have_pages(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sessions/{LONG}")
    expect(page.locator(".turn")).to_have_count(21)
    page.get_by_role("link", name="Go to the last turns").click()
    expect(page.get_by_role("heading", name="Turn 60")).to_be_visible()


def test_users_are_sorted_and_lead_to_their_page(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/users?range=all")
    page.get_by_role("columnheader", name="Cost").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    page.keyboard.press("j")
    name = page.locator(":focus").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    page.goto(f"{site.url}/users?range=all")
    page.get_by_role("link", name="Organisations", exact=True).click()
    page.get_by_role("link", name="fjord").click()
    expect(page.get_by_role("heading", name="fjord")).to_be_visible()
