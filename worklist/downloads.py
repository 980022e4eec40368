"""A job's files to take away: the radiograph, each result, all of them as a zip. Audited."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from dicom_node import audit
from dicom_node.errors import NoSuchJobError
from dicom_node.node import Node
from worklist.access import User, Viewer
from worklist.job_parts import no_such_job, outputs_of, source_of
from worklist.web import READ, NodeOfApp, message

log = structlog.get_logger()

DICOM: Final = "application/dicom"
BLOCK_BYTES: Final = 1 << 18

router = APIRouter()


def note_download(node: Node, user: User, job_id: int, what: str) -> None:
    """Note who took what away: these files name a patient."""
    with node.database.write() as session:
        audit.note(session, user.name, "downloaded", f"job {job_id}", what)
    log.info("downloaded", job=job_id, actor=user.name, what=what)


@router.api_route("/jobs/{job_id:int}/source.dcm", methods=READ)
def download_source(request: Request, node: NodeOfApp, user: Viewer, job_id: int) -> Response:
    """Give the radiograph as it was received."""
    try:
        path = source_of(node, job_id).path
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    return _file(request, node, user, job_id, path, "source")


@router.api_route("/jobs/{job_id:int}/results/{kind}.dcm", methods=READ)
def download_result(
    request: Request, node: NodeOfApp, user: Viewer, job_id: int, kind: str
) -> Response:
    """Give a result as it is sent, by its kind: ``sr``, ``sc`` and so on."""
    made = {output.kind: output for output in outputs_of(node, job_id)}
    if kind not in made:
        return message(request, HTTPStatus.NOT_FOUND, f"Job {job_id} has no such result.")
    path = node.storage.absolute(made[kind].path)
    return _file(request, node, user, job_id, path, kind)


def _file(  # noqa: PLR0913, PLR0917 - a request, and what it is for
    request: Request, node: Node, user: User, job_id: int, path: Path, what: str
) -> Response:
    """Give one DICOM file, under a name that names nobody."""
    if not path.is_file():
        return message(request, HTTPStatus.NOT_FOUND, "The file is missing.")
    if request.method == "GET":
        note_download(node, user, job_id, what)
    return FileResponse(path, media_type=DICOM, filename=f"job-{job_id}-{what}.dcm")


@router.api_route("/jobs/{job_id:int}/files.zip", methods=READ)
def download_all(request: Request, node: NodeOfApp, user: Viewer, job_id: int) -> Response:
    """Give the radiograph and every result as a zip."""
    try:
        paths = {"source": source_of(node, job_id).path}
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    outputs = outputs_of(node, job_id)
    paths |= {output.kind: node.storage.absolute(output.path) for output in outputs}
    there = {what: path for what, path in paths.items() if path.is_file()}
    if not there:
        return message(request, HTTPStatus.NOT_FOUND, "Every file of this job is missing.")
    headers = {"Content-Disposition": f'attachment; filename="job-{job_id}.zip"'}
    if request.method == "HEAD":
        return Response(media_type="application/zip", headers=headers)
    note_download(node, user, job_id, ", ".join(there))
    packed = _packed(there, job_id, node.storage.partial)
    return StreamingResponse(_blocks(packed), media_type="application/zip", headers=headers)


def _packed(paths: dict[str, Path], job_id: int, folder: Path) -> IO[bytes]:
    """Return a zip of files, which has no name and is gone when it is closed."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed when it has been sent
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for what, path in paths.items():
            packed.write(path, f"job-{job_id}/job-{job_id}-{what}.dcm")
    file.seek(0)
    return file


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's content, and close it."""
    with file:
        while block := file.read(BLOCK_BYTES):
            yield block
