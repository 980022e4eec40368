"""What the gate sees becomes the job's reason, or a line of its report."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from sqlalchemy import select

from dicom_node import actions, deliveries, intake, jobs, pipeline, results
from dicom_node.actions import Order
from dicom_node.db import DeliveryRow, OutputRow
from dicom_node.radiograph import wrap_radiograph
from dicom_node.states import JobState
from dicom_node.storage import content_hash
from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.estimator import Estimator
from tests.builders import a_destination, new_instance
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
    header = pydicom.dcmread(file, stop_before_pixels=True)
    uid, study = str(header.SOPInstanceUID), str(header.StudyInstanceUID)
    sha256 = content_hash(file)
    path = node.storage.keep_received(file, uid, sha256)
    with node.database.write() as session:
        instance = new_instance(
            sop_instance_uid=uid, study_instance_uid=study, sha256=sha256, path=path
        )
        job_id = jobs.receive(session, instance)
    assert job_id is not None
    return job_id


def work_of(node: Node, job_id: int) -> results.Work:
    with node.database.read() as session:
        return results.load_work(session, job_id)


def outputs_of(node: Node, job_id: int) -> dict[str, OutputRow]:
    """Return a job's results by kind, in the order in which they were made."""
    query = select(OutputRow).where(OutputRow.job_id == job_id).order_by(OutputRow.id)
    with node.database.read() as session:
        return {row.kind: row for row in session.scalars(query)}


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


def test_an_admin_may_overrule_the_gate_and_the_report_says_so(
    node: Node, estimator: Estimator, tmp_path: Path
) -> None:
    noise = np.random.default_rng(3).random((512, 400), dtype=np.float32)
    file = tmp_path / "received.dcm"
    wrap_radiograph(noise, sex="F", age_months=126).save_as(file, enforce_file_format=True)
    job_id = received(node, file)
    assert intake.admit(node, job_id) == JobState.QUEUED
    pipeline.assess(node, estimator, job_id)
    assert job_of(node, job_id).state == JobState.REJECTED
    actions.do(node, job_id, "ada", Order("accept", overrule_gate=True))

    pipeline.assess(node, estimator, job_id)

    job = job_of(node, job_id)
    assert (job.state, job.outcome) == (JobState.REPORTED, "assessed")
    assert job.finding is not None
    assert job.finding["accepted"] == {"actor": "ada", "overrule_gate": True}
    said = "the rules for header and image were overruled by ada"
    assert f"{said}  (!)" in job.finding["report"]
    assert said in dsrdump(node.storage.absolute(outputs_of(node, job_id)["sr"].path))


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
    made = outputs_of(node, job_id)
    paths = {kind: node.storage.absolute(row.path) for kind, row in made.items()}
    assert set(paths) == {"sc", "sr", "sr-2d"}
    tree = dsrdump(paths["sr"])
    assert f"No bone age: {job.reason}" in tree
    assert job.finding is not None
    assert job.finding["report"].startswith(f"No bone age: {job.reason}\n")
    assert "contains NUM:" not in tree  # numbers of the image only
    for path in paths.values():
        assert dciodvfy(path) == []
    kept = node.storage.absolute(work_of(node, job_id).path)
    assert dcentvfy(kept, *paths.values()) == []
    assert pixelmed_sr(paths["sr"]) == []


def test_every_object_that_can_be_configured_is_made_and_valid(
    node: Node, estimator: Estimator, tmp_path: Path
) -> None:
    """Twice: the re-run also rejects what a destination had taken."""
    options = ("hand_box", "presentation_state", "encapsulated_pdf", "parametric_map")
    results_section = node.config.results.model_copy(update=dict.fromkeys(options, True))
    wanting = a_destination(rejection_notes=True)
    node = replace(
        node,
        config=node.config.model_copy(
            update={"results": results_section, "destinations": [wanting]}
        ),
    )
    picture = draw_phantom("F", 126, height_px=1024, width_px=768) / np.float32(HIGHEST_VALUE)
    file = tmp_path / "received.dcm"
    wrap_radiograph(picture, sex="F", age_months=126).save_as(file, enforce_file_format=True)
    first = received(node, file)
    intake.admit(node, first)
    pipeline.assess(node, estimator, first)
    made = outputs_of(node, first)
    assert list(made) == ["sc", "pr", "pdf", "pm", "sr", "sr-2d"]
    with node.database.write() as session:
        (delivery,) = session.scalars(select(DeliveryRow.id))
        for kind in ("sc", "pr", "sr"):
            deliveries.keep_status(session, delivery, made[kind].id, 0x0000)
        again = jobs.rerun(session, first, "admin", {"PatientSex": "M"})
    intake.admit(node, again)
    pipeline.assess(node, estimator, again)

    made_again = outputs_of(node, again)
    assert list(made_again) == [*made, "kos"]
    paths = [node.storage.absolute(row.path) for row in made_again.values()]
    for path in paths:
        assert dciodvfy(path) == []
    old = [node.storage.absolute(row.path) for row in made.values()]
    kept = node.storage.absolute(work_of(node, first).path)
    assert dcentvfy(kept, *old, *paths) == []
    note = pydicom.dcmread(paths[-1])
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    rejected = {
        reference.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    assert rejected == {made[kind].sop_instance_uid for kind in ("sc", "pr", "sr")}
    job = job_of(node, again)
    assert job.finding is not None
    assert "sex of the patient: male by admin  (!)" in job.finding["report"]
    tree = dsrdump(node.storage.absolute(made_again["sr"].path))
    assert "sex of the patient: male by admin" in tree
    report = pydicom.dcmread(node.storage.absolute(made_again["sr"].path))
    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (reference,) = series.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == made["sr"].sop_instance_uid
