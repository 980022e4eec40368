"""The list in a real browser: what comes while one looks, keys, selection, phones, and axe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from playwright.sync_api import expect, sync_playwright

from dicom_node.states import DeliveryState, JobState
from tests.ohif import CHROMIUM_FLAGS
from tests.peers import missing, need
from tests.web.browser import known_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Browser, Page

    from tests.web.conftest import Jobs

AXE: Final = Path(__file__).resolve().parents[1] / ".peers" / "axe" / "axe.min.js"
AXE_RUN: Final = """async () => (await axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a",
    "wcag21aa", "wcag22aa", "best-practice"]})).violations.map(
    (found) => [found.id, found.nodes.map((node) => node.html)])"""
PATIENT = {"PatientName": "Phantom^Ada", "PatientID": "PH-1", "StudyDate": "20250131"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=need("chromium"), args=list(CHROMIUM_FLAGS)
        ) as opened,
    ):
        yield opened


def opened(browser: Browser, client: httpx.Client, path: str = "/", **options: Any) -> Page:  # noqa: ANN401 - playwright's own
    """Open a page of which every complaint fails the test."""
    page = browser.new_page(**known_as(client), **options)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(path)
    return page


def test_jobs_come_and_change_while_one_looks(
    browser: Browser, make: Jobs, client: httpx.Client
) -> None:
    old, other = make.received(**PATIENT), make.received()
    page = opened(browser, client)
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(2)
    page.get_by_label(f"Select job {old}").check()
    page.get_by_label(f"Select job {old}").focus()
    new = make.received()
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text(f"{new}")
    expect(page.locator("#live")).to_have_text("1 new")
    make.move(old, JobState.RECEIVED, JobState.QUEUED)
    expect(rows.nth(2)).to_contain_text("queued")
    assert page.get_by_label(f"Select job {old}").is_checked()
    assert page.evaluate("document.activeElement.value") == str(old)
    expect(page.locator("#live")).to_have_text("1 new, 1 changed")
    expect(page.locator("#picked")).to_have_text("1 selected")
    page.goto("/?state=received")
    make.move(other, JobState.RECEIVED, JobState.QUEUED)
    expect(page.locator(f'tr[data-job="{other}"]')).to_have_class("gone")
    page.close()


def test_the_first_job_of_all_is_announced(
    browser: Browser, make: Jobs, client: httpx.Client
) -> None:
    page = opened(browser, client)
    make.received()
    page.get_by_role("link", name="1 more job fits: read again").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    page.close()


def test_keys(browser: Browser, make: Jobs, client: httpx.Client) -> None:
    made = [make.received() for _ in range(3)]
    page = opened(browser, client)
    for key in "jjkjx":
        page.keyboard.press(key)
    assert page.get_by_label(f"Select job {made[1]}").is_checked()
    page.keyboard.press("/")
    page.keyboard.type("jx?")
    expect(page.locator("#search")).to_have_value("jx?")
    assert page.locator("#keys").is_hidden()
    page.locator("#search").fill("")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{str(client.base_url).rstrip('/')}/jobs/{made[2]}")
    page.close()


def test_all_that_a_filter_shows(browser: Browser, make: Jobs, client: httpx.Client) -> None:
    for _ in range(51):
        make.rejected("no hand")
    page = opened(browser, client, "/?state=rejected")
    page.get_by_label("All 50 on this page").check()
    expect(page.locator("#picked")).to_have_text("50 selected")
    page.get_by_label("All 51 that this filter shows").check()
    expect(page.locator("#picked")).to_have_text("all that this filter shows are selected")
    sent = page.evaluate("[...new FormData(document.getElementById('selection'))]")
    assert ["filter", "state=rejected"] in sent
    assert ["all", "yes"] in sent
    page.locator('input[name="job"]').first.uncheck()
    expect(page.locator("#picked")).to_have_text("49 selected")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_fits_and_everyone_can_use_it(
    browser: Browser, make: Jobs, client: httpx.Client, width: int, scheme: str
) -> None:
    if not AXE.is_file():
        missing("axe")
    _, (lost, arrived) = make.reported(120, destinations=("PACS", "ARCHIVE"), **PATIENT)
    make.deliver(lost, DeliveryState.EXHAUSTED, "given up after 11 attempts: cannot connect")
    make.deliver(arrived, DeliveryState.SENT)
    make.rejected("the picture does not look like a hand radiograph", **PATIENT)
    page = opened(
        browser,
        client,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        bypass_csp=True,
    )
    page.get_by_text("More filters").click()
    page.keyboard.press("j")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.evaluate(AXE.read_text("utf-8"))
    assert page.evaluate(AXE_RUN) == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"list-{width}-{scheme}.png", full_page=True)
    page.close()
