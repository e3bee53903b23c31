"""A real browser declares, tries and deletes on a real installation: gateway, studio and collector run as users run them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from tests.test_cli import Served

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
PASSWORD = "three quiet herons"
SETTINGS = '[providers.lab]\nkind = "simulator"\n[routes.support]\ntargets = ["lab/gpt-4o-mini"]\n'

pytestmark = pytest.mark.skipif(
    not Path(CHROMIUM).exists() and not os.environ.get("RATCHET_TEST_NO_SKIP"),
    reason="chromium is not installed",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("administration")
    (folder / "ratchet.toml").write_text(SETTINGS)
    running = Served(folder)
    try:
        link = running.said(r"^sign in +(\S+)")
        running.said(r"^(ready in)")
        assert httpx2.post(link, data={"email": "ada@example.org", "password": PASSWORD}).status_code == 303
        yield running
    finally:
        running.process.terminate()
        running.process.wait(60)


@pytest.fixture(scope="module")
def url(served: Served) -> str:
    return str(json.loads((served.folder / ".ratchet" / "studio.json").read_text())["url"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def signed_in(chromium: Browser, url: str, complaints: list[str], **options: object) -> Page:
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    context.on(
        "console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None
    )
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto(f"{url}/sign-in")
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return page


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    complaints: list[str] = []
    one = signed_in(chromium, url, complaints)
    yield one
    one.context.close()
    # A form that comes back with its mistakes has the status 400, and the browser says so.
    assert [each for each in complaints if "status of 400" not in each] == [], "the console must stay empty"


def test_a_route_is_declared_tried_changed_and_deleted(page: Page, url: str) -> None:
    page.get_by_role("link", name="Routes").click()
    page.get_by_role("link", name="New route").click()
    expect(page.get_by_label("Name")).to_be_focused()
    page.get_by_label("Name").fill("shop")
    page.get_by_label("Target").fill("lab/gpt-4o")
    page.get_by_role("button", name="Add the route").click()
    expect(page.get_by_role("heading", name="shop", exact=True)).to_be_visible()
    page.get_by_label("Prompt").fill("When are you open?")
    page.get_by_role("button", name="Send").click()
    tried = page.locator("#tried")
    expect(tried).to_contain_text("Brackwater")
    expect(tried.get_by_text("Cost")).to_be_visible()
    expect(tried).not_to_contain_text("not recorded yet")
    expect(page).to_have_url(f"{url}/routes/shop")
    page.get_by_label("Target").fill("lab/gpt-4o-mini")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="Saved.")).to_be_visible()
    expect(page.get_by_role("row", name="24 h")).to_contain_text("1")
    page.locator("summary", has_text="Delete the route").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page).to_have_url(f"{url}/routes")
    expect(page.get_by_role("link", name="shop")).to_have_count(0)


def test_the_trace_of_a_try_is_one_click_away(page: Page, url: str) -> None:
    page.goto(f"{url}/providers/lab")
    page.get_by_label("Model").fill("gpt-4o-mini")
    page.get_by_role("button", name="Send").click()
    page.locator("#tried a").click()
    expect(page.get_by_text("Say hello in one short sentence.").first).to_be_visible()


def test_a_mistake_keeps_what_was_typed_and_takes_the_focus(page: Page, url: str) -> None:
    page.goto(f"{url}/providers?new")
    page.get_by_label("Name").fill("far")
    page.get_by_label("Base URL").fill("nope")
    page.get_by_role("button", name="Add the provider").click()
    field = page.get_by_label("Base URL")
    expect(field).to_be_focused()
    expect(field).to_have_value("nope")
    expect(field).to_have_accessible_description(
        "Expected an address such as https://host/v1; found 'nope'. Where it is, when that isn't the vendor's own place, e.g. http://10.0.0.5:8000/v1."
    )
    expect(page.get_by_label("Name")).to_have_value("far")
    page.screenshot(path=SCREENSHOTS / "provider-mistake.png")


def test_a_key_is_made_copied_and_revoked_by_keyboard(page: Page, url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url)
    page.keyboard.press("g")
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="Keys", exact=True)).to_be_visible()
    page.get_by_role("link", name="New key").press("Enter")
    page.get_by_label("Name").fill("walk")
    page.get_by_label("Name").press("Enter")
    copying = page.get_by_role("button", name="Copy the key")
    expect(copying).to_be_visible()
    copying.press("Enter")
    secret = page.evaluate("navigator.clipboard.readText()")
    assert secret.startswith("rk-")
    page.screenshot(path=SCREENSHOTS / "key-made.png")
    row = page.get_by_role("row", name="walk")
    row.locator("summary").press("Enter")
    row.get_by_role("button", name="Revoke it").press("Enter")
    expect(page.get_by_role("status").filter(has_text="revoked")).to_be_visible()
    expect(row).to_contain_text("revoked")


def test_a_member_is_invited_and_removed(page: Page, url: str) -> None:
    page.goto(f"{url}/members?new")
    page.get_by_label("E-mail").fill("grace@example.org")
    page.get_by_label("Role", exact=True).select_option("developer")
    page.get_by_role("button", name="Make the invitation").click()
    expect(page.get_by_role("button", name="Copy the link")).to_contain_text("/welcome/rl-")
    row = page.get_by_role("row", name="grace@example.org")
    row.get_by_label("Role of grace@example.org").select_option("viewer")
    row.get_by_role("button", name="Change").click()
    expect(row.get_by_label("Role of grace@example.org")).to_have_value("viewer")
    row.locator("summary", has_text="Remove").click()
    page.screenshot(path=SCREENSHOTS / "member-remove.png")
    row.get_by_role("button", name="Remove them").click()
    expect(row).to_have_count(0)


def test_everything_works_without_scripts(chromium: Browser, url: str) -> None:
    page = signed_in(chromium, url, [], java_script_enabled=False)
    page.goto(f"{url}/routes?new")
    page.get_by_label("Name").fill("plain")
    page.get_by_label("Target").fill("lab/gpt-4o")
    page.get_by_role("button", name="Add the route").click()
    page.get_by_label("Prompt").fill("When are you open?")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#tried")).to_contain_text("Brackwater")
    page.locator("summary", has_text="Delete the route").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("link", name="plain")).to_have_count(0)
    page.context.close()


@pytest.mark.parametrize("path", ["providers/lab", "routes/support"])
def test_what_is_declared_fits_every_width_in_both_themes(page: Page, url: str, path: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.goto(f"{url}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    for width in (390, 1024, 1600):
        page.set_viewport_size({"width": width, "height": 900})
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, f"{path} is {over} pixels too wide"
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.screenshot(
                path=SCREENSHOTS / f"{path.replace('/', '-')}-{width}-{theme}.png", full_page=True
            )
