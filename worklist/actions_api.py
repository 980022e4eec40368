"""The actions on jobs for programs: the same as the pages do, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from dicom_node import actions, batches, progress
from dicom_node.actions import Action, Done, Order
from dicom_node.batches import MOST
from dicom_node.errors import NodeError, OrderError
from dicom_node.finding import CorrectedKeyword
from dicom_node.node import Node
from dicom_node.states import Priority
from worklist.access import Admin, Operator, Viewer
from worklist.actions import STATUSES, check_role
from worklist.orders import selection_of
from worklist.web import NodeOfApp

router = APIRouter(prefix="/api")

PriorityWord = Literal["urgent", "normal", "bulk"]
Name = Annotated[str, Field(min_length=1, max_length=64)]


class _Body(BaseModel):
    """What a request may hold: no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Problem(BaseModel):
    """Why nothing was done, in plain words."""

    detail: str


class RerunBody(_Body):
    """How a re-run differs: other weights, another priority, what is said instead of the header."""

    weights: Name | None = None
    priority: PriorityWord | None = None
    corrected: dict[CorrectedKeyword, str] = {}


class RetryBody(_Body):
    """Only what goes to this destination, else to all."""

    destination: Name | None = None


class AcceptBody(_Body):
    """Whether also the gate, which looks at the image, is overruled."""

    overrule_gate: bool = False


class PriorityBody(_Body):
    """When a waiting job's turn comes."""

    priority: PriorityWord


class NoteBody(_Body):
    """A note, kept with who wrote it and when."""

    text: str = Field(min_length=1, max_length=actions.LONGEST_NOTE)


class BatchBody(_Body):
    """An action on many jobs: named one by one, or all that a filter of the list shows."""

    action: Action
    jobs: list[int] = Field([], max_length=MOST)
    filter: dict[str, list[str]] | None = None
    weights: Name | None = None
    priority: PriorityWord | None = None
    destination: Name | None = None
    overrule_gate: bool = False
    corrected: dict[CorrectedKeyword, str] = {}


class JobAnswer(BaseModel):
    """Where the job is after the action; of a re-run the new job."""

    id: int
    state: str
    reason: str | None
    deliveries: int


class NoteAnswer(BaseModel):
    """The job that the note is kept with."""

    id: int


class BatchAnswer(BaseModel):
    """How far a batch has come; see `dicom_node.progress.Progress`."""

    id: int
    actor: str
    action: str
    weights: str | None
    priority: str | None
    destination: str | None
    created_at: str
    finished_at: str | None
    cancelled_by: str | None
    total: int
    done: int
    skipped: int
    reruns: dict[str, int]
    skipped_because: dict[str, int]
    unfinished: int


NOT_DONE: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": Problem, "description": "There is no such job or batch."},
    409: {"model": Problem, "description": "Its state does not allow it."},
    422: {"model": Problem, "description": "What was asked for cannot be."},
}


def _problem(error: NodeError) -> Response:
    status = STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return JSONResponse({"detail": str(error)}, status)


def _do(node: Node, job_id: int, actor: str, order: Order, status: int = 200) -> Response:
    """Do an order for one job, and answer."""
    try:
        done: Done = actions.do(node, job_id, actor, order)
    except NodeError as error:
        return _problem(error)
    return JSONResponse(done.as_values(), status)


@router.post(
    "/jobs/{job_id:int}/rerun", status_code=201, response_model=JobAnswer, responses=NOT_DONE
)
def rerun_job(node: NodeOfApp, user: Operator, job_id: int, body: RerunBody) -> Response:
    """Assess a radiograph again, as a new job."""
    order = Order("rerun", body.corrected, body.weights, _priority(body.priority))
    return _do(node, job_id, user.name, order, HTTPStatus.CREATED)


@router.post("/jobs/{job_id:int}/retry", response_model=JobAnswer, responses=NOT_DONE)
def retry_job(node: NodeOfApp, user: Operator, job_id: int, body: RetryBody) -> Response:
    """Send again what was given up; assess again what failed before it had results."""
    return _do(node, job_id, user.name, Order("retry", destination=body.destination))


@router.post("/jobs/{job_id:int}/cancel", response_model=JobAnswer, responses=NOT_DONE)
def cancel_job(node: NodeOfApp, user: Operator, job_id: int) -> Response:
    """Cancel a job that has not begun."""
    return _do(node, job_id, user.name, Order("cancel"))


@router.post("/jobs/{job_id:int}/accept", response_model=JobAnswer, responses=NOT_DONE)
def accept_job(node: NodeOfApp, user: Admin, job_id: int, body: AcceptBody) -> Response:
    """Assess a radiograph that the rules rejected; admins only."""
    return _do(node, job_id, user.name, Order("accept", overrule_gate=body.overrule_gate))


@router.post("/jobs/{job_id:int}/priority", response_model=JobAnswer, responses=NOT_DONE)
def prioritise_job(node: NodeOfApp, user: Operator, job_id: int, body: PriorityBody) -> Response:
    """Let a waiting job's turn come sooner or later."""
    return _do(node, job_id, user.name, Order("priority", priority=Priority(body.priority)))


@router.post(
    "/jobs/{job_id:int}/notes", status_code=201, response_model=NoteAnswer, responses=NOT_DONE
)
def note_job(node: NodeOfApp, user: Operator, job_id: int, body: NoteBody) -> Response:
    """Keep a note on a job."""
    try:
        actions.note(node, job_id, user.name, body.text)
    except NodeError as error:
        return _problem(error)
    return JSONResponse({"id": job_id}, HTTPStatus.CREATED)


@router.post("/batches", status_code=202, response_model=BatchAnswer, responses=NOT_DONE)
def start_batch(
    node: NodeOfApp,
    user: Operator,
    tasks: BackgroundTasks,
    body: BatchBody,
) -> Response:
    """Begin an action on many jobs; it goes on by itself."""
    check_role(user, body.action)
    order = Order(
        body.action,
        body.corrected,
        body.weights,
        _priority(body.priority),
        body.destination,
        overrule_gate=body.overrule_gate,
    )
    try:
        batch_id = batches.create(node, user.name, order, _jobs_of(node, body))
        answer = _batch(node, batch_id, HTTPStatus.ACCEPTED)
    except NodeError as error:
        return _problem(error)
    tasks.add_task(batches.run, node, batch_id)
    answer.background = tasks
    return answer


def _jobs_of(node: Node, body: BatchBody) -> list[int]:
    """Return the jobs that a request names."""
    if body.filter is None:
        return body.jobs
    if body.jobs:
        msg = "name jobs or a filter, not both"
        raise OrderError(msg)
    fields: Mapping[str, list[str]] = {**body.filter, "scope": ["filter"]}
    return selection_of(node, dict(fields)).ids


@router.get("/batches/{batch_id:int}", response_model=BatchAnswer, responses=NOT_DONE)
def show_batch(node: NodeOfApp, _user: Viewer, batch_id: int) -> Response:
    """Say how far a batch has come."""
    try:
        return _batch(node, batch_id)
    except NodeError as error:
        return _problem(error)


@router.post("/batches/{batch_id:int}/cancel", response_model=BatchAnswer, responses=NOT_DONE)
def cancel_batch(node: NodeOfApp, user: Operator, batch_id: int) -> Response:
    """Let a batch go no further, and cancel its re-runs that no worker has begun."""
    try:
        batches.cancel(node, batch_id, user.name)
        return _batch(node, batch_id)
    except NodeError as error:
        return _problem(error)


def _batch(node: Node, batch_id: int, status: int = 200) -> Response:
    with node.database.read() as session:
        found = progress.progress_of(session, batch_id)
    return JSONResponse({**asdict(found), "unfinished": found.unfinished}, status)


def _priority(word: PriorityWord | None) -> Priority | None:
    return None if word is None else Priority(word)
