"""A studio on a port of its own for a real browser, and what every look at it must hold to."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from dataset_seed import fill_datasets
from failing_seed import fill_trouble
from guarding_seed import cached_calls, guarding, guarding_events
from playwright.sync_api import Browser, BrowserContext, Page
from run_seed import fill_runs
from studio_harness import Clock, Studio, fill, running_studio
from studio_prompts import fill_prompts
from studio_seed import support_traffic, wide_trace

from ratchet.domain.access import Role
from ratchet.store.records.members import start_login
from ratchet.studio.access import COOKIE

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"
PATIENCE = 30_000  # milliseconds: two cores may have other things to do

needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists() and not os.environ.get("RATCHET_TEST_NO_SKIP"),
    reason="chromium is not installed",
)


@dataclass
class Site:
    """A studio on a port of its own, and what browsers there asked for and complained about."""

    url: str
    studio: Studio
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    wide: str = ""


@contextmanager
def running_site(folder: Path, **services: Any) -> Iterator[Site]:
    """With a shop's traffic and one trace of 10,000 spans; `services` are more of the studio's."""
    services = {"begin_run": lambda _run_id: None, "in_force": guarding, **services}
    with running_studio(folder, clock=Clock(time.time_ns()), collect_at_once=True, **services) as studio:
        fill(studio, support_traffic(studio.clock()), "support")
        studio.store.insert_spans(cached_calls(studio.clock()), token="cached")
        studio.store.insert_events(guarding_events(studio.clock()), token="guarding")
        fill_trouble(studio)
        fill_datasets(studio)
        fill_prompts(studio)
        fill_runs(studio)
        wide = wide_trace(studio.clock())
        fill(studio, wide, "wide")
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(studio.app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Site(
            url=f"http://127.0.0.1:{listener.getsockname()[1]}", studio=studio, wide=wide.spans[0].trace_id
        )
        server.should_exit = True
        thread.join(10)
        listener.close()


def watched(site: Site, context: BrowserContext) -> BrowserContext:
    """What its pages ask of other machines, and what they say on the console, is noted in `site`."""
    context.set_default_timeout(PATIENCE)
    context.on(
        "request",
        lambda request: None if request.url.startswith(site.url) else site.foreign.append(request.url),
    )
    context.on(
        "console",
        lambda message: (
            site.complaints.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    context.on("weberror", lambda error: site.complaints.append(str(error.error)))
    return context


@contextmanager
def signed_in(site: Site, chromium: Browser, role: Role, *, width: int = 1280) -> Iterator[Page]:
    """A page of a member with that role. At its end nothing foreign was asked for and nothing complained."""
    site.foreign.clear()
    site.complaints.clear()
    context = watched(site, chromium.new_context(viewport={"width": width, "height": 900}))
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.url)
    login = start_login(site.studio.records, site.studio.member(role), now=site.studio.clock())
    context.add_cookies([{"name": COOKIE, "value": login, "url": site.url}])
    yield context.new_page()
    context.close()
    assert site.foreign == [], "no request may leave the machine"
    assert site.complaints == [], "the console must stay empty"


def keep(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def fits(page: Page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
