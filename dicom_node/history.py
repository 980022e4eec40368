"""Earlier results of the same patient: from this node's jobs, and from reports in an archive."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import aliased

from dicom_node.db import EarlierResultRow, InstanceRow, JobRow, now
from dicom_node.growth import EarlierResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from dicom_node.report_reading import EarlierReport

MOST: Final = 200
"""Jobs, and reports of an archive, of one patient that are looked at, the newest first."""


def earlier_results(session: Session, instance: InstanceRow) -> tuple[EarlierResult, ...]:
    """Return the newest answer to each radiograph of the patient in other studies, oldest first.

    The patient is known by PatientID and its issuer (PS3.3 C.7.1.1); without a PatientID there
    is no history. The same study is no history: it may show the other hand.
    """
    if not instance.patient_id:
        return ()
    found = [*_own(session, instance), *_archived(session, instance)]
    return tuple(sorted(found, key=lambda result: result.acquired_on))


def _own(session: Session, instance: InstanceRow) -> list[EarlierResult]:
    """Return what this node's jobs answered; a correction may have given one to another patient."""
    corrected, its_job = aliased(InstanceRow), aliased(JobRow)
    has_correction = (
        select(its_job.id)
        .join(corrected, corrected.id == its_job.instance_id)
        .where(
            corrected.sop_instance_uid == InstanceRow.sop_instance_uid,
            corrected.id != InstanceRow.id,
            its_job.id > JobRow.id,
        )
        .exists()
    )
    query = (
        select(InstanceRow.sop_instance_uid, JobRow.finding)
        .join(JobRow, JobRow.instance_id == InstanceRow.id)
        .where(
            InstanceRow.patient_id == instance.patient_id,
            InstanceRow.issuer_of_patient_id == instance.issuer_of_patient_id,
            InstanceRow.study_instance_uid != instance.study_instance_uid,
            JobRow.bone_age_months.is_not(None),
            ~has_correction,
        )
        .order_by(JobRow.id.desc())
        .limit(MOST)
    )
    newest: dict[str, dict[str, Any]] = {}
    for sop_instance_uid, finding in session.execute(query):
        if finding and finding.get("acquired_on"):
            newest.setdefault(sop_instance_uid, finding)
    return [_earlier(finding) for finding in newest.values()]


def _archived(session: Session, instance: InstanceRow) -> list[EarlierResult]:
    """Return what reports in the archive answered, those of other nodes and of lost databases.

    A report that another one supersedes is left out, and so is a study that was answered here:
    its newest answer may not be in the archive yet. A report that lies there in both SOP classes
    counts once.
    """
    rows = _fetched(session, instance)
    superseded = {uid for row in rows for uid in row.replaces}
    answered = _answered(session, {row.study_instance_uid for row in rows})
    valid = (
        row
        for row in rows
        if row.sop_instance_uid not in superseded
        and row.study_instance_uid not in {*answered, instance.study_instance_uid}
    )
    found = {(row.study_instance_uid, row.laterality, _of_row(row)) for row in valid}
    return [result for _, _, result in found]


def _of_row(row: EarlierResultRow) -> EarlierResult:
    """Return what a report in the archive answered."""
    return EarlierResult(
        acquired_on=row.acquired_on,
        chronological_age_months=row.chronological_age_months,
        bone_age_months=row.bone_age_months,
        sd_months=row.sd_months,
        weights_version=row.weights_version,
    )


def _fetched(session: Session, instance: InstanceRow) -> Sequence[EarlierResultRow]:
    """Return what is kept of the patient's reports in the archive."""
    query = (
        select(EarlierResultRow)
        .where(
            EarlierResultRow.patient_id == instance.patient_id,
            EarlierResultRow.issuer_of_patient_id == instance.issuer_of_patient_id,
        )
        .order_by(EarlierResultRow.id.desc())
        .limit(MOST)
    )
    return session.scalars(query).all()


def _answered(session: Session, study_instance_uids: Iterable[str]) -> set[str]:
    """Return which of these studies have a bone age from this node."""
    query = (
        select(InstanceRow.study_instance_uid)
        .join(JobRow, JobRow.instance_id == InstanceRow.id)
        .where(
            InstanceRow.study_instance_uid.in_(study_instance_uids),
            JobRow.bone_age_months.is_not(None),
        )
    )
    return set(session.scalars(query))


def known_uids(session: Session, instance: InstanceRow) -> frozenset[str]:
    """Return what need not be fetched for a radiograph: its study, and reports that were read."""
    reports = (row.sop_instance_uid for row in _fetched(session, instance))
    return frozenset({instance.study_instance_uid, *reports})


def keep(session: Session, reports: Iterable[EarlierReport]) -> None:
    """Keep what reports in the archive say; two that fetch the same one at once do no harm."""
    for report in reports:
        same = EarlierResultRow.sop_instance_uid == report.sop_instance_uid
        row = session.scalars(select(EarlierResultRow).where(same)).first()
        if row is not None:  # the archive has given it to another patient since
            row.patient_id = report.patient_id
            row.issuer_of_patient_id = report.issuer_of_patient_id
            continue
        try:
            with session.begin_nested():
                session.add(_row(report))
        except (IntegrityError, DataError):  # a UID of any length, for one
            continue


def _row(report: EarlierReport) -> EarlierResultRow:
    """Return a report's row."""
    result = report.result
    return EarlierResultRow(
        sop_instance_uid=report.sop_instance_uid,
        study_instance_uid=report.study_instance_uid,
        patient_id=report.patient_id,
        issuer_of_patient_id=report.issuer_of_patient_id,
        replaces=list(report.replaces),
        acquired_on=result.acquired_on,
        laterality=report.laterality,
        chronological_age_months=result.chronological_age_months,
        bone_age_months=result.bone_age_months,
        sd_months=result.sd_months,
        weights_version=result.weights_version,
        fetched_at=now(),
    )


def _earlier(finding: dict[str, Any]) -> EarlierResult:
    """Return a result as another one speaks of it."""
    return EarlierResult(
        acquired_on=date.fromisoformat(finding["acquired_on"]),
        chronological_age_months=finding["chronological_age_months"],
        bone_age_months=finding["bone_age_months"],
        sd_months=finding["sd_months"],
        weights_version=finding["weights_version"],
    )
