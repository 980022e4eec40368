"""Deliveries on both databases: tried, put off, given up, and what follows for the job."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, text

from dicom_node import deliveries, jobs
from dicom_node.db import Database, DeliveryRow, EventRow, TransferRow, now
from dicom_node.states import DELIVERY_MOVES, DeliveryState, IllegalMoveError, JobState
from tests.builders import a_destination, add_job, add_output
from tests.peers import wait_until

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

ALL = list(DeliveryState)
SENDER = "send@test"
PACS = a_destination("PACS")

WAY_TO: dict[DeliveryState, tuple[DeliveryState, ...]] = {
    DeliveryState.WAITING: (),
    DeliveryState.SENDING: (DeliveryState.SENDING,),
    DeliveryState.SENT: (DeliveryState.SENDING, DeliveryState.SENT),
    DeliveryState.HELD: (DeliveryState.HELD,),
    DeliveryState.REFUSED: (DeliveryState.SENDING, DeliveryState.REFUSED),
    DeliveryState.EXHAUSTED: (DeliveryState.SENDING, DeliveryState.EXHAUSTED),
    DeliveryState.CONFIRMED: (DeliveryState.SENDING, DeliveryState.SENT, DeliveryState.CONFIRMED),
}


def add_deliveries(session: Session, *states: DeliveryState) -> tuple[int, list[int]]:
    """Return a reported job and its deliveries, each brought to a state."""
    job_id = add_job(session, JobState.REPORTED)
    ids = deliveries.create(session, job_id, [f"D{number}" for number in range(len(states))])
    for delivery_id, state in zip(ids, states, strict=True):
        source = DeliveryState.WAITING
        for target in WAY_TO[state]:
            if target == DeliveryState.SENDING:
                assert deliveries.claim(session, delivery_id, SENDER, 45)
            else:
                assert deliveries.move(session, delivery_id, source, target)
            source = target
    return job_id, ids


def add_delivery(session: Session, state: DeliveryState) -> int:
    _, [delivery_id] = add_deliveries(session, state)
    return delivery_id


def row_of(database: Database, delivery_id: int) -> DeliveryRow:
    with database.read() as session:
        return session.get_one(DeliveryRow, delivery_id)


def job_state(database: Database, job_id: int) -> JobState:
    with database.read() as session:
        return jobs.get(session, job_id).state


def events(session: Session, delivery_id: int) -> list[tuple[str | None, str]]:
    query = select(EventRow).where(EventRow.delivery_id == delivery_id).order_by(EventRow.id)
    return [(row.from_state, row.to_state) for row in session.scalars(query)]


# --- moves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ALL)
def test_every_legal_move_is_made_once_with_one_event(
    database: Database, source: DeliveryState
) -> None:
    for target in DELIVERY_MOVES[source]:
        with database.write() as session:
            delivery_id = add_delivery(session, source)
            before = events(session, delivery_id)
            assert deliveries.move(session, delivery_id, source, target, reason="why")
            assert not deliveries.move(session, delivery_id, source, target)
        with database.read() as session:
            assert events(session, delivery_id) == [*before, (source, target)]
        row = row_of(database, delivery_id)
        assert (row.state, row.reason) == (target, "why")


@pytest.mark.parametrize("source", ALL)
def test_every_illegal_move_is_refused_and_writes_nothing(
    database: Database, source: DeliveryState
) -> None:
    with database.write() as session:
        delivery_id = add_delivery(session, source)
        before = events(session, delivery_id)
    for target in set(ALL) - DELIVERY_MOVES[source]:
        with database.write() as session, pytest.raises(IllegalMoveError):
            deliveries.move(session, delivery_id, source, target)
    with database.read() as session:
        assert events(session, delivery_id) == before
    assert row_of(database, delivery_id).state == source


def test_a_move_from_another_state_writes_nothing(database: Database) -> None:
    with database.write() as session:
        delivery_id = add_delivery(session, DeliveryState.CONFIRMED)
        before = events(session, delivery_id)
        for source, target in product(ALL, ALL):
            if target in DELIVERY_MOVES[source]:
                assert not deliveries.move(session, delivery_id, source, target)
        assert events(session, delivery_id) == before


def test_one_delivery_for_each_destination(database: Database) -> None:
    with database.write() as session:
        job_id, ids = add_deliveries(session, DeliveryState.WAITING, DeliveryState.WAITING)
        assert len(ids) == 2
        assert deliveries.create(session, job_id, []) == []


def test_one_of_many_claims_a_delivery(database: Database) -> None:
    with database.write() as session:
        delivery_id = add_delivery(session, DeliveryState.WAITING)
    start, won = threading.Barrier(8), []

    def claim(number: int) -> None:
        start.wait()
        with database.write() as session:
            if deliveries.claim(session, delivery_id, f"sender-{number}", 45):
                won.append(f"sender-{number}")

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    row = row_of(database, delivery_id)
    assert ([row.lease_owner], row.attempts) == (won, 1)


# --- trying again ------------------------------------------------------------------------------


def test_the_pauses_double_up_to_ten_minutes() -> None:
    pauses = [deliveries.pause_seconds(PACS, attempts) for attempts in range(1, 11)]
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600, 600, 600]
    assert deliveries.pause_seconds(PACS, 10_000) == 600


def test_a_delivery_is_tried_again_ten_times_and_then_given_up(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = now()
    monkeypatch.setattr(deliveries, "now", lambda: moment)
    with database.write() as session:
        job_id, [delivery_id] = add_deliveries(session, DeliveryState.WAITING)
    pauses = []
    while row_of(database, delivery_id).state == DeliveryState.WAITING:
        with database.write() as session:
            deliveries.mark_enqueued(session, [delivery_id])
            assert deliveries.claim(session, delivery_id, SENDER, 45)
            deliveries.postpone(session, delivery_id, SENDER, PACS, "no answer")
            deliveries.settle(session, job_id)
        row = row_of(database, delivery_id)
        if row.state == DeliveryState.WAITING:
            assert (row.reason, row.enqueued_at) == ("no answer", None)
            assert job_state(database, job_id) == JobState.REPORTED
            pauses.append((row.next_attempt_at - moment).total_seconds())
            with database.write() as session:  # too early
                moment = row.next_attempt_at - timedelta(microseconds=1)
                assert not deliveries.claim(session, delivery_id, SENDER, 45)
            moment = row.next_attempt_at
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600, 600, 600]
    row = row_of(database, delivery_id)
    assert row.state == DeliveryState.EXHAUSTED
    assert row.reason == "given up after 11 attempts; the last: no answer"
    with database.read() as session:
        job = jobs.get(session, job_id)
    assert (job.state, job.reason) == (JobState.FAILED, "not delivered to D0")


def test_who_lost_the_lease_cannot_postpone(database: Database) -> None:
    with database.write() as session:
        delivery_id = add_delivery(session, DeliveryState.SENDING)
        deliveries.postpone(session, delivery_id, "another", PACS, "no answer")
        assert not deliveries.renew(session, delivery_id, "another", 600)
        assert deliveries.renew(session, delivery_id, SENDER, 600)
    assert row_of(database, delivery_id).state == DeliveryState.SENDING


def test_a_dead_senders_delivery_goes_on_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        dead, living = (add_delivery(session, DeliveryState.SENDING) for _ in range(2))
        deliveries.renew(session, living, SENDER, 600)
    monkeypatch.setattr(deliveries, "now", lambda: now() + timedelta(minutes=1))
    with database.write() as session:
        assert deliveries.free_expired(session) == [dead]
        assert deliveries.claim(session, dead, "the next", 45)
        moved = (DeliveryState.SENDING, DeliveryState.SENT)
        assert not deliveries.move(session, dead, *moved, owner=SENDER)
    assert row_of(database, living).lease_owner == SENDER


def test_what_the_broker_has_lost(database: Database) -> None:
    with database.write() as session:
        _, ids = add_deliveries(session, *[DeliveryState.WAITING] * 4)
        _, [later] = add_deliveries(session, DeliveryState.WAITING)
        add_deliveries(session, *ALL[1:])
        session.get_one(DeliveryRow, later).next_attempt_at = now() + timedelta(minutes=5)
        deliveries.mark_enqueued(session, ids[:3])
    future = now() + timedelta(minutes=1)
    with database.read() as session:
        assert deliveries.lost(session, now() - timedelta(minutes=1), 0, 10) == [ids[3]]
        assert deliveries.lost(session, future, 3, 10) == [ids[3]]
        assert deliveries.lost(session, future, 2, 10) == [ids[3], ids[0]]
        assert deliveries.lost(session, future, 0, 10) == [ids[3], *ids[:3]]


# --- the job -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("sent", JobState.SENT),
        ("sent confirmed", JobState.SENT),
        ("sent waiting", JobState.REPORTED),
        ("refused", JobState.FAILED),
        ("refused waiting", JobState.REPORTED),
        ("exhausted held", JobState.REPORTED),
        ("exhausted sent refused", JobState.FAILED),
        ("", JobState.REPORTED),
    ],
)
def test_settle(database: Database, states: str, expected: JobState) -> None:
    with database.write() as session:
        job_id, _ = add_deliveries(session, *(DeliveryState(word) for word in states.split()))
        deliveries.settle(session, job_id)
        deliveries.settle(session, job_id)  # nothing is left to do
    assert job_state(database, job_id) == expected
    with database.read() as session:
        moved = select(EventRow).where(EventRow.job_id == job_id, EventRow.to_state == expected)
        own = [row for row in session.scalars(moved) if row.delivery_id is None]
    assert len(own) == 1


def test_two_deliveries_that_end_at_the_same_moment_settle_the_job(database: Database) -> None:
    """Neither transaction sees the other's delivery; one of them must see both."""
    with database.write() as session:
        job_id, [first, second] = add_deliveries(
            session, DeliveryState.SENDING, DeliveryState.SENDING
        )

    def end(delivery_id: int, session: Session) -> None:
        assert deliveries.move(session, delivery_id, DeliveryState.SENDING, DeliveryState.SENT)
        deliveries.settle(session, job_id)

    def end_second() -> None:
        with database.write() as session:
            end(second, session)

    thread = threading.Thread(target=end_second)
    with database.write() as session:
        end(first, session)
        session.flush()
        thread.start()
        if database.backend == "postgresql":
            wait_until(lambda: not thread.is_alive() or is_blocked(database), 30, "the second")
    thread.join()
    assert job_state(database, job_id) == JobState.SENT


def is_blocked(database: Database) -> bool:
    query = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with database.read() as session:
        return bool(session.scalar(query))


# --- what a person asks for --------------------------------------------------------------------


@pytest.mark.parametrize("state", ALL)
def test_retry(database: Database, state: DeliveryState) -> None:
    with database.write() as session:
        job_id, [delivery_id] = add_deliveries(session, state)
        deliveries.settle(session, job_id)
        given_up = job_id_state = jobs.get(session, job_id).state
        again = deliveries.retry(session, job_id, "admin")
    stopped = state in {DeliveryState.HELD, DeliveryState.REFUSED, DeliveryState.EXHAUSTED}
    assert again == ([delivery_id] if stopped else [])
    row = row_of(database, delivery_id)
    assert row.state == (DeliveryState.WAITING if stopped else state)
    if stopped:
        assert (row.attempts, row.enqueued_at) == (0, None)
        assert row.next_attempt_at <= now()
    expected = JobState.REPORTED if given_up == JobState.FAILED else job_id_state
    assert job_state(database, job_id) == expected


def test_retry_of_one_destination(database: Database) -> None:
    with database.write() as session:
        job_id, [_, second] = add_deliveries(
            session, DeliveryState.REFUSED, DeliveryState.EXHAUSTED
        )
        deliveries.settle(session, job_id)
        assert deliveries.retry(session, job_id, "admin", "ELSEWHERE") == []
        assert jobs.get(session, job_id).state == JobState.FAILED
        assert deliveries.retry(session, job_id, "admin", "D1") == [second]
    assert job_state(database, job_id) == JobState.REPORTED
    with database.write() as session:
        assert deliveries.claim(session, second, SENDER, 45)
        assert deliveries.move(session, second, DeliveryState.SENDING, DeliveryState.SENT)
        deliveries.settle(session, job_id)
    assert job_state(database, job_id) == JobState.FAILED  # the other is still refused


# --- outputs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "stored"),
    [
        (0x0000, True),
        (0xB000, True),
        (0xB007, True),
        (0xBFFF, True),
        (0xA700, False),
        (0xA900, False),
        (0xC000, False),
        (0x0122, False),
        (-1, False),
        (None, False),
    ],
)
def test_is_stored(status: int | None, stored: bool) -> None:
    assert deliveries.is_stored(status) is stored


def test_what_a_destination_has_not_taken_is_sent_in_order(database: Database) -> None:
    with database.write() as session:
        job_id, [first, second] = add_deliveries(
            session, DeliveryState.SENDING, DeliveryState.WAITING
        )
        capture, report = (add_output(session, job_id, kind) for kind in ("sc", "sr"))
        assert unsent(session, first) == [capture, report]
        deliveries.keep_status(session, first, capture, 0xA700)
        assert unsent(session, first) == [capture, report]
        deliveries.keep_status(session, first, capture, 0xB006)
        assert unsent(session, first) == [report]
        deliveries.keep_status(session, first, report, 0x0000)
        assert unsent(session, first) == []
        assert unsent(session, second) == [capture, report]
    with database.read() as session:
        kept = {row.output_id: row.status for row in session.scalars(select(TransferRow))}
    assert kept == {capture: 0xB006, report: 0x0000}


def unsent(session: Session, delivery_id: int) -> list[int]:
    return [output.id for output, _ in deliveries.unsent(session, delivery_id, a_destination())]


def test_an_output_that_another_stands_in_for_is_sent_once(database: Database) -> None:
    with database.write() as session:
        job_id, [delivery] = add_deliveries(session, DeliveryState.SENDING)
        report, plainer = (add_output(session, job_id, kind) for kind in ("sr", "sr-2d"))
        (pair,) = deliveries.unsent(session, delivery, a_destination())
        assert [output.id for output in pair if output] == [report, plainer]
        deliveries.keep_status(session, delivery, report, 0xA700)
        assert unsent(session, delivery) == [report]
        deliveries.keep_status(session, delivery, plainer, 0x0000)
        assert unsent(session, delivery) == []


def test_a_rejection_note_goes_last_and_only_where_it_is_wanted(database: Database) -> None:
    with database.write() as session:
        job_id, [delivery] = add_deliveries(session, DeliveryState.SENDING)
        report, note = (add_output(session, job_id, kind) for kind in ("sr", "kos"))
        assert unsent(session, delivery) == [report]
        wanting = a_destination(rejection_notes=True)
        found = deliveries.unsent(session, delivery, wanting)
        assert [output.id for output, _ in found] == [report, note]


def test_a_moment_of_a_delivery_is_a_moment(database: Database) -> None:
    with database.write() as session:
        delivery_id = add_delivery(session, DeliveryState.WAITING)
    assert isinstance(row_of(database, delivery_id).next_attempt_at, datetime)
