"""The query of the list: which jobs fit, and a page of them, at a bounded cost.

A list may be filtered by several things at once and sorted by another; no index serves all of that.
So each filter first counts what fits it, in its own index and up to `NARROW`:

* where few jobs fit one of the filters, these are looked at one by one and sorted here;
* else the index of the order is walked. It holds every column that is filtered by, so what does not
  fit is passed over without its row being read; where much fits, a page is soon full.

The planners are not left to guess: SQLite has no statistics, and PostgreSQL's know nothing of what
goes together. `tests/db/test_listing_plans.py` holds the plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    distinct,
    exists,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    union,
)
from sqlalchemy.ext.compiler import compiles

from dicom_node.db import DeliveryRow, InstanceRow, JobRow
from dicom_node.jobs import name_key
from dicom_node.states import GIVEN_UP, DeliveryState
from worklist.filters import Cursor, Filters, Sort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import InstrumentedAttribute, Session
    from sqlalchemy.sql.compiler import SQLCompiler

PAGE_SIZE: Final = 50
NARROW: Final = 10_000
"""Up to so many jobs are counted exactly, and sorted here."""

AT_ONCE: Final = 1000
SENDINGS: Final = 4
"""Few jobs go to more destinations."""

LAST_CHARACTER: Final = "\U0010ffff"

POSTGRESQL: Final = (
    "SET LOCAL enable_seqscan = off",  # an index serves every query here
    "SET LOCAL jit = off",  # compiling takes longer than what it would hasten
)
WALKING: Final = "SET LOCAL enable_sort = off"
WALKED: Final = "SET LOCAL enable_sort = on"
"""Round a page's query: what is walked is sorted already. Other queries sort a few rows."""


class TooManyError(ValueError):
    """The text fits more jobs than can be looked at one by one."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs.

    Attributes
    ----------
    job_ids : list of int
        In the order of the list.
    count : int or None
        How many jobs fit; None where they are more than `NARROW`.
    previous, following : Cursor or None
        The pages on either side; None where there is none.
    """

    job_ids: list[int]
    count: int | None
    previous: Cursor | None
    following: Cursor | None


class Unindexed(ColumnElement[Any]):
    """A column that SQLite is to compare, but not to look up in an index: a unary plus."""

    inherit_cache = False

    def __init__(self, column: Any) -> None:  # noqa: ANN401 - any attribute of a row
        self.column = column
        self.type = column.type


@compiles(Unindexed)
def _plain(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return str(compiler.process(element.column, **options))


@compiles(Unindexed, "sqlite")
def _plus(element: Unindexed, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"+{compiler.process(element.column, **options)}"


@dataclass(frozen=True, slots=True)
class _Condition:
    """One filter: what finds its jobs, and what tells whether a job fits.

    Attributes
    ----------
    found : Select
        Ids of jobs, from an index of this filter alone.
    fits : ColumnElement
        For a job that another index found.
    ordered : ColumnElement or None
        For the index of ``found`` itself where that is in the order of the list, too.
    """

    found: Select[int]
    fits: ColumnElement[bool]
    ordered: ColumnElement[bool] | None = None


def conditions(filters: Filters) -> list[_Condition]:
    """Return what a job must fit."""
    by_received = filters.order.column == "created_at"
    made = [
        _of_column(column, values, by_received=by_received)
        for column, values in (
            (JobRow.state, filters.states),
            (JobRow.calling_ae_title, (filters.caller,) if filters.caller else ()),
            (JobRow.determination, filters.determination),
        )
        if values
    ]
    start, end = filters.received()
    if start or end:
        received = _within(JobRow.created_at, start, end)
        fits = received if by_received else _within(Unindexed(JobRow.created_at), start, end)
        made.append(_Condition(select(JobRow.id).where(received), fits))
    if filters.destination or filters.delivery:
        made.append(_of_deliveries(filters))
    if filters.text:
        found = _of_text(filters.text)
        made.append(_Condition(found, Unindexed(JobRow.id).in_(found.limit(NARROW + 1))))
    return made


def _of_column(
    column: InstrumentedAttribute[Any], values: tuple[Any, ...], *, by_received: bool
) -> _Condition:
    is_one = by_received and len(values) == 1
    return _Condition(
        select(JobRow.id).where(column.in_(values)),
        Unindexed(column).in_(values),
        column == values[0] if is_one else None,
    )


def _within(column: Any, start: Any, end: Any) -> ColumnElement[bool]:  # noqa: ANN401
    parts = [column >= start] if start else []
    return and_(*parts, *([column < end] if end else []))


def _of_deliveries(filters: Filters) -> _Condition:
    chosen: ColumnElement[bool] = DeliveryRow.state.in_(filters.delivery or tuple(DeliveryState))
    if filters.destination:
        chosen = and_(chosen, DeliveryRow.destination == filters.destination)
    has_one = exists().where(DeliveryRow.job_id == JobRow.id).correlate(JobRow)
    # The job's own deliveries are few: they, and not all of this state, are looked at.
    state = Unindexed(DeliveryRow.state).in_(filters.delivery or tuple(DeliveryState))
    has_one = has_one.where(state)
    if filters.destination:
        has_one = has_one.where(DeliveryRow.destination == filters.destination)
    fits: ColumnElement[bool] = has_one
    if filters.delivery and GIVEN_UP.issuperset(filters.delivery):
        # Seldom true, and in the index that is walked: few deliveries are looked at, and none
        # where any that was given up is meant: that is what the column says.
        undelivered = Unindexed(JobRow.undelivered).is_(true())
        is_any = not filters.destination and GIVEN_UP.issubset(filters.delivery)
        fits = undelivered if is_any else and_(undelivered, has_one)
    return _Condition(select(DeliveryRow.job_id).where(chosen), fits)


def _of_text(words: str) -> Select[int]:
    """Return the jobs of a name that begins so, or of an identifier."""
    named = [
        select(InstanceRow.id).where(one).limit(NARROW + 1).subquery() for one in _named(words)
    ]
    instances = union(*(select(one.c.id) for one in named)).subquery()
    return select(JobRow.id).where(JobRow.instance_id.in_(select(instances.c.id)))


def _named(words: str) -> list[ColumnElement[bool]]:
    """Return what an instance may have that a text names; each is served by an index."""
    key = name_key(words)
    wanted: list[ColumnElement[bool]] = [
        InstanceRow.patient_id == words,
        InstanceRow.accession_number == words,
        InstanceRow.study_instance_uid == words,
    ]
    if key:
        first, last = InstanceRow.patient_name_key >= key, key + LAST_CHARACTER
        wanted.append(and_(first, InstanceRow.patient_name_key < last))
    return wanted


class Listing:
    """The jobs that fit some filters, in their order.

    Parameters
    ----------
    session : Session
        A reading transaction; on PostgreSQL its planner is told what not to do.
    filters : Filters
        What to look for.

    Raises
    ------
    TooManyError
        If more than `NARROW` jobs fit the text.
    """

    def __init__(self, session: Session, filters: Filters) -> None:
        self._session, self._filters = session, filters
        self._is_postgresql = tell_planner(session)
        self._conditions = conditions(filters)
        self._narrow = self._narrowest()

    def _narrowest(self) -> _Condition | None:
        """Return the filter that fewest jobs fit, where these are few enough."""
        if self._filters.text:
            self._check_text(self._filters.text)
        counted = [
            (count_up_to(self._session, one.found), number)
            for number, one in enumerate(self._conditions)
        ]
        if self._filters.text and counted[-1][0] > NARROW:
            raise TooManyError
        fewest, number = min(counted, default=(NARROW + 1, 0))
        return None if fewest > NARROW else self._conditions[number]

    def _check_text(self, words: str) -> None:
        """Refuse a text that fits too many instances before their jobs are looked for."""
        for one in _named(words):
            if count_up_to(self._session, select(InstanceRow.id).where(one)) > NARROW:
                raise TooManyError

    def page(self, cursor: Cursor | None = None, size: int = PAGE_SIZE) -> Page:
        """Return a page; without a cursor the first."""
        if self._narrow is not None:
            return _slice(self._narrow_keys(self._narrow), self._filters.order, cursor, size)
        if self._counts_together():
            keys = self._rows(walk(self._filters, self._conditions).limit(NARROW + 1))
            if len(keys) <= NARROW:
                return _slice(keys, self._filters.order, cursor, size)
        count = None if self._conditions else count_up_to(self._session, select(JobRow.id))
        page = walk(self._filters, self._conditions, cursor).limit(size + 1)
        return _page(self._rows(page), cursor, size, None if (count or 0) > NARROW else count)

    def _counts_together(self) -> bool:
        """Return whether only the walk can count: no index has one entry for each job that fits."""
        if len(self._conditions) > 1 or _extra(self._filters):
            return True
        if self._filters.delivery and not self._filters.destination:
            # A job may be there once for each of its destinations.
            some = self._conditions[0].found.limit(SENDINGS * NARROW).subquery()
            jobs = select(func.count(distinct(some.c[0])))
            return self._session.scalars(jobs).one() <= NARROW
        return False

    def count(self) -> int | None:
        """Return how many jobs fit; None where they are more than `NARROW`."""
        return self.page().count

    def among(self, job_ids: list[int]) -> set[int]:
        """Return those of some jobs that fit."""
        fits = [one.fits for one in self._conditions]
        query = select(JobRow.id).where(JobRow.id.in_(job_ids), *fits, *_extra(self._filters))
        return set(self._session.scalars(query))

    def all_ids(self) -> Iterator[int]:
        """Yield every job that fits, in the order of the list, `AT_ONCE` at a time."""
        cursor = None
        if self._narrow is not None:
            yield from (job_id for _, job_id in self._narrow_keys(self._narrow))
            return
        while True:
            query = walk(self._filters, self._conditions, cursor).limit(AT_ONCE)
            keys = self._rows(query)
            yield from (job_id for _, job_id in keys)
            if len(keys) < AT_ONCE:
                return
            cursor = Cursor(*keys[-1])

    def _narrow_keys(self, narrow: _Condition) -> list[tuple[Any, int]]:
        keys = self._session.execute(pick(self._filters, self._conditions, narrow)).all()
        descending = self._filters.order.descending
        return sorted(((key, job_id) for key, job_id in keys), reverse=descending)

    def _rows(self, query: Select[Any, int]) -> list[tuple[Any, int]]:
        if self._is_postgresql:
            self._session.execute(text(WALKING))
        found = [(key, job_id) for key, job_id in self._session.execute(query)]
        if self._is_postgresql:
            self._session.execute(text(WALKED))
        return found


def tell_planner(session: Session) -> bool:
    """Tell PostgreSQL's planner what not to do in this transaction; return whether there is one."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    for setting in POSTGRESQL if is_postgresql else ():
        session.execute(text(setting))
    return is_postgresql


def count_up_to(session: Session, found: Select[int]) -> int:
    """Return how many ids a query finds, counting no further than one more than `NARROW`."""
    some = found.limit(NARROW + 1).subquery()
    return session.scalars(select(func.count()).select_from(some)).one()


def pick(filters: Filters, every: list[_Condition], narrow: _Condition) -> Select[Any, int]:
    """Return the query of the jobs that one filter finds and that the others fit, unsorted."""
    some = narrow.found.limit(NARROW + 1).subquery()
    others = [one.fits for one in every if one is not narrow]
    ids = select(some.c[0])
    query = select(_key_of(filters.order), JobRow.id).where(JobRow.id.in_(ids))
    return query.where(*others, *_extra(filters))


def walk(
    filters: Filters, every: list[_Condition], cursor: Cursor | None = None
) -> Select[Any, int]:
    """Return the query that walks the index of the order."""
    order = filters.order
    key = _key_of(order)
    only = every[0].ordered if len(every) == 1 else None
    fits = [only] if only is not None else [one.fits for one in every]
    query = select(key, JobRow.id).where(*fits, *_extra(filters))
    downward = order.descending
    if cursor is not None:
        here = tuple_(literal(cursor.key, key.type), literal(cursor.job_id))
        row = tuple_(key, JobRow.id)
        downward = order.descending == cursor.forward
        query = query.where(row < here if downward else row > here)
    if downward:
        return query.order_by(key.desc(), JobRow.id.desc())
    return query.order_by(key, JobRow.id)


def _key_of(order: Sort) -> InstrumentedAttribute[Any]:
    key: InstrumentedAttribute[Any] = getattr(JobRow, order.column)
    return key


def _extra(filters: Filters) -> list[ColumnElement[bool]]:
    """Return what an order asks of a job: without a bone age it has no place among them."""
    is_by_age = filters.order.column == "bone_age_months"
    return [JobRow.bone_age_months.is_not(None)] if is_by_age else []


def _slice(keys: list[tuple[Any, int]], order: Sort, cursor: Cursor | None, size: int) -> Page:
    """Return a page of keys that are all here."""
    start = 0
    if cursor is not None:
        here = (cursor.key, cursor.job_id)
        before = [one > here if order.descending else one < here for one in keys].count(True)
        is_there = before < len(keys) and keys[before] == here
        start = before + is_there if cursor.forward else max(0, before - size)
        size = size if cursor.forward else before - start
    shown = keys[start : start + size]
    return Page(
        job_ids=[job_id for _, job_id in shown],
        count=len(keys),
        previous=Cursor(*shown[0], forward=False) if shown and start else None,
        following=Cursor(*shown[-1]) if shown and start + size < len(keys) else None,
    )


def _page(keys: list[tuple[Any, int]], cursor: Cursor | None, size: int, count: int | None) -> Page:
    """Return a page of keys of which one more than fits was asked for."""
    backward = cursor is not None and not cursor.forward
    has_more, shown = len(keys) > size, keys[:size]
    if backward:
        shown = shown[::-1]
    has_previous = has_more if backward else cursor is not None
    has_following = True if backward else has_more
    return Page(
        job_ids=[job_id for _, job_id in shown],
        count=count,
        previous=Cursor(*shown[0], forward=False) if shown and has_previous else None,
        following=Cursor(*shown[-1]) if shown and has_following else None,
    )


def choices(session: Session) -> tuple[list[str], list[str]]:
    """Return the callers and the destinations of all jobs, each found by one step in an index."""
    callers = _distinct(session, JobRow.calling_ae_title)
    destinations: set[str] = set()
    for state in DeliveryState:
        destinations.update(_distinct(session, DeliveryRow.destination, DeliveryRow.state == state))
    return callers, sorted(destinations)


def _distinct(
    session: Session, column: InstrumentedAttribute[str], *where: ColumnElement[bool]
) -> list[str]:
    """Return a column's values in order, at most a hundred."""
    found: list[str] = []
    while len(found) < 100:  # noqa: PLR2004 - more than anyone would choose from
        further = [column > found[-1]] if found else [column > ""]
        query = select(column).where(*where, *further).order_by(column).limit(1)
        value = session.scalars(query).first()
        if value is None:
            break
        found.append(value)
    return found
