"""The list kept up to date: server-sent events of jobs that come or change.

One thread of work a process asks the database once a second which jobs have new events, by the
number of the event, and only as long as anybody listens. Each stream then asks for the rows of
just these jobs, under its own filter.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.templating import Jinja2Templates
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from dicom_node.db import EventRow
from dicom_node.jobs import LARGEST_ID
from worklist.access import Viewer
from worklist.entries import Entry, entries
from worklist.filters import FilterError, Filters, JobQuery, read
from worklist.guard import identify
from worklist.listing import Listing, TooManyError
from worklist.privacy import shows_patients
from worklist.web import NodeOfApp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.orm import Session

    from dicom_node.node import Node

POLL_SECONDS: Final = 1.0
HEARTBEAT_SECONDS: Final = 15.0
SETTLED_SECONDS: Final = 10.0
"""On PostgreSQL a later event may be committed first: so long is an earlier one looked for."""
UNSETTLED: Final = 100
"""Numbers of events below the newest that may not have been committed yet."""
MOST_JOBS: Final = 200
"""More changes at once are not shown one by one: the page is asked to be read anew."""
RETRY_MS: Final = 3000

log = structlog.get_logger()
router = APIRouter()


def newest_event(session: Session) -> int:
    """Return the number of the newest event, 0 where there is none."""
    return session.scalars(select(func.max(EventRow.id))).one() or 0


@dataclass(frozen=True, slots=True)
class Change:
    """What one look at the database found.

    Attributes
    ----------
    event : int
        The newest event.
    job_ids : frozenset of int
        Jobs with new events.
    is_whole : bool
        False where there were more than `MOST_JOBS`.
    """

    event: int
    job_ids: frozenset[int]
    is_whole: bool = True


class Watch:
    """Finds the jobs that have new events since the last look."""

    def __init__(self, node: Node, since: int) -> None:
        self._node = node
        self._newest = since
        self._seen: set[int] = set()
        self._looks: deque[tuple[float, int]] = deque([(time.monotonic(), since)])

    def look(self) -> Change | None:
        """Return what is new, or None."""
        moment = time.monotonic()
        while len(self._looks) > 1 and moment - self._looks[1][0] > SETTLED_SECONDS:
            self._looks.popleft()
        settled = self._looks[0][1]
        limit = MOST_JOBS * 20
        query = select(EventRow.id, EventRow.job_id).where(EventRow.id > settled)
        with self._node.database.read() as session:
            rows = session.execute(query.order_by(EventRow.id.desc()).limit(limit)).all()
        new = [(event, job_id) for event, job_id in rows if event not in self._seen]
        self._seen = {event for event, _ in rows}
        if not new:
            return None
        self._newest = max(self._newest, new[0][0])
        self._looks.append((moment, self._newest))
        jobs = frozenset(job_id for _, job_id in new)
        return Change(self._newest, jobs, len(jobs) <= MOST_JOBS and len(rows) < limit)


@dataclass(slots=True, eq=False)
class _Listener:
    """One stream's inbox."""

    changes: asyncio.Queue[Change] = field(default_factory=asyncio.Queue)


class Feed:
    """Looks once a second for all streams of the process, as long as there is one."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners: set[_Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self._watches = asyncio.Event()

    async def watches(self) -> None:
        """Wait until nothing that happens from now on is missed."""
        await self._watches.wait()

    def join(self) -> _Listener:
        """Begin to listen."""
        listener = _Listener()
        self._listeners.add(listener)
        if self._task is None or self._task.done():
            self._watches.clear()
            self._task = asyncio.create_task(self._run())
        return listener

    def leave(self, listener: _Listener) -> None:
        """Listen no longer."""
        self._listeners.discard(listener)

    async def _run(self) -> None:
        watch: Watch | None = None
        while self._listeners:
            try:
                if watch is None:
                    watch = await run_in_threadpool(self._begin)
                    self._watches.set()
                change = await run_in_threadpool(watch.look)
            except SQLAlchemyError as error:
                log.warning("no live list: database away", error=type(error).__name__)
                change = None
            if change is not None:
                for listener in self._listeners:
                    listener.changes.put_nowait(change)
            await asyncio.sleep(POLL_SECONDS)

    def _begin(self) -> Watch:
        """Return a watch that has seen all there is, but for what is being committed."""
        with self._node.database.read() as session:
            newest = newest_event(session)
        watch = Watch(self._node, max(0, newest - UNSETTLED))
        watch.look()
        return watch


def feed_of(request: Request, node: Node) -> Feed:
    """Return the application's feed."""
    state = request.app.state
    if not hasattr(state, "feed"):
        state.feed = Feed(node)
    feed: Feed = state.feed
    return feed


@router.get("/live")
async def stream(
    request: Request,
    node: NodeOfApp,
    _user: Viewer,
    query: Annotated[JobQuery, Query()],
    event: Annotated[str, Query(description="The newest event that is known already")] = "",
) -> StreamingResponse:
    """Stream the jobs that come or change, as server-sent events, until the page is left.

    ``job`` carries a row and whether it fits the filter; ``many`` says that there were too many to
    send. ``Last-Event-ID``, or ``event``, names the newest event that is known already.
    """
    try:
        filters, _ = read(query)
    except FilterError as error:
        raise HTTPException(400, str(error)) from error
    known = _number(request.headers.get("last-event-id", "")) or _number(event)
    streaming = Stream(request, node, filters)
    return StreamingResponse(
        streaming.lines(known),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


def _number(text: str) -> int | None:
    """Return an event's number; None where the text is none."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST_ID))
    return min(int(text), LARGEST_ID) if is_number else None


class Stream:
    """What one page is told."""

    def __init__(self, request: Request, node: Node, filters: Filters) -> None:
        self._request, self._node, self._filters = request, node, filters
        self._with_patient = shows_patients(request)

    async def lines(self, known: int | None) -> AsyncIterator[str]:
        """Yield events and heartbeats until the browser, the session or the server goes."""
        feed = feed_of(self._request, self._node)
        listener = feed.join()
        try:
            yield f"retry: {RETRY_MS}\n\n"
            await feed.watches()
            if known is not None:
                yield await run_in_threadpool(self._missed, known)
            beat = time.monotonic()
            while not self._is_over():
                try:
                    change = await asyncio.wait_for(listener.changes.get(), POLL_SECONDS)
                except TimeoutError:
                    if time.monotonic() - beat < HEARTBEAT_SECONDS:
                        continue
                    change = None
                if not await run_in_threadpool(self._may_go_on):
                    return
                beat = time.monotonic()
                yield await run_in_threadpool(self._tell, change) if change else ": beat\n\n"
        finally:
            feed.leave(listener)

    def _is_over(self) -> bool:
        """Return whether the server is about to stop."""
        stopping = getattr(self._request.app.state, "stopping", None)
        return stopping is not None and stopping()

    def _may_go_on(self) -> bool:
        """Return whether the user is still logged in; without a database nothing is told anyway."""
        try:
            return identify(self._request) is not None
        except SQLAlchemyError:
            return True

    def _missed(self, known: int) -> str:
        """Return what has happened since an event."""
        change = Watch(self._node, known).look()
        return self._tell(change) if change else ""

    def _tell(self, change: Change) -> str:
        """Return a change as events."""
        if not change.is_whole:
            return _event("many", change.event, {})
        try:
            with self._node.database.read() as session:
                fitting = Listing(session, self._filters).among(sorted(change.job_ids))
                rows = entries(session, sorted(change.job_ids), with_patient=self._with_patient)
        except (TooManyError, SQLAlchemyError):
            return ""
        told = [self._row(row, fits=row.id in fitting) for row in rows]
        return "".join(_event("job", change.event, one) for one in told)

    def _row(self, row: Entry, *, fits: bool) -> dict[str, Any]:
        templates: Jinja2Templates = self._request.app.state.templates
        template = templates.get_template("job_row.html")
        html = template.render(job=row, with_patient=self._with_patient)
        return {"id": row.id, "state": row.state, "fits": fits, "html": html}


def _event(name: str, number: int, data: dict[str, Any]) -> str:
    return f"event: {name}\nid: {number}\ndata: {json.dumps(data)}\n\n"
