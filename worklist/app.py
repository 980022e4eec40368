"""The pages: jobs newest first, one job in full, and the health of the node. Reads only."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import jinja2
import structlog
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node import __version__, deliveries, records
from dicom_node.db import now
from dicom_node.errors import NoSuchJobError
from dicom_node.jobs import LARGEST_ID
from dicom_node.node import Node
from dicom_node.vocabulary import RESEARCH_USE
from worklist import words
from worklist.health import check_node
from worklist.rows import delivery_names, study_dates

log = structlog.get_logger()

HERE: Final = Path(__file__).parent
PAGE_SIZE: Final = 50

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer; what it shows must not stay in a browser's cache."""

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
READ: Final = ["GET", "HEAD"]

router = APIRouter()


def create_app(node: Node) -> FastAPI:
    """Return the application over a node, which the caller closes.

    Only requests for a loopback name, or for ``worklist.host``, are answered: without that a
    page of the internet could have its own name resolved to this machine and read the list.
    """
    app = FastAPI(title="Bone age worklist", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.node = node
    app.state.templates = _templates()
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=[*LOOPBACK_NAMES, node.config.worklist.host]
    )
    app.add_middleware(SecurityHeaders)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_address)
    app.add_exception_handler(SQLAlchemyError, on_database_error)
    app.add_exception_handler(Exception, on_defect)
    return app


def _templates() -> Jinja2Templates:
    """Return the templates: everything is escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=words.age_words,
        date=words.date_words,
        moment=words.moment_words,
        second=words.second_words,
        status=words.status_words,
    )
    environment.globals.update(
        job_tones=words.JOB_TONES,
        delivery_tones=words.DELIVERY_TONES,
        health_tones=words.HEALTH_TONES,
        meanings=words.MEANINGS,
        kinds=words.KINDS,
        is_stored=deliveries.is_stored,
        research_use=RESEARCH_USE,
        version=__version__,
    )
    return Jinja2Templates(env=environment)


class SecurityHeaders:
    """Sets `HEADERS` on every answer that passes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def node_of(request: Request) -> Node:
    """Return the node that the application was made over."""
    node: Node = request.app.state.node
    return node


NodeOfApp = Annotated[Node, Depends(node_of)]


def _page(request: Request, name: str, context: dict[str, Any], status: int = 200) -> Response:
    """Render a template with what every page shows."""
    templates: Jinja2Templates = request.app.state.templates
    moment = now().astimezone()
    common = {
        "ae_title": node_of(request).config.node.ae_title,
        "moment": moment.isoformat(),
        "zone": moment.tzname(),
    }
    return templates.TemplateResponse(request, name, {**common, **context}, status_code=status)


def _message(request: Request, status: int, text: str) -> Response:
    """Render a page that says in one sentence why there is no other."""
    context = {"title": HTTPStatus(status).phrase, "text": text}
    return _page(request, "message.html", context, status)


@router.api_route("/healthz", methods=READ)
def show_health(node: NodeOfApp) -> JSONResponse:
    """Answer 200 when all that is needed runs, else 503, with each part's state and reason."""
    health = check_node(node)
    available = HTTPStatus.SERVICE_UNAVAILABLE if health.state == "down" else HTTPStatus.OK
    return JSONResponse(health.as_values(), status_code=available)


@router.api_route("/", methods=READ)
def show_jobs(
    request: Request,
    node: NodeOfApp,
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
    return _page(request, "jobs.html", context)


@router.api_route("/jobs/{job_id:int}", methods=READ)
def show_job(request: Request, node: NodeOfApp, job_id: int) -> Response:
    """Show one job: its report, its results and where they are, every event."""
    try:
        with node.database.read() as session:
            job = records.show_job(session, job_id)
            context = {
                "job": {**job, "study_date": study_dates(session, [job_id])[job_id]},
                "names": delivery_names(session, job_id),
            }
    except NoSuchJobError:
        return _message(request, HTTPStatus.NOT_FOUND, f"There is no job {job_id}.")
    return _page(request, "job.html", context)


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an address that leads nowhere, or a method that is not for reading."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.NOT_FOUND:
        return _message(request, status, "There is no such page.")
    return _message(request, status, "This page can only be read.")


def on_bad_address(request: Request, error: Exception) -> Response:
    """Answer a number that is none."""
    del error
    return _message(request, HTTPStatus.BAD_REQUEST, "A number in this address is not a job's.")


def on_database_error(request: Request, error: Exception) -> Response:
    """Answer while the database is away or has no tables yet."""
    log.error("database cannot be read", error=type(error).__name__)
    text = "The database cannot be read. Is it running, and has `db upgrade` been run?"
    return _message(request, HTTPStatus.SERVICE_UNAVAILABLE, text)


def on_defect(request: Request, error: Exception) -> Response:
    """Answer a defect of ours; neither page nor log repeats its text, which may hold a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    log.error("page failed", error=type(error).__name__, where=where)
    answer = _message(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "The page failed; the log says where."
    )
    answer.headers.update(HEADERS)  # made outside of every middleware
    return answer
