"""What archives have: asked for by a person, chosen, and retrieved by a worker."""

from __future__ import annotations

from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import TypeAdapter

from dicom_node import retrievals, retriever
from dicom_node.errors import ConfigError, NodeError, PeerError, QuestionError
from dicom_node.jobs import LARGEST_ID
from dicom_node.node import Node
from dicom_node.query import MOST_STUDIES, Found, FoundSeries, Question, find_studies
from dicom_node.retrievals import Retrieval
from dicom_node.routes import caller_allowed
from dicom_node.states import RetrievalState
from worklist.access import Operator, Viewer
from worklist.web import READ, NodeOfApp, page

router = APIRouter()

PAGE_LIMIT: Final = 100
"""Studies that one question on the page is answered with."""
MOST_SHOWN: Final = 20
"""Retrievals below the form."""

FIELDS: Final = (
    *("archive", "patient_id", "patient_name", "accession_number"),
    *("date_from", "date_to", "modality", "body_part"),
)
"""Of the form."""

TONES: Final = {
    RetrievalState.WAITING: "wait",
    RetrievalState.RUNNING: "work",
    RetrievalState.DONE: "good",
    RetrievalState.FAILED: "bad",
}
STATUSES: Final = {
    QuestionError: HTTPStatus.BAD_REQUEST,
    ConfigError: HTTPStatus.NOT_FOUND,
    PeerError: HTTPStatus.BAD_GATEWAY,
}
"""How errors of the node are answered."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """An archive that may be asked, and how it sends: ``move`` or ``get``."""

    name: str
    ae_title: str
    retrieve: str


@dataclass(frozen=True, slots=True)
class StudyEntry:
    """One study of an archive; ``here`` is how many of its instances this node has."""

    study_instance_uid: str
    study_date: str
    accession_number: str
    patient_name: str
    patient_id: str
    patient_birth_date: str
    patient_sex: str
    study_description: str
    modalities: list[str]
    series: list[FoundSeries] | None
    here: int


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The studies of an archive, newest first; ``is_whole`` is false where there are more."""

    studies: list[StudyEntry]
    is_whole: bool
    remarks: list[str]


@dataclass(frozen=True, slots=True)
class Order:
    """Studies to retrieve; ``everything`` also what could not be assessed."""

    study_instance_uids: list[str]
    everything: bool = False


def ask(node: Node, archive: str, question: Question, limit: int) -> QueryAnswer:
    """Ask an archive, and look which studies are here already.

    Raises
    ------
    ConfigError, QuestionError, PeerError
        If there is no such archive, or it cannot be asked.
    """
    peer = node.config.archive(archive)
    found: Found = find_studies(node.config.node.ae_title, peer, question, limit)
    with node.database.read() as session:
        here = retrievals.present(session, [one.study_instance_uid for one in found.studies])
    entries = []
    for one in found.studies:
        values: dict[str, Any] = {part.name: getattr(one, part.name) for part in fields(one)}
        values["modalities"] = list(one.modalities)
        values["series"] = None if one.series is None else list(one.series)
        entries.append(StudyEntry(**values, here=here.get(one.study_instance_uid, 0)))
    return QueryAnswer(entries, found.is_whole, list(found.remarks))


def order(node: Node, archive: str, wanted: Order, actor: str) -> list[int]:
    """Note what a person wants and hand it to a worker.

    Raises
    ------
    ConfigError, QuestionError
        If there is no such archive, or no such study can be.
    """
    ids = retriever.order(
        node, archive, wanted.study_instance_uids, actor=actor, everything=wanted.everything
    )
    for retrieval_id in ids:
        retriever.enqueue(node, retrieval_id)
    return ids


# --- the page ------------------------------------------------------------------------------------


@router.api_route("/archives", methods=READ)
def show_archives(request: Request, node: NodeOfApp, _user: Operator) -> Response:
    """Show the form, and how retrievals stand."""
    return _page(request, node)


@router.api_route("/archives/retrievals", methods=READ)
def show_retrievals(request: Request, node: NodeOfApp, _user: Operator) -> Response:
    """Show how retrievals stand, for the page to look again and again."""
    return page(request, "retrievals.html", _standing(node))


@router.post("/archives/query")
def query_archive(  # noqa: PLR0913, PLR0917 - a form has this many fields
    request: Request,
    node: NodeOfApp,
    _user: Operator,
    archive: Annotated[str, Form()] = "",
    patient_id: Annotated[str, Form()] = "",
    patient_name: Annotated[str, Form()] = "",
    accession_number: Annotated[str, Form()] = "",
    date_from: Annotated[str, Form()] = "",
    date_to: Annotated[str, Form()] = "",
    modality: Annotated[str, Form()] = "",
    body_part: Annotated[str, Form()] = "",
) -> Response:
    """Ask an archive. By POST, though it changes nothing: an address must name no patient."""
    asked = {
        "archive": archive,
        "patient_id": patient_id,
        "patient_name": patient_name,
        "accession_number": accession_number,
        "date_from": date_from,
        "date_to": date_to,
        "modality": modality,
        "body_part": body_part,
    }
    question = Question(
        patient_id,
        patient_name,
        accession_number,
        _range(date_from, date_to),
        modality,
        body_part,
    )
    try:
        found = ask(node, archive, question, PAGE_LIMIT)
    except NodeError as error:
        return _page(request, node, asked, error=str(error), status=_status(error))
    return _page(request, node, asked, found)


@router.post("/archives/retrieve")
def retrieve_studies(  # noqa: PLR0913, PLR0917 - a form has this many fields
    request: Request,
    node: NodeOfApp,
    user: Operator,
    archive: Annotated[str, Form()] = "",
    study: Annotated[list[str] | None, Form()] = None,
    everything: Annotated[bool, Form()] = False,
) -> Response:
    """Have the chosen studies retrieved."""
    try:
        order(node, archive, Order(study or [], everything), user.name)
    except NodeError as error:
        return _page(request, node, error=str(error), status=_status(error))
    return RedirectResponse("/archives#retrievals", HTTPStatus.SEE_OTHER)


def _range(first: str, last: str) -> str:
    """Return a range of dates as DICOM writes it (PS3.4 C.2.2.2.5), of two of a form."""
    days = [day.replace("-", "") for day in (first, last)]
    if not any(days):
        return ""
    return days[0] if days[0] == days[1] else "-".join(days)


def _standing(node: Node) -> dict[str, Any]:
    """Return how retrievals stand."""
    with node.database.read() as session:
        newest = retrievals.newest(session, MOST_SHOWN)
    ended = {RetrievalState.DONE, RetrievalState.FAILED}
    return {
        "retrievals": newest,
        "moving": any(one.state not in ended for one in newest),
        "tones": TONES,
    }


def _page(  # noqa: PLR0913 - a page has this many parts
    request: Request,
    node: Node,
    asked: dict[str, str] | None = None,
    found: QueryAnswer | None = None,
    *,
    error: str | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    archives = node.config.archives
    strangers = [
        archive
        for archive in archives
        if archive.retrieve == "move" and not caller_allowed(node.config, archive.ae_title)
    ]
    context = {
        "archives": archives,
        "strangers": strangers,
        "asked": asked or dict.fromkeys(FIELDS, ""),
        "found": found,
        "error": error,
        **_standing(node),
    }
    return page(request, "archives.html", context, status)


def _status(error: NodeError) -> int:
    return STATUSES.get(type(error), HTTPStatus.BAD_GATEWAY)


# --- the same as JSON ----------------------------------------------------------------------------

ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "The question or a UID cannot be."},
    404: {"description": "There is no archive of this name."},
    502: {"description": "The archive is away, or refuses."},
}


def _json(kind: Any, value: object, status: int = HTTPStatus.OK) -> Response:  # noqa: ANN401
    return JSONResponse(TypeAdapter(kind).dump_python(value, mode="json"), status)


def _problem(error: NodeError) -> Response:
    return JSONResponse({"detail": str(error)}, _status(error))


@router.get("/api/archives", response_model=list[ArchiveEntry], tags=["archives"])
def list_archives(node: NodeOfApp, _user: Operator) -> Response:
    """Return the archives that may be asked."""
    entries = [ArchiveEntry(one.name, one.ae_title, one.retrieve) for one in node.config.archives]
    return _json(list[ArchiveEntry], entries)


@router.post(
    "/api/archives/{archive}/query",
    response_model=QueryAnswer,
    responses=ANSWERS,
    tags=["archives"],
)
def query_archive_as_json(
    node: NodeOfApp,
    _user: Operator,
    archive: str,
    question: Question,
    limit: Annotated[int, Query(ge=1, le=MOST_STUDIES)] = PAGE_LIMIT,
) -> Response:
    """Ask an archive for studies, by C-FIND."""
    try:
        return _json(QueryAnswer, ask(node, archive, question, limit))
    except NodeError as error:
        return _problem(error)


@router.post(
    "/api/archives/{archive}/retrievals",
    response_model=list[int],
    status_code=HTTPStatus.ACCEPTED,
    responses=ANSWERS,
    tags=["archives"],
)
def retrieve_studies_as_json(
    node: NodeOfApp, user: Operator, archive: str, wanted: Order
) -> Response:
    """Have a worker retrieve studies; returns the ids of the retrievals."""
    try:
        return _json(list[int], order(node, archive, wanted, user.name), HTTPStatus.ACCEPTED)
    except NodeError as error:
        return _problem(error)


@router.get("/api/retrievals", response_model=list[Retrieval], tags=["archives"])
def list_retrievals(
    node: NodeOfApp,
    _user: Viewer,
    before: Annotated[int | None, Query(ge=1, le=LARGEST_ID)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_SHOWN * 5)] = MOST_SHOWN,
) -> Response:
    """Return retrievals, newest first; ``before`` is the last id of the page before."""
    with node.database.read() as session:
        return _json(list[Retrieval], retrievals.newest(session, limit, before))


@router.get(
    "/api/retrievals/{retrieval_id}",
    response_model=Retrieval,
    responses={404: {"description": "There is no such retrieval."}},
    tags=["archives"],
)
def show_retrieval(node: NodeOfApp, _user: Viewer, retrieval_id: int) -> Response:
    """Return one retrieval."""
    with node.database.read() as session:
        found = retrievals.get(session, retrieval_id)
    if found is None:
        return JSONResponse(
            {"detail": f"There is no retrieval {retrieval_id}."}, HTTPStatus.NOT_FOUND
        )
    return _json(Retrieval, found)
