"""The states of a job, a delivery and a retrieval, every move, and whose turn is first. Pure."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    RECEIVED = "received"
    QUEUED = "queued"
    RUNNING = "running"
    REPORTED = "reported"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """Where the sending of a job's results to one destination stands."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    HELD = "held"
    REFUSED = "refused"
    EXHAUSTED = "exhausted"
    CONFIRMED = "confirmed"


class Priority(StrEnum):
    """How soon a job's turn comes; each has a queue of its own, and the first goes first."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"

    def is_behind(self, other: Priority) -> bool:
        """Return whether the other's turn comes before this one's."""
        order = list(Priority)
        return order.index(self) > order.index(other)


class RetrievalState(StrEnum):
    """Where the retrieval of one study from an archive stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


_J, _D, _R = JobState, DeliveryState, RetrievalState

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _J.RECEIVED: frozenset({_J.QUEUED, _J.REJECTED, _J.CANCELLED}),
    _J.QUEUED: frozenset({_J.RUNNING, _J.CANCELLED}),
    _J.RUNNING: frozenset({_J.REPORTED, _J.REJECTED, _J.FAILED, _J.QUEUED}),
    _J.REPORTED: frozenset({_J.SENT, _J.FAILED}),
    _J.SENT: frozenset({_J.CONFIRMED, _J.REPORTED}),
    _J.REJECTED: frozenset({_J.QUEUED}),
    _J.FAILED: frozenset({_J.QUEUED, _J.REPORTED}),
    _J.CONFIRMED: frozenset(),
    _J.CANCELLED: frozenset(),
}

DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    _D.WAITING: frozenset({_D.SENDING, _D.HELD}),
    _D.SENDING: frozenset({_D.SENT, _D.WAITING, _D.REFUSED, _D.EXHAUSTED}),
    _D.SENT: frozenset({_D.CONFIRMED, _D.WAITING}),
    _D.HELD: frozenset({_D.WAITING}),
    _D.REFUSED: frozenset({_D.WAITING}),
    _D.EXHAUSTED: frozenset({_D.WAITING}),
    _D.CONFIRMED: frozenset(),
}

RETRIEVAL_MOVES: dict[RetrievalState, frozenset[RetrievalState]] = {
    _R.WAITING: frozenset({_R.RUNNING}),
    _R.RUNNING: frozenset({_R.DONE, _R.FAILED, _R.WAITING}),
    _R.DONE: frozenset(),
    _R.FAILED: frozenset(),
}

ARRIVED = frozenset({_D.SENT, _D.CONFIRMED})
GIVEN_UP = frozenset({_D.REFUSED, _D.EXHAUSTED})


class IllegalMoveError(AssertionError):
    """The code asked for a move that the tables do not have: a defect, never bad input."""


def check_job_move(source: JobState, target: JobState) -> None:
    """Raise `IllegalMoveError` unless the table allows the move."""
    if target not in JOB_MOVES[source]:
        msg = f"no job moves from {source} to {target}"
        raise IllegalMoveError(msg)


def check_delivery_move(source: DeliveryState, target: DeliveryState) -> None:
    """Raise `IllegalMoveError` unless the table allows the move."""
    if target not in DELIVERY_MOVES[source]:
        msg = f"no delivery moves from {source} to {target}"
        raise IllegalMoveError(msg)


def check_retrieval_move(source: RetrievalState, target: RetrievalState) -> None:
    """Raise `IllegalMoveError` unless the table allows the move."""
    if target not in RETRIEVAL_MOVES[source]:
        msg = f"no retrieval moves from {source} to {target}"
        raise IllegalMoveError(msg)


def job_state_for(deliveries: list[DeliveryState]) -> JobState:
    """Return where a reported job stands, given its deliveries.

    ``sent`` when every one has arrived; ``failed`` when some was given up and none is left to
    try; else it stays ``reported``, as it does without destinations.
    """
    if not deliveries:
        return JobState.REPORTED
    if all(state in ARRIVED for state in deliveries):
        return JobState.SENT
    if all(state in ARRIVED | GIVEN_UP for state in deliveries):
        return JobState.FAILED
    return JobState.REPORTED
