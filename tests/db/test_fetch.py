"""The way through the archive: what goes there, what comes back, and that no job is lost on it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from dicom_node import intake, jobs, pipeline
from dicom_node.archive import Archive
from dicom_node.config import ArchivePeer, HistorySection
from dicom_node.db import EarlierResultRow, now
from dicom_node.errors import PeerError
from dicom_node.node import Node
from dicom_node.states import JobState
from dicom_node.structured_report import build_structured_report
from dicom_node.sweep import sweep_once
from tests.builders import add_job, new_instance
from tests.db.test_sweep import NOTHING, waiting_in
from tests.samples import a_finding, a_source, an_identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

AWAY = ArchivePeer(ae_title="ARCHIVE", host="127.0.0.1", port=1, timeout_seconds=2)
PATIENT: dict[str, Any] = {"PatientID": "TEST-1"}


@pytest.fixture
def with_archive(node_with_broker: Node) -> Node:
    """Return a node whose archive is away."""
    node = node_with_broker
    config = node.config.model_copy(update={"history": HistorySection(archive=AWAY)})
    return Node(config, node.database, node.storage, node.broker)


def queued(node: Node, header: dict[str, str]) -> int:
    """Return a new queued job that was handed to the broker."""
    with node.database.write() as session:
        job_id = add_job(session, JobState.QUEUED, new_instance(header))
    intake.enqueue(node, job_id)
    return job_id


def test_a_known_patients_job_goes_to_the_archive_first(with_archive: Node) -> None:
    node = with_archive
    job_id, nameless = queued(node, PATIENT), queued(node, {})
    assert (waiting_in(node, "fetch"), waiting_in(node, "assess")) == ([job_id], [nameless])


def test_without_an_archive_no_job_goes_there(node_with_broker: Node) -> None:
    job_id = queued(node_with_broker, PATIENT)
    assert waiting_in(node_with_broker, "fetch") == []
    assert waiting_in(node_with_broker, "assess") == [job_id]


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom leaves it
def test_an_archive_that_is_away_costs_no_answer(with_archive: Node) -> None:
    node = with_archive
    job_id = queued(node, PATIENT)
    pipeline.fetch(node, Archive.of(node.config), job_id)
    assert waiting_in(node, "assess") == [job_id]
    with node.database.read() as session:
        handed = jobs.get(session, job_id).enqueued_at
        assert handed is not None
        assert handed <= now()


def test_a_defect_costs_no_answer(with_archive: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node = with_archive
    job_id = queued(node, PATIENT)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Archive, "reports", fail)
    pipeline.fetch(node, Archive.of(node.config), job_id)
    assert waiting_in(node, "assess") == [job_id]


def test_what_came_before_the_archive_failed_is_kept_if_it_is_the_patients(
    with_archive: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = with_archive
    job_id = queued(node, PATIENT)
    sources = [a_source(**PATIENT), a_source(**PATIENT, IssuerOfPatientID="WARD"), a_source()]
    came = [build_structured_report(source, a_finding(), an_identity()) for source in sources]

    def reports(*_: object, **__: object) -> Iterator[Dataset]:
        yield from came
        raise PeerError

    monkeypatch.setattr(Archive, "reports", reports)
    pipeline.fetch(node, Archive.of(node.config), job_id)
    with node.database.read() as session:
        kept = session.scalars(select(EarlierResultRow.sop_instance_uid)).all()
    assert kept == [came[0].SOPInstanceUID]
    assert waiting_in(node, "assess") == [job_id]


def test_a_job_on_its_way_when_the_archive_was_taken_away_goes_on(with_archive: Node) -> None:
    job_id = queued(with_archive, PATIENT)
    pipeline.fetch(with_archive, None, job_id)
    assert waiting_in(with_archive, "assess") == [job_id]


def test_the_sweeper_waits_for_the_archive_but_not_for_ever(
    with_archive: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = with_archive
    job_id = queued(node, PATIENT)
    other = queued(node, {})
    later = now() + timedelta(seconds=intake.FETCH_SECONDS - 1)
    for module in ("jobs", "sweep"):
        monkeypatch.setattr(f"dicom_node.{module}.now", lambda: later)
    assert sweep_once(node) == NOTHING
    assert waiting_in(node, "assess") == [other]
    much_later = later + timedelta(seconds=node.config.leases.sweep_seconds + 2)
    for module in ("jobs", "sweep"):
        monkeypatch.setattr(f"dicom_node.{module}.now", lambda: much_later)
    assert sweep_once(node)["jobs_enqueued"] == 1
    assert waiting_in(node, "assess") == [other, job_id]


def test_with_the_broker_away_a_job_waits_for_the_sweeper(node: Node) -> None:
    config = node.config.model_copy(update={"history": HistorySection(archive=AWAY)})
    job_id = queued(Node(config, node.database, node.storage, node.broker), PATIENT)
    with node.database.read() as session:
        assert jobs.get(session, job_id).enqueued_at is None
