"""A radiograph dropped on the page, in a real browser, is a job on the list."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.builders import cr_header, write_dicom
from tests.web.browser import known_as

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from playwright.sync_api import Browser

DROP = """([hand, name]) => {
  const bytes = Uint8Array.from(atob(hand), (letter) => letter.charCodeAt(0));
  const dropped = new DataTransfer();
  dropped.items.add(new File([bytes], name));
  dropped.items.add(new File(["no picture"], "notes.txt"));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector("#drop").dispatchEvent(
      new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: dropped }));
  }
}"""


def test_a_dropped_radiograph_is_on_the_list(
    browser: Browser, client: httpx.Client, tmp_path: Path
) -> None:
    hand = write_dicom(tmp_path / "hand.dcm", cr_header()).read_bytes()
    errors: list[str] = []
    page = browser.new_page(**known_as(client), viewport={"width": 390, "height": 800})
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(f"{client.base_url}/upload")
    expect(page.get_by_role("button", name="Upload")).to_be_hidden()
    page.evaluate(DROP, [base64.b64encode(hand).decode(), "hand.dcm"])
    expect(page.locator("#summary")).to_have_text("1 accepted, 1 refused")
    lines = page.locator("#files li")
    expect(lines.nth(1)).to_contain_text("not a DICOM file")
    width = page.evaluate("document.documentElement.scrollWidth")
    page.locator("#folder").set_input_files(str(_folder(tmp_path, hand)))
    expect(page.locator("#summary")).to_have_text("1 accepted, 1 present, 1 refused")
    expect(lines.nth(2)).to_contain_text("inner/again.dcm")
    complaints = list(errors)  # the job's page has more: the file has no picture to draw
    lines.nth(0).get_by_role("link", name="job 1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Job 1")
    page.goto(f"{client.base_url}/")
    expect(page.get_by_role("link", name="Job 1")).to_be_visible()
    page.close()
    assert width == 390
    assert complaints == [
        "Failed to load resource: the server responded with a status of 409 (Conflict)"
    ]


def _folder(tmp_path: Path, hand: bytes) -> Path:
    """Return a folder with a radiograph in a folder in it."""
    inner = tmp_path / "disc" / "inner"
    inner.mkdir(parents=True)
    (inner / "again.dcm").write_bytes(hand)
    return tmp_path / "disc"
