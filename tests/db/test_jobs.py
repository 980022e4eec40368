"""Jobs on both databases: received, claimed, moved, freed, each step with its event."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from dicom_node import jobs
from dicom_node.db import Database, EventRow, InstanceRow, JobRow, now
from dicom_node.errors import NoSuchJobError, NotAllowedError
from dicom_node.states import JOB_MOVES, IllegalMoveError, JobState
from tests.builders import OWNER, add_job, add_output, advance, new_instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

ALL = list(JobState)
LATER = timedelta(minutes=5)


def events(session: Session, job_id: int) -> list[tuple[str | None, str]]:
    query = select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.id)
    return [(row.from_state, row.to_state) for row in session.scalars(query)]


def job(database: Database, job_id: int) -> JobRow:
    with database.read() as session:
        return jobs.get(session, job_id)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Do the work in so many threads that start together, and return what each came to."""
    start, answers = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        start.wait()
        answers[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# --- received ----------------------------------------------------------------------------------


def test_a_received_instance_is_a_job(database: Database) -> None:
    instance = new_instance({"PatientName": "山田^太郎", "Rows": "512"})
    with database.write() as session:
        job_id = jobs.receive(session, instance)
        assert job_id is not None
    with database.read() as session:
        row = jobs.get(session, job_id)
        kept = session.get_one(InstanceRow, row.instance_id)
        assert events(session, job_id) == [(None, "received")]
    assert (row.state, row.attempts, row.rerun_of) == (JobState.RECEIVED, 0, None)
    assert (kept.revision, kept.path, kept.header) == (1, instance.path, instance.header)
    assert kept.received_at.tzinfo is UTC


def test_a_repeat_is_no_new_job(database: Database) -> None:
    instance = new_instance()
    with database.write() as session:
        assert jobs.receive(session, instance) is not None
        assert jobs.receive(session, replace(instance, calling_ae_title="OTHER")) is None
    with database.read() as session:
        assert len(session.scalars(select(JobRow.id)).all()) == 1


def test_a_corrected_resend_is_a_new_job_that_names_the_last(database: Database) -> None:
    first = new_instance()
    with database.write() as session:
        one = jobs.receive(session, first)
        assert one is not None
        again = jobs.rerun(session, advance(session, one, JobState.FAILED), "admin")
        two = jobs.receive(session, replace(first, sha256="b" * 64))
        assert two is not None
        row = jobs.get(session, two)
        assert row.rerun_of == again
        assert session.get_one(InstanceRow, row.instance_id).revision == 2
        reason = session.scalars(select(EventRow.reason).where(EventRow.job_id == two)).one()
    assert reason == "corrected resend of the same SOP Instance UID"


def test_an_earlier_revision_eight_times_at_once_is_one_job(database: Database) -> None:
    first = new_instance()
    with database.write() as session:
        for instance in (first, replace(first, sha256="b" * 64)):
            assert jobs.receive(session, instance) is not None
    answers = at_once(8, lambda _: receive_again(database, first))
    assert len([answer for answer in answers if answer is not None]) == 1


def receive_again(database: Database, instance: jobs.NewInstance) -> int | None:
    """Receive as the listener does: a collision is made again."""
    for _ in range(10):
        try:
            with database.write() as session:
                return jobs.receive(session, instance)
        except IntegrityError:
            continue
    pytest.fail("ten collisions in a row")


def test_the_same_instance_eight_times_at_once_is_one_job(database: Database) -> None:
    instance = new_instance()
    answers = at_once(8, lambda _: receive_again(database, instance))
    assert len([answer for answer in answers if answer is not None]) == 1
    with database.read() as session:
        assert len(session.scalars(select(JobRow.id)).all()) == 1
        assert len(session.scalars(select(InstanceRow.id)).all()) == 1


def test_corrected_resends_at_once_are_revisions_in_a_row(database: Database) -> None:
    instance = new_instance()
    forms = [replace(instance, sha256=str(number) * 64) for number in range(6)]
    answers = at_once(6, lambda number: receive_again(database, forms[number]))
    assert None not in answers
    with database.read() as session:
        revisions = session.scalars(select(InstanceRow.revision)).all()
        predecessors = session.scalars(select(JobRow.rerun_of)).all()
    assert sorted(revisions) == [1, 2, 3, 4, 5, 6]
    assert len(set(predecessors)) == 6  # a chain: none is named twice


def test_a_header_of_any_text_is_kept(database: Database) -> None:
    header = {"PatientName": "Ω 手 😀 \\ \" ' %s :x", "StudyDescription": "x" * 5000}
    with database.write() as session:
        job_id = add_job(session, instance=new_instance(header))
    with database.read() as session:
        kept = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
    assert kept.header == header


# --- moves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ALL)
def test_every_legal_move_is_made_once_with_one_event(database: Database, source: JobState) -> None:
    for target in JOB_MOVES[source]:
        with database.write() as session:
            job_id = add_job(session, source)
            before = events(session, job_id)
            assert jobs.move(session, job_id, source, target, actor="me", reason="why")
            assert not jobs.move(session, job_id, source, target)
        with database.read() as session:
            assert events(session, job_id) == [*before, (source, target)]
            last = session.scalars(select(EventRow).order_by(EventRow.id.desc())).first()
            assert last is not None
            assert (last.actor, last.reason) == ("me", "why")
            assert jobs.get(session, job_id).state == target
            assert jobs.get(session, job_id).reason == "why"


@pytest.mark.parametrize("source", ALL)
def test_every_illegal_move_is_refused_and_writes_nothing(
    database: Database, source: JobState
) -> None:
    with database.write() as session:
        job_id = add_job(session, source)
        before = events(session, job_id)
    for target in set(ALL) - JOB_MOVES[source]:
        with database.write() as session, pytest.raises(IllegalMoveError):
            jobs.move(session, job_id, source, target)
    with database.read() as session:
        assert events(session, job_id) == before
        assert jobs.get(session, job_id).state == source


def test_a_move_from_a_state_that_the_job_is_not_in_writes_nothing(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.CANCELLED)
        for source, target in product(ALL, ALL):
            if target in JOB_MOVES[source]:
                assert not jobs.move(session, job_id, source, target)
        assert not jobs.move(session, 4711, JobState.RECEIVED, JobState.QUEUED)
    with database.read() as session:
        assert events(session, job_id) == [(None, "received"), ("received", "cancelled")]


def test_state_and_event_are_one_transaction(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session)

    def move_and_fail() -> None:
        with database.write() as session:
            assert jobs.move(session, job_id, JobState.RECEIVED, JobState.QUEUED)
            session.flush()
            msg = "the power fails"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="the power fails"):
        move_and_fail()
    with database.read() as session:
        assert jobs.get(session, job_id).state == JobState.RECEIVED
        assert events(session, job_id) == [(None, "received")]


def test_one_of_sixteen_claims_a_job(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.QUEUED)

    def claim(number: int) -> bool:
        with database.write() as session:
            return jobs.claim(session, job_id, f"worker-{number}", 45)

    answers = at_once(16, claim)
    assert answers.count(True) == 1
    row = job(database, job_id)
    assert row.lease_owner == f"worker-{answers.index(True)}"
    assert row.attempts == 1
    with database.read() as session:
        assert events(session, job_id).count(("queued", "running")) == 1


# --- leases ------------------------------------------------------------------------------------


def test_a_lease_belongs_to_its_owner(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.RUNNING)
        until = jobs.get(session, job_id).lease_until
        assert until is not None
        assert not jobs.renew(session, job_id, "another", 600)
        assert jobs.renew(session, job_id, OWNER, 600)
    renewed = job(database, job_id).lease_until
    assert renewed is not None
    assert renewed > until + timedelta(seconds=500)
    with database.write() as session:
        moved = (JobState.RUNNING, JobState.REPORTED)
        assert not jobs.move(session, job_id, *moved, owner="another")
        assert jobs.move(session, job_id, *moved, owner=OWNER)
    assert (job(database, job_id).lease_owner, job(database, job_id).lease_until) == (None, None)
    with database.write() as session:
        assert not jobs.renew(session, job_id, OWNER, 600)


def test_an_expired_lease_is_taken_and_its_old_owner_cannot_report(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        job_id, living = add_job(session, JobState.RUNNING), add_job(session, JobState.RUNNING)
        jobs.mark_enqueued(session, [job_id, living])
    monkeypatch.setattr(jobs, "now", lambda: now() + LATER)
    with database.write() as session:
        assert jobs.renew(session, living, OWNER, 45)
        assert jobs.free_expired(session, attempts=3) == [job_id]
        assert jobs.free_expired(session, attempts=3) == []
    freed = job(database, job_id)
    assert (freed.state, freed.lease_owner, freed.enqueued_at) == (JobState.QUEUED, None, None)
    assert freed.reason == "the worker's lease ran out"
    assert job(database, living).state == JobState.RUNNING
    with database.write() as session:
        assert jobs.claim(session, job_id, "the next", 45)
        assert not jobs.move(session, job_id, JobState.RUNNING, JobState.REPORTED, owner=OWNER)
        assert not jobs.renew(session, job_id, OWNER, 45)
    assert job(database, job_id).lease_owner == "the next"


def test_a_job_whose_worker_dies_again_and_again_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.QUEUED)
    states = []
    for attempt in range(1, 4):
        monkeypatch.setattr(jobs, "now", now)
        with database.write() as session:
            assert jobs.claim(session, job_id, f"worker-{attempt}", 45)
        monkeypatch.setattr(jobs, "now", lambda: now() + LATER)
        with database.write() as session:
            jobs.free_expired(session, attempts=3)
        states.append(job(database, job_id).state)
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert str(job(database, job_id).reason).startswith("given up after 3 attempts")


# --- what the broker lacks ---------------------------------------------------------------------


def test_what_the_broker_has_lost(database: Database) -> None:
    with database.write() as session:
        ids = [add_job(session, JobState.QUEUED) for _ in range(6)]
        add_job(session, JobState.RECEIVED)
        add_job(session, JobState.RUNNING)
        jobs.mark_enqueued(session, ids[:4])
    future = now() + LATER
    never = ids[4:]
    with database.read() as session:
        assert jobs.lost(session, now() - LATER, 0, 10) == never  # the four were handed just now
        assert jobs.lost(session, future, 4, 10) == never  # and wait in the broker
        assert jobs.lost(session, future, 400, 10) == never
        assert jobs.lost(session, future, 1, 10) == [*never, *ids[:3]]  # of which one is left
        assert jobs.lost(session, future, 0, 10) == [*never, *ids[:4]]
        assert jobs.lost(session, future, 0, 1) == [never[0], ids[0]]


# --- what a person asks for --------------------------------------------------------------------


@pytest.mark.parametrize("state", ALL)
def test_rerun(database: Database, state: JobState) -> None:
    with database.write() as session:
        job_id = add_job(session, state)
    unfinished = {JobState.RECEIVED, JobState.QUEUED, JobState.RUNNING}
    if state in unfinished:
        with database.write() as session, pytest.raises(NotAllowedError, match=f"is {state}"):
            jobs.rerun(session, job_id, "admin")
        return
    with database.write() as session:
        new = jobs.rerun(session, job_id, "admin")
    with database.read() as session:
        old, row = jobs.get(session, job_id), jobs.get(session, new)
        assert (row.state, row.rerun_of) == (JobState.RECEIVED, job_id)
        assert row.instance_id == old.instance_id
        assert old.state == state
        assert events(session, new) == [(None, "received")]


@pytest.mark.parametrize("state", ALL)
def test_change(database: Database, state: JobState) -> None:
    for target in ALL:
        allowed = target in JOB_MOVES[state]
        with database.write() as session:
            job_id = add_job(session, state)
            before = events(session, job_id)
            if allowed:
                jobs.change(session, job_id, target, actor="admin")
            else:
                with pytest.raises(NotAllowedError, match="cannot become"):
                    jobs.change(session, job_id, target, actor="admin")
            session.expire_all()
            assert jobs.get(session, job_id).state == (target if allowed else state)
            assert events(session, job_id) == before + ([(state, target)] if allowed else [])


def test_a_job_that_is_tried_again_has_all_its_attempts_again(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.FAILED)
        jobs.mark_enqueued(session, [job_id])
        jobs.change(session, job_id, JobState.QUEUED, actor="admin")
    row = job(database, job_id)
    assert (row.attempts, row.enqueued_at) == (0, None)


def test_a_job_with_results_is_not_assessed_again_but_run_as_another(database: Database) -> None:
    """Its deliveries would be made twice, and its old results sent with the new ones."""
    with database.write() as session:
        job_id = add_job(session, JobState.FAILED)
        add_output(session, job_id)
    with database.write() as session, pytest.raises(NotAllowedError, match="has results"):
        jobs.change(session, job_id, JobState.QUEUED, actor="admin")
    with database.write() as session:
        jobs.change(session, job_id, JobState.REPORTED, actor="admin")


def test_no_such_job(database: Database) -> None:
    for job_id in (1, 0, -1, 2**31, 2**63, 10**30):
        with database.read() as session, pytest.raises(NoSuchJobError, match=f"no job {job_id}"):
            jobs.get(session, job_id)


# --- moments -----------------------------------------------------------------------------------


def test_moments_come_back_in_utc_wherever_the_server_is(database: Database) -> None:
    moment = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=UTC)
    with database.write() as session:
        job_id = add_job(session, JobState.QUEUED)
        session.get_one(JobRow, job_id).enqueued_at = moment
    with database.read() as session:
        if database.backend == "postgresql":
            session.execute(text("SET TIME ZONE 'Asia/Tokyo'"))
        found = jobs.get(session, job_id).enqueued_at
    assert found is not None
    assert found.isoformat() == "2026-07-01T12:30:15.123456+00:00"


def test_a_moment_without_a_zone_is_not_stored(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session)
    with database.read() as session:
        session.get_one(JobRow, job_id).enqueued_at = datetime(2026, 7, 1)  # noqa: DTZ001
        with pytest.raises(Exception, match="without a time zone"):
            session.flush()


def test_a_patient_id_of_any_length_can_be_stored(database: Database) -> None:
    """PostgreSQL cannot index it, and the modality would be refused for ever."""
    long = "".join(chr(0x4E00 + 7919 * number % 20000) for number in range(1024))
    with database.write() as session:
        for patient_id, expected in ((long, ""), (long[:64], long[:64])):
            job_id = add_job(session, instance=new_instance({"PatientID": patient_id}))
            row = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
            assert row.patient_id == expected
            assert row.header["PatientID"] == patient_id


# --- corrections ---------------------------------------------------------------------------------


def test_a_correction_that_is_taken_back_is_assessed_again(database: Database) -> None:
    original = new_instance()
    corrected = replace(original, sha256="c" * 64, path="corrected")
    with database.write() as session:
        first, second, third, repeat = (
            jobs.receive(session, instance)
            for instance in (original, corrected, original, original)
        )
    assert repeat is None
    assert first is not None
    assert third is not None
    assert job(database, third).rerun_of == second
    assert job(database, third).instance_id == job(database, first).instance_id


@pytest.mark.parametrize("state", [JobState.RECEIVED, JobState.QUEUED, JobState.RUNNING])
def test_a_correction_waits_for_what_it_corrects(database: Database, state: JobState) -> None:
    original = new_instance()
    with database.write() as session:
        first = add_job(session, state, original)
        second = jobs.receive(session, replace(original, sha256="c" * 64, path="corrected"))
        assert second is not None
        assert jobs.move(session, second, JobState.RECEIVED, JobState.QUEUED)
        assert not jobs.claim(session, second, OWNER, 30)
        for source, target in WAY_TO_THE_END[state]:
            assert jobs.move(session, first, source, target)
        assert jobs.claim(session, second, OWNER, 30)


WAY_TO_THE_END = {
    JobState.RECEIVED: [(JobState.RECEIVED, JobState.REJECTED)],
    JobState.QUEUED: [(JobState.QUEUED, JobState.CANCELLED)],
    JobState.RUNNING: [(JobState.RUNNING, JobState.FAILED)],
}


def test_what_a_correction_replaced_is_not_run_again(database: Database) -> None:
    original = new_instance()
    with database.write() as session:
        first = add_job(session, JobState.REPORTED, original)
        second = jobs.receive(session, replace(original, sha256="c" * 64, path="corrected"))
    with database.write() as session, pytest.raises(NotAllowedError, match=f"re-run job {second}"):
        jobs.rerun(session, first, "admin")
