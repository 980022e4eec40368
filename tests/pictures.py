"""What the READMEs show of the pages: ``python -m tests.pictures`` (`make pictures`).

Starts a node with a seed, so that every name and every radiograph is invented, does what an admin
would, and leaves pictures of the pages in docs/worklist.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image
from playwright.sync_api import expect

from dicom_node.db import JobRow
from dicom_node.states import JobState
from tests.peers import wait_until
from tests.seeded import WORK_MS, finish_batch, seeded_day

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.seeded import Day

PROJECT: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = PROJECT / "docs" / "worklist"
JOBS, WITH_PICTURE = 400, 24
WIDTH_PX: Final = 1280
COLOURS: Final = 255
SETTLED: Final = 3
"""So many of a batch are through when it is photographed."""


def main() -> None:
    """Write the pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bone-age-pictures-") as name,
        seeded_day(Path(name), JOBS, WITH_PICTURE) as day,
    ):
        show_all(day, day.browser.new_page(**day.login))
    for path in sorted(PICTURES.glob("*.png")):
        print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // 1000} kB")  # noqa: T201


def show_all(day: Day, page: Page) -> None:
    """Go through the pages as an admin would, and photograph them."""
    wait_until(lambda: is_well(page), WORK_MS / 1000, "every part of the node")
    page.goto("/dashboard?span=day")
    photograph(page, "dashboard", 860)
    page.goto("/")
    page.get_by_role("link", name="Failed sends of the last 7 days").click()
    page.locator("#pick-page").check()
    photograph(page, "list", 860)
    page.get_by_role("button", name="Re-run…").click()
    page.get_by_role("button", name="Re-run").click()
    bar = page.get_by_role("progressbar")
    wait_until(lambda: float(bar.get_attribute("value") or 0) >= SETTLED, WORK_MS / 1000, "some")
    photograph(page, "batch", 560)
    finish_batch(page)

    [job_id, *_] = [
        one
        for one in day.with_file(JobRow.state == JobState.CONFIRMED)
        if day.node.show(one)["finding"]["sex"] == "F"
    ]
    page.goto(f"/actions/rerun?job={job_id}")
    page.get_by_label("Sex").select_option("male")
    page.get_by_role("button", name=f"Re-run job {job_id}").click()
    expect(page.locator(".heading .state")).to_have_text("sent", timeout=WORK_MS)
    page.reload()
    page.locator("#viewer[data-state=ready]").wait_for()
    photograph(page, "job", 1400)
    page.get_by_role("link", name=f"Compare with job {job_id}").first.click()
    page.get_by_role("rowheader", name="Sex differs").wait_for()
    photograph(page, "comparison", 1400)


def is_well(page: Page) -> bool:
    """Tell whether the list says that every part of the node runs."""
    page.goto("/")
    return page.locator(".health").inner_text().startswith("ok")


def photograph(page: Page, name: str, height_px: int) -> None:
    """Save the upper part of what a page shows, in few colours."""
    path = PICTURES / f"{name}.png"
    page.set_viewport_size({"width": WIDTH_PX, "height": height_px})
    page.wait_for_load_state("load")
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
