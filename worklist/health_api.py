"""The health of the node for a monitor, and whether this process may be sent requests."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import migrations
from worklist.health import State, check_node
from worklist.web import READ, NodeOfApp

router = APIRouter()


class _Answer(BaseModel):
    """A frozen part of an answer."""

    model_config = ConfigDict(frozen=True)


class PartAnswer(_Answer):
    """How one part is: ok, warning or down, and why."""

    state: State
    reason: str


class WorkersAnswer(PartAnswer):
    """How the workers are, each queue for itself."""

    assess: PartAnswer
    send: PartAnswer


class HealthAnswer(_Answer):
    """How the node is: as its worst part."""

    state: State
    database: PartAnswer
    broker: PartAnswer
    workers: WorkersAnswer
    listener: PartAnswer
    sweeper: PartAnswer
    disk: PartAnswer


class ReadinessAnswer(_Answer):
    """Whether this process can serve, and why not."""

    ready: bool
    reason: str


@router.api_route(
    "/healthz",
    methods=READ,
    response_model=HealthAnswer,
    responses={503: {"model": HealthAnswer, "description": "A part that is needed is down."}},
)
def show_health(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when all that is needed runs, else 503, with each part's state and reason."""
    health = check_node(node)
    available = HTTPStatus.SERVICE_UNAVAILABLE if health.state == "down" else HTTPStatus.OK
    return JSONResponse(health.as_values(), status_code=available)


@router.api_route(
    "/readyz",
    methods=READ,
    response_model=ReadinessAnswer,
    responses={503: {"model": ReadinessAnswer, "description": "It cannot serve yet."}},
)
def show_readiness(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when this process can serve pages: the database is there, and migrated."""
    try:
        current = migrations.is_current(node.config, node.database)
        reason = "it can serve" if current else "the tables are of another version: `db upgrade`"
    except SQLAlchemyError as error:
        current, reason = False, f"the database cannot be read ({type(error).__name__})"
    available = HTTPStatus.OK if current else HTTPStatus.SERVICE_UNAVAILABLE
    return JSONResponse({"ready": current, "reason": reason}, status_code=available)
