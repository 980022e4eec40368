"""What a new result says of the one that it replaces, and in which series it lies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dicom_node import jobs, results
from dicom_node.db import OutputRow
from dicom_node.states import JobState
from tests.builders import add_job, add_output, new_instance
from tests.samples import a_finding

if TYPE_CHECKING:
    from dicom_node.db import Database
    from dicom_node.finding import Finding
    from dicom_node.jobs import NewInstance

WEIGHTS = "tjnet-test-0123456789ab"
SERIES = "1.2.3.7"


def found(calibration: str | None = None, weights_version: str = WEIGHTS) -> Finding:
    """Return a finding by these weights."""
    return a_finding(weights_version=weights_version, calibration=calibration)


def _reported(database: Database, instance: NewInstance) -> int:
    """Return a job with a report as instance 1 of its series."""
    with database.write() as session:
        job_id = add_job(session, JobState.REPORTED, instance)
        jobs.get(session, job_id).weights_version = results.version_key(WEIGHTS)
        add_output(session, job_id, series_instance_uid=SERIES, instance_number=1)
    return job_id


def _work(database: Database, job_id: int) -> results.Work:
    with database.read() as session:
        return results.load_work(session, job_id)


def test_a_rerun_stays_in_the_series_with_the_next_number(database: Database) -> None:
    first = _reported(database, new_instance())
    for expected in (2, 3):  # two re-runs of the very same job
        with database.write() as session:
            again = jobs.rerun(session, first, "admin")
        identity = results.identity_for(_work(database, again), "sr", "BONEAGE", found())
        assert (identity.series_instance_uid, identity.instance_number) == (SERIES, expected)
        with database.write() as session:
            jobs.get(session, again).weights_version = results.version_key(WEIGHTS)
            add_output(session, again, series_instance_uid=SERIES, instance_number=expected)


def test_the_second_of_two_reruns_of_a_job_replaces_the_first(database: Database) -> None:
    """Else both would be valid, and say different things."""
    first = _reported(database, new_instance())
    with database.write() as session:
        second, third = (jobs.rerun(session, first, "admin") for _ in range(2))
        output = session.get_one(OutputRow, add_output(session, second))
    (named,) = results._references(_work(database, third), "sr")
    assert named.sop_instance_uid == output.sop_instance_uid


def test_other_weights_open_a_series(database: Database) -> None:
    first = _reported(database, new_instance())
    with database.write() as session:
        again = jobs.rerun(session, first, "admin")
    identity = results.identity_for(
        _work(database, again), "sr", "BONEAGE", found(weights_version="other-weights")
    )
    assert identity.series_instance_uid != SERIES
    assert identity.instance_number == 1


def test_a_calibration_opens_a_series_and_a_rerun_under_it_stays(database: Database) -> None:
    first = _reported(database, new_instance())
    with database.write() as session:
        again = jobs.rerun(session, first, "admin")
    work = _work(database, again)
    identity = results.identity_for(work, "sr", "BONEAGE", found("ward-1"))
    assert identity.series_instance_uid != SERIES
    assert identity.calibration == "ward-1"
    with database.write() as session:
        jobs.get(session, first).weights_version = results.version_key(WEIGHTS, "ward-1")
    work = _work(database, again)
    assert results.identity_for(work, "sr", "BONEAGE", found("ward-1")).instance_number == 2
    assert results.identity_for(work, "sr", "BONEAGE", found()).instance_number == 1


def test_a_correction_of_the_study_opens_a_series_and_names_the_old_study(
    database: Database,
) -> None:
    instance = new_instance()
    _reported(database, instance)
    corrected = replace(instance, study_instance_uid="1.2.3.99", sha256="b" * 64, path="other")
    with database.write() as session:
        job_id = jobs.receive(session, corrected)
    assert job_id is not None
    work = _work(database, job_id)
    identity = results.identity_for(work, "sr", "BONEAGE", found())
    assert identity.series_instance_uid != SERIES
    (named,) = results._references(work, "sr")
    assert named.study_instance_uid == instance.study_instance_uid
