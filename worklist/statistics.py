"""What the dashboard and the metrics say, as plain values. Reads only, and no patient."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import func, select

from dicom_node import drift, echoes, tally
from dicom_node.broker import QUEUES
from dicom_node.db import DeliveryRow, HeartbeatRow, JobRow, now
from dicom_node.drift import Drift
from dicom_node.node import HEARTBEAT_SECONDS, Node
from dicom_node.states import DeliveryState, JobState
from worklist.health import BEATS_MISSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from dicom_node.tally import Entry

SpanName = Literal["hour", "day"]
HOURS: Final = 24
DAYS: Final = 30

OUTCOMES: Final = {
    "received": JobState.RECEIVED,
    "assessed": JobState.REPORTED,
    "sent": JobState.SENT,
    "rejected": JobState.REJECTED,
    "failed": JobState.FAILED,
}
"""What is counted, and the move into which state it is."""

IN_PROGRESS: Final = (JobState.RECEIVED, JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class Latency:
    """Time from reception to a destination's acceptance; None where nothing was taken."""

    count: int
    p50_seconds: float | None
    p95_seconds: float | None


@dataclass(frozen=True, slots=True)
class Period:
    """What happened in one hour or on one day.

    Attributes
    ----------
    start : datetime
        In this machine's own time zone.
    counts : dict of int
        By the words of `OUTCOMES`.
    latency : Latency
        Of what was taken in it.
    """

    start: datetime
    counts: dict[str, int]
    latency: Latency


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened in the last hours or days, oldest first, and over all of them."""

    span: SpanName
    periods: tuple[Period, ...]
    counts: dict[str, int]
    latency: Latency


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How much waits in one of the broker's queues; None where it does not answer."""

    name: str
    depth: int | None


@dataclass(frozen=True, slots=True)
class Process:
    """A part of the node as it last said that it lives.

    Attributes
    ----------
    owner, part : str
        Which process, and what it does.
    device, weights : str
        Of an assessing one; else empty.
    at : datetime
        When it was last heard from.
    silent_seconds : float
        How long ago that is.
    late : bool
        Whether that is too long.
    """

    owner: str
    part: str
    device: str
    weights: str
    at: datetime
    silent_seconds: float
    late: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """A destination: whether it answered last, and what waits for it.

    Attributes
    ----------
    state : str
        ``ok``, ``down``, or ``unknown`` before the first C-ECHO has an end.
    tested_at : datetime or None
        When that ended.
    reason : str
        What stopped it; else empty.
    seconds : float or None
        How long the last C-ECHO took.
    waiting : int
        Deliveries that wait.
    oldest_at : datetime or None
        Since when the oldest of them does.
    """

    name: str
    state: Literal["ok", "down", "unknown"]
    tested_at: datetime | None
    reason: str
    seconds: float | None
    waiting: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data directory; None where it cannot be read."""

    free_bytes: int | None
    reserve_bytes: int


@dataclass(frozen=True, slots=True)
class Dashboard:
    """All that the dashboard shows."""

    activity: Activity
    in_progress: dict[str, int]
    queues: tuple[QueueDepth, ...]
    processes: tuple[Process, ...]
    destinations: tuple[Reach, ...]
    disk: Disk
    drift: Drift


def look(node: Node, span: SpanName) -> Dashboard:
    """Return all that the dashboard shows."""
    with node.database.read() as session:
        return Dashboard(
            activity=activity(session, span),
            in_progress=in_progress(session),
            queues=queues(node),
            processes=processes(session, node),
            destinations=destinations(session, node),
            disk=disk(node),
            drift=drift.look(session),
        )


# --- what happened -------------------------------------------------------------------------------


def activity(session: Session, span: SpanName) -> Activity:
    """Return what happened in the last 24 hours, or on the last 30 days."""
    starts = _starts(span, now().astimezone())
    by_start: dict[datetime, list[Entry]] = defaultdict(list)
    start_of: dict[int, datetime] = {}
    for entry in tally.hours(session, starts[0]):
        if entry.hour not in start_of:
            start_of[entry.hour] = _start(span, tally.start_of(entry.hour).astimezone())
        by_start[start_of[entry.hour]].append(entry)
    entries = [entry for start in starts for entry in by_start[start]]
    return Activity(
        span=span,
        periods=tuple(
            Period(start, _outcomes(by_start[start]), latency(by_start[start])) for start in starts
        ),
        counts=_outcomes(entries),
        latency=latency(entries),
    )


def _start(span: SpanName, moment: datetime) -> datetime:
    """Return the beginning of the hour or day; a day is one of this machine's time zone."""
    if span == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return midnight.astimezone()


def _starts(span: SpanName, moment: datetime) -> list[datetime]:
    if span == "hour":
        last = tally.start_of(tally.hour_of(moment)).astimezone()
        hours = (last - timedelta(hours=n) for n in reversed(range(HOURS)))
        return [_start(span, hour.astimezone()) for hour in hours]
    days = (moment.date() - timedelta(days=n) for n in reversed(range(DAYS)))
    return [datetime(day.year, day.month, day.day).astimezone() for day in days]


def _outcomes(entries: Iterable[Entry]) -> dict[str, int]:
    counts = dict.fromkeys(OUTCOMES, 0)
    words = {str(state): word for word, state in OUTCOMES.items()}
    for entry in entries:
        if entry.kind == "job" and entry.label in words:
            counts[words[entry.label]] += entry.number
    return counts


def latency(entries: Iterable[Entry]) -> Latency:
    """Return the percentiles of latencies counted by their upper bounds."""
    counts: Counter[str] = Counter()
    for entry in entries:
        if entry.kind == "latency":
            counts[entry.label] += entry.number
    return Latency(counts.total(), percentile(counts, 0.5), percentile(counts, 0.95))


def percentile(counts: Counter[str], share: float) -> float | None:
    """Return a percentile in seconds, as Prometheus's histogram_quantile estimates it.

    Within a bucket the values are taken as evenly spread; beyond the last bound it is that bound.
    """
    wanted, below, lower = share * counts.total(), 0, 0.0
    if not counts.total():
        return None
    for label in tally.LATENCY_LABELS:
        upper = float(label)
        if counts[label] and below + counts[label] >= wanted:
            if math.isinf(upper):
                break
            return lower + (upper - lower) * (wanted - below) / counts[label]
        below, lower = below + counts[label], upper if math.isfinite(upper) else lower
    return lower


# --- how it stands -------------------------------------------------------------------------------


def in_progress(session: Session) -> dict[str, int]:
    """Return how many jobs are in each state in which something is still to come."""
    query = (
        select(JobRow.state, func.count())
        .where(JobRow.state.in_(IN_PROGRESS))
        .group_by(JobRow.state)
    )
    found = {str(state): number for state, number in session.execute(query)}
    return {str(state): found.get(str(state), 0) for state in IN_PROGRESS}


def queues(node: Node) -> tuple[QueueDepth, ...]:
    """Return how much waits in each queue; a broker that is away is asked once."""
    found = []
    away = False
    for queue in QUEUES:
        depth = None if away else node.broker.depth(queue)
        away = depth is None
        found.append(QueueDepth(queue, depth))
    return tuple(found)


def processes(session: Session, node: Node) -> tuple[Process, ...]:
    """Return every process that was heard from in the last hour, by part."""
    moment = now()
    sweeping = max(node.config.leases.sweep_seconds, HEARTBEAT_SECONDS)
    found = []
    for row in session.scalars(
        select(HeartbeatRow).order_by(HeartbeatRow.part, HeartbeatRow.owner)
    ):
        silent = max(0.0, (moment - row.at).total_seconds())
        device, _, weights = row.detail.partition(" ")
        patience = BEATS_MISSED * (sweeping if row.part == "sweep" else HEARTBEAT_SECONDS)
        found.append(
            Process(
                owner=row.owner,
                part=row.part,
                device=device,
                weights=weights,
                at=row.at,
                silent_seconds=silent,
                late=silent > patience,
            )
        )
    return tuple(found)


def destinations(session: Session, node: Node) -> tuple[Reach, ...]:
    """Return how every configured destination stands; none is asked here."""
    tests, waiting = echoes.last(session), backlog(session)
    found = []
    for destination in node.config.destinations:
        row = tests.get(destination.name)
        number, oldest = waiting.get(destination.name, (0, None))
        ended = row.ended_at if row else None
        steps = (row.steps if row else None) or []
        failed = row is not None and row.failed_step is not None
        found.append(
            Reach(
                name=destination.name,
                state="unknown" if ended is None else "down" if failed else "ok",
                tested_at=ended,
                reason=steps[-1]["detail"] if failed and steps else "",
                seconds=sum(step["seconds"] for step in steps) if steps else None,
                waiting=number,
                oldest_at=oldest,
            )
        )
    return tuple(found)


def backlog(session: Session) -> dict[str, tuple[int, datetime | None]]:
    """Return how many deliveries wait for each destination, and since when the oldest does.

    The row of a job that waits for its deliveries was last changed when they were made, or when
    somebody had them sent again.
    """
    waiting = (
        select(
            DeliveryRow.destination,
            func.count().label("number"),
            func.min(DeliveryRow.id).label("oldest"),
        )
        .where(DeliveryRow.state == DeliveryState.WAITING)
        .group_by(DeliveryRow.destination)
        .subquery()
    )
    query = (
        select(waiting.c.destination, waiting.c.number, JobRow.updated_at)
        .join(DeliveryRow, DeliveryRow.id == waiting.c.oldest)
        .join(JobRow, JobRow.id == DeliveryRow.job_id)
    )
    return {name: (number, oldest) for name, number, oldest in session.execute(query)}


def disk(node: Node) -> Disk:
    """Return how full the disk is."""
    try:
        free: int | None = node.storage.free_bytes()
    except OSError:
        free = None
    return Disk(free, node.storage.reserve_bytes)
