"""The only writer of a job's state: every move is one compare-and-swap and one event row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, aliased

from dicom_node import corrections
from dicom_node.db import EventRow, InstanceRow, JobRow, OutputRow, now
from dicom_node.errors import NoSuchJobError, NotAllowedError
from dicom_node.finding import CorrectedKeyword
from dicom_node.states import JOB_MOVES, JobState, Priority, check_job_move

NODE = "node"
"""The actor of moves that no person asked for."""

LONGEST_PATIENT_ID = 64
"""Characters that VR LO allows (PS3.5 6.2). A longer one is no identifier, so it has no history;
PostgreSQL could not index it."""

LONGEST_NAME_KEY = 64
"""Characters of a name that it can be searched by."""

STUDY_DATE = re.compile(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})")
"""A date (VR DA), also in the form of ACR-NEMA."""

LARGEST_ID = 2**31 - 1
"""PostgreSQL's INTEGER; a larger number names no job, and the database would refuse it."""

UNFINISHED = frozenset({JobState.RECEIVED, JobState.QUEUED, JobState.RUNNING})
"""States of a job whose assessment is still to come."""


ANSWERING = frozenset(
    {JobState.QUEUED, JobState.RUNNING, JobState.REPORTED, JobState.SENT, JobState.CONFIRMED}
)
"""States of a job whose radiograph has its answer, or will have it."""


@dataclass(frozen=True, slots=True)
class Study:
    """The radiographs of one study that have come so far.

    Attributes
    ----------
    last_received_at : datetime
        When the last of them came.
    received : list
        Job and instance of those that wait for a choice; what a person asked for does not.
    replaced : dict
        Of each job that waits though its radiograph came again, corrected: why it is not used.
    assessed : list
        Job and instance of those that have an answer, or will; a refusal is none.
    """

    last_received_at: datetime
    received: list[tuple[int, InstanceRow]]
    replaced: dict[int, str]
    assessed: list[tuple[int, InstanceRow]]


@dataclass(frozen=True, slots=True)
class NewInstance:
    """A file that has been made durable and is about to get its row; see `InstanceRow`."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    size_bytes: int
    path: str
    calling_ae_title: str
    peer_address: str
    header: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked of re-runs; see `rerun`."""

    actor: str
    corrected: Mapping[CorrectedKeyword, str] = field(default_factory=dict)
    weights: str | None = None
    priority: Priority = Priority.NORMAL
    batch_id: int | None = None


def receive(session: Session, instance: NewInstance) -> int | None:
    """Write the instance's row and its first job.

    Returns
    -------
    int or None
        The job's id; None where the very same instance is already here, and is the newest.

    Notes
    -----
    The same UID with other content is a corrected resend: a new revision, whose job names
    the last job of the instance as its predecessor. Two such calls at once end in an
    ``IntegrityError`` for one of them, which may be made again.
    """
    same = select(InstanceRow.sha256, InstanceRow.revision, InstanceRow.id).where(
        InstanceRow.sop_instance_uid == instance.sop_instance_uid
    )
    # Locked: two that take back the same correction at once would both see no job of the other.
    known = session.execute(same.order_by(InstanceRow.id).with_for_update(key_share=True)).all()
    predecessor = last_job_of_sop_instance(session, instance.sop_instance_uid)
    again = next((row.id for row in known if row.sha256 == instance.sha256), None)
    if again is not None:
        if predecessor is None or get(session, predecessor).instance_id == again:
            return None
        why = "an earlier revision was sent again"
        return _insert(session, again, rerun_of=predecessor, actor=NODE, reason=why)
    row = InstanceRow(
        **asdict(instance),
        revision=max((row.revision for row in known), default=0) + 1,
        patient_id=_indexed(instance.header.get("PatientID", "")),
        issuer_of_patient_id=instance.header.get("IssuerOfPatientID", ""),
        patient_name_key=name_key(instance.header.get("PatientName", "")),
        accession_number=_indexed(instance.header.get("AccessionNumber", "")),
        received_at=now(),
    )
    session.add(row)
    session.flush()
    reason = "corrected resend of the same SOP Instance UID" if known else None
    return _insert(session, row.id, rerun_of=predecessor, actor=NODE, reason=reason)


def _indexed(value: str) -> str:
    """Return an identifier; one that is longer than its VR allows is none."""
    return value if len(value) <= LONGEST_PATIENT_ID else ""


def name_key(patient_name: str) -> str:
    """Return what a patient's name (VR PN) is searched by: words in lower case, without carets.

    Of several component groups (PS3.5 6.2.1.1) the first that is not empty.
    """
    groups = (" ".join(group.replace("^", " ").split()) for group in patient_name.split("="))
    return next((group for group in groups if group), "").casefold()[:LONGEST_NAME_KEY]


def study_day(header: Mapping[str, Any]) -> str:
    """Return a kept header's StudyDate as eight digits; empty where it is none."""
    found = STUDY_DATE.fullmatch(header.get("StudyDate", ""))
    return "".join(found.groups()) if found else ""


def last_job_of_sop_instance(session: Session, sop_instance_uid: str) -> int | None:
    """Return the newest job over all revisions of an instance."""
    newest = (
        select(func.max(JobRow.id))
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(InstanceRow.sop_instance_uid == sop_instance_uid)
    )
    return session.scalar(newest)


def _insert(
    session: Session,
    instance_id: int,
    *,
    rerun_of: int | None,
    actor: str,
    reason: str | None,
) -> int:
    """Insert a job in its first state, with its first event."""
    instance = session.get_one(InstanceRow, instance_id)  # of a C-STORE it is at hand: no query
    values = {
        "instance_id": instance_id,
        "rerun_of": rerun_of,
        "calling_ae_title": instance.calling_ae_title,
        "study_date": study_day(instance.header),
    }
    return _insert_all(session, [values], [reason], actor)[0]


def _insert_all(
    session: Session, rows: list[dict[str, Any]], reasons: Sequence[str | None], actor: str
) -> list[int]:
    """Insert jobs in their first state, each with its first event, in two statements."""
    moment = now()
    common = {"state": JobState.RECEIVED, "created_at": moment, "updated_at": moment}
    made = insert(JobRow).returning(JobRow.id, sort_by_parameter_order=True)
    ids = list(session.scalars(made, [{**common, **row} for row in rows]))
    _record_all(session, ids, (None, JobState.RECEIVED), actor, reasons)
    return ids


def _record(
    session: Session,
    job_id: int,
    moved: tuple[JobState | None, JobState],
    actor: str,
    reason: str | None,
) -> None:
    _record_all(session, [job_id], moved, actor, [reason])


def _record_all(
    session: Session,
    job_ids: Sequence[int],
    moved: tuple[JobState | None, JobState],
    actor: str,
    reasons: Sequence[str | None],
) -> None:
    common = {"at": now(), "from_state": moved[0], "to_state": moved[1], "actor": actor}
    rows = [
        {**common, "job_id": job_id, "reason": reason}
        for job_id, reason in zip(job_ids, reasons, strict=True)
    ]
    if rows:
        session.execute(insert(EventRow), rows)


def move(  # noqa: PLR0913 - one move has this many parts
    session: Session,
    job_id: int,
    source: JobState,
    target: JobState,
    *,
    actor: str = NODE,
    reason: str | None = None,
    owner: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> bool:
    """Move a job by compare-and-swap, with its event row.

    Parameters
    ----------
    session : Session
        The transaction; the caller commits.
    source, target : JobState
        The move; one that the table does not have is a defect of the caller.
    actor, reason : str
        Who and why; the reason is also kept with the job.
    owner : str, optional
        Where given, the job must also be leased to this owner.
    values : mapping, optional
        Further columns of `JobRow` to set in the same statement.

    Returns
    -------
    bool
        False where the job was no longer in ``source`` (or leased to ``owner``).
    """
    check_job_move(source, target)
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.state == source)
    if owner is not None:
        statement = statement.where(JobRow.lease_owner == owner)
    leased = {} if target == JobState.RUNNING else {"lease_owner": None, "lease_until": None}
    changed = {"state": target, "reason": reason, "updated_at": now(), **leased, **(values or {})}
    result = session.execute(statement.values(changed))
    if result.rowcount != 1:  # type: ignore[attr-defined]
        return False
    _record(session, job_id, (source, target), actor, reason)
    return True


def move_all(  # noqa: PLR0913 - as `move`
    session: Session,
    job_ids: Sequence[int],
    source: JobState,
    target: JobState,
    *,
    actor: str = NODE,
    reason: str | None = None,
) -> list[int]:
    """Move jobs for one reason, each as `move` does, in two statements however many they are.

    Returns
    -------
    list of int
        Those that were in ``source``, and have moved.
    """
    check_job_move(source, target)
    statement = (
        update(JobRow)
        .where(JobRow.id.in_(job_ids), JobRow.state == source)
        .values(state=target, reason=reason, updated_at=now(), lease_owner=None, lease_until=None)
        .returning(JobRow.id)
        .execution_options(synchronize_session=False)
    )
    moved = sorted(session.scalars(statement))
    _record_all(session, moved, (source, target), actor, [reason] * len(moved))
    return moved


def claim(
    session: Session,
    job_id: int,
    owner: str,
    lease_seconds: float,
    came_by: Priority | None = None,
) -> bool:
    """Take a queued job for ``owner``.

    Parameters
    ----------
    session : Session
        The transaction; the caller commits.
    job_id, owner : int, str
        What is taken, and by whom.
    lease_seconds : float
        For how long without a renewal.
    came_by : Priority, optional
        Of the list in the broker that the id came by.

    Returns
    -------
    bool
        False where another was quicker, where the job has been put behind those of that list (it
        waits in its own), or where the job that this one replaces is still to be assessed: its
        report would come later and look newer. The sweeper hands it over again.
    """
    if came_by is not None:
        present = session.scalar(select(JobRow.priority).where(JobRow.id == job_id))
        if present is not None and present.is_behind(came_by):
            return False
    unfinished = select(JobRow.id).where(
        JobRow.id == select(JobRow.rerun_of).where(JobRow.id == job_id).scalar_subquery(),
        JobRow.state.in_(UNFINISHED),
    )
    if session.scalars(unfinished).first() is not None:
        return False
    until = now() + timedelta(seconds=lease_seconds)
    values = {"lease_owner": owner, "lease_until": until, "attempts": JobRow.attempts + 1}
    return move(session, job_id, JobState.QUEUED, JobState.RUNNING, actor=owner, values=values)


def renew(session: Session, job_id: int, owner: str, lease_seconds: float) -> bool:
    """Lengthen a lease; False where it is no longer ours."""
    statement = (
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.state == JobState.RUNNING, JobRow.lease_owner == owner)
        .values(lease_until=now() + timedelta(seconds=lease_seconds))
    )
    return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


def free_expired(session: Session, attempts: int) -> list[int]:
    """Give running jobs whose lease ran out back to the queue, or fail them.

    Returns
    -------
    list of int
        The jobs that are queued again.
    """
    expired = select(JobRow.id, JobRow.lease_owner, JobRow.attempts).where(
        JobRow.state == JobState.RUNNING, JobRow.lease_until < now()
    )
    queued = []
    for row in session.execute(expired.order_by(JobRow.id)).all():
        if row.attempts >= attempts:
            reason = (
                f"given up after {row.attempts} attempts: each time the worker died, "
                "or the disk or the database was away"
            )
            target = JobState.FAILED
        else:
            reason = "the worker's lease ran out"
            target = JobState.QUEUED
        moved = move(
            session,
            row.id,
            JobState.RUNNING,
            target,
            reason=reason,
            owner=row.lease_owner,
            values={"enqueued_at": None},
        )
        if moved and target == JobState.QUEUED:
            queued.append(row.id)
    return queued


def mark_enqueued(session: Session, job_ids: list[int], after_seconds: float = 0) -> None:
    """Note when the jobs were last handed to the broker.

    A job whose history is fetched first is noted for the moment by which that has an end: until
    then `lost` counts it neither as waiting in the broker nor as lost.
    """
    moment = now() + timedelta(seconds=after_seconds)
    session.execute(update(JobRow).where(JobRow.id.in_(job_ids)).values(enqueued_at=moment))


def lost(
    session: Session,
    before: datetime,
    depth: int,
    limit: int,
    priority: Priority = Priority.NORMAL,
) -> list[int]:
    """Return queued jobs that seem not to wait in the broker.

    Parameters
    ----------
    session : Session
        A reading transaction.
    before : datetime
        A job handed over since then is taken to be in the broker.
    depth : int
        How many ids wait in the broker.
    limit : int
        At most so many of either kind.
    priority : Priority
        Of the jobs and of the list in the broker.

    Returns
    -------
    list of int
        Every job that was never handed over; then the oldest of those that were, as many as
        the broker lacks.
    """
    waiting = (JobRow.state == JobState.QUEUED, JobRow.priority == priority)
    queued = select(JobRow.id).where(*waiting).order_by(JobRow.id)
    never = session.scalars(queued.where(JobRow.enqueued_at.is_(None)).limit(limit)).all()
    handed = select(func.count()).where(*waiting, JobRow.enqueued_at <= now())
    lacking = min(limit, max(0, session.scalars(handed).one() - depth))
    oldest = session.scalars(queued.where(JobRow.enqueued_at < before).limit(lacking)).all()
    return [*never, *oldest]


def get(session: Session, job_id: int) -> JobRow:
    """Return a job.

    Raises
    ------
    NoSuchJobError
        If there is none.
    """
    job = session.get(JobRow, job_id) if 0 < job_id <= LARGEST_ID else None
    if job is None:
        msg = f"no job {job_id}"
        raise NoSuchJobError(msg)
    return job


def in_state(session: Session, job_ids: Sequence[int], state: JobState) -> list[int]:
    """Return which of some jobs are in a state."""
    found = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.state == state)
    return list(session.scalars(found.order_by(JobRow.id)))


def was_asked_for(session: Session, job_id: int) -> bool:
    """Return whether a person wanted this job: then no rule chooses between it and others."""
    first = select(EventRow.actor).where(EventRow.job_id == job_id).order_by(EventRow.id).limit(1)
    return session.scalars(first).first() not in {None, NODE}


def study(session: Session, study_instance_uid: str) -> Study:
    """Return the radiographs of a study and how far each is."""
    query = (
        select(JobRow, InstanceRow)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(InstanceRow.study_instance_uid == study_instance_uid)
        .order_by(JobRow.id)
    )
    rows = session.execute(query).all()
    received, replaced = [], {}
    for job, instance in rows:
        if job.state != JobState.RECEIVED or was_asked_for(session, job.id):
            continue
        newest = last_job_of_sop_instance(session, instance.sop_instance_uid)
        if newest == job.id:
            received.append((job.id, instance))
        else:
            replaced[job.id] = f"not used, because job {newest} is of the corrected radiograph"
    return Study(
        last_received_at=max(instance.received_at for _, instance in rows),
        received=received,
        replaced=replaced,
        assessed=[
            (job.id, instance)
            for job, instance in rows
            if job.state in ANSWERING and job.outcome != "refused"
        ],
    )


COPIED: Final = (
    JobRow.instance_id,
    JobRow.calling_ae_title,
    JobRow.study_date,
    JobRow.weights,
    JobRow.accepted,
)
"""What a re-run has from the job before it, unless it is asked otherwise."""


def rerun(  # noqa: PLR0913 - a re-run may differ in this much
    session: Session,
    job_id: int,
    actor: str,
    corrected: Mapping[CorrectedKeyword, str] = MappingProxyType({}),
    *,
    weights: str | None = None,
    priority: Priority = Priority.NORMAL,
) -> int:
    """Insert a new job for the same instance, naming this one as its predecessor.

    Parameters
    ----------
    session : Session
        The transaction; the caller commits.
    job_id, actor : int, str
        What is run again, and who wants it.
    corrected : mapping of str
        What the actor says instead of the header, by keyword; corrections of the old job hold
        where it says nothing else.
    weights : str, optional
        One of `dicom_node.config.InferenceSection.choices`; else those of the old job.
    priority : Priority
        When its turn comes.

    Returns
    -------
    int
        The new job's id, in state ``received``.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    NotAllowedError
        If the job has not come to an end yet, or its radiograph was replaced by a correction.
    CorrectionError
        If a correction cannot be.
    """
    get(session, job_id)
    wish = Wish(actor, corrected, weights, priority)
    made, refused = rerun_all(session, [job_id], wish)
    if refused:
        raise NotAllowedError(refused[job_id])
    return made[job_id]


def rerun_all(
    session: Session, job_ids: Sequence[int], wish: Wish
) -> tuple[dict[int, int], dict[int, str]]:
    """Insert a re-run of each job, as `rerun`, in a few statements however many they are.

    Returns
    -------
    made : dict of int
        The new job of each, in state ``received``.
    refused : dict of str
        Why there is none. What names no job is in neither.

    Raises
    ------
    CorrectionError
        If a correction cannot be.
    """
    corrections.check(wish.corrected)
    columns = (JobRow.id, JobRow.state, JobRow.corrections)
    query = select(*columns, *COPIED).where(JobRow.id.in_(job_ids)).order_by(JobRow.id)
    old = session.execute(query).all()
    replaced = _replaced(session, {row.instance_id for row in old})
    refused = {}
    for row in old:
        if row.instance_id in replaced:
            newest = replaced[row.instance_id]
            why = f"a corrected resend has replaced the radiograph of job {row.id}"
            refused[row.id] = f"{why}: re-run job {newest}"
        elif row.state in UNFINISHED:
            refused[row.id] = f"job {row.id} is {row.state}: it will be assessed anyway"
    again = [row for row in old if row.id not in refused]
    said = f", {', '.join(wish.corrected)} corrected" if wish.corrected else ""
    said += f", with weights {wish.weights}" if wish.weights else ""
    said += f", batch {wish.batch_id}" if wish.batch_id else ""
    values = [
        {
            **{column.key: getattr(row, column.key) for column in COPIED},
            "rerun_of": row.id,
            "corrections": corrections.merged(row.corrections, wish.corrected, wish.actor) or None,
            "weights": wish.weights or row.weights,
            "priority": wish.priority,
        }
        for row in again
    ]
    reasons = [f"re-run of job {row.id}{said}" for row in again]
    made = _insert_all(session, values, reasons, wish.actor) if again else []
    return {row.id: new for row, new in zip(again, made, strict=True)}, refused


def _replaced(session: Session, instance_ids: set[int]) -> dict[int, int]:
    """Return which instances are no longer the newest revision, with the newest job of each."""
    mine, any_revision = aliased(InstanceRow), aliased(InstanceRow)
    newest = (
        select(mine.id.label("mine"), func.max(JobRow.id).label("newest"))
        .join(any_revision, any_revision.sop_instance_uid == mine.sop_instance_uid)
        .join(JobRow, JobRow.instance_id == any_revision.id)
        .where(mine.id.in_(instance_ids))
        .group_by(mine.id)
        .subquery()
    )
    query = select(newest.c.mine, newest.c.newest).join(JobRow, JobRow.id == newest.c.newest)
    rows = session.execute(query.where(JobRow.instance_id != newest.c.mine))
    return {row.mine: row.newest for row in rows}


def accept(session: Session, job_id: int, actor: str, *, overrule_gate: bool = False) -> None:
    """Queue a rejected job: an admin overrules the rules for its header.

    The gate still looks at its pixels, unless that is overruled, too. The report says by whom.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    NotAllowedError
        If it is not rejected.
    """
    what = "the rules for header and image" if overrule_gate else "the rules for the header"
    state = get(session, job_id).state
    if state != JobState.REJECTED:
        msg = f"job {job_id} is {state}: only a rejected one is accepted"
        raise NotAllowedError(msg)
    change(session, job_id, JobState.QUEUED, actor=actor, reason=f"accepted: {what} overruled")
    accepted = {"actor": actor, "at": now().isoformat(), "overrule_gate": overrule_gate}
    session.execute(update(JobRow).where(JobRow.id == job_id).values(accepted=accepted))


def prioritise(session: Session, job_id: int, priority: Priority, actor: str) -> bool:
    """Let a waiting job's turn come sooner or later; it is then to be handed over again.

    Returns
    -------
    bool
        False where it has this priority already.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    NotAllowedError
        If it waits no longer.
    """
    job = get(session, job_id)
    old, state = job.priority, job.state
    waiting = {JobState.RECEIVED, JobState.QUEUED}
    if state in waiting and old == priority:
        return False
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.state.in_(waiting))
    changed = session.execute(statement.values(priority=priority, enqueued_at=None))
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        msg = f"job {job_id} is {state}: it does not wait for its turn"
        raise NotAllowedError(msg)
    _record(session, job_id, (state, state), actor, f"priority {priority}, was {old}")
    return True


def change(
    session: Session, job_id: int, target: JobState, *, actor: str, reason: str | None = None
) -> None:
    """Make a move that a person asked for.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    NotAllowedError
        If the job's state does not allow it, or if it is to be assessed again though it has
        results: these are sent again, or the job is run again as another.
    """
    source = get(session, job_id).state
    if (source, target) == (JobState.FAILED, JobState.QUEUED) and _has_results(session, job_id):
        msg = f"job {job_id} has results: send them again, or re-run it"
        raise NotAllowedError(msg)
    allowed = target in JOB_MOVES[source]
    values = {"enqueued_at": None, "attempts": 0} if target == JobState.QUEUED else None
    if not allowed or not move(
        session, job_id, source, target, actor=actor, reason=reason, values=values
    ):
        msg = f"job {job_id} is {source}: it cannot become {target}"
        raise NotAllowedError(msg)


def _has_results(session: Session, job_id: int) -> bool:
    """Return whether the job was assessed."""
    made = session.scalars(select(OutputRow.id).where(OutputRow.job_id == job_id).limit(1))
    return made.first() is not None
