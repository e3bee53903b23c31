"""The main path of the prompts' pages in a real browser: write, preview, save, compare, move a label, roll back."""

from __future__ import annotations

from browser_site import Site, keep, needs_chromium, signed_in
from playwright.sync_api import Browser, expect

from ratchet.domain.access import Role

pytestmark = needs_chromium


def test_a_better_version_is_written_previewed_compared_and_released(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.ADMIN) as page:
        page.goto(f"{site.url}/prompts")
        page.get_by_role("link", name="support", exact=True).click()
        page.get_by_role("link", name="Edit", exact=True).click()
        first = page.get_by_label("Message 1", exact=True)
        first.fill(first.input_value().replace("Thank them.", "Thank them once, in {{ shop }}'s name."))
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview")).to_contain_text("Thank them once, in Trail & Tent's name.")
        keep(page, "prompt-editor")
        first.fill(first.input_value() + "{% if %}")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview")).to_contain_text("Message 1, line")
        first.fill(first.input_value().removesuffix("{% if %}"))
        page.get_by_label("Why").fill("Thanks once")
        page.get_by_role("button", name="Save as a new version").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("support #4")
        expect(page.locator(".sides .come").first).to_contain_text("Thank them once")
        page.get_by_label("What do you think of it?").fill("Much better.")
        page.get_by_role("button", name="Comment").click()
        expect(page.locator(".score .said")).to_have_text("Much better.")

        page.goto(f"{site.url}/prompts/support")
        page.get_by_text("Move a label, or make one").click()
        page.locator("#label").fill("staging")
        page.locator("#label-version").select_option("4")
        page.get_by_role("button", name="Move the label").click()
        staging = page.get_by_role("article", name="staging")
        expect(staging.locator(".serves")).to_have_text("#4")
        staging.get_by_role("button", name="Roll back one step").click()
        expect(page.get_by_role("article", name="staging").locator(".serves")).to_have_text("#3")
        keep(page, "prompt-labels")
    assert site.complaints == []
    assert site.foreign == []
