"""One job in full."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dicom_node import records
from dicom_node.errors import NoSuchJobError
from worklist.access import Viewer
from worklist.rows import delivery_names, study_dates
from worklist.web import READ, NodeOfApp, message, page

router = APIRouter()


@router.api_route("/jobs/{job_id:int}", methods=READ)
def show_job(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> Response:
    """Show one job: its report, its results and where they are, every event."""
    try:
        with node.database.read() as session:
            job = records.show_job(session, job_id)
            context = {
                "job": {**job, "study_date": study_dates(session, [job_id])[job_id]},
                "names": delivery_names(session, job_id),
            }
    except NoSuchJobError:
        return message(request, HTTPStatus.NOT_FOUND, f"There is no job {job_id}.")
    return page(request, "job.html", context)
