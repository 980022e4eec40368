"""What the gate sees becomes the job's reason, or a line of its report."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from sqlalchemy import select

from dicom_node import intake, jobs, pipeline, results
from dicom_node.db import OutputRow
from dicom_node.radiograph import wrap_radiograph
from dicom_node.states import JobState
from dicom_node.storage import content_hash
from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.estimator import Estimator
from tests.builders import new_instance
from tests.validators import dcentvfy, dciodvfy, dsrdump, pixelmed_sr

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.db import JobRow
    from dicom_node.node import Node

NO_HAND = ("RG1_UNCR_CR_chest", "DX_chest_highdicom", "RG3_RLE_CR_extremity_tibia")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    """Return the weights and the gate that ship."""
    return Estimator("default", "cpu")


def received(node: Node, file: Path) -> int:
    """Keep a file as the listener does; returns its job."""
    uid = str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)
    sha256 = content_hash(file)
    path = node.storage.keep_received(file, uid, sha256)
    with node.database.write() as session:
        job_id = jobs.receive(session, new_instance(sop_instance_uid=uid, sha256=sha256, path=path))
    assert job_id is not None
    return job_id


def work_of(node: Node, job_id: int) -> results.Work:
    with node.database.read() as session:
        return results.load_work(session, job_id)


def job_of(node: Node, job_id: int) -> JobRow:
    with node.database.read() as session:
        return jobs.get(session, job_id)


@pytest.mark.parametrize("name", NO_HAND)
def test_what_an_admin_accepts_and_shows_no_hand_is_rejected_with_the_gates_reason(
    node: Node, estimator: Estimator, shared_data: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "received.dcm"
    shutil.copy(shared_data / "negatives" / f"{name}.dcm", file)
    job_id = received(node, file)
    assert intake.admit(node, job_id) == JobState.REJECTED
    with node.database.write() as session:
        jobs.change(session, job_id, JobState.QUEUED, actor="admin", reason="retry")

    pipeline.assess(node, estimator, job_id)

    job = job_of(node, job_id)
    assert job.state == JobState.REJECTED
    assert job.reason == "the image shows no hand"


def test_an_inverted_image_on_its_side_is_reported_and_says_so(
    node: Node, estimator: Estimator, tmp_path: Path
) -> None:
    picture = draw_phantom("F", 126, height_px=1024, width_px=768) / np.float32(HIGHEST_VALUE)
    findings: list[dict[str, Any]] = []
    for given in (picture, np.ascontiguousarray(np.rot90(1 - picture, -1))):
        file = tmp_path / "received.dcm"
        dataset = wrap_radiograph(given, sex="F", age_months=126)
        dataset.save_as(file, enforce_file_format=True)
        job_id = received(node, file)
        assert intake.admit(node, job_id) == JobState.QUEUED
        pipeline.assess(node, estimator, job_id)
        finding = job_of(node, job_id).finding
        assert finding is not None
        findings.append(finding)
    upright, finding = findings
    assert (upright["inverted"], upright["turned_deg"]) == (False, 0)
    assert "turned" not in upright["report"]
    assert finding["inverted"] is True
    assert finding["turned_deg"] == 90
    assert "black and white were turned round  (!)" in finding["report"]
    assert "turned by 90 degrees counter-clockwise  (!)" in finding["report"]
    assert finding["bone_age_months"] == pytest.approx(upright["bone_age_months"], abs=1.0)


def test_a_refusal_is_reported_without_a_number_where_that_is_wanted(
    node: Node, estimator: Estimator, tmp_path: Path
) -> None:
    answering = node.config.results.model_copy(update={"answer_refused": True})
    node = replace(node, config=node.config.model_copy(update={"results": answering}))
    noise = np.random.default_rng(3).random((512, 400), dtype=np.float32)
    file = tmp_path / "received.dcm"
    wrap_radiograph(noise, sex="F", age_months=126).save_as(file, enforce_file_format=True)
    job_id = received(node, file)
    assert intake.admit(node, job_id) == JobState.QUEUED

    pipeline.assess(node, estimator, job_id)

    job = job_of(node, job_id)
    assert (job.state, job.outcome, job.bone_age_months) == (JobState.REPORTED, "refused", None)
    assert job.reason
    with node.database.read() as session:
        paths = {
            row.kind: node.storage.absolute(row.path)
            for row in session.scalars(select(OutputRow).where(OutputRow.job_id == job_id))
        }
    assert set(paths) == {"sc", "sr", "sr-2d"}
    tree = dsrdump(paths["sr"])
    assert f"No bone age: {job.reason}" in tree
    assert "Unusable - Quality renders image unusable" in tree
    assert "contains NUM:" not in tree  # numbers of the image only
    for path in paths.values():
        assert dciodvfy(path) == []
    kept = node.storage.absolute(work_of(node, job_id).path)
    assert dcentvfy(kept, *paths.values()) == []
    assert pixelmed_sr(paths["sr"]) == []
