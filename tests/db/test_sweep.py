"""The sweeper, with a real broker and without one."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import redis
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from dicom_node import deliveries, intake, jobs
from dicom_node.db import DeliveryRow, EventRow, HeartbeatRow, JobRow, now
from dicom_node.states import DeliveryState, JobState
from dicom_node.sweep import sweep_once
from tests.builders import add_job, cr_header, kept_instance

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from dicom_node.broker import Queue
    from dicom_node.node import Node

LONG_AGO = timedelta(hours=2)
NOTHING = {
    "admitted": 0,
    "jobs_freed": 0,
    "deliveries_freed": 0,
    "deliveries_released": 0,
    "retrievals_freed": 0,
    "jobs_enqueued": 0,
    "deliveries_enqueued": 0,
    "batches_resumed": 0,
    "retrievals_enqueued": 0,
}


def waiting_in(node: Node, queue: Queue) -> list[int]:
    """Return the ids that wait in the broker, the next one first."""
    with redis.Redis.from_url(node.broker.url) as client:
        messages = [json.loads(message) for message in client.lrange(queue, 0, -1)]
    bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
    assert all(len(arguments) == 1 and not named for arguments, named, _ in bodies)
    return [arguments[0] for arguments, _, _ in bodies][::-1]


def enqueued_long_ago(session: Session, *ids: int) -> None:
    for job_id in ids:
        session.get_one(JobRow, job_id).enqueued_at = now() - LONG_AGO


def state_of(node: Node, job_id: int) -> JobState:
    with node.database.read() as session:
        return jobs.get(session, job_id).state


def test_nothing_to_do(node_with_broker: Node) -> None:
    assert sweep_once(node_with_broker) == NOTHING


def test_what_nobody_admitted_is_admitted_and_enqueued(
    node_with_broker: Node, tmp_path: Path
) -> None:
    node = node_with_broker
    with node.database.write() as session:
        hand, foot = (
            add_job(session, instance=kept_instance(node.storage, tmp_path, cr_header(**values)))
            for values in ({}, {"BodyPartExamined": "FOOT"})
        )
    assert sweep_once(node) == {**NOTHING, "admitted": 2}
    assert (state_of(node, hand), state_of(node, foot)) == (JobState.QUEUED, JobState.REJECTED)
    assert waiting_in(node, "assess") == [hand]
    assert sweep_once(node) == NOTHING
    with node.database.read() as session:
        assert jobs.get(session, foot).reason == "body part FOOT, not a hand"
        assert jobs.get(session, hand).enqueued_at is not None


def test_one_job_that_cannot_be_admitted_does_not_keep_the_rest(
    node_with_broker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_with_broker
    with node.database.write() as session:
        poison, good = add_job(session), add_job(session)
        lost = add_job(session, JobState.QUEUED)
    admit = intake.admit
    refused = OperationalError("UPDATE", {}, Exception())

    def fail_once(node: Node, job_id: int) -> JobState:
        if job_id == poison:
            raise refused
        return admit(node, job_id)

    monkeypatch.setattr(intake, "admit", fail_once)
    assert sweep_once(node) == {**NOTHING, "admitted": 1, "jobs_enqueued": 1}
    assert state_of(node, poison) == JobState.RECEIVED
    assert state_of(node, good) == JobState.REJECTED  # its file is not there
    assert waiting_in(node, "assess") == [lost]


def test_what_the_broker_lost_is_enqueued_once(node_with_broker: Node) -> None:
    node = node_with_broker
    with node.database.write() as session:
        ids = [add_job(session, JobState.QUEUED) for _ in range(3)]
        enqueued_long_ago(session, *ids)
    assert sweep_once(node) == {**NOTHING, "jobs_enqueued": 3}
    assert waiting_in(node, "assess") == ids
    assert sweep_once(node) == NOTHING


def test_a_long_queue_is_not_doubled(node_with_broker: Node) -> None:
    node = node_with_broker
    with node.database.write() as session:
        ids = [add_job(session, JobState.QUEUED) for _ in range(20)]
    for job_id in ids:
        assert node.broker.enqueue("assess", job_id)
    for _ in range(3):
        with node.database.write() as session:
            enqueued_long_ago(session, *ids)
        assert sweep_once(node) == NOTHING
    assert waiting_in(node, "assess") == ids


def test_a_dead_workers_job_goes_on_behind_a_long_queue(
    node_with_broker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that were enqueued just now are in the broker, too: they must not hide it."""
    node = node_with_broker
    with node.database.write() as session:
        dead = add_job(session, JobState.RUNNING)
        jobs.mark_enqueued(session, [dead])
        ids = [add_job(session, JobState.QUEUED) for _ in range(5)]
        jobs.mark_enqueued(session, ids)
    for job_id in ids:
        node.broker.enqueue("assess", job_id)
    monkeypatch.setattr(jobs, "now", lambda: now() + timedelta(minutes=1))
    assert sweep_once(node) == {**NOTHING, "jobs_freed": 1, "jobs_enqueued": 1}
    assert waiting_in(node, "assess") == [*ids, dead]


def test_an_old_job_that_the_broker_lost_goes_on_behind_new_ones(node_with_broker: Node) -> None:
    node = node_with_broker
    with node.database.write() as session:
        lost = add_job(session, JobState.QUEUED)
        enqueued_long_ago(session, lost)
        ids = [add_job(session, JobState.QUEUED) for _ in range(5)]
        jobs.mark_enqueued(session, ids)
    for job_id in ids:
        node.broker.enqueue("assess", job_id)
    assert sweep_once(node) == {**NOTHING, "jobs_enqueued": 1}
    assert waiting_in(node, "assess") == [*ids, lost]


def test_a_job_whose_worker_died_for_the_last_time_fails(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    with node.database.write() as session:
        job_id = add_job(session, JobState.RUNNING)
        session.get_one(JobRow, job_id).attempts = node.config.leases.attempts
    monkeypatch.setattr(jobs, "now", lambda: now() + timedelta(minutes=1))
    assert sweep_once(node) == NOTHING
    assert state_of(node, job_id) == JobState.FAILED


def test_with_the_broker_away_everything_waits_and_then_goes_on(
    node: Node, node_with_broker: Node, tmp_path: Path
) -> None:
    with node.database.write() as session:
        received = add_job(session, instance=kept_instance(node.storage, tmp_path, cr_header()))
        queued = add_job(session, JobState.QUEUED)
        reported = add_job(session, JobState.REPORTED)
        [delivery] = deliveries.create(session, reported, ["PACS"])
    assert sweep_once(node) == {**NOTHING, "admitted": 1}
    assert state_of(node, received) == JobState.QUEUED
    with node.database.read() as session:
        assert jobs.get(session, received).enqueued_at is None
    assert sweep_once(node_with_broker) == {
        **NOTHING,
        "jobs_enqueued": 2,
        "deliveries_enqueued": 1,
    }
    assert waiting_in(node_with_broker, "assess") == [received, queued]
    assert waiting_in(node_with_broker, "send") == [delivery]


def test_a_broker_that_goes_away_in_between_loses_nothing(
    node_with_broker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_with_broker
    with node.database.write() as session:
        first, second, third = (add_job(session, JobState.QUEUED) for _ in range(3))
    monkeypatch.setattr(
        type(node.broker), "enqueue", lambda _self, _queue, item, **_: item == first
    )
    assert sweep_once(node) == {**NOTHING, "jobs_enqueued": 1}
    with node.database.read() as session:
        handed = [jobs.get(session, job_id).enqueued_at for job_id in (first, second, third)]
    assert handed[0] is not None
    assert handed[1:] == [None, None]


def test_deliveries_that_are_due_or_whose_sender_died(
    node_with_broker: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_with_broker
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        due, later, dead = deliveries.create(session, job_id, ["A", "B", "C"])
        session.get_one(DeliveryRow, later).next_attempt_at = now() + timedelta(hours=1)
        assert deliveries.claim(session, dead, "send@test", 45)
    monkeypatch.setattr(deliveries, "now", lambda: now() + timedelta(minutes=1))
    assert sweep_once(node) == {**NOTHING, "deliveries_freed": 1, "deliveries_enqueued": 2}
    assert sorted(waiting_in(node, "send")) == [due, dead]
    assert sweep_once(node) == NOTHING


def test_what_was_held_goes_on_when_its_destination_is_back(node_with_broker: Node) -> None:
    node = node_with_broker
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        ours, gone = deliveries.create(session, job_id, ["PACS", "GONE"])
        for delivery_id in (ours, gone):
            deliveries.mark_enqueued(session, [delivery_id])
            assert deliveries.move(session, delivery_id, DeliveryState.WAITING, DeliveryState.HELD)
    assert sweep_once(node) == {**NOTHING, "deliveries_released": 1, "deliveries_enqueued": 1}
    assert waiting_in(node, "send") == [ours]
    with node.database.read() as session:
        assert session.get_one(DeliveryRow, ours).state == DeliveryState.WAITING
        assert session.get_one(DeliveryRow, gone).state == DeliveryState.HELD
        last = select(EventRow.reason).where(EventRow.delivery_id == ours)
        assert session.scalars(last.order_by(EventRow.id.desc())).first() == (
            "the destination is configured again"
        )


def test_who_was_silent_for_long_is_forgotten(node: Node) -> None:
    node.beat("listen", "here")
    node.beat("listen", "still here")
    with node.database.write() as session:
        session.add(HeartbeatRow(owner="old", part="listen", at=now() - LONG_AGO, detail=""))
    sweep_once(node)
    with node.database.read() as session:
        rows = session.scalars(select(HeartbeatRow)).all()
    assert [(row.part, row.detail) for row in rows] == [("listen", "still here")]
