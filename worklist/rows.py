"""What the pages show beyond `dicom_node.records`. Reads only, and never a patient's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from dicom_node.db import DeliveryRow, InstanceRow, JobRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def study_dates(session: Session, job_ids: Sequence[int]) -> dict[int, str | None]:
    """Return each job's StudyDate as the header had it; None where it had none."""
    query = (
        select(JobRow.id, InstanceRow.header["StudyDate"].as_string().label("study_date"))
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(JobRow.id.in_(job_ids))
    )
    return {row.id: row.study_date for row in session.execute(query)}


def delivery_names(session: Session, job_id: int) -> dict[int, str]:
    """Return the destination of each of a job's deliveries."""
    query = select(DeliveryRow.id, DeliveryRow.destination).where(DeliveryRow.job_id == job_id)
    return {row.id: row.destination for row in session.execute(query)}
