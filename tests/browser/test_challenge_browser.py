"""The snippet of docs/trust.md in a real browser, on a page of another origin than the gateway's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from browser_site import CHROMIUM, FLAGS, needs_chromium
from playwright.async_api import async_playwright
from tests.conftest import RunningGateway, eventually, running_app

pytestmark = needs_chromium

DOCS = Path(__file__).parents[2] / "docs" / "trust.md"


def snippet(address: str, key: str) -> str:
    """As it stands there, with the gateway's address and the key."""
    (code,) = re.findall(r"^```js\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 32
    return code.replace("http://127.0.0.1:8080", address).replace("rk-pub-…", key)


async def a_page(scope: Any, _receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>An app</title>"})


async def test_a_page_solves_its_challenge_and_asks(gateway: RunningGateway) -> None:
    async with (
        running_app(a_page) as address,
        running_app(a_page) as elsewhere,
        async_playwright() as playwright,
    ):
        origin = address.replace("127.0.0.1", "localhost")
        key = gateway.new_key("web", publishable=True, origins=[origin])
        await eventually(lambda: gateway.services.snapshot.origins)
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await chromium.new_page()
        await page.goto(origin)
        await page.add_script_tag(content=snippet(gateway.url, key))
        asked = """async (text) => {
            const begun = performance.now();
            const answer = await ask({ model: "support", messages: [{ role: "user", content: text }] });
            return [answer.status, (await answer.json()).choices?.[0].message.content, performance.now() - begun, pass];
        }"""
        status, said, took, first = await page.evaluate(asked, "What is 2 + 2?")
        assert (status, bool(said), bool(first)) == (200, True, True)
        print(f"the first answer took {took:.0f} ms, with its challenge")
        assert (await page.evaluate(asked, "And 3 + 3?"))[::3] == [200, first]
        await page.evaluate("pass = 'expired'")
        status, _, _, fresh = await page.evaluate(asked, "And 4 + 4?")
        assert (status, fresh not in ("", first)) == (200, True)
        assert len({call.user_id for call in gateway.calls()}) == 1

        await page.goto(elsewhere)
        await page.add_script_tag(content=snippet(gateway.url, key))
        stolen = "ask({ model: 'support', messages: [] }).then(() => 'read', (error) => error.name)"
        assert await page.evaluate(stolen) == "TypeError"  # the browser lets the page see nothing
        await chromium.close()
    assert [call.status for call in gateway.calls()] == ["ok", "ok", "error", "ok"]
