"""DICOMweb over the node's own store, to read: QIDO-RS and WADO-RS (PS3.18 10.6 and 10.4)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import PlainTextResponse, Response
from fastapi.routing import APIRoute

from dicom_node import audit
from dicom_node.errors import MismatchError
from dicom_node.header import text
from dicom_node.node import Node
from dicom_node.storage import check_uid
from worklist import dicomweb_frames as frames
from worklist import dicomweb_retrieve as retrieve
from worklist.access import Viewer
from worklist.dicomweb_description import BULK, FRAMES, INSTANCES, METADATA, PICTURE, searches
from worklist.dicomweb_json import MEDIA_TYPE, Json, is_identifying
from worklist.dicomweb_keys import Level, read_keys
from worklist.dicomweb_query import search
from worklist.dicomweb_store import Address, DicomWebError, find
from worklist.multipart import accepted
from worklist.web import READ, NodeOfApp

log = structlog.get_logger()

ROOT: Final = "/dicomweb"
PRIVACY_COOKIE: Final = "privacy"

STUDY: Final = "/studies/{study}"
SERIES: Final = STUDY + "/series/{series}"
INSTANCE: Final = SERIES + "/instances/{instance}"

MORE_RESULTS: Final = (
    "The number of results exceeded the maximum supported by the server. Additional results can "
    "be requested."
)
NAMED: Final = (
    "The privacy switch is on, and this would show who it is. Switch it off, or ask for the "
    "metadata, frames or pictures."
)


class _Route(APIRoute):
    """Answers what is refused by its status and one sentence."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except DicomWebError as error:
                return PlainTextResponse(f"{error.text}\n", error.status)

        return answer


router = APIRouter(prefix=ROOT, route_class=_Route, tags=["DICOMweb"])


async def _address(request: Request) -> Address:
    """Return what the path names, after a look whether these are UIDs."""
    try:
        return Address(
            **{
                level: check_uid(str(uid))
                for level, uid in request.path_params.items()
                if level in {"study", "series", "instance"}
            }
        )
    except MismatchError:
        text = "A UID of this address is no UID."
        raise DicomWebError(HTTPStatus.BAD_REQUEST, text) from None


AddressOfPath = Annotated[Address, Depends(_address)]


def _root(request: Request) -> str:
    """Return the URL of the service under the name by which it was asked."""
    return f"{str(request.base_url).rstrip('/')}{ROOT}"


def _is_private(request: Request) -> bool:
    return request.cookies.get(PRIVACY_COOKIE) == "1"


# --- QIDO-RS -----------------------------------------------------------------------------------


def _search(request: Request, node: Node, level: Level, address: Address) -> Response:
    retrieve.check_json(accepted(request))
    keys = read_keys(level, request.query_params.multi_items())
    with node.database.read() as session:
        found = search(session, level, address, keys, _root(request))
    said = [*keys.warnings, *([] if found.is_complete else [MORE_RESULTS])]
    headers = _warning(said) if said else {}
    if not found.matches:
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)
    matches = [_veiled(one) for one in found.matches] if _is_private(request) else found.matches
    return Response(json.dumps(matches), media_type=MEDIA_TYPE, headers=headers)


def _veiled(match: Json) -> Json:
    """Return a match without what identifies."""
    return {
        tag: {"vr": element["vr"]} if is_identifying(int(tag, 16), element["vr"]) else element
        for tag, element in match.items()
    }


@router.api_route("/studies", methods=READ, **searches("studies"))
def search_studies(request: Request, node: NodeOfApp, _user: Viewer) -> Response:
    """Search for studies."""
    return _search(request, node, "studies", Address())


@router.api_route("/series", methods=READ, **searches("series"))
@router.api_route(STUDY + "/series", methods=READ, **searches("series"))
def search_series(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath
) -> Response:
    """Search for series, of one study or of all."""
    return _search(request, node, "series", address)


@router.api_route("/instances", methods=READ, **searches("instances"))
@router.api_route(STUDY + "/instances", methods=READ, **searches("instances"))
@router.api_route(SERIES + "/instances", methods=READ, **searches("instances"))
def search_instances(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath
) -> Response:
    """Search for instances, of one series, of one study or of all."""
    return _search(request, node, "instances", address)


# --- WADO-RS -----------------------------------------------------------------------------------


def _files(node: Node, address: Address) -> tuple[list[retrieve.File], dict[str, str]]:
    """Return the files that an address names, and the headers of an answer that lacks some."""
    with node.database.read() as session:
        found = find(session, address)
    files, lost = [], None
    for one in found:
        try:
            files.append(retrieve.File.of(one.address, node.storage.absolute(one.path)))
        except DicomWebError as error:
            lost = error
    if lost is None:
        return files, {}
    log.warning("files of the store are missing", missing=len(found) - len(files), of=len(found))
    if not files:
        raise lost
    return files, _warning([f"{len(found) - len(files)} of {len(found)} instances are missing."])


def _warning(sentences: list[str]) -> dict[str, str]:
    """Return the header that says what an answer lacks (PS3.18 8.4.2)."""
    return {"Warning": ", ".join(f'299 {ROOT} "{words}"' for words in sentences)}


def _file(request: Request, node: Node, address: Address) -> retrieve.File:
    """Return the one file of an address, if its pixels may be shown."""
    (file,), _ = _files(node, address)
    if _is_private(request):
        _check_unburned(file)
    return file


def _check_unburned(file: retrieve.File) -> None:
    """Refuse, under the privacy switch, pixels that have a name burned into them."""
    header = retrieve.header_of(file)
    if text(header, "BurnedInAnnotation").upper() == "YES":
        raise DicomWebError(HTTPStatus.FORBIDDEN, NAMED)


@router.api_route(STUDY, methods=READ, **INSTANCES)
@router.api_route(SERIES, methods=READ, **INSTANCES)
@router.api_route(INSTANCE, methods=READ, **INSTANCES)
def send_instances(
    request: Request, node: NodeOfApp, user: Viewer, address: AddressOfPath
) -> Response:
    """Send a study, a series or an instance; who took it is noted, as of any download."""
    if _is_private(request):
        raise DicomWebError(HTTPStatus.FORBIDDEN, NAMED)
    ranges, is_one = accepted(request), bool(address.instance)
    files, lacking = _files(node, address)
    answer = retrieve.send_instances(files, ranges, _root(request), is_one=is_one)
    answer.headers.update(lacking)
    if lacking:
        answer.status_code = HTTPStatus.PARTIAL_CONTENT
    if request.method == "GET":
        with node.database.write() as session:
            audit.note(session, user.name, "downloaded", f"study {address.study}", "by DICOMweb")
    return answer


@router.api_route(STUDY + "/metadata", methods=READ, **METADATA)
@router.api_route(SERIES + "/metadata", methods=READ, **METADATA)
@router.api_route(INSTANCE + "/metadata", methods=READ, **METADATA)
def send_metadata(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath
) -> Response:
    """Send the headers of a study, a series or an instance as JSON."""
    ranges = accepted(request)
    files, lacking = _files(node, address)
    is_private = _is_private(request)
    answer = retrieve.send_metadata(files, ranges, _root(request), is_private=is_private)
    answer.headers.update(lacking)
    return answer


@router.api_route(INSTANCE + "/frames/{numbers}", methods=READ, **FRAMES)
def send_frames(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath, numbers: str
) -> Response:
    """Send frames of an instance."""
    wanted, ranges = frames.frame_numbers(numbers), accepted(request)
    return frames.send_frames(_file(request, node, address), wanted, ranges, _root(request))


@router.api_route(INSTANCE + "/rendered", methods=READ, **PICTURE)
def send_rendered(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath
) -> Response:
    """Send an instance as a JPEG or PNG picture, or its PDF."""
    file, ranges = _file(request, node, address), accepted(request)
    return frames.send_rendered(file, ranges, request.query_params)


@router.api_route(INSTANCE + "/bulkdata/{path:path}", methods=READ, **BULK)
def send_bulk(
    request: Request, node: NodeOfApp, _user: Viewer, address: AddressOfPath, path: str
) -> Response:
    """Send one large value of an instance."""
    file, ranges = _file(request, node, address), accepted(request)
    return frames.send_bulk(file, path, ranges, is_private=_is_private(request))
