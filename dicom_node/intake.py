"""From received to queued or rejected: after the answer to the modality, never before it."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from dicom_node import jobs
from dicom_node.db import InstanceRow, JobRow
from dicom_node.eligibility import reason_to_reject
from dicom_node.errors import UnreadableError
from dicom_node.header import read_header
from dicom_node.routes import secondary_capture_allowed
from dicom_node.states import JobState

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicom_node.config import Config
    from dicom_node.node import Node

log = structlog.get_logger()

REASON_LENGTH = 500
"""A reason may repeat a header's text, which may be of any length."""


def verdict(config: Config, calling_ae_title: str, header: Dataset) -> str | None:
    """Return why a header is not assessed when it comes from this caller, or None."""
    allowed = secondary_capture_allowed(config, calling_ae_title, header)
    return reason_to_reject(header, config.eligibility, secondary_capture_allowed=allowed)


def admit(node: Node, job_id: int) -> JobState:
    """Queue or reject one received job, and tell the broker.

    Returns
    -------
    JobState
        Where the job went; its present state if it was no longer ``received``.
    """
    with node.database.read() as session:
        job = jobs.get(session, job_id)
        instance = session.get_one(InstanceRow, job.instance_id)
    try:
        header = read_header(node.storage.absolute(instance.path))
        reason = verdict(node.config, instance.calling_ae_title, header)
    except UnreadableError as error:
        reason = str(error)
    return settle(node, job_id, reason)


def settle(node: Node, job_id: int, reason: str | None) -> JobState:
    """Commit the verdict on a received job, then enqueue what is queued."""
    target = JobState.QUEUED if reason is None else JobState.REJECTED
    reason = None if reason is None else reason[:REASON_LENGTH]
    with node.database.write() as session:
        if not jobs.move(session, job_id, JobState.RECEIVED, target, reason=reason):
            return jobs.get(session, job_id).state
    log.info("admitted", job=job_id, state=str(target))
    if target == JobState.QUEUED:
        enqueue(node, job_id)
    return target


def enqueue(node: Node, job_id: int) -> None:
    """Hand a queued job to the broker and note that; a broker that is away is no error."""
    if not node.broker.enqueue("assess", job_id):
        log.warning("broker away; the sweeper will enqueue", job=job_id)
        return
    with node.database.write() as session:
        jobs.mark_enqueued(session, [job_id])


def unadmitted(node: Node, limit: int = 1000) -> list[int]:
    """Return received jobs that nobody admitted, oldest first."""
    with node.database.read() as session:
        waiting = select(JobRow.id).where(JobRow.state == JobState.RECEIVED)
        return list(session.scalars(waiting.order_by(JobRow.id).limit(limit)))


class Intake:
    """Admits jobs in a thread of its own, so that a slow broker cannot slow a modality."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._queue: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self._thread.start()

    def put(self, job_id: int) -> None:
        """Take a received job in hand."""
        self._queue.put(job_id)

    def close(self) -> None:
        """Admit what is in hand and stop."""
        self._queue.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (job_id := self._queue.get()) is not None:
            try:
                admit(self._node, job_id)
            except Exception:  # the edge: the job stays received; the sweeper admits it
                log.exception("not admitted", job=job_id)
