"""What a person does with one job: on both databases, with a real broker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from dicom_node import actions, deliveries, intake, jobs, records
from dicom_node.actions import Order
from dicom_node.db import DeliveryRow, EventRow
from dicom_node.errors import NoSuchJobError, NotAllowedError, OrderError
from dicom_node.states import DeliveryState, JobState, Priority
from dicom_node.sweep import sweep_once
from tests.builders import add_job, add_output, cr_header, kept_instance
from tests.db.test_sweep import enqueued_long_ago

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.broker import Queue
    from dicom_node.node import Node

URGENT, NORMAL, BULK = Priority


@pytest.fixture
def node(node_with_broker: Node) -> Node:
    return node_with_broker


def depths(node: Node, queue: Queue = "assess") -> list[int | None]:
    """Return how many ids wait, the urgent ones first."""
    return [node.broker.depth(queue, priority) for priority in Priority]


def job_in(node: Node, state: JobState) -> int:
    with node.database.write() as session:
        return add_job(session, state)


def foot(node: Node, folder: Path) -> int:
    """Return a job that the rules rejected for its header."""
    with node.database.write() as session:
        instance = kept_instance(node.storage, folder, cr_header(BodyPartExamined="FOOT"))
        job_id = add_job(session, instance=instance)
    assert intake.admit(node, job_id) == JobState.REJECTED
    return job_id


def test_an_accepted_job_says_who_overruled_what_and_so_does_its_rerun(
    node: Node, tmp_path: Path
) -> None:
    job_id = foot(node, tmp_path)
    done = actions.do(node, job_id, "ada", Order("accept"))
    assert (done.state, depths(node)) == (JobState.QUEUED, [0, 1, 0])
    with node.database.read() as session:
        shown = records.show_job(session, job_id)
    assert (shown["accepted"]["actor"], shown["accepted"]["overrule_gate"]) == ("ada", False)
    last = shown["events"][-1]
    assert (last["from"], last["to"], last["actor"]) == ("rejected", "queued", "ada")
    assert last["reason"] == "accepted: the rules for the header overruled"
    with pytest.raises(NotAllowedError, match="only a rejected one is accepted"):
        actions.do(node, job_id, "bob", Order("accept"))
    actions.do(node, job_id, "ada", Order("cancel"))
    again = actions.do(node, job_id, "bob", Order("rerun"))
    assert again.state == JobState.QUEUED
    with node.database.read() as session:
        assert records.show_job(session, again.job_id)["accepted"]["actor"] == "ada"


def test_of_two_who_accept_at_once_one_is_told_that_it_is_done(node: Node, tmp_path: Path) -> None:
    job_id, barrier = foot(node, tmp_path), threading.Barrier(2)
    told: list[str] = []

    def accept(actor: str) -> None:
        barrier.wait()
        try:
            actions.do(node, job_id, actor, Order("accept"))
            told.append("done")
        except NotAllowedError:
            told.append("not allowed")

    threads = [threading.Thread(target=accept, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["done", "not allowed"]
    with node.database.read() as session:
        accepted = jobs.get(session, job_id).accepted
        query = select(EventRow.actor).where(
            EventRow.job_id == job_id, EventRow.to_state == "queued"
        )
        assert accepted is not None
        assert session.scalars(query).all() == [accepted["actor"]]


def test_a_waiting_job_is_put_before_or_behind_others(node: Node) -> None:
    job_id = job_in(node, JobState.QUEUED)
    actions.do(node, job_id, "ada", Order("priority", priority=BULK))
    assert depths(node) == [0, 0, 1]
    with node.database.write() as session:
        # The id that came by the list for normal ones is left; the one in bulk will come.
        assert not jobs.claim(session, job_id, "w", 45, NORMAL)
        event = session.scalars(select(EventRow).order_by(EventRow.id.desc())).first()
        assert event is not None
        assert (event.actor, event.reason) == ("ada", "priority bulk, was normal")
    actions.do(node, job_id, "ada", Order("priority", priority=URGENT))
    actions.do(node, job_id, "ada", Order("priority", priority=URGENT))
    assert depths(node) == [1, 0, 1]
    with node.database.write() as session:
        assert jobs.claim(session, job_id, "w", 45, BULK)
    with pytest.raises(NotAllowedError, match="does not wait for its turn"):
        actions.do(node, job_id, "ada", Order("priority", priority=NORMAL))


def test_what_the_broker_lost_goes_back_to_the_list_of_its_priority(node: Node) -> None:
    with node.database.write() as session:
        ids = {one: [add_job(session, JobState.QUEUED) for _ in range(3)] for one in Priority}
        for priority, some in ids.items():
            for job_id in some:
                jobs.get(session, job_id).priority = priority
        enqueued_long_ago(session, *(job_id for some in ids.values() for job_id in some))
    for job_id in ids[NORMAL]:  # a long list of one priority hides no loss in another
        for _ in range(3):
            node.broker.enqueue("assess", job_id)
    node.broker.enqueue("assess", ids[BULK][0], BULK)
    assert sweep_once(node)["jobs_enqueued"] == 3 + 0 + 2
    assert depths(node) == [3, 9, 3]
    assert node.broker.depth("assess") == 15
    assert sweep_once(node)["jobs_enqueued"] == 0


def test_deliveries_go_by_the_priority_of_their_job(node: Node) -> None:
    with node.database.write() as session:
        urgent, normal = (add_job(session, JobState.REPORTED) for _ in range(2))
        jobs.get(session, urgent).priority = URGENT
        for job_id in (urgent, normal):
            deliveries.create(session, job_id, ["PACS"])
    assert sweep_once(node)["deliveries_enqueued"] == 2
    assert depths(node, "send") == [1, 1, 0]
    assert sweep_once(node)["deliveries_enqueued"] == 0


def test_a_failed_send_is_tried_again_to_one_destination_or_to_all(node: Node) -> None:
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        add_output(session, job_id)
        for delivery_id in deliveries.create(session, job_id, ["PACS", "WARD", "HOME"]):
            assert deliveries.claim(session, delivery_id, "send@test", 45)
            moved = (DeliveryState.SENDING, DeliveryState.REFUSED)
            assert deliveries.move(session, delivery_id, *moved)
        deliveries.settle(session, job_id)
    done = actions.do(node, job_id, "ada", Order("retry", destination="WARD"))
    assert (done.state, done.deliveries, depths(node, "send")) == (JobState.REPORTED, 1, [0, 1, 0])
    assert actions.do(node, job_id, "ada", Order("retry")).deliveries == 2
    with pytest.raises(NotAllowedError, match="nothing to try again"):
        actions.do(node, job_id, "ada", Order("retry"))
    with node.database.read() as session:
        states = set(session.scalars(select(DeliveryRow.state)))
    assert states == {DeliveryState.WAITING}


def test_a_rerun_asks_for_weights_that_there_are(node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = add_job(session, JobState.REPORTED, instance)
    with pytest.raises(
        OrderError, match="no weights of this name; choose among tjnet-gpu, tjnet-cpu"
    ):
        actions.do(node, job_id, "ada", Order("rerun", weights="../tjnet-cpu"))
    order = Order("rerun", weights="tjnet-cpu", priority=URGENT)
    first = actions.do(node, job_id, "ada", order).job_id
    assert depths(node) == [1, 0, 0]
    actions.do(node, first, "ada", Order("cancel"))
    second = actions.do(node, first, "ada", Order("rerun")).job_id
    with node.database.read() as session:
        assert jobs.get(session, second).weights == "tjnet-cpu"  # as before
        reason = records.show_job(session, first)["events"][0]["reason"]
    assert reason == f"re-run of job {job_id}, with weights tjnet-cpu"


def test_a_note_is_kept_with_who_wrote_it(node: Node) -> None:
    job_id = job_in(node, JobState.FAILED)
    actions.note(node, job_id, "ada", "  seen\r\nby phone ")
    with node.database.read() as session:
        [note] = records.show_job(session, job_id)["notes"]
    assert (note["actor"], note["text"]) == ("ada", "seen\nby phone")
    for text in (" \n", "x" * 2001):
        with pytest.raises(OrderError, match="1 to 2000 characters"):
            actions.note(node, job_id, "ada", text)
    with pytest.raises(NoSuchJobError):
        actions.note(node, job_id + 1, "ada", "nobody")
