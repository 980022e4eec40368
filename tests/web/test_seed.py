"""The seed: every state and age, results of the node itself, and never beside real jobs."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

import pydicom
import pytest
from sqlalchemy import func, select

from dicom_node.config import load_config
from dicom_node.db import DeliveryRow, EventRow, InstanceRow, JobRow, OutputRow, now
from dicom_node.node import Node
from dicom_node.states import GIVEN_UP, JOB_MOVES, DeliveryState, JobState
from worklist import seed
from worklist.filters import READY
from worklist.listing import Listing

if TYPE_CHECKING:
    from pathlib import Path


def test_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = tmp_path / "config.yaml", tmp_path / "seeded.yaml"
    file.write_text("data_directory: .\n", "utf-8")
    words = ["--config", str(file), "--jobs", "300", "--write-config", str(target)]
    assert seed.main(words) == 0
    node = Node.of(load_config(target))
    with node.database.read() as session:
        jobs = session.scalars(select(JobRow)).all()
        assert len(jobs) == 300
        assert {job.state for job in jobs} == set(JobState)
        assert set(session.scalars(select(DeliveryRow.state))) == set(DeliveryState)
        assert any(job.rerun_of for job in jobs)
        ages = {
            int(job.finding["chronological_age_months"] // 12)
            for job in jobs
            if job.finding and job.finding["chronological_age_months"]
        }
        assert ages >= set(range(1, 19))
        assert {job.finding["sex"] for job in jobs if job.finding} == {"M", "F", "unknown"}
        names = {d.name for d in node.config.destinations}
        assert set(session.scalars(select(DeliveryRow.destination))) <= names
        callers = {one.ae_title for one in node.config.callers}
        assert set(session.scalars(select(InstanceRow.calling_ae_title))) <= callers
        _check_failed_sends(node)
        for output in session.scalars(select(OutputRow)):
            dataset = pydicom.dcmread(node.storage.absolute(output.path))
            assert dataset.SOPInstanceUID == output.sop_instance_uid
        moves = session.execute(
            select(EventRow.from_state, EventRow.to_state).where(EventRow.delivery_id.is_(None))
        )
        assert all(JobState(to) in JOB_MOVES[JobState(old)] for old, to in moves if old)
    node.close()
    capsys.readouterr()
    assert seed.main(words) == 5
    assert capsys.readouterr().err == (
        "error: the database is not empty; a seed never mixes with real jobs\n"
    )


def _check_failed_sends(node: Node) -> None:
    """Those of the last week can be sent and assessed again: their radiographs are there."""
    with node.database.read() as session:
        found = Listing(session, READY["Failed sends of the last 7 days"]).page()
        assert found.count is not None
        assert found.count >= 8
        for job_id in found.job_ids:
            job = session.get_one(JobRow, job_id)
            assert job.undelivered
            assert job.created_at > now() - timedelta(days=7)
            instance = session.get_one(InstanceRow, job.instance_id)
            header = pydicom.dcmread(node.storage.absolute(instance.path), stop_before_pixels=True)
            assert header.SOPInstanceUID == instance.sop_instance_uid
            states = Counter(
                session.scalars(select(DeliveryRow.state).where(DeliveryRow.job_id == job_id))
            )
            assert GIVEN_UP & set(states)


def test_without_pictures_every_state_is_there_too(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("data_directory: .\n", "utf-8")
    assert seed.main(["--config", str(file), "--jobs", "400", "--pictures", "0"]) == 0
    node = Node.of(load_config(file))
    with node.database.read() as session:
        assert set(session.scalars(select(JobRow.state))) == set(JobState)
        last = session.scalars(select(func.max(JobRow.id))).one()
    with node.database.write() as session:  # numbers go on behind those of the seed
        row = JobRow(instance_id=1, state=JobState.RECEIVED, created_at=now(), updated_at=now())
        session.add(row)
        session.flush()
        assert row.id == last + 1
    node.close()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "3", "--pictures", "4"], "error: --jobs is at least --pictures"),
        (["--jobs", "-1", "--pictures", "0"], "error: --jobs is at least --pictures"),
        (["--config", "absent.yaml"], "error: "),
    ],
)
def test_what_cannot_be_seeded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert seed.main(words) == 2
    assert capsys.readouterr().err.startswith(said)
