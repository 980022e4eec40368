"""The health of the node for a monitor."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worklist.health import check_node
from worklist.web import READ, NodeOfApp

router = APIRouter()


@router.api_route("/healthz", methods=READ)
def show_health(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when all that is needed runs, else 503, with each part's state and reason."""
    health = check_node(node)
    available = HTTPStatus.SERVICE_UNAVAILABLE if health.state == "down" else HTTPStatus.OK
    return JSONResponse(health.as_values(), status_code=available)
