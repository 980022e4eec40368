"""One action on many jobs: in steps, resumed, cancelled, and never twice for one job."""

from __future__ import annotations

import threading
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, insert, select

from dicom_node import actions, batches, deliveries, jobs
from dicom_node.actions import Order
from dicom_node.db import BatchRow, EventRow, InstanceRow, JobRow, now
from dicom_node.errors import NoSuchBatchError, NoSuchJobError, NotAllowedError, OrderError
from dicom_node.progress import Progress, members, progress_of
from dicom_node.prospects import prospects
from dicom_node.states import DeliveryState, JobState, Priority
from dicom_node.sweep import sweep_once
from tests.builders import add_job, add_output, cr_header, kept_instance, new_instance
from tests.db.test_actions import depths

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dicom_node.node import Node


@pytest.fixture
def node(node_with_broker: Node) -> Node:
    return node_with_broker


@pytest.fixture
def assessed(node: Node, tmp_path: Path) -> Callable[[int], list[int]]:
    """Return what makes many assessed jobs, whose radiographs share one file."""
    path = kept_instance(node.storage, tmp_path, cr_header()).path

    def make(count: int) -> list[int]:
        moment = now()
        instance = {"revision": 1, "received_at": moment, "patient_id": ""}
        rows = [{**asdict(new_instance(path=path)), **instance} for _ in range(count)]
        job = {"state": JobState.SENT, "created_at": moment, "updated_at": moment}
        with node.database.write() as session:
            ids = session.scalars(insert(InstanceRow).returning(InstanceRow.id), rows).all()
            made = insert(JobRow).returning(JobRow.id)
            return sorted(session.scalars(made, [{**job, "instance_id": one} for one in ids]))

    return make


def progress(node: Node, batch_id: int) -> Progress:
    with node.database.read() as session:
        return progress_of(session, batch_id)


def let_go(node: Node, batch_id: int) -> None:
    """Let a batch look as if whoever worked on it had died."""
    with node.database.write() as session:
        session.get_one(BatchRow, batch_id).updated_at = now() - timedelta(hours=1)


def reruns_per_job(node: Node) -> set[int]:
    query = select(func.count()).where(JobRow.rerun_of.is_not(None)).group_by(JobRow.rerun_of)
    with node.database.read() as session:
        return set(session.scalars(query))


def test_a_thousand_jobs_are_enqueued_behind_what_arrives(
    node: Node, assessed: Callable[[int], list[int]]
) -> None:
    ids = assessed(1000)
    batch_id = batches.create(node, "ada", Order("rerun", {"PatientSex": "M"}), ids)
    assert (progress(node, batch_id).total, progress(node, batch_id).done) == (1000, 0)
    batches.run(node, batch_id)
    assert depths(node) == [0, 0, 1000]
    found = progress(node, batch_id)
    assert (found.done, found.skipped, found.reruns) == (1000, 0, {"queued": 1000})
    assert (found.settled, found.is_settled, found.priority) == (0, False, "bulk")
    with node.database.read() as session:
        made = session.scalars(select(JobRow).where(JobRow.rerun_of.is_not(None))).all()
        first = select(EventRow).where(EventRow.job_id == made[0].id).order_by(EventRow.id)
        events = [(event.to_state, event.actor, event.reason) for event in session.scalars(first)]
    assert sorted(job.rerun_of or 0 for job in made) == ids
    assert {job.priority for job in made} == {Priority.BULK}
    assert all(job.enqueued_at and job.corrections for job in made)
    assert events == [
        ("received", "ada", f"re-run of job {ids[0]}, PatientSex corrected, batch {batch_id}"),
        ("queued", "node", None),
    ]
    assert sweep_once(node)["jobs_enqueued"] == 0


def test_what_a_stopped_process_left_is_taken_up_by_the_sweeper(
    node: Node, assessed: Callable[[int], list[int]]
) -> None:
    batch_id = batches.create(node, "ada", Order("rerun"), assessed(250))
    assert batches.step(node, batch_id)
    assert progress(node, batch_id).done == 100
    assert sweep_once(node)["batches_resumed"] == 0  # somebody works on it
    let_go(node, batch_id)
    assert sweep_once(node)["batches_resumed"] == 1
    found = progress(node, batch_id)
    assert (found.done, found.finished_at is not None) == (250, True)
    assert reruns_per_job(node) == {1}
    let_go(node, batch_id)
    assert sweep_once(node)["batches_resumed"] == 0


def test_a_batch_that_cannot_go_on_does_not_stop_the_sweeper(
    node: Node, assessed: Callable[[int], list[int]]
) -> None:
    """As one whose order another version wrote."""
    bad, good = (batches.create(node, "ada", Order("rerun"), assessed(2)) for _ in range(2))
    for batch_id in (bad, good):
        let_go(node, batch_id)
    with node.database.write() as session:
        batches.get(session, bad).settings = {"action": "rerun", "unknown": 1}
    assert sweep_once(node)["batches_resumed"] == 2
    assert progress(node, good).done == 2


def test_two_that_work_on_one_batch_do_nothing_twice(
    node: Node, assessed: Callable[[int], list[int]]
) -> None:
    batch_id = batches.create(node, "ada", Order("rerun"), assessed(450))
    threads = [threading.Thread(target=batches.run, args=(node, batch_id)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (progress(node, batch_id).done, reruns_per_job(node)) == (450, {1})
    assert depths(node) == [0, 0, 450]


def test_a_batch_whose_members_were_never_all_written_is_closed(node: Node) -> None:
    batch = BatchRow(actor="ada", action="rerun", settings=Order("rerun").as_values())
    batch.created_at = batch.updated_at = now() - timedelta(hours=1)
    with node.database.write() as session:
        session.add(batch)
        session.flush()
        batch_id = batch.id
    assert not batches.step(node, batch_id)
    assert sweep_once(node)["batches_resumed"] == 0
    assert progress(node, batch_id).is_settled


@pytest.mark.parametrize(
    ("action", "possible"),
    [
        ("rerun", {"reported", "sent", "confirmed", "rejected", "failed", "cancelled"}),
        ("retry", {"failed"}),
        ("accept", {"rejected"}),
        ("cancel", {"received", "queued"}),
        ("priority", {"received", "queued"}),
    ],
)
def test_what_a_state_does_not_allow_is_skipped_with_its_reason_as_foretold(
    node: Node, tmp_path: Path, action: actions.Action, possible: set[str]
) -> None:
    by_state = {}
    with node.database.write() as session:
        for state in JobState:
            instance = kept_instance(node.storage, tmp_path, cr_header())
            by_state[str(state)] = add_job(session, state, instance)
        foretold = prospects(session, action, sorted(by_state.values()))
    order = Order(action, priority=Priority.URGENT if action == "priority" else None)
    batch_id = batches.create(node, "ada", order, by_state.values())
    batches.run(node, batch_id)
    found = progress(node, batch_id)
    assert (foretold.possible, found.done) == (len(possible), len(possible))
    assert found.skipped == len(JobState) - len(possible)
    assert sum(found.skipped_because.values()) == sum(foretold.skipped.values()) == found.skipped
    with node.database.read() as session:
        skipped = {member["job_id"] for member in members(session, batch_id, skipped=True)}
    assert skipped == {job for state, job in by_state.items() if state not in possible}
    assert not any(str(job) in why for job in skipped for why in found.skipped_because)


def test_a_cancelled_batch_goes_no_further_and_its_reruns_are_cancelled(
    node: Node, assessed: Callable[[int], list[int]]
) -> None:
    batch_id = batches.create(node, "ada", Order("rerun"), assessed(250))
    batches.step(node, batch_id)
    with node.database.write() as session:
        taken = session.scalars(select(func.min(JobRow.id)).where(JobRow.rerun_of.is_not(None)))
        assert jobs.claim(session, taken.one(), "w", 45)
    assert batches.cancel(node, batch_id, "bob") == 99
    assert not batches.step(node, batch_id)
    found = progress(node, batch_id)
    assert (found.cancelled_by, found.done) == ("bob", 100)
    assert found.reruns == {"cancelled": 99, "running": 1}
    with pytest.raises(NotAllowedError, match="nothing of it is left"):
        batches.cancel(node, batch_id, "bob")
    with pytest.raises(NoSuchBatchError):
        batches.cancel(node, batch_id + 1, "bob")


def test_what_is_sent_again_for_many_lets_new_results_pass(node: Node) -> None:
    ids = []
    with node.database.write() as session:
        for _ in range(30):
            ids.append(add_job(session, JobState.REPORTED))
            add_output(session, ids[-1])
            [delivery_id] = deliveries.create(session, ids[-1], ["PACS"])
            assert deliveries.claim(session, delivery_id, "send@test", 45)
            moved = (DeliveryState.SENDING, DeliveryState.EXHAUSTED)
            assert deliveries.move(session, delivery_id, *moved)
            deliveries.settle(session, ids[-1])
    batch_id = batches.create(node, "ada", Order("retry", destination="PACS"), ids)
    batches.run(node, batch_id)
    assert (progress(node, batch_id).done, depths(node, "send")) == (30, [0, 0, 30])
    assert sweep_once(node)["deliveries_enqueued"] == 0


def test_what_cannot_be_a_batch_leaves_none(node: Node) -> None:
    with node.database.write() as session:
        ids = [add_job(session, JobState.REPORTED) for _ in range(2)]
    for order, given, error in (
        (Order("rerun"), [], OrderError),
        (Order("rerun"), [*ids, 999], NoSuchJobError),
        (Order("rerun"), [*ids, 2**40], NoSuchJobError),
        (Order("rerun", weights="none"), ids, OrderError),
        (Order("priority"), ids, OrderError),
        (Order("rerun", {"PatientBirthDate": "20150101"}), ids, OrderError),
        (Order("rerun", {"ImageLaterality": "L"}), ids, OrderError),
    ):
        with pytest.raises(error):
            batches.create(node, "ada", order, given)
    with node.database.read() as session:
        assert session.scalars(select(BatchRow)).all() == []
