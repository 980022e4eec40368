"""Who may call, where results go: as configured, tried at the press of a button."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, BackgroundTasks, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from dicom_node import echoes
from dicom_node.config import Config, Destination
from dicom_node.errors import ConfigError
from dicom_node.explain import explain
from dicom_node.node import Node
from worklist.access import Admin
from worklist.web import READ, NodeOfApp, message, page

if TYPE_CHECKING:
    from dicom_node.db import EchoRow

SAMPLE_LIMIT_BYTES: Final = 32 << 20
"""A radiograph of the hand has about 10 MB."""

SAMPLE_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}},
    }
}

STEP_NAMES: Final = {
    "address": "Address",
    "tcp": "TCP",
    "association": "Association",
    "echo": "C-ECHO",
}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Test:
    """The last test of a destination.

    Attributes
    ----------
    destination : str
        Its name.
    running : bool
        Whether another is under way.
    ended_at : datetime or None
        When the last one ended; None before the first.
    failed_step : str or None
        ``address``, ``tcp``, ``association`` or ``echo``; None where it answered.
    steps : tuple of dict
        ``name, good, detail, seconds`` of each step that was tried.
    """

    destination: str
    running: bool
    ended_at: datetime | None
    failed_step: str | None
    steps: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What the node would do with a sample file; see `dicom_node.explain`."""

    eligible: bool
    reason: str | None
    modality: str
    sex: str | None
    chronological_age_months: float | None
    laterality: str | None
    routes: tuple[str, ...]
    destinations: tuple[str, ...]


@router.api_route("/connections", methods=READ)
def show_connections(request: Request, node: NodeOfApp, _user: Admin) -> Response:
    """Show callers, destinations, archive and routes."""
    return page(request, "connections.html", _context(node))


def _context(node: Node, trial: Trial | None = None, calling: str = "") -> dict[str, Any]:
    with node.database.read() as session:
        rows = echoes.last(session)
    config = node.config
    tests = {d.name: _test_of(d.name, rows.get(d.name)) for d in config.destinations}
    return {
        "config": config,
        "tests": tests,
        "step_names": STEP_NAMES,
        "trial": trial,
        "calling": calling,
        "limit_megabytes": SAMPLE_LIMIT_BYTES >> 20,
    }


def _test_of(name: str, row: EchoRow | None) -> Test:
    if row is None:
        return Test(name, running=False, ended_at=None, failed_step=None, steps=())
    return Test(
        destination=name,
        running=echoes.is_running(row),
        ended_at=row.ended_at,
        failed_step=row.failed_step,
        steps=tuple(row.steps or ()),
    )


# --- testing a destination -----------------------------------------------------------------------


@router.post("/connections/echo")
async def start_test(
    request: Request, node: NodeOfApp, _user: Admin, tasks: BackgroundTasks
) -> Response:
    """Test the destination that the form names, in the background."""
    form = await request.form()
    destination = _destination(node.config, str(form.get("destination", "")))
    await run_in_threadpool(echoes.begin, node, destination)
    tasks.add_task(echoes.finish, node, destination)
    if request.headers.get("HX-Request"):
        answer = await run_in_threadpool(_test_fragment, request, node, destination)
    else:
        answer = RedirectResponse("/connections", HTTPStatus.SEE_OTHER)
    answer.background = tasks
    return answer


@router.api_route("/connections/echo", methods=READ)
def show_test(request: Request, node: NodeOfApp, _user: Admin, destination: str) -> Response:
    """Show how the test of a destination stands."""
    return _test_fragment(request, node, _destination(node.config, destination))


def _test_fragment(request: Request, node: Node, destination: Destination) -> Response:
    context = _context(node)
    return page(request, "connection.html", {**context, "destination": destination})


@router.post("/api/connections/{name}/echo", status_code=HTTPStatus.ACCEPTED)
def start_api_test(node: NodeOfApp, _user: Admin, name: str, tasks: BackgroundTasks) -> Test:
    """Test a destination in the background; GET of the same address says how it stands."""
    destination = _destination(node.config, name)
    echoes.begin(node, destination)
    tasks.add_task(echoes.finish, node, destination)
    return read_api_test(node, _user, name)


@router.get("/api/connections/{name}/echo")
def read_api_test(node: NodeOfApp, _user: Admin, name: str) -> Test:
    """Return the last test of a destination, step by step."""
    destination = _destination(node.config, name)
    with node.database.read() as session:
        return _test_of(destination.name, echoes.last(session).get(destination.name))


def _destination(config: Config, name: str) -> Destination:
    try:
        return config.destination(name)
    except ConfigError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND) from error


# --- trying a sample file ------------------------------------------------------------------------


@router.post("/connections/sample")
async def try_sample(request: Request, node: NodeOfApp, _user: Admin) -> Response:
    """Show what would become of a file; it is not kept."""
    if not _small(request):
        text = f"The file must be known to have at most {SAMPLE_LIMIT_BYTES >> 20} MB."
        return message(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    async with request.form(max_files=1) as form:
        sample, calling = form.get("sample"), str(form.get("calling", "")).strip()
        if not isinstance(sample, UploadFile) or not sample.size:
            return message(request, HTTPStatus.BAD_REQUEST, "Choose a DICOM file first.")
        content = await sample.read()
    trial = await run_in_threadpool(_try, node.config, content, calling)
    return await run_in_threadpool(
        page, request, "connections.html", _context(node, trial, calling)
    )


@router.post(
    "/api/connections/sample",
    response_model=Trial,
    responses={413: {"description": "The file is too large, or its size is not said."}},
    openapi_extra=SAMPLE_BODY,
)
async def try_api_sample(
    request: Request, node: NodeOfApp, _user: Admin, calling: str = ""
) -> Response:
    """Return what would become of the DICOM file that is the request's body; it is not kept."""
    if not _small(request):
        raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    trial = await run_in_threadpool(_try, node.config, await request.body(), calling.strip())
    return JSONResponse({name: getattr(trial, name) for name in Trial.__slots__})


def _small(request: Request) -> bool:
    """Return whether the request says that it is small enough to be read at all."""
    length = request.headers.get("Content-Length", "")
    return length.isascii() and length.isdigit() and int(length) <= SAMPLE_LIMIT_BYTES


def _try(config: Config, content: bytes, calling: str) -> Trial:
    """Explain a file that exists only for as long as that takes."""
    with tempfile.NamedTemporaryFile(prefix="sample-", suffix=".dcm") as file:
        file.write(content)
        file.flush()
        found = explain(config, Path(file.name), calling)
    return Trial(
        eligible=found["eligible"],
        reason=found["reason"],
        modality=found["modality"],
        sex=found["sex"],
        chronological_age_months=found["chronological_age_months"],
        laterality=found["laterality"],
        routes=tuple(found["routes"]),
        destinations=tuple(found["destinations"]),
    )
