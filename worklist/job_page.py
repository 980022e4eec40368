"""One job: what happened and why, picture and report, destinations, history, and the details."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dicom_node import history, jobs, records
from dicom_node.db import InstanceRow, JobRow
from dicom_node.errors import NoSuchJobError
from dicom_node.heatmap_file import KIND
from dicom_node.jobs import UNFINISHED
from dicom_node.node import Node
from dicom_node.states import DeliveryState
from worklist import downloads, header_view, job_api, log_view, picture, report_tree, viewer
from worklist.access import Viewer
from worklist.growth_view import chart_of
from worklist.identity_view import identity_of, veil_of
from worklist.job_parts import job_file, no_such_job, veiled
from worklist.rows import delivery_names, study_dates
from worklist.web import READ, NodeOfApp, page

MOVING = frozenset({DeliveryState.WAITING, DeliveryState.SENDING})
"""Deliveries that will change without anybody's doing."""

router = APIRouter()
for part in (picture, header_view, report_tree, log_view, downloads, job_api):
    router.include_router(part.router)


@router.api_route("/jobs/{job_id:int}", methods=READ)
def show_job(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> Response:
    """Show one job."""
    try:
        context = job_context(request, node, job_id)
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    return page(request, "job.html", context)


@router.api_route("/jobs/{job_id:int}/live", methods=READ)
def show_changes(
    request: Request, node: NodeOfApp, _user: Viewer, job_id: int, seen: int = Query(default=0)
) -> Response:
    """Answer with the parts of the page that may have changed since so many events were seen."""
    try:
        context = job_context(request, node, job_id)
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    if len(context["job"]["events"]) == seen:
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return page(request, "job_live.html", {**context, "oob": True})


def job_context(request: Request, node: Node, job_id: int) -> dict[str, Any]:
    """Return all that the page of a job shows.

    Raises
    ------
    NoSuchJobError
        If there is none.
    """
    with node.database.read() as session:
        job = records.show_job(session, job_id)
        row = jobs.get(session, job_id)
        instance = session.get_one(InstanceRow, row.instance_id)
        context = {
            "names": delivery_names(session, job_id),
            "study_date": study_dates(session, [job_id])[job_id],
            "chart": chart_of(job["finding"], history.earlier_results(session, instance)),
        }
    veil = veil_of(request, instance.header)
    return {
        **context,
        "job": veiled(job, veil),
        "corrections": [] if veil.is_drawn else row.corrections or [],
        "identity": None if veil.is_drawn else identity_of(instance.header, row.finding),
        "has_file": node.storage.absolute(instance.path).is_file(),
        "has_heatmap": job_file(node, job_id, KIND) is not None,
        "viewer_url": viewer_url(node, instance),
        "is_live": is_moving(row, job),
        "oob": False,
    }


def is_moving(row: JobRow, job: dict[str, Any]) -> bool:
    """Tell whether a job will change without anybody's doing."""
    return row.state in UNFINISHED or any(
        destination["state"] in MOVING for destination in job["destinations"]
    )


def viewer_url(node: Node, instance: InstanceRow) -> str | None:
    """Return where the study can be looked at: by the configured viewer, else by our own."""
    template = node.config.worklist.viewer_url
    if template is None:
        return viewer.study_url(instance.study_instance_uid)
    for field in ("study_instance_uid", "sop_instance_uid"):
        template = template.replace(f"{{{field}}}", quote(getattr(instance, field), safe=""))
    return template
