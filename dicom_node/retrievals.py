"""The only writer of a retrieval's row: a study that a person had an archive send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicom_node.db import InstanceRow, JobRow, RetrievalRow, now
from dicom_node.jobs import LARGEST_ID
from dicom_node.states import Priority, RetrievalState, check_retrieval_move

AT_ONCE: Final = 2
"""Retrievals that workers run at once: the threads that run them also send results."""

ATTEMPTS: Final = 3
"""One whose worker died so often is failed."""

REASON_LENGTH: Final = 500
MOST_JOBS: Final = 20
"""Of one study, the newest, that a list of retrievals names."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """One retrieval as pages, commands and the API show it.

    Attributes
    ----------
    id : int
    actor, archive, study_instance_uid : str
        Who had which archive send which study.
    everything : bool
        False: only series that could be assessed.
    state : RetrievalState
    reason : str or None
        Why it failed, or what of it is missing.
    remaining, completed, failed, warning : int
        The archive's sub-operations.
    created_at, updated_at : datetime
    jobs : tuple of int
        Newest jobs of the study, at most `MOST_JOBS`.
    """

    id: int
    actor: str
    archive: str
    study_instance_uid: str
    everything: bool
    state: RetrievalState
    reason: str | None
    remaining: int
    completed: int
    failed: int
    warning: int
    created_at: datetime
    updated_at: datetime
    jobs: tuple[int, ...] = ()


def create(
    session: Session,
    archive: str,
    study_instance_uids: Iterable[str],
    *,
    actor: str,
    everything: bool = False,
) -> list[int]:
    """Insert a waiting retrieval for each study, once; returns their ids."""
    ids = []
    for uid in dict.fromkeys(study_instance_uids):
        moment = now()
        row = RetrievalRow(
            actor=actor[:128],
            archive=archive,
            study_instance_uid=uid,
            everything=everything,
            state=RetrievalState.WAITING,
            created_at=moment,
            updated_at=moment,
        )
        session.add(row)
        session.flush()
        ids.append(row.id)
    return ids


def move(
    session: Session,
    retrieval_id: int,
    source: RetrievalState,
    target: RetrievalState,
    *,
    owner: str | None = None,
    **values: Any,  # noqa: ANN401 - columns
) -> bool:
    """Move a retrieval by compare-and-swap; False where it had moved, or another holds it."""
    check_retrieval_move(source, target)
    statement = update(RetrievalRow).where(
        RetrievalRow.id == retrieval_id, RetrievalRow.state == source
    )
    if owner is not None:
        statement = statement.where(RetrievalRow.lease_owner == owner)
    leased = {} if target == RetrievalState.RUNNING else {"lease_owner": None, "lease_until": None}
    changed = {"state": target, "updated_at": now(), **leased, **values}
    return bool(session.execute(statement.values(changed)).rowcount == 1)  # type: ignore[attr-defined]


def claim(
    session: Session, retrieval_id: int, owner: str, lease_seconds: float, at_once: int | None
) -> bool:
    """Take a waiting retrieval; False where another has it, or ``at_once`` are running."""
    if at_once is not None:
        running = select(func.count()).where(RetrievalRow.state == RetrievalState.RUNNING)
        if session.scalars(running).one() >= at_once:
            return False
    return move(
        session,
        retrieval_id,
        RetrievalState.WAITING,
        RetrievalState.RUNNING,
        lease_owner=owner,
        lease_until=now() + timedelta(seconds=lease_seconds),
        attempts=RetrievalRow.attempts + 1,
    )


def renew(session: Session, retrieval_id: int, owner: str, lease_seconds: float) -> bool:
    """Lengthen a lease; False where it is no longer ours."""
    return _update(
        session, retrieval_id, owner, lease_until=now() + timedelta(seconds=lease_seconds)
    )


def count(session: Session, retrieval_id: int, owner: str, numbers: dict[str, int]) -> bool:
    """Note how far a running retrieval is."""
    return _update(session, retrieval_id, owner, updated_at=now(), **numbers)


def _update(session: Session, retrieval_id: int, owner: str, **values: Any) -> bool:  # noqa: ANN401
    statement = update(RetrievalRow).where(
        RetrievalRow.id == retrieval_id,
        RetrievalRow.state == RetrievalState.RUNNING,
        RetrievalRow.lease_owner == owner,
    )
    return bool(session.execute(statement.values(**values)).rowcount == 1)  # type: ignore[attr-defined]


def free_expired(session: Session) -> list[int]:
    """Let retrievals whose worker died wait for the next, or fail them; returns the first.

    What has come already is here: when it comes again, it is a repeat.
    """
    columns = (RetrievalRow.id, RetrievalRow.lease_owner, RetrievalRow.attempts)
    expired = select(*columns).where(
        RetrievalRow.state == RetrievalState.RUNNING, RetrievalRow.lease_until < now()
    )
    waiting = []
    for row in session.execute(expired.order_by(RetrievalRow.id)).all():
        again = row.attempts < ATTEMPTS
        target = RetrievalState.WAITING if again else RetrievalState.FAILED
        reason = None if again else f"given up after {row.attempts} attempts: the worker died"
        moved = move(
            session,
            row.id,
            RetrievalState.RUNNING,
            target,
            owner=row.lease_owner,
            reason=reason,
            enqueued_at=None,
        )
        if moved and again:
            waiting.append(row.id)
    return waiting


def mark_enqueued(session: Session, retrieval_ids: list[int]) -> None:
    """Note when the retrievals were last handed to the broker."""
    session.execute(
        update(RetrievalRow).where(RetrievalRow.id.in_(retrieval_ids)).values(enqueued_at=now())
    )


def lost(
    session: Session,
    before: datetime,
    depth: int,
    limit: int,
    _priority: Priority = Priority.NORMAL,
) -> list[int]:
    """Return waiting retrievals that seem not to wait in the broker; see `dicom_node.jobs.lost`.

    One that found others running has left the broker too: it is handed over again.
    """
    waiting = select(RetrievalRow.id).where(RetrievalRow.state == RetrievalState.WAITING)
    waiting = waiting.order_by(RetrievalRow.id)
    never = session.scalars(waiting.where(RetrievalRow.enqueued_at.is_(None)).limit(limit)).all()
    handed = select(func.count()).where(
        RetrievalRow.state == RetrievalState.WAITING, RetrievalRow.enqueued_at.is_not(None)
    )
    lacking = min(limit, max(0, session.scalars(handed).one() - depth))
    oldest = session.scalars(waiting.where(RetrievalRow.enqueued_at < before).limit(lacking)).all()
    return [*never, *oldest]


def next_waiting(session: Session) -> int | None:
    """Return the oldest retrieval that waits."""
    waiting = select(RetrievalRow.id).where(RetrievalRow.state == RetrievalState.WAITING)
    return session.scalars(waiting.order_by(RetrievalRow.id).limit(1)).first()


def get(session: Session, retrieval_id: int) -> Retrieval | None:
    """Return one retrieval, None where there is none."""
    if not 0 < retrieval_id <= LARGEST_ID:
        return None
    row = session.get(RetrievalRow, retrieval_id)
    return None if row is None else _shown(session, row)


def newest(session: Session, limit: int, before: int | None = None) -> list[Retrieval]:
    """Return retrievals, newest first, those with a smaller id than ``before``."""
    rows = select(RetrievalRow).order_by(RetrievalRow.id.desc()).limit(limit)
    if before is not None:
        rows = rows.where(RetrievalRow.id < before)
    return [_shown(session, row) for row in session.scalars(rows)]


def words(retrieval: Retrieval) -> str:
    """Return how a retrieval stands, as one line."""
    numbers = ", ".join(
        f"{number} {name}"
        for name in ("remaining", "completed", "failed", "warning")
        if (number := getattr(retrieval, name))
    )
    line = f"{retrieval.state}, {numbers}" if numbers else str(retrieval.state)
    return f"{line}: {retrieval.reason}" if retrieval.reason else line


def _shown(session: Session, row: RetrievalRow) -> Retrieval:
    jobs = jobs_of_study(session, row.study_instance_uid, MOST_JOBS)
    names = [name for name in Retrieval.__slots__ if name != "jobs"]
    return Retrieval(**{name: getattr(row, name) for name in names}, jobs=tuple(jobs))


def jobs_of_study(session: Session, study_instance_uid: str, limit: int) -> list[int]:
    """Return the newest jobs of a study."""
    found = (
        select(JobRow.id)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(InstanceRow.study_instance_uid == study_instance_uid)
    )
    return list(session.scalars(found.order_by(JobRow.id.desc()).limit(limit)))


def present(session: Session, study_instance_uids: Iterable[str]) -> dict[str, int]:
    """Return how many instances of each study are here, of those that have any."""
    uids = list(study_instance_uids)
    counted = (
        select(InstanceRow.study_instance_uid, func.count(InstanceRow.sop_instance_uid.distinct()))
        .where(InstanceRow.study_instance_uid.in_(uids))
        .group_by(InstanceRow.study_instance_uid)
    )
    return {uid: number for uid, number in session.execute(counted)}  # noqa: C416 - rows, not pairs
