"""``/metrics`` for Prometheus: made from the database, so that all processes tell one truth.

Names and units follow https://prometheus.io/docs/practices/naming/. No label is a patient's, nor a
caller's: destinations, states, parts and queues only.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.exceptions import HTTPException

from dicom_node import __version__, drift, tally
from dicom_node.db import NoticeRow
from dicom_node.states import DeliveryState, JobState
from worklist import statistics
from worklist.guard import identify
from worklist.web import READ, NodeOfApp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric
    from sqlalchemy.orm import Session

    from dicom_node.node import Node
    from dicom_node.tally import Entry

PREFIX: Final = "bone_age_node"
MEDIA_TYPES: Final = ("text/plain", "application/openmetrics-text")

router = APIRouter()


def monitor(request: Request) -> None:
    """Let a monitor on this machine ask, and one elsewhere that has an API token."""
    host = request.client.host if request.client else ""
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here and identify(request) is None:
        raise HTTPException(HTTPStatus.FORBIDDEN)


@router.api_route(
    "/metrics",
    methods=READ,
    dependencies=[Depends(monitor)],
    response_class=Response,
    responses={
        200: {"content": {kind: {"schema": {"type": "string"}} for kind in MEDIA_TYPES}},
        403: {"description": "From another machine, and without a valid token."},
    },
)
def show_metrics(node: NodeOfApp, accept: Annotated[str, Header()] = "") -> Response:
    """Answer in the form of the asker's choice: OpenMetrics, or Prometheus's text."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), headers={"Content-Type": content_type})


class NodeCollector(Collector):
    """Reads what there is to tell, each time it is asked."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def describe(self) -> list[Metric]:
        """Return nothing: the registry then need not ask the database for names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        build = InfoMetricFamily(f"{PREFIX}_build", "The software that answers")
        build.add_metric([], {"version": __version__})
        yield build
        with self.node.database.read() as session:
            totals = tally.totals(session)
            yield _jobs(totals)
            yield _deliveries(totals)
            yield _latency(totals)
            yield _in_progress(session)
            yield from _processes(session, self.node)
            yield from _destinations(session, self.node)
            yield from _drift(session)
            yield _notices(session)
        yield from _queues(self.node)
        yield from _disk(self.node)


def _jobs(totals: Iterable[Entry]) -> Metric:
    """Count moves of jobs; every state is there from the start, so that rates are right."""
    found: Counter[str] = Counter()
    for entry in totals:
        if entry.kind == "job":
            found[entry.label] += entry.number
    family = CounterMetricFamily(
        f"{PREFIX}_jobs",
        "Moves of jobs into a state; reported counts assessments only",
        labels=["state"],
    )
    for state in JobState:
        family.add_metric([state], found[state])
    return family


def _deliveries(totals: Iterable[Entry]) -> Metric:
    found: Counter[tuple[str, str]] = Counter()
    for entry in totals:
        if entry.kind == "delivery":
            found[entry.destination, entry.label] += entry.number
    family = CounterMetricFamily(
        f"{PREFIX}_deliveries",
        "Moves of deliveries into a state; sending counts attempts",
        labels=["destination", "state"],
    )
    for destination in sorted({name for name, _ in found}):
        for state in DeliveryState:
            family.add_metric([destination, state], found[destination, state])
    return family


def _latency(totals: Iterable[Entry]) -> Metric:
    buckets: dict[str, Counter[str]] = {}
    seconds: Counter[str] = Counter()
    for entry in totals:
        if entry.kind == "latency":
            buckets.setdefault(entry.destination, Counter())[entry.label] += entry.number
            seconds[entry.destination] += entry.seconds  # type: ignore[assignment]
    family = HistogramMetricFamily(
        f"{PREFIX}_delivery_latency_seconds",
        "Time from the reception of a radiograph to a destination's acceptance of its results",
        labels=["destination"],
    )
    for destination, counts in sorted(buckets.items()):
        below, cumulative = 0, []
        for label in tally.LATENCY_LABELS:
            below += counts[label]
            cumulative.append((label, below))
        family.add_metric([destination], cumulative, seconds[destination])
    return family


def _in_progress(session: Session) -> Metric:
    family = GaugeMetricFamily(
        f"{PREFIX}_jobs_in_progress", "Jobs in a state that does not last", labels=["state"]
    )
    for state, number in statistics.in_progress(session).items():
        family.add_metric([state], number)
    return family


def _processes(session: Session, node: Node) -> Iterator[Metric]:
    running = GaugeMetricFamily(
        f"{PREFIX}_processes", "Processes that were heard from in time", labels=["part"]
    )
    beat = GaugeMetricFamily(
        f"{PREFIX}_last_heartbeat_timestamp_seconds",
        "When a part was last heard from, by any of its processes",
        labels=["part"],
    )
    found = statistics.processes(session, node)
    for part in ("listen", "assess", "send", "sweep"):
        own = [process for process in found if process.part == part]
        running.add_metric([part], sum(not process.late for process in own))
        if own:
            beat.add_metric([part], max(process.at.timestamp() for process in own))
    yield running
    yield beat


def _destinations(session: Session, node: Node) -> Iterator[Metric]:
    labels = ["destination"]
    up = GaugeMetricFamily(
        f"{PREFIX}_destination_up", "Whether the last C-ECHO was answered", labels=labels
    )
    tested = GaugeMetricFamily(
        f"{PREFIX}_destination_echo_timestamp_seconds", "When that was", labels=labels
    )
    took = GaugeMetricFamily(
        f"{PREFIX}_destination_echo_duration_seconds", "How long it took", labels=labels
    )
    waiting = GaugeMetricFamily(
        f"{PREFIX}_deliveries_waiting", "Deliveries that wait for a destination", labels=labels
    )
    oldest = GaugeMetricFamily(
        f"{PREFIX}_oldest_waiting_delivery_timestamp_seconds",
        "Since when the oldest of them waits",
        labels=labels,
    )
    for reach in statistics.destinations(session, node):
        name = [reach.name]
        if reach.tested_at is not None:
            up.add_metric(name, reach.state == "ok")
            tested.add_metric(name, reach.tested_at.timestamp())
            took.add_metric(name, reach.seconds or 0.0)
        waiting.add_metric(name, reach.waiting)
        if reach.oldest_at is not None:
            oldest.add_metric(name, reach.oldest_at.timestamp())
    yield from (up, tested, took, waiting, oldest)


def _drift(session: Session) -> Iterator[Metric]:
    found = drift.look(session)
    median = GaugeMetricFamily(
        f"{PREFIX}_age_difference_median_months",
        "Median of bone age minus chronological age",
        labels=["period"],
    )
    number = GaugeMetricFamily(
        f"{PREFIX}_age_difference_children", "Children that the median is of", labels=["period"]
    )
    for period, spread in (("recent", found.recent), ("reference", found.reference)):
        number.add_metric([period], spread.count)
        if spread.median_months is not None:
            median.add_metric([period], spread.median_months)
    alert = GaugeMetricFamily(
        f"{PREFIX}_drift_alert", "Whether the recent median has moved from the reference"
    )
    alert.add_metric([], found.alert)
    yield from (median, number, alert)


def _notices(session: Session) -> Metric:
    waiting = session.scalar(select(func.count()).where(NoticeRow.ended_at.is_(None)))
    family = GaugeMetricFamily(f"{PREFIX}_webhook_notices_waiting", "Notices not taken yet")
    family.add_metric([], waiting or 0)
    return family


def _queues(node: Node) -> Iterator[Metric]:
    found = statistics.queues(node)
    up = GaugeMetricFamily(f"{PREFIX}_broker_up", "Whether the broker answers")
    up.add_metric([], all(queue.depth is not None for queue in found))
    depth = GaugeMetricFamily(
        f"{PREFIX}_queue_depth", "Tasks that wait in the broker", labels=["queue"]
    )
    for queue in found:
        if queue.depth is not None:
            depth.add_metric([queue.name], queue.depth)
    yield from (up, depth)


def _disk(node: Node) -> Iterator[Metric]:
    found = statistics.disk(node)
    free = GaugeMetricFamily(f"{PREFIX}_disk_free_bytes", "Free space of the data directory's disk")
    if found.free_bytes is not None:
        free.add_metric([], found.free_bytes)
    reserve = GaugeMetricFamily(
        f"{PREFIX}_disk_reserve_bytes", "Free space below which nothing is taken in"
    )
    reserve.add_metric([], found.reserve_bytes)
    yield from (free, reserve)
