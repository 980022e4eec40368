"""The health of the node for a monitor, and whether this process may be sent requests."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import migrations
from worklist.health import check_node
from worklist.web import READ, NodeOfApp

router = APIRouter()


@router.api_route("/healthz", methods=READ)
def show_health(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when all that is needed runs, else 503, with each part's state and reason."""
    health = check_node(node)
    available = HTTPStatus.SERVICE_UNAVAILABLE if health.state == "down" else HTTPStatus.OK
    return JSONResponse(health.as_values(), status_code=available)


@router.api_route("/readyz", methods=READ)
def show_readiness(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when this process can serve pages: the database is there, and migrated."""
    try:
        current = migrations.is_current(node.config, node.database)
        reason = "it can serve" if current else "the tables are of another version: `db upgrade`"
    except SQLAlchemyError as error:
        current, reason = False, f"the database cannot be read ({type(error).__name__})"
    available = HTTPStatus.OK if current else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"ready": current, "reason": reason}, status_code=available)
