"""The audit: who did what, newest first."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dicom_node import audit
from dicom_node.jobs import LARGEST_ID
from worklist.access import Admin
from worklist.web import READ, NodeOfApp, page

PAGE_SIZE: Final = 100

router = APIRouter()

Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]
Actor = Annotated[str, Query(max_length=128)]


@router.api_route("/audit", methods=READ)
def show_audit(
    request: Request, node: NodeOfApp, _user: Admin, before: Before = None, actor: Actor = ""
) -> Response:
    """List entries a page at a time; ``before`` is the last id of the page before."""
    wanted = actor.strip() or None
    with node.database.read() as session:
        found = audit.entries(session, limit=PAGE_SIZE + 1, before=before, actor=wanted)
    shown = found[:PAGE_SIZE]
    older = shown[-1].id if len(found) > PAGE_SIZE else None
    context = {"entries": shown, "before": before, "actor": actor.strip(), "older": older}
    return page(request, "audit.html", context)
