"""What the broker loses or a dead process held goes on: the database is asked, again and again."""

from __future__ import annotations

import signal
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import batches, deliveries, intake, jobs, retrievals, watch
from dicom_node.db import DeliveryRow, HeartbeatRow, now
from dicom_node.states import DeliveryState, Priority

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from sqlalchemy.orm import Session

    from dicom_node.broker import Queue
    from dicom_node.node import Node

    Lost: TypeAlias = Callable[[Session, datetime, int, int, Priority], list[int]]
    Mark: TypeAlias = Callable[[Session, list[int]], None]

log = structlog.get_logger()

FORGET_HEARTBEATS = timedelta(hours=1)
BATCH = 1000


def sweep_once(node: Node) -> dict[str, int]:
    """Repair what there is to repair.

    Returns
    -------
    dict of int
        How many jobs or deliveries each repair touched; for the log and the tests.
    """
    leases = node.config.leases
    admitted = sum(intake.admit_or_leave(node, job_id) for job_id in intake.unadmitted(node))
    with node.database.write() as session:
        freed = jobs.free_expired(session, leases.attempts)
        freed_deliveries = deliveries.free_expired(session)
        freed_retrievals = retrievals.free_expired(session)
        released = _release_held(node, session)
        _forget_heartbeats(session)
    return {
        "admitted": admitted,
        "jobs_freed": len(freed),
        "deliveries_freed": len(freed_deliveries),
        "deliveries_released": released,
        "retrievals_freed": len(freed_retrievals),
        "jobs_enqueued": _enqueue_lost(node, "assess", jobs.lost, jobs.mark_enqueued),
        "deliveries_enqueued": _enqueue_lost(
            node, "send", deliveries.lost, deliveries.mark_enqueued
        ),
        "batches_resumed": batches.resume(node),
        "retrievals_enqueued": _enqueue_lost_of(
            node, "retrieve", Priority.NORMAL, retrievals.lost, retrievals.mark_enqueued
        ),
    }


def _enqueue_lost(node: Node, queue: Queue, lost: Lost, mark: Mark) -> int:
    """Enqueue again what waits in the database and seems not to wait in the broker."""
    return sum(_enqueue_lost_of(node, queue, priority, lost, mark) for priority in Priority)


def _enqueue_lost_of(node: Node, queue: Queue, priority: Priority, lost: Lost, mark: Mark) -> int:
    """Enqueue again what is lost of one priority, each of which has a list of its own.

    Only as many ids as the broker lacks are handed over, so a long queue does not grow with
    each sweep. An id too many does no harm: it finds nothing left to claim. The first that the
    broker does not take ends it: the broker went away in between.
    """
    depth = node.broker.depth(queue, priority)
    if depth is None:
        return 0
    before = now() - timedelta(seconds=node.config.leases.sweep_seconds)
    with node.database.read() as session:
        ids = lost(session, before, depth, BATCH, priority)
    handed = node.broker.enqueue_all(queue, ids, priority)
    if handed:
        with node.database.write() as session:
            mark(session, handed)
    return len(handed)


def _release_held(node: Node, session: Session) -> int:
    """Let deliveries go on whose destination is configured again."""
    names = [destination.name for destination in node.config.destinations]
    held = session.scalars(
        select(DeliveryRow.id).where(
            DeliveryRow.state == DeliveryState.HELD, DeliveryRow.destination.in_(names)
        )
    ).all()
    return sum(
        deliveries.move(
            session,
            delivery_id,
            DeliveryState.HELD,
            DeliveryState.WAITING,
            reason="the destination is configured again",
            values={"next_attempt_at": now(), "enqueued_at": None},
        )
        for delivery_id in held
    )


def _forget_heartbeats(session: Session) -> None:
    """Forget processes that have been silent for long."""
    old = select(HeartbeatRow).where(HeartbeatRow.at < now() - FORGET_HEARTBEATS)
    for row in session.scalars(old):
        session.delete(row)


def sweep(node: Node) -> None:
    """Sweep until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch.start(node, stop)
    while True:
        try:
            done = sweep_once(node)
            node.beat("sweep")
            if any(done.values()):
                log.info("swept", **done)
        except (SQLAlchemyError, OSError):
            log.exception("sweep failed")
        if stop.wait(node.config.leases.sweep_seconds):
            return
