"""How far a batch has come, and its re-runs with the workers. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from dicom_node import batches
from dicom_node.actions import Order
from dicom_node.db import BatchMemberRow, BatchRow, JobRow
from dicom_node.jobs import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

MOST_REASONS = 20
MOST_LISTED = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch has come.

    Attributes
    ----------
    id, actor, action : int, str, str
        Which batch, whose, and what is done with its jobs.
    weights, priority, destination : str or None
        What was asked for; see `Order`.
    created_at, finished_at : str
        In ISO 8601; ``finished_at`` is None while there are members whose turn is to come.
    cancelled_by : str or None
        Who let it go no further.
    total, done, skipped : int
        Members: all, those with which it was done, and those whose state did not allow it.
    reruns : dict of int
        How many re-runs are in each state.
    skipped_because : dict of int
        How many were skipped for each reason.
    """

    id: int
    actor: str
    action: str
    weights: str | None
    priority: str | None
    destination: str | None
    created_at: str
    finished_at: str | None
    cancelled_by: str | None
    total: int
    done: int
    skipped: int
    reruns: dict[str, int]
    skipped_because: dict[str, int]

    @property
    def unfinished(self) -> int:
        """Return how many re-runs are still to be assessed."""
        return sum(count for state, count in self.reruns.items() if state in UNFINISHED)

    @property
    def settled(self) -> int:
        """Return of how many members nothing is left to be done."""
        return self.done + self.skipped - self.unfinished

    @property
    def is_settled(self) -> bool:
        """Return whether nothing will move any more."""
        return self.finished_at is not None and not self.unfinished


def progress_of(session: Session, batch_id: int) -> Progress:
    """Return how far a batch has come.

    Raises
    ------
    NoSuchBatchError
        If there is none.
    """
    batch = batches.get(session, batch_id)
    return _progress(batch, _reruns(session, batch_id), _reasons(session, batch_id))


def recent(session: Session, limit: int) -> list[Progress]:
    """Return the newest batches, without what became of their members."""
    rows = session.scalars(select(BatchRow).order_by(BatchRow.id.desc()).limit(limit))
    return [_progress(batch, {}, {}) for batch in rows]


def _progress(batch: BatchRow, reruns: dict[str, int], reasons: dict[str, int]) -> Progress:
    order = Order.of(batch.settings)
    return Progress(
        id=batch.id,
        actor=batch.actor,
        action=batch.action,
        weights=order.weights,
        priority=None if order.priority is None else str(order.priority),
        destination=order.destination,
        created_at=batch.created_at.isoformat(),
        finished_at=None if batch.finished_at is None else batch.finished_at.isoformat(),
        cancelled_by=batch.cancelled_by,
        total=batch.total or 0,
        done=batch.done,
        skipped=batch.skipped,
        reruns=reruns,
        skipped_because=reasons,
    )


def _reruns(session: Session, batch_id: int) -> dict[str, int]:
    query = (
        select(JobRow.state, func.count())
        .join(BatchMemberRow, BatchMemberRow.rerun_id == JobRow.id)
        .where(BatchMemberRow.batch_id == batch_id)
        .group_by(JobRow.state)
    )
    return {str(state): count for state, count in session.execute(query)}


def _reasons(session: Session, batch_id: int) -> dict[str, int]:
    reason = BatchMemberRow.skipped_because
    query = (
        select(reason, func.count())
        .where(BatchMemberRow.batch_id == batch_id, reason.is_not(None))
        .group_by(reason)
        .order_by(func.count().desc(), reason)
        .limit(MOST_REASONS)
    )
    return {str(words): count for words, count in session.execute(query)}


def members(session: Session, batch_id: int, *, skipped: bool) -> Sequence[dict[str, Any]]:
    """Return the first members that were skipped, or those that were not and have re-runs."""
    row = BatchMemberRow
    wanted = row.skipped_because.is_not(None) if skipped else row.rerun_id.is_not(None)
    query = select(row.job_id, row.rerun_id, row.skipped_because)
    query = query.where(row.batch_id == batch_id, wanted).order_by(row.job_id).limit(MOST_LISTED)
    return [member._asdict() for member in session.execute(query)]
