"""The seed: every state and age, results of the node itself, and never beside real jobs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from sqlalchemy import func, select

from dicom_node.config import load_config
from dicom_node.db import (
    DeliveryRow,
    EventRow,
    InstanceRow,
    JobFileRow,
    JobRow,
    OutputRow,
    now,
)
from dicom_node.heatmap_file import read_heatmap
from dicom_node.node import Node
from dicom_node.states import GIVEN_UP, JOB_MOVES, DeliveryState, JobState
from worklist.__main__ import run_command as main
from worklist.filters import READY
from worklist.listing import Listing


def test_a_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a node of its own"
    words = ["seed", "--into", str(folder), "--jobs", "300"]
    assert main(words) == 0
    _check_what_to_do_next(capsys.readouterr().out, folder / "config.yaml")
    node = Node.of(load_config(folder / "config.yaml"))
    assert node.config.data_directory == folder
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
        kept = session.scalars(select(JobFileRow)).all()
        assert all(read_heatmap(node.storage.absolute(row.path)) is not None for row in kept)
        assert len(kept) == len(set(session.scalars(select(OutputRow.job_id))))
    node.close()
    assert main(words) == 5
    assert capsys.readouterr().err == (
        "error: the database is not empty; a seed never mixes with real jobs\n"
    )


def _check_what_to_do_next(said: str, config_file: Path) -> None:
    """Check that the commands that it prints are commands, and which options they have."""
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("     ")]
    assert [words[2] for words in commands] == ["worklist", "pynetdicom", "dicom_node"]
    for words in commands:
        assert Path(words[0]).samefile(sys.executable)
        given = ["--help" if word == "NAME" else word for word in words]
        shown = subprocess.run([*given, "--help"], check=False, capture_output=True, text=True)
        assert shown.returncode == 0, shown.stderr
    assert commands[0][4] == commands[2][4] == str(config_file)
    port = next(int(word) for word in commands[1] if word.isdigit())
    assert {one.port for one in load_config(config_file).destinations} == {port}


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


def test_without_pictures_every_state_is_there_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("data_directory: .\n", "utf-8")
    assert main(["--config", str(file), "seed", "--jobs", "400", "--pictures", "0"]) == 0
    said = capsys.readouterr().out
    assert "To send again, the node must know the destinations" in said
    lacking = said[said.index("callers:") : said.index("1. ")]
    file.write_text(f"data_directory: .\n{lacking}", "utf-8")
    names = {one.name for one in load_config(file).destinations}
    node = Node.of(load_config(file))
    with node.database.read() as session:
        assert set(session.scalars(select(JobRow.state))) == set(JobState)
        assert set(session.scalars(select(DeliveryRow.destination))) == names
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
        (["--into", "a-file/x"], "error: --into a-file/x: "),
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
    (tmp_path / "a-file").touch()
    assert main(["seed", *words]) == 2
    assert capsys.readouterr().err.startswith(said)
