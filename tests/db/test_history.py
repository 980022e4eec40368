"""Earlier results of the same patient, and what a re-run inherits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import generate_uid

from dicom_node import history, jobs, results
from dicom_node.db import InstanceRow
from dicom_node.errors import CorrectionError
from dicom_node.finding import Correction
from dicom_node.growth import EarlierResult
from dicom_node.report_reading import EarlierReport
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


def test_a_result_that_a_correction_gave_to_another_patient_is_theirs(database: Database) -> None:
    wrong = new_instance(PATIENT)
    right = replace(wrong, sha256="d" * 64, path="corrected", header={"PatientID": "TEST-2"})
    with database.write() as session:
        assessed(session, "2023-05-01", 100.0, add_job(session, JobState.REPORTED, wrong))
        assert len(load(session).known.earlier) == 1
        again = jobs.receive(session, right)
        assert again is not None
        assert load(session).known.earlier == ()
        assessed(session, "2023-05-01", 101.0, advance(session, again, JobState.REPORTED))
        theirs = load(session, PatientID="TEST-2", IssuerOfPatientID="").known.earlier
        assert load(session).known.earlier == ()
    assert [result.bone_age_months for result in theirs] == [101.0]


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
        with pytest.raises(CorrectionError) as refused:
            jobs.rerun(session, first, "ada", wrong)

    assert next(iter(wrong.values())) not in str(refused.value).split()


# --- reports of an archive ---------------------------------------------------------------------


def a_report(bone_age_months: float = 100.0, **changes: Any) -> EarlierReport:  # noqa: ANN401
    """Return what a report of the patient in an archive says."""
    values: dict[str, Any] = {
        "sop_instance_uid": str(generate_uid()),
        "study_instance_uid": str(generate_uid()),
        "patient_id": PATIENT["PatientID"],
        "issuer_of_patient_id": PATIENT["IssuerOfPatientID"],
        "laterality": "L",
        "replaces": (),
        "result": EarlierResult(date(2022, 5, 1), 90.0, bone_age_months, 9.0, "older"),
    }
    return EarlierReport(**{**values, **changes})


def bone_ages(session: Session, **header: str) -> list[float]:
    return [result.bone_age_months for result in load(session, **header).known.earlier]


def test_reports_of_the_archive_stand_among_our_own(database: Database) -> None:
    with database.write() as session:
        assessed(session, "2021-05-01", 80.0)
        assessed(session, "2023-05-01", 110.0)
        history.keep(session, [a_report()])
        earlier = load(session).known.earlier

    assert [result.bone_age_months for result in earlier] == [80.0, 100.0, 110.0]
    assert earlier[1] == EarlierResult(date(2022, 5, 1), 90.0, 100.0, 9.0, "older")


def test_a_report_is_kept_once_and_follows_its_patient(database: Database) -> None:
    report = a_report()
    with database.write() as session:
        history.keep(session, [report, report])
        history.keep(session, [report])
        assert bone_ages(session) == [100.0]
        history.keep(session, [replace(report, patient_id="TEST-2")])
        assert bone_ages(session) == []
        assert bone_ages(session, PatientID="TEST-2") == [100.0]


def test_a_report_that_another_supersedes_is_left_out_whichever_came_first(
    database: Database,
) -> None:
    old = a_report(100.0)
    new = a_report(104.0, replaces=(old.sop_instance_uid,))
    with database.write() as session:
        history.keep(session, [new])
        history.keep(session, [old])
        assert bone_ages(session) == [104.0]


@pytest.mark.parametrize("changes", [{"patient_id": "TEST-2"}, {"issuer_of_patient_id": ""}])
def test_a_report_of_another_patient_is_no_history(
    database: Database, changes: dict[str, Any]
) -> None:
    with database.write() as session:
        history.keep(session, [a_report(**changes)])
        assert bone_ages(session) == []


def test_a_study_that_was_answered_here_is_not_taken_from_the_archive(database: Database) -> None:
    with database.write() as session:
        job_id = assessed(session, "2022-05-01", 104.0)
        study = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
        history.keep(session, [a_report(study_instance_uid=study.study_instance_uid)])
        assert bone_ages(session) == [104.0]


def test_the_same_study_is_no_history_in_the_archive_either(database: Database) -> None:
    report = a_report()
    instance = new_instance(PATIENT, study_instance_uid=report.study_instance_uid)
    with database.write() as session:
        history.keep(session, [report])
        job_id = add_job(session, JobState.RUNNING, instance)
        assert results.load_work(session, job_id).known.earlier == ()


def test_a_report_in_both_sop_classes_counts_once(database: Database) -> None:
    report = a_report()
    twin = replace(report, sop_instance_uid=str(generate_uid()))
    other_hand = replace(twin, sop_instance_uid=str(generate_uid()), laterality="R")
    with database.write() as session:
        history.keep(session, [report, twin])
        assert bone_ages(session) == [100.0]
        history.keep(session, [other_hand])
        assert bone_ages(session) == [100.0, 100.0]


def test_what_is_known_need_not_be_fetched(database: Database) -> None:
    report = a_report()
    with database.write() as session:
        history.keep(session, [report])
        job_id = add_job(session, JobState.QUEUED, new_instance(PATIENT))
        instance = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
        known = history.known_uids(session, instance)
    assert known == {report.sop_instance_uid, instance.study_instance_uid}
