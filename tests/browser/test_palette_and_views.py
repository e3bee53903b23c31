"""The command palette, the keyboard's ways between pages, and saved views, with the keyboard alone."""

from __future__ import annotations

import pytest
from browser_site import Site, keep, needs_chromium, signed_in
from playwright.sync_api import Browser, Page, expect

from ratchet.domain.access import Role
from ratchet.studio.navigation import ENTRIES

pytestmark = needs_chromium


def options(page: Page):
    return page.locator("#choices [role=option]")


def test_the_palette_leads_to_pages_with_the_keyboard_alone(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/design")
    page.keyboard.press("Control+k")
    box = page.get_by_role("combobox", name="Jump to")
    expect(box).to_be_focused()
    expect(options(page).first).to_contain_text(ENTRIES[0].label)
    expect(options(page).first).to_have_attribute("aria-selected", "true")
    keep(page, "palette")
    page.keyboard.type("trac")
    expect(options(page).first).to_contain_text("Traces")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "choice-1")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#choices [aria-selected=true]")).to_contain_text("Search the traces for “trac”")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/traces")


def test_a_pasted_id_is_found_and_words_are_searched_for(page: Page, site: Site) -> None:
    row = (
        site.studio.client(site.studio.member(Role.VIEWER))
        .get("/api/traces?latency_min=3s&limit=1")
        .json()["rows"][0]
    )
    page.get_by_role("button", name="Jump to").click()
    page.get_by_role("combobox", name="Jump to").fill(row["trace_id"])
    expect(options(page).first).to_contain_text(f"Trace {row['trace_id']}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/traces/{row['trace_id']}")
    page.keyboard.press("Control+k")
    page.keyboard.type(row["user_id"])
    expect(options(page).first).to_contain_text(f"User {row['user_id']}")
    page.keyboard.press("Control+a")
    page.keyboard.type("sleeping bag")
    expect(options(page)).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site.url}/traces?q=sleeping+bag&range=all")


def test_the_palette_does_things_and_goes_away(page: Page, site: Site) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("dark")
    expect(options(page).first).to_contain_text("colour theme")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.mouse.click(5, 400)
    expect(page.locator("#palette")).to_be_hidden()
    page.keyboard.press("Control+k")
    page.keyboard.type("keyb")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_hidden()
    page.keyboard.type("sign out")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.strip("/"))
def test_two_letters_lead_to_every_page_and_the_bar_says_where_one_is(
    site: Site, chromium: Browser, entry
) -> None:
    with signed_in(site, chromium, Role.ADMIN) as page:
        page.goto(f"{site.url}/design")
        page.keyboard.press("g")
        page.keyboard.press(entry.key)
        expect(page).to_have_url(f"{site.url}{entry.path}")
        expect(page.locator(".side nav [aria-current=page]")).to_have_text(entry.label)


def test_slash_searches_the_page_or_else_everything(page: Page, site: Site) -> None:
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.goto(f"{site.url}/design")
    page.keyboard.press("/")
    expect(page.get_by_role("combobox", name="Jump to")).to_be_focused()


def test_a_view_is_saved_opened_renamed_and_deleted(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?range=all&status=error")
    page.locator("#views > summary").click()
    page.get_by_label("Save what is shown as").fill("Failed ever")
    page.get_by_label("Share with everyone").check()
    page.keyboard.press("Enter")
    expect(page.locator("#views > summary")).to_have_text("Failed ever")
    keep(page, "views")
    page.goto(f"{site.url}/traces")
    expect(page.locator("#views > summary")).to_have_text("Views")
    page.locator("#views > summary").click()
    page.get_by_role("link", name="Failed ever").click()
    expect(page).to_have_url(f"{site.url}/traces?range=all&status=error")
    page.keyboard.press("Control+k")
    page.keyboard.type("ever")
    expect(options(page).first).to_contain_text("Failed ever")
    page.keyboard.press("Escape")
    page.locator("#views > summary").click()
    page.get_by_label("Change the view Failed ever").click()
    page.get_by_label("New name").fill("Broken")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#views > summary")).to_have_text("Broken")
    page.get_by_label("Change the view Broken").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#views > summary")).to_have_text("Views")
    expect(page.locator(".view-list")).to_have_count(0)


def test_a_file_is_saved_from_the_page(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/traces?range=all&status=error")
    total = int(page.locator(".heading .count").inner_text().split()[-1])
    page.locator(".export > summary[title=Export]").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    assert saved.value.suggested_filename.endswith(".csv")
    assert len(saved.value.path().read_text("utf-8-sig").splitlines()) >= total + 1
