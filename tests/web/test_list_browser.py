"""The list in a real browser: what comes while one looks, keys, selection, and selection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dicom_node.states import JobState
from tests.web.browser import known_as

if TYPE_CHECKING:
    import httpx
    from playwright.sync_api import Browser, Page

    from tests.web.conftest import Jobs

PATIENT = {"PatientName": "Phantom^Ada", "PatientID": "PH-1", "StudyDate": "20250131"}


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
