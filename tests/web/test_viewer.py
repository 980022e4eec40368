"""OHIF, served by the worklist over its own DICOMweb, in a real browser."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from pydicom.uid import JPEG2000Lossless

from dicom_node import vocabulary as v
from tests.ohif import WINDOW_PX, Ohif, reader
from tests.peers import HOST, wait_until
from tests.samples import a_finding
from tests.web.browser import known_as
from tests.web.store import a_phantom, add_results, keep
from worklist import viewer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Browser

    from dicom_node.node import Node

PROJECT = Path(__file__).resolve().parents[2]
SHOWN_SECONDS = 60.0
NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@pytest.fixture(scope="module")
def ohif_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the OHIF that the tests have, made ready as ``make viewer`` does."""
    folder = tmp_path_factory.mktemp("vendor") / "ohif"
    left_out = shutil.ignore_patterns("ort", "dicom-microscopy-viewer")
    shutil.copytree(reader("ohif"), folder, ignore=left_out)
    subprocess.run([PROJECT / "scripts" / "install_viewer.sh", folder], check=True)
    return folder


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, ohif_folder: Path) -> None:
    """Let the page serve it."""
    monkeypatch.setattr(viewer, "FOLDER", ohif_folder)


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(viewer, "FOLDER", tmp_path / "none")


@pytest.fixture
def opened(
    browser: Browser, node: Node, client: httpx.Client, installed: None
) -> Iterator[tuple[Ohif, list[str]]]:
    """Return OHIF with a phantom's study open, and the addresses that it asked."""
    del installed
    radiograph = a_phantom(is_drawn=True, PatientName="Phantom^Hand")
    radiograph.compress(JPEG2000Lossless, generate_instance_uid=False)
    add_results(node, keep(node, radiograph))
    path = viewer.study_url(str(radiograph.StudyInstanceUID))
    asked: list[str] = []
    page = browser.new_page(**known_as(client), viewport=WINDOW_PX)  # type: ignore[arg-type]
    page.set_default_timeout(1000 * SHOWN_SECONDS)
    page.add_init_script(NOTE_VIOLATIONS)
    ohif = Ohif(page)
    page.on("pageerror", lambda error: ohif.errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(str(client.base_url.join(str(path))))
    ohif.overlay().wait_for()
    yield ohif, asked
    page.close()


def greys(ohif: Ohif) -> int:
    """Return how many shades the viewport shows: a blank one has few."""
    with Image.open(io.BytesIO(ohif.viewport().screenshot())) as image:
        return int(np.unique(np.asarray(image.convert("L"))[100:-100, 200:-200]).size)


def test_the_radiograph_is_shown_and_the_report_is_listed(
    opened: tuple[Ohif, list[str]], client: httpx.Client
) -> None:
    ohif, asked = opened
    expect(ohif.page.get_by_text("SYNTHETIC phantom").first).to_be_visible()
    wait_until(lambda: greys(ohif) > 100, SHOWN_SECONDS, "the radiograph's shades")
    for description in (v.SC_SERIES_DESCRIPTION, v.SR_SERIES_DESCRIPTION):
        expect(ohif.page.get_by_text(description).first).to_be_visible()
    ohif.open_series(v.SR_SERIES_DESCRIPTION)
    assert "CodeMeaning" in ohif.tags(v.BONE_AGE.meaning)
    assert "NumericValue" in ohif.tags(f"{a_finding().estimate.bone_age_months:.1f}")
    assert ohif.errors == []
    assert ohif.page.evaluate("window.violations") == []
    ours = (f"{client.base_url.scheme}://{client.base_url.netloc.decode()}/", "blob:", "data:")
    assert [url for url in asked if not url.startswith(ours)] == []
    assert client.base_url.host == HOST


def test_the_policy_of_the_viewer_is_its_own(installed: None, client: httpx.Client) -> None:
    del installed
    page = client.get("/viewer/basic?StudyInstanceUIDs=1.2.3")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "'unsafe-eval'" not in policy
    assert "http" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert client.get("/").headers["content-security-policy"] != policy
    assert client.get("/viewer", follow_redirects=False).headers["location"] == "/viewer/"
    config = client.get("/viewer/app-config.js").text
    assert '"qidoRoot": "/dicomweb"' in config
    assert "://" not in config


@pytest.mark.parametrize(
    "path", ["no.js", "../web.py", "..%2f..%2fweb.py", "%2e%2e/web.py", ".version", "a%00.js"]
)
def test_nothing_else_is_served(installed: None, client: httpx.Client, path: str) -> None:
    del installed
    assert client.get(f"/viewer/{path}").status_code == 404


def test_without_ohif_the_page_says_what_to_do(absent: None, client: httpx.Client) -> None:
    del absent
    for path in ("/viewer/", "/viewer/basic?StudyInstanceUIDs=1.2.3", "/viewer/app.js"):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "make viewer" in answer.text
    assert viewer.study_url("1.2.3") is None


def test_the_address_of_a_study(installed: None) -> None:
    del installed
    assert viewer.study_url("1.2.3") == "/viewer/basic?StudyInstanceUIDs=1.2.3"
    assert viewer.study_url("1.2.3", series_instance_uid="1.2.4") == (
        "/viewer/basic?StudyInstanceUIDs=1.2.3&initialSeriesInstanceUID=1.2.4"
    )
