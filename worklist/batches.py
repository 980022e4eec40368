"""Batches: how far each has come, live, and how it is stopped."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dicom_node import batches, progress
from dicom_node.errors import NodeError, NoSuchBatchError
from worklist.access import Operator, Viewer
from worklist.actions import VERBS, refusal
from worklist.web import READ, NodeOfApp, message, page

MOST_SHOWN: Final = 50

router = APIRouter()


@router.api_route("/batches", methods=READ)
def list_batches(request: Request, node: NodeOfApp, _user: Viewer) -> Response:
    """List the newest batches."""
    with node.database.read() as session:
        found = progress.recent(session, MOST_SHOWN)
    return page(request, "batches.html", {"batches": found, "verbs": VERBS})


@router.api_route("/batches/{batch_id:int}", methods=READ)
def show_batch(request: Request, node: NodeOfApp, _user: Viewer, batch_id: int) -> Response:
    """Show how far a batch has come."""
    return _show(request, node, batch_id, "batch.html")


@router.api_route("/batches/{batch_id:int}/progress", methods=READ)
def show_progress(request: Request, node: NodeOfApp, _user: Viewer, batch_id: int) -> Response:
    """Answer with the part of the page that moves."""
    return _show(request, node, batch_id, "batch_progress.html")


def _show(request: Request, node: NodeOfApp, batch_id: int, template: str) -> Response:
    try:
        with node.database.read() as session:
            context = {
                "batch": progress.progress_of(session, batch_id),
                "reruns": progress.members(session, batch_id, skipped=False),
                "skipped": progress.members(session, batch_id, skipped=True),
                "most_listed": progress.MOST_LISTED,
                "verbs": VERBS,
            }
    except NoSuchBatchError:
        return message(request, HTTPStatus.NOT_FOUND, f"There is no batch {batch_id}.")
    return page(request, template, context)


@router.post("/batches/{batch_id:int}/cancel")
def cancel_batch(request: Request, node: NodeOfApp, user: Operator, batch_id: int) -> Response:
    """Let a batch go no further, and cancel its re-runs that no worker has begun."""
    try:
        batches.cancel(node, batch_id, user.name)
    except NodeError as error:
        return refusal(request, error)
    return RedirectResponse(f"/batches/{batch_id}", HTTPStatus.SEE_OTHER)
