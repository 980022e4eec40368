"""The files in the body of a request, streamed into the store's folder of half-received files."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import FormParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from dicom_node import zips
from dicom_node.errors import OutOfResourcesError
from dicom_node.importing import MEGABYTE, Answer, Importer
from dicom_node.storage import Incoming

if TYPE_CHECKING:
    from fastapi import Request
    from python_multipart.multipart import File

    from dicom_node.node import Node
    from dicom_node.reception import Sender

WHOLE_BODY: Final = {
    b"application/dicom": "instance",
    b"application/octet-stream": "instance",
    b"application/zip": "zip",
    b"application/x-zip-compressed": "zip",
}
"""Media types of a body that is one file, and what the answer calls it."""

MOST_FILES: Final = zips.MOST_MEMBERS
LONGEST_FIELD: Final = 65_536
OVERHEAD_BYTES: Final = 16 << 20
"""Headers of the parts of a form, beside the files."""


class UploadError(Exception):
    """An upload of which nothing is taken."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an upload: its name at the sender, and where it lies."""

    name: str
    path: Path


async def take(request: Request, node: Node, sender: Sender) -> list[Answer]:
    """Take every file of a request's body.

    Raises
    ------
    UploadError
        If the body cannot be read, is too large, or holds no file.
    """
    incoming = await run_in_threadpool(Incoming, node.storage)
    try:
        parts = await _receive(request, node, incoming.folder)
        importer = Importer(node, incoming, sender)
        return await run_in_threadpool(_answers, importer, parts)
    finally:
        await run_in_threadpool(incoming.close)


def _answers(importer: Importer, parts: list[Part]) -> list[Answer]:
    return [answer for part in parts for answer in importer.take(part.path, part.name)]


async def _receive(request: Request, node: Node, folder: Path) -> list[Part]:
    """Write the body's files into a folder."""
    most = node.config.worklist.upload_megabytes * MEGABYTE
    parts: list[Part] = []
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind in WHOLE_BODY:
        path = folder / f"{uuid.uuid4().hex}.part"
        parts.append(Part(WHOLE_BODY[kind], path))
        with path.open("wb") as file:
            await _stream(request, node, most, file.write)
        return parts
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        text = "Send application/dicom, application/zip or multipart/form-data."
        raise UploadError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
    try:
        parser = _form_parser(boundary, folder, parts)
        await _stream(request, node, most + OVERHEAD_BYTES, parser.write)
    except FormParserError:
        raise UploadError(HTTPStatus.BAD_REQUEST, "The form is damaged.") from None
    if not parts:
        raise UploadError(HTTPStatus.BAD_REQUEST, "No file was chosen.")
    return parts


def _form_parser(boundary: bytes, folder: Path, parts: list[Part]) -> FormParser:
    """Return what writes the files of a form into a folder, under names of its own."""

    def keep(file: File) -> None:
        if file.in_memory:  # as an empty one stays
            file.flush_to_disk()
        file.close()
        if not file.file_name and not file.size:  # a form sent with nothing chosen
            return
        if len(parts) >= MOST_FILES:
            raise FormParserError
        name = (file.file_name or b"").decode("utf-8", "replace")
        parts.append(Part(name or "file", Path((file.actual_file_name or b"").decode())))

    settings = {
        "UPLOAD_DIR": str(folder),
        "UPLOAD_DELETE_TMP": False,
        "MAX_MEMORY_FILE_SIZE": 0,
        "MAX_FIELD_SIZE": LONGEST_FIELD,
    }
    return FormParser("multipart/form-data", None, keep, boundary=boundary, config=settings)


async def _stream(
    request: Request, node: Node, most: int, write: Callable[[bytes], object]
) -> None:
    """Hand the body on as it comes; not a byte more than is allowed, and only while there is room.

    Raises
    ------
    UploadError
        If there is too much, no room, or the sender is gone.
    """
    too_large = UploadError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"More than {node.config.worklist.upload_megabytes} MB; send fewer files at a time.",
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > most:
        raise too_large
    size = 0
    try:
        async for block in request.stream():
            size += len(block)
            if size > most:
                raise too_large
            node.storage.check_space()
            await run_in_threadpool(write, block)
    except ClientDisconnect:
        raise UploadError(HTTPStatus.BAD_REQUEST, "The upload ended early.") from None
    except (OutOfResourcesError, OSError):
        text = "The disk is nearly full: nothing more is taken."
        raise UploadError(HTTPStatus.INSUFFICIENT_STORAGE, text) from None
