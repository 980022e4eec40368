"""One job as JSON: what its page shows, for a program."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict

from dicom_node import records
from dicom_node.errors import NoSuchJobError
from worklist.access import Viewer
from worklist.identity_view import identity_of
from worklist.job_parts import source_of, veiled
from worklist.web import NodeOfApp

router = APIRouter()


class _Answer(BaseModel):
    """A frozen part of an answer."""

    model_config = ConfigDict(frozen=True)


class Patient(_Answer):
    """Whom a job is about; what the header does not say is empty."""

    name: str
    patient_id: str
    birth_date: str
    sex: str
    age_months: int | None


class DestinationAnswer(_Answer):
    """How far the results have come to one destination."""

    name: str
    state: str
    reason: str | None


class OutputAnswer(_Answer):
    """One result object, and the last DIMSE status of each destination for it."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    statuses: dict[str, int]


class EventAnswer(_Answer):
    """One move of the job, or of the delivery with that number."""

    at: datetime
    delivery: int | None
    from_state: str | None
    to_state: str
    actor: str
    reason: str | None


class JobRecord(_Answer):
    """One job in full; ages in months, ``finding`` as `show --json` has it."""

    id: int
    state: str
    reason: str | None
    outcome: str | None
    sop_instance_uid: str
    study_instance_uid: str
    revision: int
    calling_ae_title: str
    bone_age_months: float | None
    weights_version: str | None
    rerun_of: int | None
    attempts: int
    received_at: datetime
    updated_at: datetime
    patient: Patient | None
    finding: dict[str, Any] | None
    destinations: list[DestinationAnswer]
    outputs: list[OutputAnswer]
    events: list[EventAnswer]


@router.get(
    "/api/jobs/{job_id:int}",
    response_model=JobRecord,
    responses={404: {"description": "There is no such job."}},
)
def read_job(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> JobRecord | Response:
    """Return one job with its finding, results, deliveries and events.

    The patient is left out where the privacy switch of the asking browser is on.
    """
    try:
        source = source_of(node, job_id)
        with node.database.read() as session:
            found = records.show_job(session, job_id)
    except NoSuchJobError:
        return JSONResponse({"detail": f"There is no job {job_id}."}, HTTPStatus.NOT_FOUND)
    veil = source.veil(request)
    job = veiled(found, veil)
    identity = identity_of(source.instance.header, found["finding"])
    events = [
        {**event, "from_state": event["from"], "to_state": event["to"]} for event in job["events"]
    ]
    patient = None if veil.is_drawn else Patient.model_validate(identity, from_attributes=True)
    return JobRecord.model_validate({**job, "patient": patient, "events": events})
