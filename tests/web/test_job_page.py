"""The page of one job, made by the real pipeline, in a real Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image

from dicom_node import jobs, log, migrations
from dicom_node.config import load_config
from dicom_node.db import InstanceRow
from dicom_node.infer import load_estimator
from dicom_node.node import Node
from dicom_node.overlay import draw_radiograph
from dicom_node.pixels import read_picture_pixels
from dicom_node.radiograph import wrap_radiograph
from dicom_node.states import DeliveryState, JobState
from models.phantom import draw_phantom
from tests.web.assessed import NAME, SECRETS, Assessed, assess_phantoms, receive
from tests.web.browser import complaints_of, known_as
from tests.web.conftest import Jobs, let_in, private, served
from worklist.access import Role
from worklist.app import create_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from dicom_node.radiograph import Photometric, Voi

Scheme = Literal["light", "dark"]
CONFIG = """
data_directory: data
broker: {url: 'redis://127.0.0.1:1/0'}
destinations: [{name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1}]
results: {parametric_map: true}
worklist: {viewer_url: 'https://pacs.example/view?study={study_instance_uid}'}
"""


@pytest.fixture(scope="module")
def module_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Return a node whose log lines are kept, as those of its parts are."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    made = Node.of(load_config(folder / "config.yaml"))
    migrations.upgrade(made.config)
    yield made
    made.close()


@pytest.fixture(scope="module")
def assessed(module_node: Node) -> Assessed:
    """Return phantom jobs that the real pipeline has assessed."""
    log.configure()
    log.keep(module_node.config.log_folder, "assess", 10, 5)
    try:
        return assess_phantoms(module_node, load_estimator(module_node.config.inference))
    finally:  # the jobs of other tests have the same numbers
        log.stop_keeping()


@pytest.fixture(scope="module")
def page_client(module_node: Node) -> Iterator[httpx.Client]:
    """Return a client of the pages of those jobs."""
    with served(create_app(module_node)) as client:
        let_in(client, module_node, "admin", Role.ADMIN)
        yield client


@pytest.fixture
def page(browser: Browser, page_client: httpx.Client) -> Iterator[Page]:
    """Return a page of a browser; at its end nothing may have been complained of."""
    context = browser.new_context(**known_as(page_client), viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    complaints = complaints_of(opened)
    yield opened
    context.close()
    assert complaints == []


def open_job(page: Page, job_id: int) -> None:
    """Open a job's page and wait for its picture and the heatmap over it."""
    page.goto(f"/jobs/{job_id}")
    page.wait_for_selector("#viewer[data-state=ready]")
    drawn(page)


def drawn(page: Page) -> np.ndarray[Any, Any]:
    """Return the canvas as it is drawn now, (H, W, 3)."""
    address: str = page.evaluate(
        """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
            done(document.querySelector("#viewer canvas").toDataURL());
        })))"""
    )
    file = io.BytesIO(base64.b64decode(address.partition(",")[2]))
    return np.asarray(Image.open(file).convert("RGB")).astype(int)


def is_grey(picture: np.ndarray[Any, Any]) -> bool:
    """Tell whether nothing on the canvas is coloured."""
    return bool((np.ptp(picture, axis=-1) == 0).all())


def png(answer: httpx.Response) -> Image.Image:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return Image.open(io.BytesIO(answer.content))


# --- the images --------------------------------------------------------------------------------


def source(node: Node, job_id: int) -> pydicom.FileDataset:
    with node.database.read() as session:
        path = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id).path
    return pydicom.dcmread(node.storage.absolute(path))


def test_the_radiograph_is_accurate_to_its_last_bit(
    module_node: Node, assessed: Assessed, page_client: httpx.Client
) -> None:
    stored = source(module_node, assessed.present).pixel_array.astype(float)
    image = png(page_client.get(f"/jobs/{assessed.present}/radiograph.png?bits=16"))
    about = json.loads(image.text["GreyValues"])  # type: ignore[attr-defined]
    values = about["low"] + np.asarray(image) * (about["high"] - about["low"]) / 65535
    assert np.abs(values - stored).max() < 0.5
    assert (about["center"], about["width"], about["is_inverse"]) == (2047.5, 4095, False)


def test_the_plain_picture_is_what_the_node_sees(
    module_node: Node, assessed: Assessed, page_client: httpx.Client
) -> None:
    seen = read_picture_pixels(source(module_node, assessed.present))
    shown = np.asarray(png(page_client.get(f"/jobs/{assessed.present}/radiograph.png")))
    assert np.abs(shown / 255 - seen).max() < 0.01


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", ["window", "lut"])
def test_bone_is_bright_however_it_is_stored(
    node: Node, client: httpx.Client, photometric: Photometric, voi: Voi
) -> None:
    picture = draw_phantom("M", 100, height_px=512, width_px=384) / np.float32(4095)
    dataset = wrap_radiograph(picture, photometric=photometric, voi=voi)
    job_id = receive(node, dataset)
    image = png(client.get(f"/jobs/{job_id}/radiograph.png", params={"size": 256}))
    assert image.size == (192, 256)
    halved = picture.reshape(256, 2, 192, 2).mean((1, 3))
    assert np.abs(np.asarray(image) / 255 - halved).max() < 0.02


def test_the_heatmap_lies_over_the_radiograph(
    assessed: Assessed, page_client: httpx.Client
) -> None:
    """At half its strength it is the picture of the secondary capture."""
    plain = png(page_client.get(f"/jobs/{assessed.present}/radiograph.png"))
    heat = png(page_client.get(f"/jobs/{assessed.present}/heatmap.png"))
    assert (heat.mode, heat.size) == ("RGBA", plain.size)
    strength = np.asarray(heat.getchannel("A"))
    assert strength.max() > 200
    assert (strength < 30).mean() > 0.5
    over = heat.copy()
    over.putalpha(heat.getchannel("A").point([round(0.5 * level) for level in range(256)]))
    grey = draw_radiograph(np.asarray(plain) / 255, None, plain.size).convert("RGBA")
    blended = Image.alpha_composite(grey, over).convert("RGB")
    expected = draw_radiograph(np.asarray(plain) / 255, strength / 255, plain.size)
    assert np.abs(np.asarray(blended).astype(int) - np.asarray(expected)).max() <= 2


def test_what_cannot_be_shown_says_why(
    node: Node, make: Jobs, client: httpx.Client, assessed: Assessed
) -> None:
    del assessed
    missing = make.rejected("no body part")
    answer = client.get(f"/jobs/{missing}/radiograph.png")
    assert (answer.status_code, answer.text) == (404, "The received file is missing.\n")
    assert "no picture to show" in client.get(f"/jobs/{missing}").text
    answer = client.get(f"/jobs/{missing}/heatmap.png")
    assert answer.status_code == 404
    assert "not kept" in answer.text
    picture = draw_phantom("M", 100, height_px=256, width_px=256) / np.float32(4095)
    broken = wrap_radiograph(picture, attributes={"PixelData": b"\0\0"})
    answer = client.get(f"/jobs/{receive(node, broken)}/radiograph.png")
    assert answer.status_code == 422
    assert "cannot be decoded" in answer.text
    large = make.received(Rows="20000", Columns="100")
    assert "too large" in client.get(f"/jobs/{large}/radiograph.png").text
    for address in ("/jobs/999/radiograph.png", "/jobs/999/heatmap.png", "/jobs/999/header"):
        assert client.get(address).status_code == 404
    for query in ("size=0", "size=99999", "size=x", "bits=12"):
        assert client.get(f"/jobs/{missing}/radiograph.png?{query}").status_code == 400


# --- the viewer --------------------------------------------------------------------------------


def test_the_picture_by_mouse(page: Page, assessed: Assessed) -> None:
    open_job(page, assessed.present)
    first = drawn(page)
    assert not is_grey(first)  # the heatmap
    canvas = page.locator("#viewer canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] - 150, middle[1] + 100)
    page.mouse.up()
    windowed = drawn(page)
    assert np.abs(windowed - first).max() > 30
    assert int(page.get_by_role("slider", name="Width").input_value().split(".")[0]) < 4000
    page.mouse.wheel(0, -300)
    zoomed = drawn(page)
    assert np.abs(zoomed - windowed).max() > 30
    page.mouse.down(button="right")
    page.mouse.move(middle[0], middle[1])
    page.mouse.up(button="right")
    assert np.abs(drawn(page) - zoomed).max() > 30
    page.get_by_role("button", name="Reset").click()
    assert np.abs(drawn(page) - first).max() == 0


def test_the_picture_by_keys_alone(page: Page, assessed: Assessed) -> None:
    open_job(page, assessed.present)
    first = drawn(page)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "CANVAS":
            break
    assert page.evaluate("document.activeElement.tagName") == "CANVAS"
    assert page.get_by_role("slider", name="Level").get_attribute("aria-valuetext") == "2048"
    seen = [first]
    for key in ("ArrowDown", "ArrowLeft", "i", "+", "Shift+ArrowRight", "h"):
        page.keyboard.press(key)
        seen.append(drawn(page))
        assert np.abs(seen[-1] - seen[-2]).max() > 1, key
    assert is_grey(seen[-1])
    assert page.get_by_role("button", name="Invert").get_attribute("aria-pressed") == "true"
    level = page.get_by_role("slider", name="Level").get_attribute("aria-valuetext")
    assert 2100 < int(level or 0) < 2200
    page.keyboard.press("r")
    assert np.abs(drawn(page) - first).max() == 0


def test_the_heatmaps_strength(page: Page, assessed: Assessed) -> None:
    open_job(page, assessed.present)
    colour = {}
    for percent in ("0", "50", "100"):
        page.get_by_role("slider", name="Heatmap").fill(percent)
        colour[percent] = np.ptp(drawn(page), axis=-1).sum()
    assert colour["0"] == 0
    assert colour["100"] > 1.5 * colour["50"] > 0


def test_the_picture_by_touch(
    browser: Browser, page_client: httpx.Client, assessed: Assessed
) -> None:
    context = browser.new_context(
        **known_as(page_client), viewport={"width": 390, "height": 844}, has_touch=True
    )
    page = context.new_page()
    open_job(page, assessed.present)
    first = drawn(page)
    canvas = page.locator("#viewer canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = context.new_cdp_session(page)

    def send(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x + dx, "y": y + dy, "id": at} for at, (dx, dy) in enumerate(places)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    canvas.focus()
    send("touchStart", (0, 0))
    send("touchMove", (60, 40))
    send("touchEnd")
    windowed = drawn(page)
    assert np.abs(windowed - first).max() > 5
    send("touchStart", (-20, 0), (20, 0))
    send("touchMove", (-90, 0), (90, 0))
    send("touchEnd")
    assert np.abs(drawn(page) - windowed).max() > 30
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_a_picture_that_cannot_be_shown_is_said(
    node: Node, client: httpx.Client, browser: Browser
) -> None:
    picture = draw_phantom("M", 100, height_px=256, width_px=256) / np.float32(4095)
    job_id = receive(node, wrap_radiograph(picture, attributes={"PixelData": b"\0\0"}))
    page = browser.new_page(**known_as(client))
    page.goto(f"/jobs/{job_id}")
    said = page.locator("#viewer .says")
    said.filter(has_text="cannot be decoded").wait_for()
    assert page.locator("#viewer img").is_hidden()
    page.close()


def test_without_scripts_there_is_all_but_the_window(
    browser: Browser, page_client: httpx.Client, assessed: Assessed
) -> None:
    context = browser.new_context(**known_as(page_client), java_script_enabled=False)
    page = context.new_page()
    page.goto(f"/jobs/{assessed.present}")
    assert page.locator("#viewer img").is_visible()
    assert page.locator("#viewer .tools").is_hidden()
    page.get_by_text("Header of the radiograph", exact=True).click()
    page.get_by_role("link", name="Header of the radiograph").click()
    assert page.get_by_role("rowheader", name="PatientName").is_visible()
    context.close()


# --- the details -------------------------------------------------------------------------------


def test_the_header_can_be_searched(page: Page, assessed: Assessed) -> None:
    open_job(page, assessed.present)
    page.get_by_text("Header of the radiograph", exact=True).click()
    rows = page.locator("#header-table tbody tr:visible")
    page.get_by_role("searchbox").wait_for()
    everything = rows.count()
    assert everything > 60
    page.get_by_role("searchbox").fill("0040")
    assert 0 < rows.count() < everything
    page.get_by_role("searchbox").fill("postero-anterior")
    # The code's meaning, and what it stands in: item and sequence.
    assert [text.split("\t")[0] for text in rows.all_inner_texts()] == [
        "ViewCodeSequence",
        "item 1",
        "CodeMeaning",
    ]


def test_the_header_in_full(assessed: Assessed, page_client: httpx.Client) -> None:
    html = page_client.get(f"/jobs/{assessed.present}/header").text
    assert "<html" in html
    for shown in (NAME, "(7FE0,0010)", "1,572,864 bytes", "(0029,1001)", "ViewCodeSequence"):
        assert shown in html
    part = page_client.get(f"/jobs/{assessed.present}/header", headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert part.strip() in html or NAME in part


def test_the_report_as_a_tree(assessed: Assessed, page_client: httpx.Client) -> None:
    html = page_client.get(f"/jobs/{assessed.present}/report-tree").text
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "Imaging Measurement Report" in text
    assert re.search(r"contains XR Bone age : \d+(\.\d+)? month \(mo, UCUM\)", text, re.IGNORECASE)


def test_the_growth_chart(assessed: Assessed, page_client: httpx.Client) -> None:
    html = page_client.get(f"/jobs/{assessed.present}").text
    assert html.count('<circle class="earlier"') == 1
    assert html.count('<circle class="this"') == 1
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "2023-09-20 9 years 6 months" in text
    assert "2025-02-03 (this result) 10 years 10 months" in text
    first = page_client.get(f"/jobs/{assessed.earlier}").text
    assert '<circle class="earlier"' not in first  # nothing of what came later


def test_jobs_of_one_radiograph_lead_to_each_other(
    assessed: Assessed, page_client: httpx.Client
) -> None:
    old = page_client.get(f"/jobs/{assessed.present}").text
    new = page_client.get(f"/jobs/{assessed.again}").text
    assert f'<a href="/jobs/{assessed.again}" rel="next">' in old
    assert f'<a href="/jobs/{assessed.present}" rel="prev">' in new
    assert "PatientSex corrected" in new
    assert f'href="/compare/{assessed.present}/{assessed.again}"' in new


def test_the_viewer_that_is_configured(
    module_node: Node, assessed: Assessed, page_client: httpx.Client
) -> None:
    uid = source(module_node, assessed.present).StudyInstanceUID
    html = page_client.get(f"/jobs/{assessed.present}").text
    assert f'href="https://pacs.example/view?study={uid}"' in html


def test_downloads(module_node: Node, assessed: Assessed, page_client: httpx.Client) -> None:
    job_id = assessed.present
    answer = page_client.get(f"/jobs/{job_id}/results/sr.dcm")
    assert answer.headers["content-type"] == "application/dicom"
    assert f'filename="job-{job_id}-sr.dcm"' in answer.headers["content-disposition"]
    assert pydicom.dcmread(io.BytesIO(answer.content)).Modality == "SR"
    answer = page_client.get(f"/jobs/{job_id}/source.dcm")
    uid = source(module_node, job_id).SOPInstanceUID
    assert pydicom.dcmread(io.BytesIO(answer.content)).SOPInstanceUID == uid
    with zipfile.ZipFile(io.BytesIO(page_client.get(f"/jobs/{job_id}/files.zip").content)) as files:
        kinds = {name.removeprefix(f"job-{job_id}/job-{job_id}-") for name in files.namelist()}
        assert kinds == {"source.dcm", "sr.dcm", "sr-2d.dcm", "sc.dcm", "pm.dcm"}
        assert files.testzip() is None
    for address in ("results/kos.dcm", "results/..%2Fsr.dcm", "results/heatmap.dcm"):
        assert page_client.get(f"/jobs/{job_id}/{address}").status_code == 404
    assert page_client.get("/jobs/999/files.zip").status_code == 404


def test_the_job_as_json(assessed: Assessed, page_client: httpx.Client) -> None:
    job = page_client.get(f"/api/jobs/{assessed.again}").json()
    assert (job["id"], job["state"], job["rerun_of"]) == (
        assessed.again,
        "reported",
        assessed.present,
    )
    assert job["patient"]["name"] == "Zwetschge, Ottilie"
    assert {output["kind"] for output in job["outputs"]} == {"sc", "pm", "sr", "sr-2d"}
    assert job["events"][0]["to_state"] == "received"
    answer = page_client.get(f"/api/jobs/{assessed.again}", headers=private(page_client))
    assert answer.json()["patient"] is None
    assert [secret for secret in SECRETS if secret in answer.text] == []
    assert page_client.get("/api/jobs/999").status_code == 404


# --- who may see what --------------------------------------------------------------------------


def test_the_privacy_switch_hides_the_patient_everywhere(
    assessed: Assessed, page_client: httpx.Client
) -> None:
    parts = ("", "/header", "/report-tree", "/log", "/live")
    for part in parts:
        shown = page_client.get(f"/jobs/{assessed.present}{part}").text
        if part in {"", "/header"}:
            assert SECRETS[0] in shown
        answer = page_client.get(f"/jobs/{assessed.present}{part}", headers=private(page_client))
        assert answer.status_code == 200
        assert [secret for secret in SECRETS if secret.lower() in answer.text.lower()] == []
    assert (
        "SYNTHETIC phantom"
        in page_client.get(f"/jobs/{assessed.present}/header", headers=private(page_client)).text
    )


def test_no_log_tells_of_a_patient(module_node: Node, assessed: Assessed) -> None:
    files = list(module_node.config.log_folder.glob("*.jsonl*"))
    told = "".join(file.read_text("utf-8") for file in files)
    assert f'"job": {assessed.present}' in told
    assert [secret for secret in SECRETS if secret in told] == []


def test_the_log_lines_of_a_job(assessed: Assessed, page_client: httpx.Client) -> None:
    html = page_client.get(f"/jobs/{assessed.present}/log").text
    events = re.findall(r"<td>(received|admitted|reported)</td>", html)
    assert events == ["received", "admitted", "reported"]


# --- live --------------------------------------------------------------------------------------


def test_the_page_follows_its_job(node: Node, make: Jobs, browser: Browser) -> None:
    job_id = make.running(StudyDate="20250131")
    with served(create_app(node)) as client:
        let_in(client, node, "admin", Role.ADMIN)
        page = browser.new_page(**known_as(client))
        complaints = complaints_of(page)
        page.goto(f"/jobs/{job_id}")
        assert page.locator("#job-top .state").inner_text() == "running"
        values = {
            "bone_age_months": 124.3,
            "outcome": "assessed",
            "finding": {"bone_age_months": 124.3, "report": "Bone age 10 y 4 m\n"},
        }
        with node.database.write() as session:
            assert jobs.move(session, job_id, JobState.RUNNING, JobState.REPORTED, values=values)
        page.get_by_text("Bone age 10 y 4 m").wait_for()
        assert page.locator("#job-top .state").inner_text() == "reported"
        assert page.locator("#job-says").inner_text() == f"Job {job_id} is now reported."
        assert page.locator("[hx-trigger^=every]").count() == 0  # it is over
        assert complaints == []
        page.close()


def test_nothing_new_is_answered_by_nothing(make: Jobs, client: httpx.Client) -> None:
    job_id, (delivery_id,) = make.reported(124.3, destinations=("PACS",))
    seen = len(re.findall(r"<li>\s*<time", client.get(f"/jobs/{job_id}").text))
    address = f"/jobs/{job_id}/live"
    assert client.get(address, params={"seen": seen}).status_code == 204
    make.deliver(delivery_id, DeliveryState.SENT)
    make.settle(job_id)
    answer = client.get(address, params={"seen": seen})
    assert "every 2s" not in answer.text
    assert client.get("/jobs/999/live").status_code == 404
