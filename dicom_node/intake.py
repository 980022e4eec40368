"""From received to queued or rejected: after the answer to the modality, never before it."""

from __future__ import annotations

import queue
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from pydicom import Dataset
from sqlalchemy import select

from dicom_node import deliveries, jobs
from dicom_node.db import DeliveryRow, InstanceRow, JobRow, now
from dicom_node.eligibility import reason_to_reject
from dicom_node.errors import UnreadableError
from dicom_node.examination import Candidate, choose
from dicom_node.header import read_header
from dicom_node.routes import secondary_capture_allowed
from dicom_node.source_header import laterality
from dicom_node.states import JobState, Priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import InstrumentedAttribute

    from dicom_node.broker import Queue
    from dicom_node.config import Config
    from dicom_node.finding import Laterality
    from dicom_node.node import Node

log = structlog.get_logger()

FETCH_SECONDS = 60.0
"""After so long a job is assessed without the history that an archive may have."""

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
        Where the job went; its present state if it was no longer ``received``, or if it waits
        for the rest of its examination.
    """
    with node.database.read() as session:
        job = jobs.get(session, job_id)
        instance = session.get_one(InstanceRow, job.instance_id)
        of_a_person = jobs.was_asked_for(session, job_id)
    reason = None if job.accepted else _verdict_on(node, instance)[0]
    if reason is None and node.config.examination.quiet_seconds and not of_a_person:
        return _settle_examination(node, job_id, instance.study_instance_uid)
    return settle(node, job_id, reason)


def admit_or_leave(node: Node, job_id: int) -> bool:
    """Admit a received job; one that cannot be stays received, and the sweeper tries it again.

    Returns
    -------
    bool
        Whether it was admitted.
    """
    try:
        admit(node, job_id)
    except Exception:  # the edge: what is durable is not lost by what comes after
        log.exception("not admitted", job=job_id)
        return False
    return True


def _verdict_on(node: Node, instance: InstanceRow) -> tuple[str | None, Dataset]:
    """Return why an instance is not assessed, or None, and its header as far as it can be read."""
    try:
        header = read_header(node.storage.absolute(instance.path))
        return verdict(node.config, instance.calling_ae_title, header), header
    except UnreadableError as error:
        return str(error), Dataset()


def verdicts(node: Node, job_ids: Sequence[int]) -> dict[int, str | None]:
    """Return why the radiographs of jobs are not assessed, or None, by their headers.

    Rules that were overruled for a job are so for its re-run.
    """
    query = (
        select(JobRow.id, JobRow.accepted, InstanceRow)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(JobRow.id.in_(job_ids))
    )
    with node.database.read() as session:
        rows = session.execute(query).all()
    return {
        job_id: None if accepted else _verdict_on(node, instance)[0]
        for job_id, accepted, instance in rows
    }


def _settle_examination(node: Node, job_id: int, study_instance_uid: str) -> JobState:
    """Choose among the received radiographs of a study once it has been quiet for long enough."""
    quiet = timedelta(seconds=node.config.examination.quiet_seconds)
    with node.database.read() as session:
        study = jobs.study(session, study_instance_uid)
        is_quiet = study.last_received_at + quiet <= now()
    if is_quiet:
        _choose_of(node, study)
    with node.database.read() as session:
        return jobs.get(session, job_id).state


def _choose_of(node: Node, study: jobs.Study) -> None:
    """Queue the best received radiograph of each side, and reject the others.

    What another process queued in between ends it: with the next sweep that one answers.
    """
    candidates, uids = [], {}
    for waiting, instance in study.received:
        reason, header = _verdict_on(node, instance)
        if reason is None:
            candidates.append(Candidate.of(waiting, header))
            uids[waiting] = instance.sop_instance_uid
    # A correction of what has an answer replaces that answer, whatever else there is.
    assessed = {instance.sop_instance_uid for _, instance in study.assessed}
    corrections = [one for one in candidates if uids[one.job_id] in assessed]
    answered = _answered(node, study, {*uids.values()}) if candidates else {}
    answered |= {one.side: one.job_id for one in corrections}
    choice = choose([one for one in candidates if one not in corrections], answered)
    for unused, reason in {**study.replaced, **choice.not_used}.items():
        if settle(node, unused, reason) in jobs.ANSWERING:
            return
    for used in (*(one.job_id for one in corrections), *choice.used):
        settle(node, used, None)


def _answered(node: Node, study: jobs.Study, own: set[str]) -> dict[Laterality | None, int]:
    """Return which sides of a study have their answer, or will, from another radiograph."""
    sides: dict[Laterality | None, int] = {}
    for job_id, instance in study.assessed:
        if instance.sop_instance_uid not in own:
            _, header = _verdict_on(node, instance)
            sides[laterality(header)] = job_id
    return sides


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
    """Hand a queued job to the broker, as `enqueue_all`."""
    enqueue_all(node, [job_id])


def enqueue_all(node: Node, job_ids: Sequence[int]) -> None:
    """Hand queued jobs to the broker and note that; a broker that is away is no error.

    Where an archive is configured, the earlier results of a known patient are fetched first. The
    sweeper hands a job that is lost on that way straight to be assessed, without them.
    """
    for priority, ids in _by_priority(node, JobRow.id, job_ids).items():
        fetched = _with_history(node, ids)
        _hand(node, "fetch", [one for one in ids if one in fetched], priority)
        _hand(node, "assess", [one for one in ids if one not in fetched], priority)


def hand_over(node: Node, job_id: int) -> None:
    """Hand a queued job to the assessing worker, its history fetched or not."""
    for priority, ids in _by_priority(node, JobRow.id, [job_id]).items():
        _hand(node, "assess", ids, priority)


def send_all(node: Node, delivery_ids: Sequence[int]) -> None:
    """Hand waiting deliveries to the broker; one that is away is mended by the sweeper."""
    for priority, ids in _by_priority(node, DeliveryRow.id, delivery_ids).items():
        _hand(node, "send", ids, priority)


def _by_priority(
    node: Node, column: InstrumentedAttribute[int], ids: Sequence[int]
) -> dict[Priority, list[int]]:
    """Return jobs, or deliveries, by the priority of their job."""
    query = select(column, JobRow.priority).where(column.in_(ids)).order_by(column)
    if column is DeliveryRow.id:
        query = query.join(JobRow, JobRow.id == DeliveryRow.job_id)
    found: dict[Priority, list[int]] = {}
    with node.database.read() as session:
        for item_id, priority in session.execute(query):
            found.setdefault(priority, []).append(item_id)
    return found


def _with_history(node: Node, job_ids: Sequence[int]) -> set[int]:
    """Return the jobs of which an archive may know the patient."""
    if node.config.history.archive is None:
        return set()
    query = (
        select(JobRow.id)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(JobRow.id.in_(job_ids), InstanceRow.patient_id != "")
    )
    with node.database.read() as session:
        return set(session.scalars(query))


def _hand(node: Node, queue: Queue, ids: Sequence[int], priority: Priority) -> None:
    """Hand ids to the broker and note which it took."""
    taken = node.broker.enqueue_all(queue, ids, priority)
    if len(taken) < len(ids):
        log.warning("broker away; the sweeper will enqueue", queue=queue, ids=ids[len(taken) :])
    if not taken:
        return
    with node.database.write() as session:
        if queue == "send":
            deliveries.mark_enqueued(session, taken)
        else:
            after_seconds = FETCH_SECONDS if queue == "fetch" else 0
            jobs.mark_enqueued(session, taken, after_seconds=after_seconds)


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
            admit_or_leave(self._node, job_id)
