"""Actions on jobs: first a page that says what will happen to how many, then the deed."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node import actions, batches, records
from dicom_node.actions import Action
from dicom_node.errors import (
    CorrectionError,
    NodeError,
    NoSuchBatchError,
    NoSuchJobError,
    NotAllowedError,
    OrderError,
)
from dicom_node.prospects import prospects
from dicom_node.states import Priority
from worklist.access import Operator, Role, User
from worklist.orders import Fields, order_of, selection_of
from worklist.web import NodeOfApp, message, page

router = APIRouter()

STATUSES: Final[dict[type[NodeError], HTTPStatus]] = {
    NoSuchJobError: HTTPStatus.NOT_FOUND,
    NoSuchBatchError: HTTPStatus.NOT_FOUND,
    NotAllowedError: HTTPStatus.CONFLICT,
    OrderError: HTTPStatus.UNPROCESSABLE_ENTITY,
    CorrectionError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""What an error of an action is answered with."""

VERBS: Final[dict[Action, str]] = {
    "rerun": "Re-run",
    "retry": "Try again",
    "accept": "Accept",
    "cancel": "Cancel",
    "priority": "Change the priority of",
}
RERUN_OF_ONE: Final = (
    "A new job assesses the same radiograph again, with what you correct here. The old job stays. "
    "The new report goes to the same destinations and names the one that it replaces."
)
EFFECTS: Final[dict[Action, str]] = {
    "rerun": (
        "A new job is made for each; it assesses the same radiograph again. The old job stays. "
        "The new report goes to the same destinations and names the one that it replaces."
    ),
    "retry": (
        "Results that were given up or held are sent again. A job that failed before it had "
        "results is assessed again."
    ),
    "accept": (
        "The radiograph is assessed although the rules for its header rejected it. The report "
        "and the events say that you overruled them."
    ),
    "cancel": "The radiograph is not assessed, and nothing is sent. This cannot be undone.",
    "priority": "Its turn comes sooner or later. What is bulk waits until nothing else does.",
}


def refusal(request: Request, error: NodeError) -> Response:
    """Answer with the page that says why an action was not done."""
    words = str(error)
    status = STATUSES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return message(request, status, f"Because {words}.", "Nothing was done")


def check_role(user: User, action: Action) -> None:
    """Let only an admin accept what the rules rejected.

    Raises
    ------
    HTTPException
        403, if the user may not.
    """
    if action == "accept" and user.role < Role.ADMIN:
        raise HTTPException(HTTPStatus.FORBIDDEN)


@router.api_route("/actions/{action}", methods=["GET", "HEAD", "POST"])
def review(
    request: Request,
    node: NodeOfApp,
    user: Operator,
    fields: Fields,
    action: Action,
) -> Response:
    """Say what an action would do with the selected jobs, and ask; nothing is changed."""
    check_role(user, action)
    try:
        selection = selection_of(node, fields)
        destination = fields.get("destination", [""])[-1] or None
        with node.database.read() as session:
            found = prospects(session, action, selection.ids, destination)
            single = selection.ids[0] if len(selection.ids) == 1 else None
            job = None if single is None else records.show_job(session, single)
    except NodeError as error:
        return refusal(request, error)
    context = {
        "action": action,
        "verb": VERBS[action],
        "effect": EFFECTS[action],
        "effect_on_one": RERUN_OF_ONE,
        "selection": selection,
        "prospects": found,
        "job": job,
        "destination": destination,
        "destinations": [one.name for one in node.config.destinations],
        "weights": node.config.inference.choices,
        "priorities": list(Priority),
    }
    return page(request, "review.html", context)


@router.post("/actions/{action}/do")
def perform(  # noqa: PLR0913, PLR0917 - what FastAPI gives
    request: Request,
    node: NodeOfApp,
    user: Operator,
    fields: Fields,
    tasks: BackgroundTasks,
    action: Action,
) -> Response:
    """Do what was confirmed: one job at once, many as a batch that goes on by itself."""
    check_role(user, action)
    try:
        order = order_of(action, fields)
        ids = selection_of(node, fields).ids
        if len(ids) == 1:
            done = actions.do(node, ids[0], user.name, order)
            return _to(f"/jobs/{done.job_id}")
        batch_id = batches.create(node, user.name, order, ids)
    except NodeError as error:
        return refusal(request, error)
    tasks.add_task(batches.run, node, batch_id)
    answer = _to(f"/batches/{batch_id}")
    answer.background = tasks
    return answer


def _to(address: str) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


@router.post("/jobs/{job_id:int}/notes")
def write_note(
    request: Request, node: NodeOfApp, user: Operator, fields: Fields, job_id: int
) -> Response:
    """Keep a note on a job."""
    try:
        actions.note(node, job_id, user.name, fields.get("text", [""])[-1])
    except NodeError as error:
        return refusal(request, error)
    return _to(f"/jobs/{job_id}#notes")
