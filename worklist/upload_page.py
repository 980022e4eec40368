"""Files and zips dropped on a page, or sent by a program: jobs like any other."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter

from dicom_node.importing import Answer, Outcome
from dicom_node.reception import person
from worklist import uploads
from worklist.access import Operator
from worklist.uploads import UploadError
from worklist.web import READ, NodeOfApp, page

router = APIRouter()

TONES: Final = {
    Outcome.ACCEPTED: "good",
    Outcome.PRESENT: "work",
    Outcome.REFUSED: "bad",
    Outcome.SKIPPED: "off",
}


@dataclass(frozen=True, slots=True)
class UploadAnswer:
    """What came of each file of an upload, in its order.

    ``error`` says why nothing of it was taken; then ``files`` is empty.
    """

    files: list[Answer]
    error: str | None = None


UPLOAD_ANSWER: Final = TypeAdapter(UploadAnswer)
BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/dicom": {"schema": {"type": "string", "format": "binary"}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "files": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
        },
    }
}


@router.api_route("/upload", methods=READ)
def show_upload(request: Request, node: NodeOfApp, _user: Operator) -> Response:
    """Show where files are dropped."""
    return _page(request, node.config.worklist.upload_megabytes)


@router.post("/upload")
async def upload(request: Request, node: NodeOfApp, user: Operator) -> Response:
    """Take the files of the form, and say what came of each.

    Not answered by a redirect: the answers are nowhere else, and the same files sent twice are
    here already the second time.
    """
    megabytes = node.config.worklist.upload_megabytes
    try:
        answers = await uploads.take(request, node, person("page", user.name))
    except UploadError as error:
        return _page(request, megabytes, error=error.text, status=error.status)
    return _page(request, megabytes, answers)


def _page(
    request: Request,
    megabytes: int,
    answers: list[Answer] | None = None,
    *,
    error: str | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    context = {"answers": answers or [], "error": error, "megabytes": megabytes, "tones": TONES}
    return page(request, "upload.html", context, status)


@router.post(
    "/api/instances",
    response_model=UploadAnswer,
    openapi_extra=BODY,
    tags=["instances"],
    responses={
        202: {"model": UploadAnswer, "description": "Some files were refused."},
        400: {"model": UploadAnswer, "description": "The body cannot be read."},
        409: {"model": UploadAnswer, "description": "No file was taken."},
        413: {"model": UploadAnswer, "description": "The body is too large."},
        415: {"model": UploadAnswer, "description": "Neither DICOM, a zip nor a form."},
        507: {"model": UploadAnswer, "description": "The disk is nearly full."},
    },
)
async def store_instances(request: Request, node: NodeOfApp, user: Operator) -> Response:
    """Take one DICOM file or zip as the body, or several as a form.

    Answered as STOW-RS is (PS3.18 10.5.3): 200 where all were taken or are here already, 202
    where some were refused, 409 where all were.
    """
    try:
        answers = await uploads.take(request, node, person("api", user.name))
    except UploadError as error:
        return _json(UploadAnswer([], error.text), error.status)
    refused = [answer for answer in answers if answer.outcome == Outcome.REFUSED]
    status = HTTPStatus.OK if not refused else HTTPStatus.ACCEPTED
    if refused and len(refused) == len(answers):
        status = HTTPStatus.CONFLICT
    return _json(UploadAnswer(answers), status)


def _json(answer: UploadAnswer, status: HTTPStatus) -> Response:
    return JSONResponse(UPLOAD_ANSWER.dump_python(answer, mode="json"), status)
