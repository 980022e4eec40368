"""The rows of the list: what is said of each job of a page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from sqlalchemy import select

from dicom_node.db import DeliveryRow, InstanceRow, JobRow
from dicom_node.source_header import chronological_age_months

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

AGE_KEYWORDS: Final = ("PatientBirthDate", "PatientAge", "AcquisitionDate", "StudyDate")
"""What the database keeps of a header's age; see `dicom_node.source_header`."""

SEXES: Final = frozenset({"M", "F"})


@dataclass(frozen=True, slots=True)
class Sending:
    """One delivery in short.

    Attributes
    ----------
    name, state : str
        The destination, and the delivery's state.
    reason : str or None
        Why it is not there.
    """

    name: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One job as the list shows it.

    Attributes
    ----------
    id : int
        The job.
    state : str
        Where it stands.
    state_since : datetime
        When it came there.
    reason : str or None
        Why it was rejected or failed, in plain words.
    rerun_of : int or None
        The job that this one re-runs.
    received_at : datetime
        When the job came; a re-run came when it was asked for.
    caller : str
        AE title of the sender.
    patient_name, patient_id : str or None
        As the header has them, a name as it is written (VR PN); None where they are hidden.
    accession_number, study_date : str
        As the header has them.
    study_instance_uid, sop_instance_uid : str
        The radiograph.
    sex : str
        "M", "F" or "unknown": as assessed, or before that as the header has it.
    chronological_age_months : float or None
        At the acquisition.
    bone_age_months : float or None
        The answer.
    interval_months : list of float or None
        Lower and upper bound of its 90 % interval.
    z_score : float or None
        Against the children of the Brush Foundation.
    determination : str or None
        normal, advanced, delayed or indeterminate.
    destinations : list of Sending
        Where the results go.
    """

    id: int
    state: str
    state_since: datetime
    reason: str | None
    rerun_of: int | None
    received_at: datetime
    caller: str
    patient_name: str | None
    patient_id: str | None
    accession_number: str
    study_date: str
    study_instance_uid: str
    sop_instance_uid: str
    sex: str
    chronological_age_months: float | None
    bone_age_months: float | None
    interval_months: list[float] | None
    z_score: float | None
    determination: str | None
    destinations: list[Sending]

    def without_patient(self) -> Entry:
        """Return it for eyes that are not to see who it is."""
        return replace(self, patient_name=None, patient_id=None, accession_number="")


def entries(session: Session, job_ids: Sequence[int], *, with_patient: bool) -> list[Entry]:
    """Return the rows of some jobs, in the order of their ids as given."""
    query = (
        select(JobRow, InstanceRow)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(JobRow.id.in_(job_ids))
    )
    sent = _sendings(session, job_ids)
    found = {
        job.id: _entry(job, instance, sent.get(job.id, []))
        for job, instance in session.execute(query)
    }
    made = [found[job_id] for job_id in job_ids if job_id in found]
    return made if with_patient else [entry.without_patient() for entry in made]


def _sendings(session: Session, job_ids: Sequence[int]) -> dict[int, list[Sending]]:
    found: dict[int, list[Sending]] = {}
    query = select(DeliveryRow).where(DeliveryRow.job_id.in_(job_ids)).order_by(DeliveryRow.id)
    for row in session.scalars(query):
        sending = Sending(row.destination, str(row.state), row.reason)
        found.setdefault(row.job_id, []).append(sending)
    return found


def _entry(job: JobRow, instance: InstanceRow, sent: list[Sending]) -> Entry:
    header, finding = instance.header, job.finding or {}
    return Entry(
        id=job.id,
        state=str(job.state),
        state_since=job.updated_at,
        reason=job.reason,
        rerun_of=job.rerun_of,
        received_at=job.created_at,
        caller=instance.calling_ae_title,
        patient_name=header.get("PatientName", ""),
        patient_id=header.get("PatientID", ""),
        accession_number=header.get("AccessionNumber", ""),
        study_date=header.get("StudyDate", ""),
        study_instance_uid=instance.study_instance_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sex=_sex(header, finding),
        chronological_age_months=_age(header, finding),
        bone_age_months=job.bone_age_months,
        interval_months=finding.get("interval_months"),
        z_score=finding.get("z_score"),
        determination=job.determination,
        destinations=sent,
    )


def _sex(header: dict[str, Any], finding: dict[str, Any]) -> str:
    sex = finding.get("sex") or header.get("PatientSex", "")
    return sex if sex in SEXES else "unknown"


def _age(header: dict[str, Any], finding: dict[str, Any]) -> float | None:
    """Return the age as it was assessed, or before that as the kept header has it."""
    if "chronological_age_months" in finding:
        age: float | None = finding["chronological_age_months"]
        return age
    known = Dataset()
    with disable_value_validation():  # its warnings quote what is invalid
        for keyword in AGE_KEYWORDS:
            if value := header.get(keyword):
                setattr(known, keyword, value)
    return chronological_age_months(known)
