"""Jobs as others read them: the form of ``jobs --json`` and ``show --json``. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from dicom_node import jobs
from dicom_node.db import (
    DeliveryRow,
    EventRow,
    InstanceRow,
    JobRow,
    NoteRow,
    OutputRow,
    TransferRow,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from dicom_node.states import JobState

IDS_AT_ONCE = 1000
"""SQLite takes 32 766 parameters in one statement, PostgreSQL 65 535."""


def list_jobs(
    session: Session, state: JobState | None = None, *, limit: int = 1000, before: int | None = None
) -> list[dict[str, Any]]:
    """Return jobs, newest first.

    Parameters
    ----------
    session : Session
        A reading transaction.
    state : JobState, optional
        Only jobs in this state.
    limit : int
        At most so many.
    before : int, optional
        Only jobs with a smaller id: the next page.
    """
    query = select(JobRow, InstanceRow).join(InstanceRow, InstanceRow.id == JobRow.instance_id)
    if state is not None:
        query = query.where(JobRow.state == state)
    if before is not None:
        query = query.where(JobRow.id < before)
    rows = session.execute(query.order_by(JobRow.id.desc()).limit(limit)).all()
    sent = _destinations(session, [job.id for job, _ in rows])
    return [_job(job, instance, sent.get(job.id, [])) for job, instance in rows]


def _destinations(session: Session, job_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """Return each job's deliveries in short."""
    found: dict[int, list[dict[str, Any]]] = {}
    for start in range(0, len(job_ids), IDS_AT_ONCE):
        some = DeliveryRow.job_id.in_(job_ids[start : start + IDS_AT_ONCE])
        for row in session.scalars(select(DeliveryRow).where(some).order_by(DeliveryRow.id)):
            entry = {"name": row.destination, "state": str(row.state), "reason": row.reason}
            found.setdefault(row.job_id, []).append(entry)
    return found


def _job(job: JobRow, instance: InstanceRow, sent: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": str(job.state),
        "reason": job.reason,
        "outcome": job.outcome,
        "sop_instance_uid": instance.sop_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "revision": instance.revision,
        "calling_ae_title": instance.calling_ae_title,
        "bone_age_months": job.bone_age_months,
        "weights_version": job.weights_version,
        "rerun_of": job.rerun_of,
        "attempts": job.attempts,
        "priority": str(job.priority),
        "received_at": instance.received_at.isoformat(),
        "updated_at": job.updated_at.isoformat(),
        "destinations": sent,
    }


def show_job(session: Session, job_id: int) -> dict[str, Any]:
    """Return one job with its finding, outputs, transfers and events.

    Raises
    ------
    NoSuchJobError
        If there is none.
    """
    job = jobs.get(session, job_id)
    instance = session.get_one(InstanceRow, job.instance_id)
    record = _job(job, instance, _destinations(session, [job_id]).get(job_id, []))
    outputs = session.scalars(select(OutputRow).where(OutputRow.job_id == job_id)).all()
    events = session.scalars(
        select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.id)
    ).all()
    notes = session.scalars(select(NoteRow).where(NoteRow.job_id == job_id).order_by(NoteRow.id))
    reruns = session.scalars(select(JobRow.id).where(JobRow.rerun_of == job_id).order_by(JobRow.id))
    return {
        **record,
        "finding": job.finding,
        "weights": job.weights,
        "corrections": [_correction(item) for item in job.corrections or []],
        "accepted": job.accepted,
        "notes": [_note(note) for note in notes],
        "reruns": list(reruns),
        "file": instance.path,
        "outputs": [_output(session, output) for output in outputs],
        "events": [_event(event) for event in events],
    }


def _correction(item: dict[str, Any]) -> dict[str, Any]:
    """Return a correction; a birth date's value is not repeated."""
    is_shown = item["keyword"] != "PatientBirthDate"
    return {**item, "value": item["value"] if is_shown else None}


def _note(note: NoteRow) -> dict[str, Any]:
    return {"at": note.at.isoformat(), "actor": note.actor, "text": note.text}


def _output(session: Session, output: OutputRow) -> dict[str, Any]:
    query = (
        select(DeliveryRow.destination, TransferRow.status)
        .join(DeliveryRow, DeliveryRow.id == TransferRow.delivery_id)
        .where(TransferRow.output_id == output.id)
    )
    return {
        "kind": output.kind,
        "sop_class_uid": output.sop_class_uid,
        "sop_instance_uid": output.sop_instance_uid,
        "series_instance_uid": output.series_instance_uid,
        "file": output.path,
        "statuses": {row.destination: row.status for row in session.execute(query)},
    }


def _event(event: EventRow) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "delivery": event.delivery_id,
        "from": event.from_state,
        "to": event.to_state,
        "actor": event.actor,
        "reason": event.reason,
    }
