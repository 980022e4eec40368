"""The only writer of a delivery's state, and of what follows from it for the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicom_node import jobs
from dicom_node.config import Destination
from dicom_node.db import DeliveryRow, EventRow, JobRow, OutputRow, TransferRow, now
from dicom_node.states import (
    GIVEN_UP,
    DeliveryState,
    JobState,
    Priority,
    check_delivery_move,
    job_state_for,
)

STORED = {0x0000, 0x0111}
"""Success, and duplicate SOP instance: the answer to the first try was lost (PS3.7 C.5.7)."""

WARNING = 0xB000
"""Stored, with a warning: Bxxx (PS3.4 B.2.3)."""


FALLBACKS = {"sr": "sr-2d"}
"""Kinds of output that go in place of another where a destination does not accept that."""

OPTIONAL = frozenset({"pr", "pdf", "pm"})
"""Kinds beside SC and SR: a destination that does not know one has its answer without it."""

REJECTION_NOTE = "kos"
"""The kind that goes only to destinations that want it."""


def create(session: Session, job_id: int, destinations: Iterable[str]) -> list[int]:
    """Insert a waiting delivery for each destination and return their ids."""
    ids = []
    for name in destinations:
        moment = now()
        row = DeliveryRow(
            job_id=job_id,
            destination=name,
            state=DeliveryState.WAITING,
            next_attempt_at=moment,
            updated_at=moment,
        )
        session.add(row)
        session.flush()
        _record(session, row, (None, DeliveryState.WAITING), jobs.NODE, None)
        ids.append(row.id)
    return ids


def _record(
    session: Session,
    row: DeliveryRow,
    moved: tuple[DeliveryState | None, DeliveryState],
    actor: str,
    reason: str | None,
) -> None:
    source, target = moved
    session.add(
        EventRow(
            job_id=row.job_id,
            delivery_id=row.id,
            at=now(),
            from_state=source,
            to_state=target,
            actor=actor,
            reason=reason,
        )
    )


def move(  # noqa: PLR0913 - one move has this many parts
    session: Session,
    delivery_id: int,
    source: DeliveryState,
    target: DeliveryState,
    *,
    actor: str = jobs.NODE,
    reason: str | None = None,
    owner: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Move a delivery by compare-and-swap, with its event row; see `dicom_node.jobs.move`."""
    check_delivery_move(source, target)
    statement = update(DeliveryRow).where(
        DeliveryRow.id == delivery_id, DeliveryRow.state == source
    )
    if owner is not None:
        statement = statement.where(DeliveryRow.lease_owner == owner)
    leased = {} if target == DeliveryState.SENDING else {"lease_owner": None, "lease_until": None}
    changed = {"state": target, "reason": reason, "updated_at": now(), **leased, **(values or {})}
    result = session.execute(statement.values(changed))
    if result.rowcount != 1:  # type: ignore[attr-defined]
        return False
    row = session.get_one(DeliveryRow, delivery_id)
    _record(session, row, (source, target), actor, reason)
    return True


def claim(session: Session, delivery_id: int, owner: str, lease_seconds: float) -> bool:
    """Take a waiting delivery that is due; False where another was quicker or it must wait."""
    due = session.scalar(select(DeliveryRow.next_attempt_at).where(DeliveryRow.id == delivery_id))
    if due is None or due > now():
        return False
    until = now() + timedelta(seconds=lease_seconds)
    return move(
        session,
        delivery_id,
        DeliveryState.WAITING,
        DeliveryState.SENDING,
        actor=owner,
        values={
            "lease_owner": owner,
            "lease_until": until,
            "attempts": DeliveryRow.attempts + 1,
        },
    )


def renew(session: Session, delivery_id: int, owner: str, lease_seconds: float) -> bool:
    """Lengthen a lease; False where it is no longer ours."""
    statement = (
        update(DeliveryRow)
        .where(
            DeliveryRow.id == delivery_id,
            DeliveryRow.state == DeliveryState.SENDING,
            DeliveryRow.lease_owner == owner,
        )
        .values(lease_until=now() + timedelta(seconds=lease_seconds))
    )
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


def keep_status(session: Session, delivery_id: int, output_id: int, status: int) -> None:
    """Keep the DIMSE status that a destination gave for one output."""
    session.merge(
        TransferRow(delivery_id=delivery_id, output_id=output_id, status=status, at=now())
    )


def unsent(
    session: Session, delivery_id: int, destination: Destination
) -> list[tuple[OutputRow, OutputRow | None]]:
    """Return the outputs that the destination has not taken yet, the SC before the SR.

    A viewer that opens the SR then finds what it refers to. A rejection note comes last, and
    only where the destination wants it.

    Returns
    -------
    list of tuple
        An output, and the one to send instead where the destination does not accept its kind.
    """
    delivery = session.get_one(DeliveryRow, delivery_id)
    outputs = session.scalars(
        select(OutputRow).where(OutputRow.job_id == delivery.job_id).order_by(OutputRow.id)
    )
    statuses = dict(
        session.execute(
            select(TransferRow.output_id, TransferRow.status).where(
                TransferRow.delivery_id == delivery_id
            )
        ).all()
    )
    by_kind = {output.kind: output for output in outputs}
    stored = {kind for kind, output in by_kind.items() if is_stored(statuses.get(output.id))}
    waiting = []
    for kind, output in by_kind.items():
        fallback = FALLBACKS.get(kind)
        unwanted = kind == REJECTION_NOTE and not destination.rejection_notes
        if kind in FALLBACKS.values() or unwanted or {kind, fallback} & stored:
            continue
        waiting.append((output, by_kind.get(fallback or "")))
    return waiting


def is_stored(status: int | None) -> bool:
    """Return whether a C-STORE status means that the object was kept (PS3.4 B.2.3)."""
    return status is not None and (status in STORED or status & 0xF000 == WARNING)


def pause_seconds(destination: Destination, attempts: int) -> float:
    """Return how long to wait after the given number of attempts: doubling, up to a limit."""
    doubled = destination.retry_first_seconds * 2 ** min(attempts - 1, 30)
    return float(min(doubled, destination.retry_most_seconds))


def postpone(
    session: Session, delivery_id: int, owner: str, destination: Destination, reason: str
) -> None:
    """Let a delivery wait for its next attempt, or give it up after the last one."""
    attempts = session.get_one(DeliveryRow, delivery_id, populate_existing=True).attempts
    if attempts > destination.retries:
        target, values = DeliveryState.EXHAUSTED, {}
        reason = f"given up after {attempts} attempts; the last: {reason}"
    else:
        pause = timedelta(seconds=pause_seconds(destination, attempts))
        target, values = (
            DeliveryState.WAITING,
            {"next_attempt_at": now() + pause, "enqueued_at": None},
        )
    move(
        session,
        delivery_id,
        DeliveryState.SENDING,
        target,
        reason=reason,
        owner=owner,
        values=values,
    )


def settle(session: Session, job_id: int) -> None:
    """Move the job to where its deliveries have brought it, if they have.

    Two senders that end at the same moment do not see each other's delivery: the row of the
    job is locked first, so that the second one does. (On SQLite there is one writer anyway.)
    The lock is one that leaves room for the event rows that point to the job.
    """
    session.execute(select(JobRow.id).where(JobRow.id == job_id).with_for_update(key_share=True))
    rows = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.job_id == job_id)
        .execution_options(populate_existing=True)
    ).all()
    _note_given_up(session, job_id, rows)
    target = job_state_for([row.state for row in rows])
    if target == JobState.REPORTED:
        return
    given_up = ", ".join(row.destination for row in rows if row.state in GIVEN_UP)
    reason = f"not delivered to {given_up}" if given_up else None
    jobs.move(session, job_id, JobState.REPORTED, target, reason=reason)


def _note_given_up(session: Session, job_id: int, rows: Iterable[DeliveryRow]) -> None:
    """Note with the job whether any delivery was given up: the list looks for it there."""
    undelivered = any(row.state in GIVEN_UP for row in rows)
    job = update(JobRow).where(JobRow.id == job_id, JobRow.undelivered != undelivered)
    session.execute(job.values(undelivered=undelivered))


def retry(session: Session, job_id: int, actor: str, destination: str | None = None) -> list[int]:
    """Set the deliveries of a job that were given up to waiting again, and the job with them.

    Returns
    -------
    list of int
        The deliveries that wait now; empty where none was given up.
    """
    rows = session.scalars(
        select(DeliveryRow).where(
            DeliveryRow.job_id == job_id,
            DeliveryRow.state.in_(GIVEN_UP | {DeliveryState.HELD}),
        )
    ).all()
    again = []
    for row in rows:
        if destination not in {None, row.destination}:
            continue
        values = {"next_attempt_at": now(), "attempts": 0, "enqueued_at": None}
        if move(
            session,
            row.id,
            row.state,
            DeliveryState.WAITING,
            actor=actor,
            reason="retry",
            values=values,
        ):
            again.append(row.id)
    if again:
        every = select(DeliveryRow).where(DeliveryRow.job_id == job_id)
        fresh = every.execution_options(populate_existing=True)
        _note_given_up(session, job_id, session.scalars(fresh))
        jobs.move(
            session, job_id, JobState.FAILED, JobState.REPORTED, actor=actor, reason="send again"
        )
    return again


def free_expired(session: Session) -> list[int]:
    """Let deliveries whose sender died wait for the next sender, at once."""
    expired = select(DeliveryRow.id, DeliveryRow.lease_owner).where(
        DeliveryRow.state == DeliveryState.SENDING, DeliveryRow.lease_until < now()
    )
    return [
        row.id
        for row in session.execute(expired.order_by(DeliveryRow.id)).all()
        if move(
            session,
            row.id,
            DeliveryState.SENDING,
            DeliveryState.WAITING,
            reason="the sender's lease ran out",
            owner=row.lease_owner,
            values={"next_attempt_at": now(), "enqueued_at": None},
        )
    ]


def mark_enqueued(session: Session, delivery_ids: list[int]) -> None:
    """Note when the deliveries were last handed to the broker."""
    session.execute(
        update(DeliveryRow).where(DeliveryRow.id.in_(delivery_ids)).values(enqueued_at=now())
    )


def lost(
    session: Session,
    before: datetime,
    depth: int,
    limit: int,
    priority: Priority = Priority.NORMAL,
) -> list[int]:
    """Return deliveries that are due and seem not to wait in the broker.

    As `dicom_node.jobs.lost`; the longest due come first.
    """
    waiting = (
        DeliveryRow.state == DeliveryState.WAITING,
        DeliveryRow.next_attempt_at <= now(),
        JobRow.priority == priority,
    )
    ids = select(DeliveryRow.id).join(JobRow, JobRow.id == DeliveryRow.job_id)
    due = ids.where(*waiting).order_by(DeliveryRow.next_attempt_at)
    never = session.scalars(due.where(DeliveryRow.enqueued_at.is_(None)).limit(limit)).all()
    count = select(func.count()).select_from(DeliveryRow)
    handed = count.join(JobRow, JobRow.id == DeliveryRow.job_id).where(
        *waiting, DeliveryRow.enqueued_at.is_not(None)
    )
    lacking = min(limit, max(0, session.scalars(handed).one() - depth))
    oldest = session.scalars(due.where(DeliveryRow.enqueued_at < before).limit(lacking)).all()
    return [*never, *oldest]
