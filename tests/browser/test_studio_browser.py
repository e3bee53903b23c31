"""A real browser walks the main path of each page; screenshots are kept in `screenshots/` for looking at."""

from __future__ import annotations

import time

from browser_site import Site, keep, needs_chromium, watched
from playwright.sync_api import Browser, Page, expect
from studio_harness import PASSWORD
from studio_seed import support_traffic

from ratchet.domain.access import Role
from ratchet.store.records.members import create_link

pytestmark = needs_chromium


def open_agent(page: Page, site: Site) -> None:
    """The trace with tools, an error and scores."""
    page.goto(f"{site.url}/traces?range=all&status=error&latency_min=3s&latency_max=4s")
    page.locator(".row-link").first.click()
    expect(page.get_by_role("treeitem")).to_have_count(12)


def test_a_one_time_link_leads_to_an_account_and_out_again(site: Site, chromium: Browser) -> None:
    link = create_link(
        site.studio.records, project_id="default", email="", role=Role.ADMIN, now=site.studio.clock()
    )
    context = watched(site, chromium.new_context(viewport={"width": 1024, "height": 768}))
    one = context.new_page()
    one.goto(f"{site.url}/welcome/{link}")
    keep(one, "welcome")
    one.get_by_label("E-mail").fill("first@example.org")
    one.get_by_label("Password").fill(PASSWORD)
    one.get_by_role("button", name="Continue").click()
    expect(one.get_by_role("heading", name="Overview")).to_be_visible()
    one.get_by_label("Account: first@example.org").click()
    one.get_by_role("button", name="Sign out").click()
    expect(one.get_by_role("heading", name="Sign in")).to_be_visible()
    keep(one, "sign-in")
    one.goto(f"{site.url}/traces?user=wren")
    expect(one).to_have_url(f"{site.url}/sign-in?next=%2Ftraces%3Fuser%3Dwren")
    one.get_by_label("E-mail").fill("first@example.org")
    one.get_by_label("Password").fill("not the one")
    one.get_by_role("button", name="Sign in", exact=True).click()
    expect(one.get_by_role("alert")).to_contain_text("The e-mail address or the password is wrong.")
    site.complaints.clear()  # the browser itself logs the refused request
    one.get_by_label("Password").fill(PASSWORD)
    one.get_by_role("button", name="Sign in", exact=True).click()
    expect(one).to_have_url(f"{site.url}/traces?user=wren")
    context.close()
    assert site.foreign == site.complaints == []


def test_filters_live_in_the_address_and_chips_take_them_away(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?range=all")
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Status").select_option("error")
    page.get_by_label("User").fill("wren")
    keep(page, "filters")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(f"{site.url}/traces?range=all&status=error&user=wren")
    marks = page.locator("tbody tr")
    errors = marks.count()
    assert errors > 0
    assert page.locator("tbody tr.bad-row").count() == errors
    page.get_by_label("Remove the filter status is error").click()
    expect(page).to_have_url(f"{site.url}/traces?user=wren&range=all")
    assert page.locator("tbody tr").count() > errors
    page.get_by_role("link", name="15 min").click()
    expect(page).to_have_url(f"{site.url}/traces?user=wren&range=15m")


def test_a_custom_range_is_local_in_the_field_and_utc_in_the_address(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Custom").click()
    page.get_by_label("From").fill("2026-01-31T09:30:00")
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url("**/traces?since=*")
    assert page.url.endswith("since=2026-01-31T09%3A30%3A00Z")  # the browser of the tests lives in UTC
    page.get_by_role("button", name="Custom").click()
    expect(page.get_by_label("From")).to_have_value("2026-01-31T09:30")


def test_search_with_the_keyboard_alone(page: Page, site: Site) -> None:
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()
    page.keyboard.type("tarp jk/?")
    page.keyboard.press("Control+a")
    page.keyboard.type("sleeping bag")
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces?q=sleeping+bag")
    expect(page.locator(".said").first).to_contain_text("sleeping bag")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator(".row-link").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("tree")).to_be_visible()
    expect(page.locator("#detail")).to_contain_text("tennis balls")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page).to_have_url(f"{site.url}/traces")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    keep(page, "keyboard")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_row_opens_wherever_it_is_clicked(page: Page) -> None:
    page.locator("tbody tr").first.locator(".c-tokens").click()
    expect(page.get_by_role("tree")).to_be_visible()


def test_new_traces_are_announced_quietly(page: Page, site: Site) -> None:
    fresh = support_traffic(time.time_ns() + 60 * 10**9, traces=1)
    expect(page.locator(".newer-pill")).to_be_empty()
    fresh.spans = [
        type(span)(
            **{**{name: getattr(span, name) for name in span.__struct_fields__}, "trace_id": "ab" * 16}
        )
        for span in fresh.spans
    ]
    site.studio.store.insert_spans(fresh.spans, token="fresh")
    expect(page.get_by_role("link", name="1 new trace")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="1 new trace").click()
    expect(page.locator(".row-link").first).to_have_attribute("href", "/traces/" + "ab" * 16)


def test_a_trace_is_read_with_the_keyboard(page: Page, site: Site) -> None:
    open_agent(page, site)
    chosen = page.locator(".t[aria-selected]")
    expect(chosen).to_contain_text("chat support")
    keep(page, "trace-1280-light")
    page.keyboard.press("k")
    expect(page.locator("#detail h2")).to_have_text("reserve carrier slot")
    expect(page.locator("#detail")).to_contain_text("Postway did not answer")
    assert "?span=" in page.url
    page.reload()
    expect(page.locator("#detail h2")).to_have_text("reserve carrier slot")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#detail h2")).to_have_text("answer customer")
    page.keyboard.press("ArrowLeft")
    expect(chosen).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".t:visible")).to_have_count(4)
    page.keyboard.press("ArrowRight")
    expect(page.locator(".t:visible")).to_have_count(12)
    page.keyboard.press("j")
    expect(page.locator("#detail h2")).to_have_text("chat support")
    page.get_by_role("link", name="find_order").click()
    expect(page.locator("#detail h2")).to_have_text("find_order")
    page.evaluate("for (const row of [0, 1, 4, 8]) document.querySelectorAll('.t')[row].click()")  # at once
    expect(page.locator("#detail h2")).to_have_text("nearest sections")
    expect(page.get_by_role("tree")).to_have_attribute(
        "aria-activedescendant", page.locator(".t[aria-selected]").get_attribute("id") or ""
    )
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_focused()


def test_raw_attributes_and_copying(page: Page, site: Site) -> None:
    open_agent(page, site)
    identity = page.locator(".crumbs [data-copy]").first.get_attribute("data-copy")
    page.get_by_label(f"Copy the trace id {identity}").click()
    assert page.evaluate("navigator.clipboard.readText()") == identity
    page.get_by_role("tab", name="Raw").click()
    expect(page.locator("#raw-text")).to_contain_text('"request_model"')
    page.locator("[data-copy-from]").click()
    assert '"request_model"' in page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("tab", name="Attributes").click()
    expect(page.locator("#tab-attributes")).to_contain_text("gen_ai.request.temperature")
    page.get_by_role("tab", name="Attributes").press("ArrowRight")
    expect(page.locator("#tab-scores")).to_be_visible()


def test_a_score_is_added_from_the_page(page: Page, site: Site) -> None:
    open_agent(page, site)
    page.get_by_role("tab", name="Scores").click()
    page.get_by_text("Down", exact=True).click()
    page.get_by_label("Comment").fill("Should offer the redirect itself.")
    keep(page, "scores")
    page.get_by_role("button", name="Add score").click()
    expect(page.locator(".score.added")).to_contain_text("Should offer the redirect itself.")
    expect(page.get_by_role("tab", name="Scores 4")).to_be_visible()
    page.reload()
    page.get_by_role("tab", name="Scores").click()
    expect(page.locator("#scores")).to_contain_text("annotator@example.org")
    page.get_by_role("button", name="Add score").click()
    expect(page.get_by_role("alert")).to_contain_text("The score is empty.")
    site.complaints.clear()  # the browser itself logs the refused request


def test_ten_thousand_spans_open_in_under_a_second_and_unfold_by_subtree(page: Page, site: Site) -> None:
    took: list[float] = []
    for _ in range(5):  # other work on the machine may slow one down
        started = time.perf_counter()
        page.goto(f"{site.url}/traces/{site.wide}", wait_until="load")
        page.locator(".t[aria-selected]").wait_for()
        took.append(time.perf_counter() - started)
    assert min(took) < 1, took
    keep(page, "ten-thousand-spans")
    before = page.locator(".t").count()
    assert before <= 200
    closed = page.locator(".t[aria-expanded=false]").first.get_attribute("id")
    batch = page.locator(f"[id='{closed}']")
    batch.locator("button").click()
    expect(batch).to_have_attribute("aria-expanded", "true")
    expect(page.locator(".t")).to_have_count(before + 100)
    page.locator(".t-more").first.click()
    expect(page.locator(".t")).to_have_count(before + 200)
    batch.locator("button").click()
    expect(batch).to_have_attribute("aria-expanded", "false")
    assert page.locator(".t:visible").count() < before + 200


def test_pictures_show_and_reasoning_unfolds(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?range=all&q=dented")
    page.locator(".row-link").first.click()
    picture = page.locator(".picture img")
    expect(picture).to_be_visible()
    assert picture.evaluate("async image => { await image.decode(); return image.naturalWidth }") == 240
    page.get_by_text("Reasoning ·").click()
    expect(page.get_by_text("The box in the picture is dented")).to_be_visible()
    keep(page, "picture")


def test_the_theme_is_kept(page: Page, site: Site) -> None:
    for theme in ("light", "dark"):
        page.get_by_label("Change colour theme").click()
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 18, 19)"
    page.keyboard.press("d")
    assert page.locator("html").get_attribute("data-theme") is None


def test_on_a_phone_rows_become_cards_and_a_span_comes_into_view(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site.url}/traces?range=all")
    assert page.locator("tbody tr").first.evaluate("row => getComputedStyle(row).display") == "grid"
    open_agent(page, site)
    page.get_by_role("link", name="search_handbook").click()
    expect(page.locator("#detail h2")).to_have_text("search_handbook")
    expect(page.locator("#detail h2")).to_be_in_viewport()
