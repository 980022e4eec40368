"""A child who comes again: the first report is in the archive only, and the second names it."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom

from dicom_node import vocabulary as v
from dicom_node.radiograph import read_picture, wrap_radiograph
from dicom_node.structured_report import SOP_CLASSES
from tests.nodes import destination, running_node
from tests.peers import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers import Dcmtk, Orthanc

FIRST, SECOND = datetime(2024, 3, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
PATIENT = {"PatientID": "TEST-1", "IssuerOfPatientID": "WARD"}


def _radiograph(folder: Path, shared_data: Path, at: datetime, age_months: float) -> Path:
    """Write a radiograph of the child."""
    picture = min((shared_data / "radiographs").glob("*.png"))
    dataset = wrap_radiograph(
        read_picture(picture), sex="M", age_months=age_months, acquired_at=at, attributes=PATIENT
    )
    path = folder / f"{at:%Y}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _answer(
    folder: Path,
    dcmtk: Dcmtk,
    file: Path,
    orthanc: Orthanc,
    **values: Any,  # noqa: ANN401 - YAML
) -> dict[str, Any]:
    """Let a node of its own answer a radiograph, and return its job."""
    folder.mkdir()
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(folder, dcmtk, destinations=[pacs], **values) as node:
        node.store([file])
        (job,) = node.wait_for("sent", 1)
        return node.show(job["id"])


def _numbers(report: pydicom.Dataset) -> dict[str, float]:
    """Return the measurements of the hand by their code value."""
    group = report.ContentSequence[-2].ContentSequence[0]
    return {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def test_a_report_names_the_earlier_one_that_only_the_archive_has(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    first = _radiograph(tmp_path, shared_data, FIRST, 100.0)
    second = _radiograph(tmp_path, shared_data, SECOND, 112.0)
    orthanc.add_modality("node", "BONEAGE", 1)
    before = _answer(tmp_path / "first", dcmtk, first, orthanc)
    archive = {"ae_title": orthanc.ae_title, "host": HOST, "port": orthanc.port}

    job = _answer(tmp_path / "second", dcmtk, second, orthanc, history={"archive": archive})

    finding = job["finding"]
    assert before["finding"]["velocity_since"] is None
    assert finding["velocity_since"] == "2024-03-01"
    # One picture twice: what little it grew is the rounding of the report to a tenth of a month.
    assert abs(finding["velocity_years_per_year"]) < 0.01
    assert "2024-03-01" in finding["report"]
    (report,) = (
        pydicom.dcmread(BytesIO(orthanc.instance_file(found)))
        for output in job["outputs"]
        if output["kind"] == "sr" and (found := orthanc.find(output["sop_instance_uid"]))
    )
    assert report.SOPClassUID in SOP_CLASSES
    assert v.GROWTH_VELOCITY.value in _numbers(report)
    comments = [
        item.TextValue for item in report.ContentSequence[-1].ContentSequence if "TextValue" in item
    ]
    assert any("2024-03-01" in comment for comment in comments)
