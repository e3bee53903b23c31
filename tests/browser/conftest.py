"""Fixtures for looking at the studio with a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser_site import CHROMIUM, FLAGS, PATIENCE, Site, running_site, signed_in
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ratchet.domain.access import Role

expect.set_options(timeout=PATIENCE)  # two cores are shared with the other worker's tests


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(site: Site, chromium: Browser) -> Iterator[Page]:
    """A page signed in as an annotator, on the trace list."""
    with signed_in(site, chromium, Role.ANNOTATOR) as one:
        one.goto(f"{site.url}/traces")
        yield one
