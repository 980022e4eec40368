"""What an action would do with a selection of jobs, before it is done. Reads only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, func, or_, select

from dicom_node.db import DeliveryRow, JobRow, OutputRow
from dicom_node.jobs import UNFINISHED
from dicom_node.states import GIVEN_UP, DeliveryState, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from dicom_node.actions import Action

IDS_AT_ONCE: Final = 1000
WAITING: Final = (JobState.RECEIVED, JobState.QUEUED)

WHY_NOT: Final[dict[Action, str]] = {
    "rerun": "it will be assessed anyway",
    "retry": "there is nothing to try again",
    "accept": "only a rejected one is accepted",
    "cancel": "it cannot be cancelled any more",
    "priority": "it does not wait for its turn",
}


@dataclass(frozen=True, slots=True)
class Prospects:
    """What an action would do.

    Attributes
    ----------
    possible : int
        With so many jobs it would be done.
    skipped : dict of int
        How many would be skipped for each reason.
    """

    possible: int
    skipped: dict[str, int] = field(default_factory=dict)


def prospects(
    session: Session, action: Action, job_ids: Sequence[int], destination: str | None = None
) -> Prospects:
    """Count with how many jobs an action could be done now; ids that name no job are skipped."""
    condition = _condition(action, destination)
    possible, skipped = 0, Counter[str]()
    for start in range(0, len(job_ids), IDS_AT_ONCE):
        some = job_ids[start : start + IDS_AT_ONCE]
        query = (
            select(JobRow.state, condition.label("possible"), func.count())
            .where(JobRow.id.in_(some))
            .group_by(JobRow.state, condition)
        )
        found = 0
        for state, is_possible, count in session.execute(query):
            found += count
            if is_possible:
                possible += count
            else:
                skipped[f"the job is {state}: {WHY_NOT[action]}"] += count
        if found < len(some):
            skipped["there is no such job"] += len(some) - found
    return Prospects(possible, dict(skipped.most_common()))


def _condition(action: Action, destination: str | None) -> ColumnElement[bool]:
    """Return whether an action could be done with a job."""
    if action == "rerun":
        return JobRow.state.not_in(UNFINISHED)
    if action == "accept":
        return JobRow.state == JobState.REJECTED
    if action != "retry":
        return JobRow.state.in_(WAITING)
    stopped = select(DeliveryRow.id).where(
        DeliveryRow.job_id == JobRow.id,
        DeliveryRow.state.in_([*GIVEN_UP, DeliveryState.HELD]),
    )
    if destination is not None:
        return stopped.where(DeliveryRow.destination == destination).exists()
    made = select(OutputRow.id).where(OutputRow.job_id == JobRow.id)
    return or_(stopped.exists(), and_(JobRow.state == JobState.FAILED, ~made.exists()))
