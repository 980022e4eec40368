"""What a person does with one job: the order is checked, done, noted, and handed to the broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import structlog
from sqlalchemy import update

from dicom_node import audit, corrections, deliveries, intake, jobs
from dicom_node.db import JobRow, NoteRow, now
from dicom_node.errors import NotAllowedError, OrderError
from dicom_node.finding import CorrectedKeyword
from dicom_node.states import JobState, Priority

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dicom_node.config import Config
    from dicom_node.node import Node

log = structlog.get_logger()

Action = Literal["rerun", "retry", "accept", "cancel", "priority"]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

LONGEST_NOTE: Final = 2000
"""Characters."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a person asks of one job, or of many.

    Attributes
    ----------
    action : Action
        What is to be done.
    corrected : mapping of str
        Of a re-run: what is said instead of the header, by keyword.
    weights : str or None
        Of a re-run: one of `InferenceSection.choices`; None: those of the job before it.
    priority : Priority or None
        Of a re-run, of what is sent again, or the new one of a job that waits.
    destination : str or None
        Of a retry: only what goes there.
    overrule_gate : bool
        Of an acceptance: also what the gate says of the pixels is overruled.
    """

    action: Action
    corrected: Mapping[CorrectedKeyword, str] = field(default_factory=dict)
    weights: str | None = None
    priority: Priority | None = None
    destination: str | None = None
    overrule_gate: bool = False

    def as_values(self) -> dict[str, Any]:
        """Return the order as the database keeps it."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "corrected": dict(self.corrected)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Order:
        """Return the order that the database keeps."""
        priority = values["priority"]
        return cls(**{**values, "priority": None if priority is None else Priority(priority)})


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an action left to be done, by the workers."""

    jobs: list[int] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Done:
    """Where a job is after an action.

    Attributes
    ----------
    job_id : int
        The job; of a re-run the new one.
    state : JobState
        Its state.
    reason : str or None
        Why it is there.
    deliveries : int
        How many deliveries wait again.
    """

    job_id: int
    state: JobState
    reason: str | None
    deliveries: int = 0

    def as_values(self) -> dict[str, Any]:
        """Return it for JSON."""
        values = {**asdict(self), "state": str(self.state)}
        return {"id": values.pop("job_id"), **values}


def check(config: Config, order: Order, jobs_asked: int = 1) -> None:
    """Refuse an order that could not be done for any job.

    Raises
    ------
    OrderError
        If there are no such weights, or no priority where one is needed, or if a birth date or a
        side is to be corrected for more than one job.
    CorrectionError
        If a correction cannot be.
    """
    corrections.check(order.corrected)
    choices = config.inference.choices
    if order.weights is not None and order.weights not in choices:
        msg = f"there are no weights of this name; choose among {', '.join(choices)}"
        raise OrderError(msg)
    if order.action == "priority" and order.priority is None:
        msg = f"a priority is one of {', '.join(Priority)}"
        raise OrderError(msg)
    if jobs_asked > 1 and set(order.corrected) - {"PatientSex"}:
        msg = "a birth date or a side is corrected for one job at a time"
        raise OrderError(msg)


def do(node: Node, job_id: int, actor: str, order: Order) -> Done:
    """Do what a person asks of one job.

    Returns
    -------
    Done
        Where the job is then; of a re-run the new job.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    NotAllowedError
        If the job's state does not allow it.
    OrderError, CorrectionError
        If the order cannot be.
    """
    check(node.config, order)
    if order.action == "rerun":
        return _rerun(node, job_id, actor, order)
    with node.database.write() as session:
        waiting = apply(session, job_id, actor, order)
        noted(session, actor, order.action, f"job {job_id}")
    hand_over(node, waiting)
    return _where(node, job_id, len(waiting.deliveries))


def _rerun(node: Node, job_id: int, actor: str, order: Order) -> Done:
    """Insert the re-run of one job, and admit it."""
    with node.database.write() as session:
        new = jobs.rerun(
            session,
            job_id,
            actor,
            order.corrected,
            weights=order.weights,
            priority=order.priority or Priority.NORMAL,
        )
        noted(session, actor, "rerun", f"job {job_id}", f"as job {new}")
    intake.admit(node, new)
    return _where(node, new)


def _where(node: Node, job_id: int, deliveries_waiting: int = 0) -> Done:
    with node.database.read() as session:
        job = jobs.get(session, job_id)
        return Done(job_id, job.state, job.reason, deliveries_waiting)


def apply(session: Session, job_id: int, actor: str, order: Order) -> Waiting:
    """Do one action other than a re-run, in the caller's transaction.

    Returns
    -------
    Waiting
        What the caller hands over once it has committed.

    Raises
    ------
    NoSuchJobError, NotAllowedError
        As `do`; nothing has been written then.
    """
    if order.action == "retry":
        return _retry(session, job_id, actor, order)
    if order.action == "accept":
        jobs.accept(session, job_id, actor, overrule_gate=order.overrule_gate)
        return Waiting(jobs=[job_id])
    if order.action == "cancel":
        jobs.change(session, job_id, JobState.CANCELLED, actor=actor)
        return Waiting()
    queued = jobs.prioritise(session, job_id, order.priority or Priority.NORMAL, actor)
    return Waiting(jobs=[job_id] if queued else [])


def _retry(session: Session, job_id: int, actor: str, order: Order) -> Waiting:
    """Send again what was given up; where nothing was made, assess again."""
    state = jobs.get(session, job_id).state
    again = deliveries.retry(session, job_id, actor, order.destination)
    if not again:
        if state != JobState.FAILED or order.destination is not None:
            msg = f"job {job_id} is {state}: there is nothing to try again"
            raise NotAllowedError(msg)
        jobs.change(session, job_id, JobState.QUEUED, actor=actor, reason="retry")
    if order.priority is not None:
        chosen = update(JobRow).where(JobRow.id == job_id).values(priority=order.priority)
        session.execute(chosen)
    return Waiting(deliveries=again) if again else Waiting(jobs=[job_id])


def hand_over(node: Node, waiting: Waiting) -> None:
    """Hand what waits to the broker, once its transaction is committed."""
    with node.database.read() as session:
        queued = jobs.in_state(session, waiting.jobs, JobState.QUEUED)
    intake.enqueue_all(node, queued)
    intake.send_all(node, waiting.deliveries)


def note(node: Node, job_id: int, actor: str, text: str) -> None:
    """Keep what a person writes on a job; it may speak of the patient, and is not logged.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    OrderError
        If there is no text, or too much of it.
    """
    text = text.replace("\r\n", "\n").replace("\0", "").strip()
    if not 0 < len(text) <= LONGEST_NOTE:
        msg = f"a note has 1 to {LONGEST_NOTE} characters"
        raise OrderError(msg)
    with node.database.write() as session:
        jobs.get(session, job_id)
        session.add(NoteRow(job_id=job_id, at=now(), actor=actor, text=text))
        noted(session, actor, "note", f"job {job_id}")


def noted(session: Session, actor: str, action: str, subject: str, detail: str = "") -> None:
    """Note in the audit what a person did, in the transaction in which it was done."""
    audit.note(session, actor, action, subject, detail)
    log.info("asked for", action=action, subject=subject)
