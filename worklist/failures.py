"""What is answered where a page cannot be: the address, the database, or a defect of ours."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from worklist.web import HEADERS, message

log = structlog.get_logger()


def answer_failures(app: FastAPI) -> None:
    """Let every failure be answered by a page that says what is wrong, and nothing else."""
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_bad_address)
    app.add_exception_handler(SQLAlchemyError, on_database_error)
    app.add_exception_handler(Exception, on_defect)


def refuse(request: Request, status: int, text: str) -> Response:
    """Answer a program by JSON and a person by a page, with the same sentence."""
    if request.url.path.startswith("/api"):
        return JSONResponse({"detail": text}, status)
    return message(request, status, text)


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer an address that leads nowhere, a method that is not for reading, or what is wrong."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    if status == HTTPStatus.NOT_FOUND:
        return refuse(request, status, "There is no such page.")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return refuse(request, status, "This page can only be read.")
    return refuse(request, status, str(getattr(error, "detail", "")))


def on_bad_address(request: Request, error: Exception) -> Response:
    """Answer a number that is none; a program is told which part of its request is wrong."""
    if request.url.path.startswith("/api/") and isinstance(error, RequestValidationError):
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
