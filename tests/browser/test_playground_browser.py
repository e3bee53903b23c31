"""The playground in a real browser, in front of a real gateway: streams, stops, keeps, and works without scripts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from browser_site import Site, keep, needs_chromium, running_site, signed_in, watched
from playwright.sync_api import Browser, Page, expect
from tests.conftest import running_app, running_gateway
from tests.test_studio_playground import collecting

from ratchet.domain.access import Role
from ratchet.simulator.app import simulator_app
from ratchet.simulator.server import SimulatorProtocol
from ratchet.store.records.members import start_login
from ratchet.studio.access import COOKIE

pytestmark = needs_chromium

SAME = {"sec-fetch-site": "same-origin"}
SETTINGS = '[providers.sim]\nkind = "simulator"\nbase_url = "{quick}"\n[providers.slow]\nkind = "simulator"\nbase_url = "{slow}"\n'


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A studio and a gateway over the same records; `slow` writes far slower than models do."""
    folder = tmp_path_factory.mktemp("playground")
    ready, leave = threading.Event(), asyncio.Event()
    found: list[object] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with (
            running_app(simulator_app(seed=0, pace=0), SimulatorProtocol) as quick,
            running_app(simulator_app(seed=0, pace=8), SimulatorProtocol) as slow,
            running_gateway(folder, SETTINGS.format(quick=f"{quick}/v1", slow=f"{slow}/v1")) as gateway,
        ):
            found.append(gateway)
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    gateway = found[0]
    with running_site(folder, records=gateway.records, gateway_address=gateway.url) as site:
        with collecting(gateway, site.studio.store):
            yield site
        loop.call_soon_threadsafe(leave.set)
        thread.join(30)
    loop.close()


def open_blank(page: Page, site: Site, *models: str) -> None:
    page.goto(f"{site.url}/playground?new")
    for number, model in enumerate(models, 1):
        page.locator(f"#c{number}-model").fill(model)


def test_ctrl_enter_asks_every_column_and_a_reload_loses_nothing(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o-mini")
        page.locator("#v-question").fill("Do you ship to Norway?")
        page.keyboard.press("Control+Enter")
        for number in (1, 2):
            expect(page.locator(f"#column-{number} .answer .words")).not_to_be_empty()
            expect(page.locator(f"#column-{number} .facts")).to_contain_text("$0.0")
        assert "/playground/" in page.url
        said = [each.inner_text() for each in page.locator(".answer").all()]
        page.reload()
        assert [each.inner_text() for each in page.locator(".answer").all()] == said
        assert page.locator("#v-question").input_value() == "Do you ship to Norway?"
        keep(page, "playground-answered")


def test_a_new_variable_gets_a_field_as_it_is_typed_and_the_code_follows(
    playground: Site, chromium: Browser
) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o")
        page.locator("[name='c1.content']").nth(1).fill("{{ question }} In {{ language }}.")
        page.locator("#v-language").fill("German")
        page.locator("#column-1 details", has_text="Show as code").locator("summary").click()
        expect(page.locator("#c1-code")).to_contain_text("When are you open? In German.")
        page.locator("#column-1 details", has_text="JSON Schema").locator("summary").click()
        page.locator("[name='c1.schema']").fill("{")
        expect(page.locator("#column-1 [data-flaw-text]")).to_contain_text("not JSON")


def test_an_answer_streams_and_can_be_stopped(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "slow/gpt-6.1-sol", "sim/gpt-4o")
        page.locator("[name='c1.content']").nth(1).fill(
            "Tell me everything about your shop, at length, in 300 words."
        )
        page.locator("#column-1 [data-run-one]").click()
        expect(page.locator("#column-1 .answer .words")).not_to_be_empty(timeout=30_000)
        assert page.locator("#column-1 [data-result]").get_attribute("aria-busy") == "true"
        page.locator("#column-1 [data-stop]").click()
        expect(page.locator("#column-1 .result")).to_contain_text("Stopped.")
        expect(page.locator("#column-1 [data-run-one]")).to_be_visible()
        assert page.locator("#column-2 .answer").count() == 0


def test_two_windows_do_not_overwrite_each_other(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o")
        expect(page.locator("[data-kept]")).to_have_text("kept")
        other = page.context.new_page()
        other.goto(page.url)
        other.locator("#v-question").fill("Where are you?")
        expect(other.locator("[data-kept]")).to_have_text("kept")
        page.locator("#v-question").fill("Who are you?")
        expect(page.locator("[data-problem]")).to_contain_text("another window")
        playground.complaints.clear()  # the browser itself logs the 409


def test_columns_are_run_over_a_dataset(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        made = page.request.post(f"{playground.url}/api/datasets", data={"name": "shop"}, headers=SAME)
        assert made.ok, made.text()
        case = {"input": {"question": "When are you open?"}}
        page.request.post(f"{playground.url}/api/datasets/shop/cases", data={"cases": [case]}, headers=SAME)
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o-mini")
        page.get_by_text("Run a dataset").click()
        page.locator("#d-dataset").fill("shop")
        page.locator("#d-scorers").fill("contains")
        page.locator("#d-save").focus()
        keep(page, "playground-dataset")
        page.get_by_role("button", name="Begin the run").click()
        expect(page.get_by_role("alert").first).to_contain_text("Column 1 is no version of a prompt")
        assert page.locator("#d-dataset").input_value() == "shop"
        page.locator("#d-save").fill("tried")
        page.get_by_role("button", name="Begin the run").click()
        expect(page.get_by_role("status").filter(has_text="has begun")).to_contain_text(
            "2 candidates over shop@1"
        )
        page.locator(".notice a[href^='/runs/']").click()
        expect(page.locator("h1")).to_contain_text("playground")
        playground.complaints.clear()  # the browser itself logs the 400


def test_columns_can_be_copied_while_something_is_being_kept(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o")
        page.locator("#v-question").fill("Are you there?")
        page.locator("button[value='copy:1']").click()
        expect(page.locator("[data-column]")).to_have_count(3)
        assert page.locator("#v-question").input_value() == "Are you there?"


def test_without_scripts_the_same_form_asks_and_shows(playground: Site, chromium: Browser) -> None:
    context = watched(playground, chromium.new_context(java_script_enabled=False))
    login = start_login(
        playground.studio.records, playground.studio.member(Role.DEVELOPER), now=playground.studio.clock()
    )
    context.add_cookies([{"name": COOKIE, "value": login, "url": playground.url}])
    page = context.new_page()
    open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o-mini")
    page.get_by_role("button", name="Run all").click()
    page.wait_for_load_state()
    assert page.locator(".answer").count() == 2
    context.close()


def test_a_call_opens_in_the_playground_from_its_trace(playground: Site, chromium: Browser) -> None:
    with signed_in(playground, chromium, Role.DEVELOPER) as page:
        open_blank(page, playground, "sim/gpt-4o", "sim/gpt-4o")
        page.get_by_role("button", name="Run all").click()
        page.locator("#column-1 .facts a").click()
        page.get_by_role("link", name="Open in the playground").click()
        expect(page.locator("[name='c1.content']").nth(1)).to_have_value("When are you open?")
        assert page.locator("#c1-model").input_value() == "sim/gpt-4o"
