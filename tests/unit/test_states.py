"""Every pair of states, against the tables of the contract, written out again."""

from __future__ import annotations

from itertools import product

import pytest

from dicom_node.states import (
    DELIVERY_MOVES,
    JOB_MOVES,
    DeliveryState,
    IllegalMoveError,
    JobState,
    check_delivery_move,
    check_job_move,
    job_state_for,
)

JOBS = {
    "received": "queued rejected cancelled",
    "queued": "running cancelled",
    "running": "reported rejected failed queued",
    "reported": "sent failed",
    "sent": "confirmed reported",
    "rejected": "queued",
    "failed": "queued reported",
    "confirmed": "",
    "cancelled": "",
}
DELIVERIES = {
    "waiting": "sending held",
    "sending": "sent waiting refused exhausted",
    "sent": "confirmed waiting",
    "held": "waiting",
    "refused": "waiting",
    "exhausted": "waiting",
    "confirmed": "",
}


def test_the_states_are_those_of_the_contract() -> None:
    assert {str(state) for state in JobState} == set(JOBS) == {str(state) for state in JOB_MOVES}
    assert {str(state) for state in DeliveryState} == set(DELIVERIES)
    assert set(DELIVERY_MOVES) == set(DeliveryState)


@pytest.mark.parametrize(("source", "target"), list(product(JobState, JobState)))
def test_job_move(source: JobState, target: JobState) -> None:
    if target in JOBS[source].split():
        check_job_move(source, target)
    else:
        with pytest.raises(IllegalMoveError, match=f"from {source} to {target}"):
            check_job_move(source, target)


@pytest.mark.parametrize(("source", "target"), list(product(DeliveryState, DeliveryState)))
def test_delivery_move(source: DeliveryState, target: DeliveryState) -> None:
    if target in DELIVERIES[source].split():
        check_delivery_move(source, target)
    else:
        with pytest.raises(IllegalMoveError, match=f"from {source} to {target}"):
            check_delivery_move(source, target)


def test_every_state_can_be_reached() -> None:
    for table, first in ((JOBS, "received"), (DELIVERIES, "waiting")):
        assert {*" ".join(table.values()).split(), first} == set(table)


def expected_job_state(words: set[str]) -> str:
    """Say it again, as the contract does."""
    if not words or words & {"waiting", "sending", "held"}:
        return "reported"
    return "sent" if words <= {"sent", "confirmed"} else "failed"


@pytest.mark.parametrize("count", range(4))
def test_where_the_deliveries_bring_a_job(count: int) -> None:
    for states in product(DeliveryState, repeat=count):
        found = job_state_for(list(states))
        assert found == expected_job_state({str(state) for state in states}), states
