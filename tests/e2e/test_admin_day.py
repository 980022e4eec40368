"""A day of an admin: a whole node with a seed, its pages in a real Chromium, a real destination.

One node and one browser serve all tests of this module. None counts on what another one did.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from dicom_node.db import BatchMemberRow, DeliveryRow, JobRow, now
from dicom_node.radiograph import wrap_radiograph
from dicom_node.states import GIVEN_UP, JobState
from models.phantom import draw_phantom
from tests.peers import wait_until
from tests.seeded import PASSWORD, USER, WORK_MS, Day, finish_batch, seeded_day
from tests.web.browser import DESK_PX, PHONE_PX, complaints_of, faults_of
from worklist.invented import CALLERS, FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page


JOBS, PICTURES = 150, 12
HUNDRED: Final = "/?state=sent&state=confirmed"
MISSING: Final = "the file is missing"
UNFOLD: Final = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
FAILED_SENDS: Final = "Failed sends of the last 7 days"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    with seeded_day(tmp_path_factory.mktemp("day"), JOBS, PICTURES) as made:
        yield made


@pytest.fixture
def page(day: Day) -> Iterator[Page]:
    """Return a page of the admin; at its end nothing may have been complained of."""
    with day.browser.new_context(**day.login, viewport={"width": DESK_PX, "height": 900}) as own:
        opened = own.new_page()
        complaints = complaints_of(opened)
        yield opened
        assert complaints == []


def row_of(page: Page, job_id: int) -> Locator:
    """Return the row of a job on the list."""
    return page.locator(f'#rows tr[data-job="{job_id}"]')


# --- the way in --------------------------------------------------------------------------------


def test_login_over_the_page(day: Day) -> None:
    with day.browser.new_context(base_url=day.url) as context:
        page = context.new_page()
        page.goto(HUNDRED)
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        page.get_by_label("Name").fill(USER)
        page.get_by_label("Password").fill("incorrect horse battery")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
        assert context.request.get("/api/jobs", fail_on_status_code=False).status == 401
        page.get_by_label("Name").fill(USER)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        assert page.url == f"{day.url}{HUNDRED}"
        page.get_by_role("button", name="Log out").click()
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


# --- what comes, and what failed ---------------------------------------------------------------


def test_a_radiograph_appears_and_moves_to_its_end(day: Day, page: Page, tmp_path: Path) -> None:
    page.goto("/")
    page.evaluate("window.opened = 'once'")
    dataset = wrap_radiograph(
        draw_phantom("F", 126, height_px=768, width_px=576) / np.float32(4095),
        sex="F",
        age_months=126,
        study_description="SYNTHETIC phantom, bone age",
        attributes={"PatientName": "Arrival^Live", "PatientID": "PHANTOM-LIVE"},
    )
    dataset.save_as(tmp_path / "live.dcm", enforce_file_format=True)
    day.node.store([tmp_path / "live.dcm"], CALLERS[0])
    row = page.locator("#rows tr").filter(has_text="Arrival, Live")
    expect(row).to_be_visible(timeout=WORK_MS)
    expect(row.locator(".state-cell")).to_contain_text("sent", timeout=WORK_MS)
    expect(row.locator(".destinations")).to_contain_text("RESEARCH sent")
    assert page.evaluate("window.opened") == "once"
    job = day.node.show(int(row.get_attribute("data-job") or 0))
    assert job["sop_instance_uid"] == str(dataset.SOPInstanceUID)
    report = next(one for one in job["outputs"] if one["kind"] == "sr")
    assert report["sop_instance_uid"] in day.received_uids()


def test_failed_sends_of_last_week_are_found_and_sent_again(day: Day, page: Page) -> None:
    failed = day.with_file(
        JobRow.id.in_(select(DeliveryRow.job_id).where(DeliveryRow.state.in_(GIVEN_UP))),
        JobRow.created_at > now() - timedelta(days=7),
    )
    assert len(failed) >= 4
    lost = [
        output["sop_instance_uid"]
        for job_id in failed
        for output in day.node.show(job_id)["outputs"]
        if output["kind"] in {"sr", "sc"}
    ]
    before = day.received_uids()
    page.goto("/")
    page.get_by_role("link", name=FAILED_SENDS).click()
    expect(page.get_by_role("link", name=FAILED_SENDS)).to_have_attribute("aria-current", "page")
    expect(page.locator("#count")).to_have_text(f"{len(failed)} jobs")
    shown = page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.job)")
    assert {int(job_id) for job_id in shown} == set(failed)
    again = page.get_by_role("button", name="Try again…")
    expect(again).to_be_disabled()
    page.get_by_label(f"All {len(failed)} on this page").check()
    again.click()
    expect(page.locator("main")).to_contain_text(f"It is done with {len(failed)} jobs")
    page.get_by_role("button", name=f"Try again {len(failed)} jobs").click()
    told = finish_batch(page)
    assert (told["Done with"], told["Skipped"]) == (f"{len(failed)} jobs", "0 jobs")
    sent = {str(JobState.SENT)}
    wait_until(
        lambda: {day.node.show(job_id)["state"] for job_id in failed} == sent, 60, "the sends"
    )
    assert before.isdisjoint(lost)
    assert set(lost) <= day.received_uids()
    page.goto("/")
    page.get_by_role("link", name=FAILED_SENDS).click()
    expect(page.get_by_role("heading", name="No job fits this filter")).to_be_visible()


# --- actions -----------------------------------------------------------------------------------


def test_one_is_run_again_with_its_sex_corrected_and_compared(day: Day, page: Page) -> None:
    ended = (JobRow.state.in_((JobState.SENT, JobState.CONFIRMED)), JobRow.rerun_of.is_(None))
    job_id = next(
        one for one in day.with_file(*ended) if day.node.show(one)["finding"]["sex"] == "F"
    )
    page.goto(f"/jobs/{job_id}")
    page.get_by_role("link", name="Re-run…").click()
    page.get_by_label("Sex").select_option("male")
    page.get_by_role("button", name=f"Re-run job {job_id}").click()
    expect(page.locator(".heading .state")).to_have_text("sent", timeout=WORK_MS)
    new_id = int(page.url.rsplit("/", 1)[1])
    expect(page.locator(".facts")).to_contain_text("PatientSex corrected")
    page.get_by_role("link", name=f"Compare with job {job_id}").first.click()
    sex = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="Sex differs"))
    page.wait_for_load_state("load")
    expect(sex.get_by_role("cell")).to_have_text(["F", "M"])
    corrected = page.get_by_role("row", name=re.compile("^Corrections differs none"))
    expect(corrected).to_contain_text(f"M by {USER}")
    for number, word in ((job_id, "female"), (new_id, "male")):
        report = page.get_by_role("region", name=f"Job {number}", exact=True)
        drawn = "images => images.map((one) => one.complete && one.naturalWidth > 300)"
        assert report.locator("img").evaluate_all(drawn) == [True, True]
        expect(report.locator("pre")).to_contain_text(re.compile(rf"Sex recorded\s+{word}"))
    show = day.node.show(new_id)
    assert (show["rerun_of"], show["finding"]["sex"]) == (job_id, "M")


def test_a_hundred_are_run_again_by_the_lists_filter(day: Day, page: Page) -> None:
    chosen = (JobRow.state.in_((JobState.SENT, JobState.CONFIRMED)),)
    jobs, with_file = day.jobs_where(*chosen), day.with_file(*chosen)
    assert len(jobs) >= 100
    assert len(with_file) >= 3
    page.goto(HUNDRED)
    page.get_by_label(f"All {len(jobs)} that this filter shows").check()
    page.get_by_role("button", name="Re-run…").click()
    page.get_by_role("button", name=f"Re-run {len(jobs)} jobs").click()
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("max", str(len(jobs)))
    told = finish_batch(page)
    expect(bar).to_have_attribute("value", str(len(jobs)))
    assert (told["Done with"], told["Skipped"]) == (f"{len(jobs)} jobs", "0 jobs")
    assert (told["Asked for by"].split(",")[0], told["Priority"]) == (USER, "bulk")
    # Those without a radiograph are not assessed, and say why; the others have new results.
    missing = len(jobs) - len(with_file)
    expect(page.locator("#progress")).to_contain_text(f"{missing} rejected")
    batch_id = int(page.url.rsplit("/", 1)[1])
    made = select(BatchMemberRow.rerun_id).where(BatchMemberRow.batch_id == batch_id)
    lost = day.jobs_where(JobRow.id.in_(made), JobRow.state == JobState.REJECTED)
    found = day.jobs_where(JobRow.id.in_(made), JobRow.bone_age_months.is_not(None))
    assert {day.node.show(job_id)["reason"] for job_id in lost} == {MISSING}
    assert {day.node.show(job_id)["rerun_of"] for job_id in found} == set(with_file)
    assert len(lost) == missing


def test_a_rejected_one_is_accepted(day: Day, page: Page) -> None:
    [job_id, *_] = day.with_file(JobRow.state == JobState.REJECTED)
    page.goto(f"/jobs/{job_id}")
    page.get_by_role("link", name="Accept…").click()
    page.get_by_role("button", name=f"Accept job {job_id}").click()
    expect(page.locator(".heading .state")).to_have_text("sent", timeout=WORK_MS)
    expect(page.locator("#job-acts")).to_contain_text(f"accepted by {USER}")
    assert day.node.show(job_id)["bone_age_months"] is not None


def test_with_the_privacy_switch_no_page_has_a_name(day: Day, page: Page) -> None:
    job_id = day.with_file(JobRow.state == JobState.SENT)[-1]
    names = re.compile("|".join((*FAMILIES, "PHANTOM-")))
    page.goto("/")
    assert names.search(page.content())
    page.get_by_role("button", name="Hide patients").click()
    expect(page.get_by_role("button", name="Show patients")).to_be_visible()
    for place in ("/", f"/jobs/{job_id}", f"/jobs/{job_id}/header", "/dashboard"):
        page.goto(place)
        assert names.findall(page.content()) == []
    assert names.findall(page.request.get("/api/jobs").text()) == []
    page.goto("/")
    page.get_by_role("button", name="Show patients").click()
    expect(page.locator("#rows tr").first.locator(".patient")).to_contain_text(names)


# --- every page --------------------------------------------------------------------------------


def test_every_page_is_for_everyone(day: Day, page: Page) -> None:
    picture = day.with_file(JobRow.state == JobState.SENT)[-1]
    rejected = day.jobs_where(JobRow.state == JobState.REJECTED)[0]
    page.goto(f"/actions/rerun?job={picture}&job={rejected}")
    page.get_by_role("button", name="Re-run 2 jobs").click()
    finish_batch(page)
    batch = page.url.removeprefix(day.url)
    again = day.jobs_where(JobRow.rerun_of == picture)[0]
    places = (
        *("/", "/batches", batch, "/upload", "/archives", "/dashboard", "/connections"),
        *("/users", "/audit", "/account", f"/jobs/{picture}", f"/jobs/{rejected}"),
        *(f"/compare/{picture}/{again}", f"/actions/rerun?job={picture}"),
        *(f"/actions/retry?job={picture}&job={rejected}", f"/actions/accept?job={rejected}"),
    )
    for width_px in (PHONE_PX, DESK_PX):
        page.set_viewport_size({"width": width_px, "height": 900})
        for place in places:
            page.goto(place)
            page.evaluate(UNFOLD)
            if place == f"/jobs/{picture}":  # read only now
                for part in (".tree", ".log", "#header-table"):
                    page.locator(part).wait_for()
            assert (place, width_px, faults_of(page, width_px)) == (place, width_px, [])


def test_the_login_is_for_everyone(day: Day) -> None:
    with day.browser.new_context(base_url=day.url) as context:
        page = context.new_page()
        complaints = complaints_of(page)
        for width_px in (PHONE_PX, DESK_PX):
            page.set_viewport_size({"width": width_px, "height": 900})
            page.goto("/login")
            assert faults_of(page, width_px) == []
        assert complaints == []
