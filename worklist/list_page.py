"""The list: jobs newest first, a page at a time."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dicom_node import records
from dicom_node.jobs import LARGEST_ID
from worklist.access import Viewer
from worklist.health import check_node
from worklist.rows import study_dates
from worklist.web import READ, NodeOfApp, page

PAGE_SIZE: Final = 50

router = APIRouter()


@router.api_route("/", methods=READ)
def show_jobs(
    request: Request,
    node: NodeOfApp,
    _user: Viewer,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
) -> Response:
    """List jobs, newest first, a page at a time; ``before`` is the last id of the page before."""
    with node.database.read() as session:
        found = records.list_jobs(session, limit=PAGE_SIZE + 1, before=before)
        dates = study_dates(session, [job["id"] for job in found])
    shown = found[:PAGE_SIZE]
    context = {
        "jobs": [{**job, "study_date": dates[job["id"]]} for job in shown],
        "before": before,
        "older": shown[-1]["id"] if len(found) > PAGE_SIZE else None,
        "health": check_node(node),
        "config": node.config,
    }
    return page(request, "jobs.html", context)
