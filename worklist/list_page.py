"""The list of jobs: filtered, sorted, a page at a time; as a page and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from dicom_node.states import DeliveryState, JobState
from worklist import live
from worklist.access import Viewer
from worklist.entries import Entry, entries
from worklist.filters import (
    DETERMINATIONS,
    READY,
    READY_NOTES,
    SORTS,
    Cursor,
    FilterError,
    Filters,
    JobQuery,
    read,
)
from worklist.health import Health, recent_health
from worklist.listing import NARROW, PAGE_SIZE, Listing, Page, TooManyError, choices
from worklist.privacy import shows_patients
from worklist.web import READ, NodeOfApp, page

TOO_MANY: Final = (
    f"More than {NARROW:,} jobs fit this text: write more of the name, or an identifier."
)
EMPTY: Final = Page([], 0, None, None)

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page of the list shows.

    Attributes
    ----------
    jobs : list of Entry
        Its rows.
    found : Page
        Their ids, how many fit in all, and the pages on either side.
    last_event : int
        The newest event when it was read; what comes later is live.
    """

    jobs: list[Entry]
    found: Page
    last_event: int


def look_up(
    session: Session, filters: Filters, cursor: Cursor | None, *, with_patient: bool
) -> Shown:
    """Return a page of the list.

    Raises
    ------
    FilterError
        If too many jobs fit the text.
    """
    last_event = live.newest_event(session)  # first: what comes while we read is shown as live
    try:
        found = Listing(session, filters).page(cursor)
    except TooManyError:
        raise FilterError([TOO_MANY]) from None
    return Shown(entries(session, found.job_ids, with_patient=with_patient), found, last_event)


@router.api_route("/", methods=READ)
def show_jobs(
    request: Request, node: NodeOfApp, _user: Viewer, query: Annotated[JobQuery, Query()]
) -> Response:
    """List jobs as the address says; what is wrong with it is said above an empty list."""
    messages: list[str] = []
    filters, cursor, shown = Filters(), None, Shown([], EMPTY, 0)
    with_patient = shows_patients(request)
    with node.database.read() as session:
        try:
            filters, cursor = read(query)
            shown = look_up(session, filters, cursor, with_patient=with_patient)
        except FilterError as error:
            messages = error.messages
        callers, destinations = choices(session)
    context = {
        **_links(filters, shown.found),
        "shown": shown,
        "jobs": shown.jobs,
        "messages": messages,
        "view": None if messages else next((n for n, f in READY.items() if f == filters), None),
        "query": query,
        "filters": filters,
        "is_first": cursor is None,
        "is_live": cursor is None and filters.sort == "newest" and not messages,
        "with_patient": with_patient,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "callers": _all_of(callers, [one.ae_title for one in node.config.callers], query.caller),
        "destinations": _all_of(
            destinations, [one.name for one in node.config.destinations], query.destination
        ),
        "health": _health(request, node),
        "config": node.config,
        **_WORDS,
    }
    return page(request, "jobs.html", context, HTTPStatus.BAD_REQUEST if messages else 200)


_WORDS: Final[dict[str, Any]] = {
    "ready": [(name, one, one.query()) for name, one in READY.items()],
    "view_notes": READY_NOTES,
    "sorts": {name: sort.label for name, sort in SORTS.items()},
    "states": [str(state) for state in JobState],
    "delivery_states": [str(state) for state in DeliveryState],
    "determinations": DETERMINATIONS,
    "page_size": PAGE_SIZE,
    "most": f"{NARROW:,}",
}


def _links(filters: Filters, found: Page) -> dict[str, str | None]:
    """Return the addresses of the pages on either side, and of the first."""
    return {
        "filter_query": filters.query(),
        "previous": filters.query(before=found.previous) if found.previous else None,
        "following": filters.query(after=found.following) if found.following else None,
    }


def _all_of(found: list[str], configured: list[str], asked: str) -> list[str]:
    """Return what a filter offers: what there is, what is configured, and what was asked for."""
    return sorted({*found, *configured, *([asked] if asked else [])})


def _health(request: Request, node: NodeOfApp) -> Health:
    return recent_health(request.app.state, node)


class JobList(BaseModel):
    """A page of jobs.

    Attributes
    ----------
    count : int or None
        How many jobs fit; null where they are more than 10,000.
    jobs : list of Entry
        Those of this page.
    previous, next : str or None
        ``before`` and ``after`` of the pages on either side; null where there is none.
    """

    model_config = ConfigDict(frozen=True)

    count: int | None
    jobs: list[Entry]
    previous: str | None
    next: str | None


class Refused(BaseModel):
    """What is wrong with a request, in sentences."""

    model_config = ConfigDict(frozen=True)

    errors: list[str]


@router.get("/api/jobs", response_model=JobList, responses={400: {"model": Refused}})
def list_jobs(
    request: Request, node: NodeOfApp, _user: Viewer, query: Annotated[JobQuery, Query()]
) -> JobList | Response:
    """Return a page of jobs, filtered and sorted as the list's page is.

    Patients are left out where the privacy switch of the asking browser is on.
    """
    try:
        filters, cursor = read(query)
        with node.database.read() as session:
            shown = look_up(session, filters, cursor, with_patient=shows_patients(request))
    except FilterError as error:
        return JSONResponse({"errors": error.messages}, HTTPStatus.BAD_REQUEST)
    found = shown.found
    return JobList(
        count=found.count,
        jobs=shown.jobs,
        previous=str(found.previous) if found.previous else None,
        next=str(found.following) if found.following else None,
    )
