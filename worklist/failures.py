"""What is answered where a page cannot be: the address, the database, or a defect of ours."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from pathlib import Path
from typing import Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from worklist.web import HEADERS, message

FOR_PROGRAMS: Final = ("/healthz", "/readyz", "/metrics")
FOLDERS_FOR_PROGRAMS: Final = ("/api", "/dicomweb")

TEXTS: Final[dict[int, str]] = {
    HTTPStatus.NOT_FOUND: "There is no such page.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take this method.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this address takes.",
}

log = structlog.get_logger()


def is_for_programs(path: str) -> bool:
    """Return whether an address is there for programs, and no page."""
    return path in FOR_PROGRAMS or any(
        path == folder or path.startswith(f"{folder}/") for folder in FOLDERS_FOR_PROGRAMS
    )


def answer_failures(app: FastAPI) -> None:
    """Let every failure be answered by a page that says what is wrong, and nothing else."""
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_address)
    app.add_exception_handler(SQLAlchemyError, on_database_error)
    app.add_exception_handler(Exception, on_defect)


def refuse(request: Request, status: int, text: str) -> Response:
    """Answer a program by JSON and a person by a page, with the same sentence."""
    if is_for_programs(request.url.path):
        return JSONResponse({"detail": text}, status)
    return message(request, status, text)


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an address that leads nowhere, a method that is not for it, or what else is wrong."""
    status, said, headers = HTTPStatus.BAD_REQUEST, "", None
    if isinstance(error, HTTPException):
        status, said, headers = HTTPStatus(error.status_code), error.detail, error.headers
    answer = refuse(request, status, TEXTS.get(status, said))
    answer.headers.update(headers or {})  # 405 says which methods there are
    return answer


def on_bad_address(request: Request, error: Exception) -> Response:
    """Answer a number that is none; a program is told which part of its request is wrong."""
    if is_for_programs(request.url.path) and isinstance(error, RequestValidationError):
        # Neither the value nor its context is repeated: it may be a birth date.
        found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        detail = "; ".join(f"{where}: {what}" for where, what in found)
        return JSONResponse({"detail": detail}, HTTPStatus.UNPROCESSABLE_ENTITY)
    return refuse(request, HTTPStatus.BAD_REQUEST, "A number in this address is not a job's.")


def on_database_error(request: Request, error: Exception) -> Response:
    """Answer while the database is away or has no tables yet."""
    log.error("database cannot be read", error=type(error).__name__)
    text = "The database cannot be read. Is it running, and has `db upgrade` been run?"
    return refuse(request, HTTPStatus.SERVICE_UNAVAILABLE, text)


def on_defect(request: Request, error: Exception) -> Response:
    """Answer a defect of ours; neither page nor log repeats its text, which may hold a value."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    log.error("page failed", error=type(error).__name__, where=where)
    answer = refuse(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "The page failed; the log says where."
    )
    answer.headers.update(HEADERS)  # made outside of every middleware
    return answer
