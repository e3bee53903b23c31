"""Every page of the navigation, in both themes and three widths: it fits, stands still, is light, and everyone can use it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from browser_site import Site, fits, keep, needs_chromium, signed_in
from dataset_seed import sealed_case
from playwright.sync_api import Browser, Page
from run_seed import RUN

from ratchet.domain.access import Role
from ratchet.studio.navigation import ENTRIES

AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
PAGES = [path for entry in ENTRIES for path in (entry.path, *entry.also)]
OTHERS = [
    "/design",
    "/nowhere",
    "/traces?user=nobody",
    "/traces?range=all&offset=99999",
    "/overview?range=7d&by=user",
    "/overview?user=nobody",
    "/reliability?range=7d",
    "/reliability?since=20200101T00Z&until=20200102T00Z",
    "/traces/{failed_over}?span={lost}",
    "/sessions/chat-9100",
    "/users/ada.marsh?range=all",
    "/organisations?range=all",
    "/keys?new",
    "/providers?new",
    "/routes?new",
    "/members?new",
    "/audit?action=role&q=example",
    "/audit?who=nobody",
    "/limits?decide&kind=user&name=ada.marsh&action=raise",
    "/limits?look&kind=user&name=ada.marsh",
    "/limits?look&kind=ip&name=203.0.113.7",
    "/limits?look&kind=ip&name=nowhere",
    "/releases?new",
    "/models?chart=stars",
    "/models?q=nobodys",
    "/models/mistral-large-4",
    "/models/StableLM%20%252F%20StableLM%20tuned",
    "/models/compare?model=gpt-5.5&model=phi-4&model=claude-haiku-4-5",
    "/models/recommend?commercial=1&context_tokens=200000&max_input_usd=1",
    "/datasets?new",
    "/datasets/empty",
    "/datasets/support",
    "/datasets/support?new",
    "/datasets/support?q=nothing",
    "/datasets/support?version=1&tag=delivery",
    "/datasets/support/case?id=talk",
    "/datasets/support/case?id=talk&edit",
    "/datasets/support/case?id={sealed}",
    "/datasets/support/review",
    "/datasets/empty/review",
    "/datasets/support/versions",
    "/datasets/support/versions/3",
    "/prompts?new",
    "/prompts/support",
    "/prompts/support/edit",
    "/prompts/support/versions/3",
    "/prompts/support/difference?before=1&after=3",
    "/runs?new",
    f"/runs/{RUN}",
    f"/runs/{RUN}?show=worse&order=loss",
    f"/runs/{RUN}?q=nothing",
    f"/runs/{RUN}/case?case=case-4",
    f"/runs/{RUN}/compare",
    f"/runs/{RUN}/compare?show=same&scorer=judge",
    "/runs/260921-110000-wait",
    "/traces/{agent}",
    "/traces/{picture}",
    "/traces/{wide}",
    "/playground?new",
    "/playground?trace={agent}&span={agent_call}",
]
# Width, height, theme: each theme's colours and each layout's elements are checked once.
SCREENS = ((1600, 1000, "light"), (1024, 768, "dark"), (390, 844, "dark"))
FOUND = {
    "failed_over": "failure=upstream_slow",
    "agent": "status=error&latency_min=3s",
    "picture": "range=all&q=dented",
}
SETTLED = (
    "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    ".then(() => Promise.all(document.getAnimations().map(each => each.finished.catch(() => null))))"
)
MAX_HTML = 100_000
SHIFT = (
    "window.shift = 0; new PerformanceObserver(list => { for (const entry of list.getEntries()) window.shift += entry.value })"
    ".observe({type: 'layout-shift', buffered: true})"
)

pytestmark = needs_chromium


def violations(page: Page, within: str) -> list[str]:
    """What axe-core finds that is serious or critical, with the elements it is about."""
    page.evaluate(AXE.read_text())
    options = "{resultTypes: ['violations'], preload: false, iframes: false}"
    found = page.evaluate(f"async within => (await axe.run(within, {options})).violations", within)
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def expect_usable(page: Page, where: str, *, within: str = "html") -> None:
    if AXE.exists() or os.environ.get("RATCHET_TEST_NO_SKIP"):
        assert violations(page, within) == [], where


def name_of(path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", path).strip("-")[:40]


def address(site: Site, path: str) -> str:
    """`path` with the traces that it names by what is special about them."""
    client = site.studio.client(site.studio.member(Role.ADMIN))
    traces = {"wide": site.wide} | {
        name: client.get(f"/api/traces?limit=1&{query}").json()["rows"][0]["trace_id"]
        for name, query in FOUND.items()
    }
    spans = client.get(f"/api/traces/{traces['agent']}").json()["spans"]
    call = next(each["span_id"] for each in spans if each["request_model"])
    spans = client.get(f"/api/traces/{traces['failed_over']}").json()["spans"]
    lost = next(each["span_id"] for each in spans if each["operation"] == "attempt")
    return site.url + path.format(**traces, agent_call=call, lost=lost, sealed=sealed_case(site.studio))


@pytest.mark.parametrize("path", [*PAGES, *OTHERS])
def test_every_page_fits_stands_still_is_light_and_is_for_everyone(
    site: Site, chromium: Browser, path: str
) -> None:
    url = address(site, path)
    with signed_in(site, chromium, Role.ADMIN) as page:
        page.add_init_script(SHIFT)
        size = len(page.request.get(url).body())
        assert size <= MAX_HTML, f"{size:,} bytes of HTML"
        for width, height, theme in SCREENS:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": height})
            page.goto(url)
            page.evaluate(SETTLED)
            assert page.evaluate("window.shift") < 0.01, f"{path} moves at {width}"
            assert fits(page), f"{path} overflows at {width}"
            keep(page, f"page-{name_of(path)}-{width}-{theme}")
            if width != 1024:
                expect_usable(page, f"{path} at {width} in {theme}")
        if "nowhere" in path:
            site.complaints.clear()  # the browser itself logs what is answered with an error


@pytest.mark.parametrize("path", ["/playground", "/budgets"])
@pytest.mark.parametrize("late", ["page", "script"])
def test_what_comes_late_moves_nothing(site: Site, chromium: Browser, path: str, late: str) -> None:
    with signed_in(site, chromium, Role.ADMIN) as page:
        page.add_init_script(SHIFT)
        page.set_viewport_size({"width": 1600, "height": 1000})
        if late == "script":
            page.route("**/*.js", lambda route: (time.sleep(0.3), route.continue_()))
        else:
            page.goto(site.url + path)  # what all pages share is there already the next time
            line = page.context.new_cdp_session(page)
            line.send("Network.enable")
            slow = {"offline": False, "latency": 20, "downloadThroughput": 6000, "uploadThroughput": 100_000}
            line.send("Network.emulateNetworkConditions", slow)
        page.goto(site.url + path)
        page.evaluate(SETTLED)
        assert page.evaluate("window.shift") < 0.005


def test_menus_dialogs_and_the_palette_are_for_everyone_too(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.ADMIN) as page:
        page.goto(f"{site.url}/traces?range=all")
        for menu in ("#filter-menu", "#views", ".add-cases", ".export:not(.add-cases)", ".account"):
            page.locator(f"{menu} > summary").click()
            expect_usable(page, menu, within=menu)
            page.keyboard.press("Escape")
        for key in ("?", "Control+k"):
            page.keyboard.press(key)
            page.locator("dialog[open]").wait_for()
            expect_usable(page, key, within="dialog[open]")
            page.keyboard.press("Escape")
        page.set_viewport_size({"width": 390, "height": 844})
        page.locator("[data-menu]").click()
        expect_usable(page, "the menu on a phone", within=".side")
