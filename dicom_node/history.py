"""Earlier results of the same patient, from the node's own database."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select

from dicom_node.db import InstanceRow, JobRow
from dicom_node.finding import EarlierResult

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MOST: Final = 200
"""Jobs of one patient that are looked at, the newest first."""


def earlier_results(session: Session, instance: InstanceRow) -> tuple[EarlierResult, ...]:
    """Return the newest answer to each radiograph of the patient in other studies, oldest first.

    The patient is known by PatientID and its issuer (PS3.3 C.7.1.1); without a PatientID there
    is no history. The same study is no history: it may show the other hand.
    """
    if not instance.patient_id:
        return ()
    query = (
        select(InstanceRow.sop_instance_uid, JobRow.finding)
        .join(JobRow, JobRow.instance_id == InstanceRow.id)
        .where(
            InstanceRow.patient_id == instance.patient_id,
            InstanceRow.issuer_of_patient_id == instance.issuer_of_patient_id,
            InstanceRow.study_instance_uid != instance.study_instance_uid,
            JobRow.bone_age_months.is_not(None),
        )
        .order_by(JobRow.id.desc())
        .limit(MOST)
    )
    newest: dict[str, dict[str, Any]] = {}
    for sop_instance_uid, finding in session.execute(query):
        if finding and finding.get("acquired_on"):
            newest.setdefault(sop_instance_uid, finding)
    return tuple(sorted(map(_earlier, newest.values()), key=lambda result: result.acquired_on))


def _earlier(finding: dict[str, Any]) -> EarlierResult:
    """Return a result as another one speaks of it."""
    return EarlierResult(
        acquired_on=date.fromisoformat(finding["acquired_on"]),
        chronological_age_months=finding["chronological_age_months"],
        bone_age_months=finding["bone_age_months"],
        sd_months=finding["sd_months"],
        weights_version=finding["weights_version"],
    )
