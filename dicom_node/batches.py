"""One action on many jobs, a few at a time, so that what arrives meanwhile is not held up.

Members stand in the database before anything is done. Each step is one short transaction that
moves the batch's cursor past the members it has dealt with; whoever dies leaves the rest to the
sweeper, and two that work on one batch take turns.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import insert, select, update

from dicom_node import actions, intake, jobs
from dicom_node.actions import Order, Waiting
from dicom_node.db import BatchMemberRow, BatchRow, JobRow, now
from dicom_node.errors import NoSuchBatchError, NoSuchJobError, NotAllowedError, OrderError
from dicom_node.states import JobState, Priority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from dicom_node.node import Node

log = structlog.get_logger()

MOST: Final = 100_000
"""Jobs in one batch; more is rather a filter that was forgotten."""

AT_ONCE: Final = {"rerun": 100}
AT_ONCE_ELSE: Final = 25
"""Jobs in one transaction: a re-run is written with others, the rest job by job."""

PAUSE_SECONDS: Final = 0.02
"""Between two transactions, so that a listener that waits for SQLite's lock gets it."""

MEMBERS_AT_ONCE: Final = 1000

IDLE_SECONDS: Final = 10.0
"""A batch that has not moved for so long has lost whoever worked on it."""

ABANDONED_SECONDS: Final = 600.0
"""A batch whose members have not all been written for so long never will have them."""

STEPS_OF_A_SWEEP: Final = 10


def create(node: Node, actor: str, order: Order, job_ids: Iterable[int]) -> int:
    """Write a batch with its members; nothing is done yet.

    A batch comes after new arrivals: its re-runs, and what it sends again, have priority bulk.

    Returns
    -------
    int
        The batch, for `run`.

    Raises
    ------
    NoSuchJobError
        If an id names no job; then there is no batch.
    OrderError, CorrectionError
        If the order cannot be, or if there are no jobs, or too many.
    """
    members = sorted(set(job_ids))
    if not 0 < len(members) <= MOST:
        msg = f"a batch has 1 to {MOST} jobs, not {len(members)}"
        raise OrderError(msg)
    actions.check(node.config, order, len(members))
    _check_jobs(node, members)
    if order.action in {"rerun", "retry"} and order.priority is None:
        order = replace(order, priority=Priority.BULK)
    moment = now()
    with node.database.write() as session:
        batch = BatchRow(
            actor=actor,
            action=order.action,
            settings=order.as_values(),
            created_at=moment,
            updated_at=moment,
        )
        session.add(batch)
        session.flush()
        batch_id = batch.id
    for some in _parts(members):
        rows = [{"batch_id": batch_id, "job_id": job_id} for job_id in some]
        with node.database.write() as session:
            session.execute(insert(BatchMemberRow), rows)
    with node.database.write() as session:
        get(session, batch_id).total = len(members)
        subject = f"batch {batch_id}"
        actions.noted(session, actor, f"{order.action} of many", subject, f"{len(members)} jobs")
    return batch_id


def _parts(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[at : at + MEMBERS_AT_ONCE] for at in range(0, len(ids), MEMBERS_AT_ONCE)]


def _check_jobs(node: Node, job_ids: Sequence[int]) -> None:
    """Raise `NoSuchJobError` unless every id names a job."""
    for some in _parts(job_ids):
        usable = [one for one in some if 0 < one <= jobs.LARGEST_ID]
        with node.database.read() as session:
            known = set(session.scalars(select(JobRow.id).where(JobRow.id.in_(usable))))
        missing = next((one for one in some if one not in known), None)
        if missing is not None:
            msg = f"no job {missing}"
            raise NoSuchJobError(msg)


def get(session: Session, batch_id: int, *, locked: bool = False) -> BatchRow:
    """Return a batch.

    Raises
    ------
    NoSuchBatchError
        If there is none.
    """
    batch = None
    if 0 < batch_id <= jobs.LARGEST_ID:
        batch = session.get(BatchRow, batch_id, with_for_update=locked or None)
    if batch is None:
        msg = f"no batch {batch_id}"
        raise NoSuchBatchError(msg)
    return batch


def run(node: Node, batch_id: int, steps: int | None = None) -> None:
    """Go on with a batch until it is finished or cancelled, or for so many steps."""
    pause, done = threading.Event(), 0
    while (steps is None or done < steps) and step(node, batch_id):
        done += 1
        pause.wait(PAUSE_SECONDS)


def step(node: Node, batch_id: int) -> bool:
    """Deal with the next members of a batch; returns whether there may be more to do."""
    with node.database.read() as session:
        batch = get(session, batch_id)
        if batch.finished_at is not None or batch.total is None:
            return False
        order, cursor = Order.of(batch.settings), batch.cursor
        at_once = AT_ONCE.get(order.action, AT_ONCE_ELSE)
        following = select(BatchMemberRow.job_id).where(
            BatchMemberRow.batch_id == batch_id, BatchMemberRow.job_id > cursor
        )
        members = session.scalars(following.order_by(BatchMemberRow.job_id).limit(at_once)).all()
    # Before the lock: the headers are read from their files.
    verdicts = intake.verdicts(node, members) if order.action == "rerun" else {}
    with node.database.write() as session:
        batch = get(session, batch_id, locked=True)
        if batch.finished_at is not None:
            return False
        if batch.cursor != cursor:  # another was quicker
            return True
        if order.action == "rerun":
            waiting, skipped = _rerun(session, batch, order, members, verdicts)
        else:
            waiting, skipped = _apply(session, batch, order, members)
        _keep(session, batch, members, skipped)
        is_finished = len(members) < at_once
        if is_finished:
            batch.finished_at = now()
    actions.hand_over(node, waiting)
    if is_finished:
        log.info("batch finished", batch=batch_id)
    return not is_finished


def _rerun(
    session: Session,
    batch: BatchRow,
    order: Order,
    members: Sequence[int],
    verdicts: dict[int, str | None],
) -> tuple[Waiting, dict[int, str]]:
    """Insert re-runs, queue those that are eligible and reject the others."""
    priority = order.priority or Priority.BULK
    wish = jobs.Wish(batch.actor, order.corrected, order.weights, priority, batch.id)
    made, refused = jobs.rerun_all(session, members, wish)
    by_verdict: dict[str | None, list[int]] = {}
    for old, new in made.items():
        by_verdict.setdefault(verdicts.get(old), []).append(new)
    for reason, some in by_verdict.items():
        target = JobState.QUEUED if reason is None else JobState.REJECTED
        why = None if reason is None else reason[: intake.REASON_LENGTH]
        jobs.move_all(session, some, JobState.RECEIVED, target, reason=why)
    if made:
        rows = [{"batch_id": batch.id, "job_id": old, "rerun_id": new} for old, new in made.items()]
        session.execute(update(BatchMemberRow), rows)
    return Waiting(jobs=by_verdict.get(None, [])), refused


def _apply(
    session: Session, batch: BatchRow, order: Order, members: Sequence[int]
) -> tuple[Waiting, dict[int, str]]:
    """Do another action job by job; what a job's state does not allow is skipped."""
    queued, sent, skipped = [], [], {}
    for job_id in members:
        try:
            waiting = actions.apply(session, job_id, batch.actor, order)
        except NotAllowedError as error:
            skipped[job_id] = str(error)
        else:
            queued += waiting.jobs
            sent += waiting.deliveries
    return Waiting(queued, sent), skipped


def _keep(
    session: Session, batch: BatchRow, members: Sequence[int], skipped: dict[int, str]
) -> None:
    """Keep how far a batch has come, and why members were skipped, in words that add up."""
    for job_id, reason in skipped.items():
        words = re.sub(rf"\bjob {job_id}\b", "the job", reason)
        member = session.get_one(BatchMemberRow, (batch.id, job_id))
        member.skipped_because = words
    batch.done += len(members) - len(skipped)
    batch.skipped += len(skipped)
    batch.cursor = members[-1] if members else batch.cursor
    batch.updated_at = now()


def resume(node: Node) -> int:
    """Go on with batches that nobody works on; the sweeper's part.

    Returns
    -------
    int
        How many there are.
    """
    moment = now()
    with node.database.write() as session:
        abandoned = update(BatchRow).where(
            BatchRow.finished_at.is_(None),
            BatchRow.total.is_(None),
            BatchRow.updated_at < moment - timedelta(seconds=ABANDONED_SECONDS),
        )
        session.execute(abandoned.values(finished_at=moment, total=0))
        idle = select(BatchRow.id).where(
            BatchRow.finished_at.is_(None),
            BatchRow.total.is_not(None),
            BatchRow.updated_at < moment - timedelta(seconds=IDLE_SECONDS),
        )
        ids = session.scalars(idle.order_by(BatchRow.id)).all()
    for batch_id in ids:
        try:
            run(node, batch_id, STEPS_OF_A_SWEEP)
        except Exception:  # the edge: one that cannot go on must not keep the sweeper from the rest
            log.exception("batch not resumed", batch=batch_id)
    return len(ids)


def cancel(node: Node, batch_id: int, actor: str) -> int:
    """Let a batch go no further, and cancel its re-runs that no worker has begun.

    Returns
    -------
    int
        How many re-runs were cancelled.

    Raises
    ------
    NoSuchBatchError
        If there is no such batch.
    NotAllowedError
        If nothing of it is left to be done.
    """
    with node.database.write() as session:
        batch = get(session, batch_id, locked=True)
        waiting = _unfinished(session, batch_id)
        if batch.finished_at is not None and not waiting:
            msg = f"batch {batch_id}: nothing of it is left to cancel"
            raise NotAllowedError(msg)
        batch.finished_at = batch.finished_at or now()
        batch.cancelled_by = actor
        actions.noted(session, actor, "cancel", f"batch {batch_id}")
    cancelled, reason = 0, f"batch {batch_id} was cancelled"
    for some in _parts(waiting):
        with node.database.write() as session:
            for source in (JobState.RECEIVED, JobState.QUEUED):
                target = JobState.CANCELLED
                moved = jobs.move_all(session, some, source, target, actor=actor, reason=reason)
                cancelled += len(moved)
    return cancelled


def _unfinished(session: Session, batch_id: int) -> Sequence[int]:
    """Return the re-runs of a batch that no worker has begun."""
    return session.scalars(
        select(JobRow.id)
        .join(BatchMemberRow, BatchMemberRow.rerun_id == JobRow.id)
        .where(
            BatchMemberRow.batch_id == batch_id,
            JobRow.state.in_([JobState.RECEIVED, JobState.QUEUED]),
        )
    ).all()
