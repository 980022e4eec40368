"""The pages of actions in a real Chromium: by mouse, on a phone, and for a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from dicom_node import actions, jobs
from dicom_node.states import JobState
from tests.builders import cr_header, kept_instance
from tests.ohif import CHROMIUM_FLAGS
from tests.peers import need
from tests.web.browser import known_as

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Page

    from dicom_node.node import Node
    from tests.web.conftest import Jobs

pytestmark = pytest.mark.usefixtures("broker")

AXE = Path(__file__).parents[1] / ".peers" / "axe" / "axe.min.js"
PHONE_PX, DESK_PX = 390, 1440


@pytest.fixture
def browser_page(client: httpx.Client) -> Iterator[Page]:
    """Return a page of a browser that shows the node's pages."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=need("chromium"), args=list(CHROMIUM_FLAGS)
        ) as browser,
    ):
        yield browser.new_page(**known_as(client))


def complaints(page: Page) -> list[str]:
    """Return what axe finds against WCAG AA, and whether the page is wider than its window."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make peers")
    page.evaluate(AXE.read_text("utf-8"))
    found: Any = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa']})")
    told = [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [*told, *([f"{overflow} px too wide"] if overflow > 0 else [])]


def test_a_rerun_by_mouse_and_every_page_on_a_phone_and_at_a_desk(
    browser_page: Page, node: Node, make: Jobs, tmp_path: Path
) -> None:
    page = browser_page
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = jobs.receive(session, instance)
        assert job_id is not None
    make.move(job_id, JobState.RECEIVED, JobState.QUEUED)
    with node.database.write() as session:
        jobs.claim(session, job_id, "w", 45)
    make.move(job_id, JobState.RUNNING, JobState.REPORTED)
    actions.note(node, job_id, "ada", "The mother says: born in June.")
    rejected = make.rejected("a foot")

    page.goto(f"/jobs/{job_id}")
    page.get_by_role("link", name="Re-run…").click()
    page.get_by_label("Sex").select_option("female")
    page.get_by_label("Priority").select_option("urgent")
    page.get_by_role("button", name=f"Re-run job {job_id}").click()
    page.get_by_role("link", name=f"Compare with job {job_id}").click()
    page.get_by_role("rowheader", name="Corrections differs").wait_for()
    chosen = f"job={job_id}&job={rejected}"
    page.goto(f"/actions/rerun?{chosen}")
    page.get_by_role("button", name="Re-run 2 jobs").click()
    page.get_by_text("Batch 1: re-run 2 jobs").wait_for()
    page.get_by_text("2 jobs", exact=True).wait_for()  # done with, after it was asked for again
    page.get_by_text("Cancel this batch…").click()
    page.get_by_role("button", name="Cancel batch 1").click()
    page.get_by_role("heading", name="Cancelled").wait_for()

    places: tuple[str, ...] = (
        f"/jobs/{job_id}",
        f"/actions/rerun?job={job_id}",
        f"/actions/retry?{chosen}",
    )
    places += (f"/actions/accept?job={rejected}", "/batches", "/batches/1")
    for width in (PHONE_PX, DESK_PX):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for place in (*places, f"/compare/{job_id}/{rejected + 1}"):
                page.goto(place)
                assert (place, width, scheme, complaints(page)) == (place, width, scheme, [])
