"""Earlier results of the same patient, and what a re-run inherits."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node import jobs, results
from dicom_node.errors import NotAllowedError
from dicom_node.finding import Correction
from dicom_node.states import JobState
from tests.builders import add_job, add_output, advance, new_instance

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dicom_node.db import Database

PATIENT = {"PatientID": "TEST-1", "IssuerOfPatientID": "WARD"}


def assessed(
    session: Session,
    day: str | None,
    bone_age_months: float,
    job_id: int | None = None,
    *,
    header: dict[str, str] | None = None,
) -> int:
    """Return a reported job of a patient; a re-run of ``job_id`` where it is given."""
    if job_id is None:
        job_id = add_job(session, JobState.REPORTED, new_instance({**PATIENT, **(header or {})}))
    job = jobs.get(session, job_id)
    job.bone_age_months = bone_age_months
    job.finding = {
        "acquired_on": day,
        "chronological_age_months": 90.0,
        "bone_age_months": bone_age_months,
        "sd_months": 9.0,
        "weights_version": "old",
        "started_at": "2024-01-02T03:04:05+01:00",
    }
    add_output(session, job_id)
    return job_id


def load(session: Session, **header: str) -> results.Work:
    """Return the work of a new radiograph of the patient."""
    instance = new_instance({**PATIENT, **header})
    return results.load_work(session, add_job(session, JobState.RUNNING, instance))


def test_earlier_results_of_the_patient_come_oldest_first(database: Database) -> None:
    with database.write() as session:
        assessed(session, "2023-05-01", 100.0)
        assessed(session, "2021-05-01", 80.0)
        found = load(session).known.earlier

    assert [(result.acquired_on, result.bone_age_months) for result in found] == [
        (date(2021, 5, 1), 80.0),
        (date(2023, 5, 1), 100.0),
    ]


@pytest.mark.parametrize(
    "other", [{"PatientID": "TEST-2"}, {"IssuerOfPatientID": "OTHER"}, {"PatientID": ""}]
)
def test_another_patient_is_no_history(database: Database, other: dict[str, str]) -> None:
    with database.write() as session:
        assessed(session, "2023-05-01", 100.0, header=other)
        assert load(session).known.earlier == ()


def test_without_a_patient_id_there_is_no_history(database: Database) -> None:
    with database.write() as session:
        assessed(session, "2023-05-01", 100.0, header={"PatientID": ""})
        assert load(session, PatientID="").known.earlier == ()


def test_of_a_radiograph_that_was_run_again_the_newest_answer_counts(database: Database) -> None:
    with database.write() as session:
        first = assessed(session, "2023-05-01", 100.0)
        second = advance(session, jobs.rerun(session, first, "admin"), JobState.REPORTED)
        assessed(session, "2023-05-01", 104.0, second)
        found = load(session).known.earlier

    assert [result.bone_age_months for result in found] == [104.0]


def test_a_result_without_a_day_is_left_out(database: Database) -> None:
    with database.write() as session:
        assessed(session, None, 100.0)
        assert load(session).known.earlier == ()


def test_corrections_are_kept_with_who_made_them_and_hold_in_the_next_rerun(
    database: Database,
) -> None:
    with database.write() as session:
        first = assessed(session, "2023-05-01", 100.0)
        second = jobs.rerun(session, first, "ada", {"PatientSex": "M", "ImageLaterality": "L"})
        advance(session, second, JobState.REPORTED)
        assessed(session, "2023-05-01", 101.0, second)
        third = jobs.rerun(session, second, "bob", {"PatientSex": "F"})
        known = results.load_work(session, third).known

    assert set(known.corrections) == {
        Correction("PatientSex", "F", "bob"),
        Correction("ImageLaterality", "L", "ada"),
    }
    assert known.replaces is not None
    assert known.replaces.weights_version == "old"
    assert Correction("PatientSex", "M", "ada") in known.replaces.corrections


@pytest.mark.parametrize(
    "wrong",
    [
        {"PatientSex": "X"},
        {"PatientBirthDate": "20990101"},
        {"PatientBirthDate": "2013-06-01"},
        {"PatientBirthDate": "2013061"},
        {"ImageLaterality": "B"},
        {"PatientID": "1"},
    ],
)
def test_a_correction_that_cannot_be_is_refused_and_its_value_not_repeated(
    database: Database, wrong: dict[Any, str]
) -> None:
    with database.write() as session:
        first = assessed(session, "2023-05-01", 100.0)
        with pytest.raises(NotAllowedError) as refused:
            jobs.rerun(session, first, "ada", wrong)

    assert next(iter(wrong.values())) not in str(refused.value).split()
