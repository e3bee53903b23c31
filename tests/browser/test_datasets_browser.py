"""Datasets in a real browser: made, filled from a file and by hand, searched, changed, divided, reviewed by keyboard."""

from __future__ import annotations

from pathlib import Path

from browser_site import Site, keep, needs_chromium, signed_in
from dataset_seed import NAME
from playwright.sync_api import Browser, expect

from ratchet.domain.access import Role

pytestmark = needs_chromium

LINES = (
    '{"input": "How long can I return goods?", "reference": "30 days"}\n{"input": "Where is my parcel?"}\n'
)


def test_a_dataset_from_nothing_to_splits(site: Site, chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "cases.jsonl").write_text(LINES)
    with signed_in(site, chromium, Role.DEVELOPER) as page:
        page.goto(f"{site.url}/datasets")
        page.get_by_role("link", name="New dataset").click()
        page.get_by_label("Name").fill("browser")
        page.get_by_role("button", name="Make the dataset").click()
        expect(page.get_by_role("heading", name="No cases yet")).to_be_visible()
        page.locator(".import-card input[type=file]").set_input_files(tmp_path / "cases.jsonl")
        page.locator(".import-card").get_by_role("button", name="Import").click()
        expect(page.get_by_text("Version 1: 2 added")).to_be_visible()

        page.get_by_role("link", name="New case").click()
        page.get_by_role("textbox", name="Input").fill("Do you repair tents?")
        page.get_by_role("textbox", name="Reference").fill("Yes, for 18 euros.")
        page.get_by_label("Tags").fill("repair")
        page.get_by_role("button", name="Add the case").click()
        expect(page.get_by_text("Version 2: 1 added")).to_be_visible()
        keep(page, "dataset-added")

        page.keyboard.press("/")
        page.keyboard.type("repair")
        page.keyboard.press("Enter")
        expect(page.locator(".list tbody tr")).to_have_count(1)
        page.locator("body").click(position={"x": 900, "y": 5})
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Do you repair tents?")).to_be_visible()
        page.keyboard.press("e")
        page.get_by_role("textbox", name="Reference").fill("Yes, for 20 euros.")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Yes, for 20 euros.")).to_be_visible()
        page.get_by_text("In version 2").click()
        expect(page.get_by_text("Yes, for 18 euros.")).to_be_visible()

        page.goto(f"{site.url}/datasets/browser")
        page.get_by_text("Divide into train, dev and test").click()
        page.get_by_role("button", name="Divide").click()
        expect(page.get_by_text("3 groups of cases that belong together")).to_be_visible()
        page.get_by_role("link", name="4", exact=True).click()
        expect(page.locator("tbody tr")).to_have_count(4)


def test_reviewing_by_keyboard(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.ANNOTATOR) as page:
        page.goto(f"{site.url}/datasets/{NAME}")
        page.get_by_role("link", name="Review them").click()
        expect(page.get_by_text("1 of 3 waiting")).to_be_visible()
        page.keyboard.press("n")
        expect(page.get_by_text("2 of 3 waiting")).to_be_visible()
        page.keyboard.press("a")
        expect(page.get_by_text("2 of 2 waiting")).to_be_visible()
        page.keyboard.press("r")
        expect(page.get_by_text("1 of 1 waiting")).to_be_visible()
        page.keyboard.press("e")
        page.get_by_role("textbox", name="Input").fill("What do parcels to Greenland cost?")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("What do parcels to Greenland cost?")).to_be_visible()
        page.keyboard.press("a")
        expect(page.get_by_role("heading", name="Nothing is waiting")).to_be_visible()


def test_a_file_is_exported(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.VIEWER) as page:
        page.goto(f"{site.url}/datasets/{NAME}")
        page.locator(".export > summary").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Parquet").click()
        assert download.value.suggested_filename.startswith(f"{NAME}-v")
        assert download.value.suggested_filename.endswith(".parquet")
        assert page.get_by_role("link", name="sealed cases").count() == 0


def test_a_trace_becomes_a_case(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.ANNOTATOR) as page:
        page.goto(f"{site.url}/traces?range=all&route=support")
        page.locator(".row-link").first.click()
        page.get_by_text("Add to a dataset").click()
        page.get_by_label("Dataset").fill("from-traces")
        page.get_by_role("textbox", name="Reference").fill("What it should have said")
        page.get_by_role("button", name="Add the case").click()
        page.locator("#case-added").get_by_role("link").click()
        expect(page.get_by_text("What it should have said")).to_be_visible()
        page.locator(".pairs a[href^='/traces/']").click()
        expect(page.get_by_role("tree")).to_be_visible()


def test_a_list_of_traces_becomes_cases(site: Site, chromium: Browser) -> None:
    with signed_in(site, chromium, Role.ANNOTATOR) as page:
        page.goto(f"{site.url}/traces?range=all&score=thumb&score_max=0")
        page.locator(".add-cases > summary").click()
        page.locator(".add-cases").get_by_label("Dataset").fill("unhappy")
        keep(page, "traces-add-cases")
        page.get_by_role("button", name="Add to the dataset").click()
        expect(page.get_by_role("heading", name="unhappy")).to_be_visible()
        expect(page.get_by_text("Version 1:")).to_be_visible()
