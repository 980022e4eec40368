"""A batch by mouse in a real Chromium: asked for, followed, cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node import jobs
from dicom_node.states import JobState
from tests.builders import cr_header, kept_instance
from tests.web.browser import complaints_of, known_as

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from playwright.sync_api import Browser

    from tests.web.conftest import Jobs

pytestmark = pytest.mark.usefixtures("broker")


def test_a_batch_is_cancelled(
    browser: Browser, client: httpx.Client, make: Jobs, tmp_path: Path
) -> None:
    with make.node.database.write() as session:
        first = jobs.receive(session, kept_instance(make.node.storage, tmp_path, cr_header()))
    assert first is not None
    make.move(first, JobState.RECEIVED, JobState.REJECTED, "a foot")
    chosen = f"job={first}&job={make.rejected('a foot')}"
    page = browser.new_page(**known_as(client))
    complaints = complaints_of(page)
    page.goto(f"/actions/rerun?{chosen}")
    page.get_by_role("button", name="Re-run 2 jobs").click()
    page.get_by_text("Batch 1: re-run 2 jobs").wait_for()
    page.get_by_text("2 jobs", exact=True).wait_for()  # done with, after it was asked for again
    page.get_by_text("Cancel this batch…").click()
    page.get_by_role("button", name="Cancel batch 1").click()
    page.get_by_role("heading", name="Cancelled").wait_for()
    page.close()
    assert complaints == []
