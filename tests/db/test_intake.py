"""Intake and leases on both databases."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dicom_node import intake, jobs
from dicom_node.config import Config, Route
from dicom_node.db import JobRow, now
from dicom_node.lease import Lease
from dicom_node.states import JobState
from tests.builders import OWNER, add_job, cr_header, kept_instance, new_instance
from tests.peers import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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
    for job_id in ids:
        assert intake.admit(node, job_id) == JobState.REJECTED
        reason = row_of(node, job_id).reason
        assert reason is not None
        assert reason.startswith("the header cannot be parsed")


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
        wait_until(lambda: not lease._thread.is_alive(), SECONDS, "the lease to give up")
    assert lease_until(database, job_id) == until
