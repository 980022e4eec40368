"""How often what happened, and how long it took: counted from the events, hour by hour.

An hour that has been over for `GRACE` is counted once, by the sweeper, and its rows never change;
what came since is counted when somebody asks. So no move of a job pays for the statistics, and a
page or a monitor reads a few thousand rows however many jobs there are.

==========  =====================================  =======================================
kind        label                                  counts
==========  =====================================  =======================================
job         state                                  moves of jobs into it; ``reported`` only
                                                   where a job was assessed
delivery    state                                  moves of deliveries into it
latency     upper bound in seconds, or ``+Inf``    deliveries taken, by the time since the job
                                                   was received
deviation   bone age - chronological age, months   first assessments, by week
==========  =====================================  =======================================
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Numeric,
    Select,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from dicom_node.db import DeliveryRow, EventRow, JobRow, MarkRow, TallyRow, now
from dicom_node.states import DeliveryState, JobState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.sql.compiler import SQLCompiler

    from dicom_node.db import Database

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)

GRACE: Final = timedelta(minutes=10)
"""An event is committed long before: a lease lasts a minute at most, a write waits for 30 s."""

HOURS_AT_ONCE: Final = 24
"""In one transaction, where the sweeper was away or the tables are new."""

KEPT_HOURS: Final = 62 * 24
"""Single hours; beyond, their sum is kept."""

LIVE: Final = timedelta(days=31)
"""What was never counted is looked at no further back than that."""

EVER: Final = -1
"""In place of an hour: the sum of all hours that have been counted."""

WEEK_HOURS: Final = 7 * 24
FIRST_MONDAY_HOUR: Final = 4 * 24
"""1970-01-05."""

LATENCY_BOUNDS_SECONDS: Final = (
    *(1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200, 1800),
    *(3600, 7200, 14_400, 43_200, 86_400),
)
LATENCY_LABELS: Final = (*(f"{bound:g}" for bound in LATENCY_BOUNDS_SECONDS), "+Inf")

HOURLY: Final = ("job", "delivery", "latency")
"""The kinds that are counted by the hour."""

MARK: Final = "tally"


class Entry(NamedTuple):
    """A count; ``seconds`` is the sum of what the counted took, where that is known."""

    hour: int
    kind: str
    label: str
    destination: str
    number: int
    seconds: float


class epoch_hour(FunctionElement[int]):  # noqa: N801 - SQL functions are written so
    """The hours from 1970-01-01 00:00 UTC to a moment."""

    type = Integer()
    inherit_cache = True


class seconds_between(FunctionElement[float]):  # noqa: N801
    """The seconds from the first moment to the second."""

    type = Float()
    inherit_cache = True


@compiles(epoch_hour, "sqlite")
def _epoch_hour_sqlite(element: epoch_hour, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    moment = compiler.process(element.clauses, **options)
    return f"CAST(strftime('%s', {moment}) AS INTEGER) / 3600"


@compiles(epoch_hour, "postgresql")
def _epoch_hour_postgresql(element: epoch_hour, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    moment = compiler.process(element.clauses, **options)
    return f"CAST(floor(extract(epoch FROM {moment}) / 3600) AS INTEGER)"


@compiles(seconds_between, "sqlite")
def _seconds_sqlite(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    first, last = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(julianday({last}) - julianday({first})) * 86400.0"


@compiles(seconds_between, "postgresql")
def _seconds_postgresql(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    first, last = (compiler.process(clause, **options) for clause in element.clauses)
    return f"CAST(extract(epoch FROM {last} - {first}) AS DOUBLE PRECISION)"


def hour_of(moment: datetime) -> int:
    """Return the hour that a moment is in."""
    return int((moment - EPOCH) // HOUR)


def start_of(hour: int) -> datetime:
    """Return when an hour begins."""
    return EPOCH + hour * HOUR


def week_of(hour: int) -> int:
    """Return the first hour of the week, which begins on Monday 00:00 UTC."""
    return hour - (hour - FIRST_MONDAY_HOUR) % WEEK_HOURS


# --- counting ------------------------------------------------------------------------------------


def count(session: Session, since: datetime, until: datetime) -> list[Entry]:
    """Count the events of some hours, by index: `ix_event_to_state_at`."""
    rows = [
        Entry(*row)
        for query in (job_moves, delivery_moves, latencies)
        for row in session.execute(query(since, until))
    ]
    by_week: dict[tuple[int, str], int] = {}
    for hour, months, number in session.execute(deviations(since, until)):
        key = (week_of(hour), str(months))
        by_week[key] = by_week.get(key, 0) + number
    return rows + [
        Entry(week, "deviation", months, "", number, 0.0)
        for (week, months), number in by_week.items()
    ]


def _when(since: datetime, until: datetime) -> ColumnElement[bool]:
    return and_(EventRow.at >= since, EventRow.at < until)


def _assessed() -> ColumnElement[bool]:
    return and_(
        EventRow.to_state == JobState.REPORTED,
        EventRow.from_state == JobState.RUNNING,
        EventRow.delivery_id.is_(None),
    )


def job_moves(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    """Return the query of moves of jobs; sent again is not assessed again."""
    hour = epoch_hour(EventRow.at)
    return (
        select(hour, literal("job"), EventRow.to_state, literal(""), func.count(), literal(0.0))
        .where(
            EventRow.to_state.in_([str(state) for state in JobState]),
            _when(since, until),
            EventRow.delivery_id.is_(None),
            or_(
                EventRow.to_state != JobState.REPORTED,
                EventRow.from_state == JobState.RUNNING,
            ),
        )
        .group_by(hour, EventRow.to_state)
    )


def delivery_moves(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    """Return the query of moves of deliveries."""
    hour = epoch_hour(EventRow.at)
    destination = DeliveryRow.destination
    return (
        select(
            hour, literal("delivery"), EventRow.to_state, destination, func.count(), literal(0.0)
        )
        .join(DeliveryRow, DeliveryRow.id == EventRow.delivery_id)
        .where(EventRow.to_state.in_([str(state) for state in DeliveryState]), _when(since, until))
        .group_by(hour, EventRow.to_state, destination)
    )


def latencies(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    """Return the query of the times from reception to a destination's acceptance."""
    hour = epoch_hour(EventRow.at)
    seconds = seconds_between(JobRow.created_at, EventRow.at)
    label = case(
        *((seconds <= bound, f"{bound:g}") for bound in LATENCY_BOUNDS_SECONDS), else_="+Inf"
    )
    taken = (
        select(
            hour.label("hour"),
            cast(label, String).label("label"),
            DeliveryRow.destination.label("destination"),
            seconds.label("seconds"),
        )
        .join(DeliveryRow, DeliveryRow.id == EventRow.delivery_id)
        .join(JobRow, JobRow.id == EventRow.job_id)
        .where(
            EventRow.to_state == DeliveryState.SENT,
            EventRow.from_state == DeliveryState.SENDING,
            _when(since, until),
        )
        .subquery()
    )
    keys = (taken.c.hour, taken.c.label, taken.c.destination)
    hour_, label_, destination_ = keys
    return select(
        hour_,
        literal("latency"),
        label_,
        destination_,
        func.count(),
        func.sum(taken.c.seconds),
    ).group_by(*keys)


def deviations(since: datetime, until: datetime) -> Select[*tuple[Any, ...]]:
    """Return the query of bone age minus chronological age, in whole months, of first jobs.

    A re-run or a corrected resend is the same child again.
    """
    hour = epoch_hour(EventRow.at)
    chronological = JobRow.finding["chronological_age_months"].as_float()
    # Rounded as NUMERIC both databases round halves alike.
    months = cast(func.round(cast(JobRow.bone_age_months - chronological, Numeric)), Integer)
    found = (
        select(hour.label("hour"), months.label("months"))
        .join(JobRow, JobRow.id == EventRow.job_id)
        .where(
            _assessed(),
            _when(since, until),
            JobRow.rerun_of.is_(None),
            JobRow.bone_age_months.is_not(None),
        )
        .subquery()
    )
    keys = (found.c.hour, found.c.months)
    return select(*keys, func.count()).where(found.c.months.is_not(None)).group_by(*keys)


# --- closing hours -------------------------------------------------------------------------------


def close_hours(database: Database) -> int:
    """Count every hour that is over and was not counted yet; returns their number.

    Several sweepers may do so at once: the mark is moved by compare-and-swap, in the transaction
    that adds the counts.
    """
    closed = 0
    while True:
        with database.write() as session:
            done = _close_some(session, hour_of(now() - GRACE))
        closed += done
        if done < HOURS_AT_ONCE:
            return closed


def _close_some(session: Session, limit: int) -> int:
    mark = session.get(MarkRow, MARK)
    first = hour_of(mark.at) if mark else _first_hour(session, limit)
    last = min(limit, first + HOURS_AT_ONCE)
    if mark is not None and first >= last:
        return 0
    if not _move_mark(session, mark, start_of(last)):
        return 0
    _keep(session, count(session, start_of(first), start_of(last)))
    old = hour_of(now()) - KEPT_HOURS
    session.execute(
        delete(TallyRow).where(TallyRow.kind.in_(HOURLY), TallyRow.hour > EVER, TallyRow.hour < old)
    )
    return last - first


def _first_hour(session: Session, limit: int) -> int:
    """Return the hour of the first event there is."""
    first = session.scalar(select(EventRow.at).order_by(EventRow.id).limit(1))
    return limit if first is None else min(limit, hour_of(first))


def _move_mark(session: Session, mark: MarkRow | None, target: datetime) -> bool:
    if mark is None:
        session.add(MarkRow(name=MARK, at=target))
        session.flush()
        return True
    moved = update(MarkRow).where(MarkRow.name == MARK, MarkRow.at == mark.at).values(at=target)
    result = session.execute(moved, execution_options={"synchronize_session": False})
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def _keep(session: Session, entries: list[Entry]) -> None:
    """Add counts of hours, which are new, and add to the sums of all hours and of weeks."""
    hourly = [entry for entry in entries if entry.kind in HOURLY]
    session.add_all(TallyRow(**entry._asdict()) for entry in hourly)
    weekly = [entry for entry in entries if entry.kind not in HOURLY]
    sums = [*weekly, *(entry._replace(hour=EVER) for entry in hourly)]
    if not sums:
        return
    known = select(TallyRow).where(
        TallyRow.kind.in_({entry.kind for entry in sums}),
        TallyRow.hour.in_({entry.hour for entry in sums}),
    )
    rows = {(r.kind, r.hour, r.label, r.destination): r for r in session.scalars(known)}
    for entry in sums:
        key = (entry.kind, entry.hour, entry.label, entry.destination)
        if key in rows:
            rows[key].number += entry.number
            rows[key].seconds += entry.seconds
        else:
            rows[key] = TallyRow(**entry._asdict())
            session.add(rows[key])


# --- reading -------------------------------------------------------------------------------------


def _live(session: Session) -> list[Entry]:
    """Count what came after the last hour that was closed."""
    moment = now()
    mark = session.get(MarkRow, MARK)
    since = max(mark.at, moment - LIVE) if mark else moment - LIVE
    return count(session, since, moment + HOUR)  # another host's clock may be ahead


def hours(session: Session, since: datetime) -> list[Entry]:
    """Return the counts of every hour from the one that ``since`` is in."""
    first = hour_of(since)
    closed = _rows(session, TallyRow.kind.in_(HOURLY), TallyRow.hour >= first)
    live = [e for e in _live(session) if e.hour >= first and e.kind in HOURLY]
    return closed + live


def totals(session: Session) -> list[Entry]:
    """Return the sums over all time; an entry may come in two parts."""
    return _rows(session, TallyRow.kind.in_(HOURLY), TallyRow.hour == EVER) + [
        entry for entry in _live(session) if entry.kind in HOURLY
    ]


def weeks(session: Session, since: datetime) -> list[Entry]:
    """Return bone age minus chronological age by week, from the one that ``since`` is in."""
    first = week_of(hour_of(since))
    closed = _rows(session, TallyRow.kind == "deviation", TallyRow.hour >= first)
    return closed + [e for e in _live(session) if e.hour >= first and e.kind == "deviation"]


def _rows(session: Session, *conditions: ColumnElement[bool]) -> list[Entry]:
    row = TallyRow
    query = select(row.hour, row.kind, row.label, row.destination, row.number, row.seconds)
    return [Entry(*found) for found in session.execute(query.where(*conditions))]
