"""Intake and leases on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from dicom_node import intake, jobs
from dicom_node.config import Config, ExaminationSection, Route
from dicom_node.db import InstanceRow, JobRow, now
from dicom_node.lease import Lease
from dicom_node.states import JobState
from tests.builders import OWNER, add_job, advance, cr_header, kept_instance, new_instance
from tests.peers import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from dicom_node.db import Database
    from dicom_node.node import Node

SECONDS = 60.0


def row_of(node: Node, job_id: int) -> JobRow:
    with node.database.read() as session:
        return jobs.get(session, job_id)


def test_a_hand_is_queued_and_a_foot_rejected(node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        hand, foot = (
            add_job(session, instance=kept_instance(node.storage, tmp_path, cr_header(**values)))
            for values in ({}, {"BodyPartExamined": "FOOT"})
        )
    assert intake.admit(node, hand) == JobState.QUEUED
    assert intake.admit(node, foot) == JobState.REJECTED
    assert row_of(node, foot).reason == "body part FOOT, not a hand"
    assert intake.unadmitted(node) == []


def test_a_reason_with_controls_in_it_can_be_written(node: Node, tmp_path: Path) -> None:
    """PostgreSQL takes no NUL: such a job would never leave its first state."""
    header = cr_header(BodyPartExamined="FO\0OT")
    with node.database.write() as session:
        job_id = add_job(session, instance=kept_instance(node.storage, tmp_path, header))
    assert intake.admit(node, job_id) == JobState.REJECTED
    assert row_of(node, job_id).reason == "body part FO OT, not a hand"


def test_a_job_that_went_on_stays_where_it_is(node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = add_job(session, JobState.CANCELLED, instance)
    assert intake.admit(node, job_id) == JobState.CANCELLED
    assert row_of(node, job_id).enqueued_at is None


def test_a_file_that_is_gone_or_broken_is_rejected(node: Node, tmp_path: Path) -> None:
    broken = kept_instance(node.storage, tmp_path, cr_header())
    node.storage.absolute(broken.path).write_bytes(b"")
    with node.database.write() as session:
        ids = [add_job(session, instance=broken), add_job(session, instance=new_instance())]
    reasons = ("the header cannot be parsed (InvalidDicomError)", "the file is missing")
    for job_id, reason in zip(ids, reasons, strict=True):
        assert intake.admit(node, job_id) == JobState.REJECTED
        assert row_of(node, job_id).reason == reason


def test_with_the_broker_away_a_job_is_queued_all_the_same(node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = add_job(session, instance=instance)
    assert intake.admit(node, job_id) == JobState.QUEUED
    assert row_of(node, job_id).enqueued_at is None


def test_with_a_broker_it_is_enqueued(node_with_broker: Node, tmp_path: Path) -> None:
    node = node_with_broker
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = add_job(session, instance=instance)
    worker = intake.Intake(node)
    worker.put(job_id)
    worker.close()
    assert row_of(node, job_id).state == JobState.QUEUED
    assert row_of(node, job_id).enqueued_at is not None
    assert node.broker.depth("assess") == 1


def test_a_route_decides_over_secondary_capture() -> None:
    from pydicom.uid import SecondaryCaptureImageStorage

    film = cr_header(SOPClassUID=SecondaryCaptureImageStorage)
    route = Route(
        name="film",
        calling_ae_titles=["FILM"],
        accept_secondary_capture=True,
        destinations=[],
    )
    config = Config(routes=[route])
    assert intake.verdict(config, "FILM", film) is None
    assert str(intake.verdict(config, "OTHER", film)).startswith("Secondary Capture, and no route")


# --- leases ------------------------------------------------------------------------------------


def lease_until(database: Database, job_id: int) -> datetime:
    with database.read() as session:
        until = jobs.get(session, job_id).lease_until
    assert until is not None
    return until


def test_a_lease_is_renewed_as_long_as_the_work_goes_on(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.RUNNING)
        session.get_one(JobRow, job_id).lease_until = now()
    first = lease_until(database, job_id)
    with Lease(database, jobs.renew, job_id, OWNER, 0.3):
        wait_until(lambda: lease_until(database, job_id) > first, SECONDS, "a renewal")
        second = lease_until(database, job_id)
        wait_until(lambda: lease_until(database, job_id) > second, SECONDS, "another renewal")
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_a_lost_lease_is_not_taken_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.RUNNING)
        monkeypatch.setattr(jobs, "now", lambda: now() + timedelta(hours=1))
        jobs.free_expired(session, 3)
        monkeypatch.undo()
        assert jobs.claim(session, job_id, "the next", 45)
    until = lease_until(database, job_id)
    with Lease(database, jobs.renew, job_id, OWNER, 0.03) as lease:
        wait_until(
            lambda: lease._thread is not None and not lease._thread.is_alive(),
            SECONDS,
            "the lease to give up",
        )
    assert lease_until(database, job_id) == until


@pytest.fixture
def patient_node(node: Node) -> Node:
    """Return a node that waits for the rest of an examination."""
    examination = ExaminationSection(quiet_seconds=60)
    return replace(node, config=node.config.model_copy(update={"examination": examination}))


def receive(node: Node, tmp_path: Path, *headers: Dataset) -> list[int]:
    """Return the jobs of radiographs that have just come."""
    with node.database.write() as session:
        return [
            add_job(session, instance=kept_instance(node.storage, tmp_path, header))
            for header in headers
        ]


def let_pass(node: Node, seconds: float) -> None:
    """Make everything that was received so much older."""
    with node.database.write() as session:
        for instance in session.scalars(select(InstanceRow)):
            instance.received_at -= timedelta(seconds=seconds)


def states(node: Node, ids: list[int]) -> list[JobState]:
    return [row_of(node, job_id).state for job_id in ids]


def test_an_examination_waits_until_it_is_quiet_and_then_has_one_answer_a_side(
    patient_node: Node, tmp_path: Path
) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    left, repeat, right = (
        cr_header(**study, ImageLaterality=side, AcquisitionTime=time, AcquisitionDate="20230601")
        for side, time in (("L", "0900"), ("L", "0905"), ("R", "0910"))
    )
    ids = receive(patient_node, tmp_path, left, repeat)
    assert intake.admit(patient_node, ids[0]) == JobState.RECEIVED
    let_pass(patient_node, 50)
    ids += receive(patient_node, tmp_path, right)
    let_pass(patient_node, 50)
    assert intake.admit(patient_node, ids[0]) == JobState.RECEIVED

    let_pass(patient_node, 11)
    assert intake.admit(patient_node, ids[0]) == JobState.REJECTED

    assert states(patient_node, ids) == [JobState.REJECTED, JobState.QUEUED, JobState.QUEUED]
    reason = row_of(patient_node, ids[0]).reason
    assert reason == f"not used, because job {ids[1]} of the same examination was taken later"


def test_what_is_not_eligible_is_rejected_at_once_and_is_no_answer(
    patient_node: Node, tmp_path: Path
) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    ids = receive(
        patient_node,
        tmp_path,
        cr_header(**study, BodyPartExamined="FOOT"),
        cr_header(**study),
    )
    assert intake.admit(patient_node, ids[0]) == JobState.REJECTED
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, ids[1]) == JobState.QUEUED


def test_a_late_radiograph_is_not_used_but_can_be_asked_for(
    patient_node: Node, tmp_path: Path
) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    ids = receive(patient_node, tmp_path, cr_header(**study))
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, ids[0]) == JobState.QUEUED
    ids += receive(patient_node, tmp_path, cr_header(**study))
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, ids[1]) == JobState.REJECTED
    reason = row_of(patient_node, ids[1]).reason
    assert reason == f"not used, because job {ids[0]} answers for this side"

    with patient_node.database.write() as session:
        again = jobs.rerun(session, ids[1], "admin")
    assert intake.admit(patient_node, again) == JobState.QUEUED


def test_a_corrected_resend_replaces_its_own_answer(patient_node: Node, tmp_path: Path) -> None:
    header = cr_header()
    first = receive(patient_node, tmp_path, header)
    let_pass(patient_node, 61)
    intake.admit(patient_node, first[0])
    header.PatientSex = "M"
    second = receive(patient_node, tmp_path, header)
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, second[0]) == JobState.QUEUED


def test_of_a_radiograph_that_came_twice_the_correction_is_used(
    patient_node: Node, tmp_path: Path
) -> None:
    """Also where the rule would choose what it corrects."""
    header = cr_header(ViewPosition="PA")
    ids = receive(patient_node, tmp_path, header)
    header.ViewPosition = "AP"
    ids += receive(patient_node, tmp_path, header)
    let_pass(patient_node, 61)
    intake.admit(patient_node, ids[0])
    assert states(patient_node, ids) == [JobState.REJECTED, JobState.QUEUED]
    reason = row_of(patient_node, ids[0]).reason
    assert reason == f"not used, because job {ids[1]} is of the corrected radiograph"


def test_a_corrected_resend_replaces_its_own_answer_beside_a_better_radiograph(
    patient_node: Node, tmp_path: Path
) -> None:
    """Else the old answer stays, wrong, and the side has a second one."""
    header = cr_header(ViewPosition="AP")
    ids = receive(patient_node, tmp_path, header)
    let_pass(patient_node, 61)
    intake.admit(patient_node, ids[0])
    header.PatientSex = "M"
    other = cr_header(ViewPosition="PA", StudyInstanceUID=header.StudyInstanceUID)
    ids += receive(patient_node, tmp_path, header, other)
    let_pass(patient_node, 61)
    intake.admit(patient_node, ids[2])
    assert states(patient_node, ids[1:]) == [JobState.QUEUED, JobState.REJECTED]


def test_what_a_person_asked_for_is_not_chosen_among(patient_node: Node, tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    ids = receive(patient_node, tmp_path, cr_header(**study), cr_header(**study))
    let_pass(patient_node, 61)
    intake.admit(patient_node, ids[0])
    with patient_node.database.write() as session:
        ids.append(jobs.rerun(session, ids[0], "admin"))
    ids += receive(patient_node, tmp_path, cr_header(**study))
    let_pass(patient_node, 61)
    intake.admit(patient_node, ids[3])
    assert states(patient_node, ids[2:]) == [JobState.RECEIVED, JobState.REJECTED]
    assert intake.admit(patient_node, ids[2]) == JobState.QUEUED


def test_a_refusal_is_no_answer_to_a_side(patient_node: Node, tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    ids = receive(patient_node, tmp_path, cr_header(**study))
    with patient_node.database.write() as session:
        advance(session, ids[0], JobState.REPORTED)
        jobs.get(session, ids[0]).outcome = "refused"
    ids += receive(patient_node, tmp_path, cr_header(**study))
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, ids[1]) == JobState.QUEUED


def test_what_another_process_queued_in_between_is_the_answer(
    patient_node: Node, tmp_path: Path
) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    worse, better = cr_header(**study, ViewPosition="AP"), cr_header(**study)
    ids = receive(patient_node, tmp_path, worse, better)
    with patient_node.database.read() as session:
        seen = jobs.study(session, "1.2.3.4")
    intake.settle(patient_node, ids[0], None)  # by one that had not seen the other
    intake._choose_of(patient_node, seen)
    assert states(patient_node, ids) == [JobState.QUEUED, JobState.RECEIVED]
    let_pass(patient_node, 61)
    assert intake.admit(patient_node, ids[1]) == JobState.REJECTED


def test_two_that_decide_at_once_decide_the_same(patient_node: Node, tmp_path: Path) -> None:
    study = {"StudyInstanceUID": "1.2.3.4"}
    ids = receive(patient_node, tmp_path, *(cr_header(**study) for _ in range(6)))
    let_pass(patient_node, 61)
    threads = [threading.Thread(target=intake.admit, args=(patient_node, job_id)) for job_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    found = states(patient_node, ids)
    assert found == [*[JobState.REJECTED] * 5, JobState.QUEUED]
