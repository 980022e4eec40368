"""The box round the hand in the structured report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicom_node.hand_box import HandBox
from dicom_node.identity import region_uid, tracking_uid
from dicom_node.structured_report import build_structured_report
from tests.samples import INSTANCE, STUDY, a_dx_source, a_finding, a_source, an_identity, written
from tests.validators import PIXELMED_REGION_ROWS, dcentvfy, dciodvfy, dsrdump, pixelmed_sr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("strict_writing")

BOX = HandBox(2.0, 3.0, 20.0, 30.5)
KINDS = [Comprehensive3DSRStorage, ComprehensiveSRStorage]


def content_of(path: Path) -> MeasurementReport:
    """Return the tree of a report, as highdicom reads it."""
    content = srread(path).content
    assert isinstance(content, MeasurementReport)
    return content


def test_the_region_is_the_box_on_the_source(tmp_path: Path) -> None:
    report = build_structured_report(a_source(), a_finding(), an_identity(), hand_box=BOX)

    (group,) = content_of(written(report, tmp_path / "sr.dcm")).get_planar_roi_measurement_groups()

    assert group.roi is not None
    assert np.array_equal(group.roi.value, BOX.outline())
    assert group.roi.graphic_type.value == "POLYLINE"
    source = group.roi.ContentSequence[0]
    assert source.referenced_sop_instance_uid == INSTANCE
    assert group.tracking_uid == region_uid(STUDY, "L") != tracking_uid(STUDY, "L")
    assert not group.get_measurements()


def test_the_measurements_stay_as_they_are(tmp_path: Path) -> None:
    identity = an_identity()
    groups = []
    for number, box in enumerate((None, BOX)):
        report = build_structured_report(a_source(), a_finding(), identity, hand_box=box)
        path = written(report, tmp_path / f"{number}.dcm")
        groups.append(content_of(path).get_image_measurement_groups())

    assert len(groups[0]) == len(groups[1]) == 1
    assert str(groups[0][0]) == str(groups[1][0])


def test_without_a_box_there_is_no_region(tmp_path: Path) -> None:
    report = build_structured_report(a_source(), a_finding(), an_identity())

    assert not content_of(written(report, tmp_path / "sr.dcm")).get_planar_roi_measurement_groups()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("laterality", ["L", None])
def test_a_report_with_a_region_is_valid(kind: str, laterality: str | None, tmp_path: Path) -> None:
    source = a_source() if laterality else a_dx_source()
    finding = a_finding(laterality=laterality)  # type: ignore[arg-type]
    report = build_structured_report(
        source, finding, an_identity(), hand_box=BOX, sop_class_uid=kind
    )
    path = written(report, tmp_path / "sr.dcm")

    assert dciodvfy(path) == []
    assert dcentvfy(written(source, tmp_path / "source.dcm"), path) == []
    assert "(POLYLINE,2/3,20/3,20/30.5,2/30.5,2/3)" in dsrdump(path)


@pytest.mark.parametrize("kind", KINDS)
def test_pixelmed_finds_nothing_but_its_own_mistake(kind: str, tmp_path: Path) -> None:
    report = build_structured_report(
        a_source(), a_finding(), an_identity(), hand_box=BOX, sop_class_uid=kind
    )

    complaints = pixelmed_sr(written(report, tmp_path / "sr.dcm"))

    assert len(complaints) == len(PIXELMED_REGION_ROWS)
    for complaint, part in zip(complaints, PIXELMED_REGION_ROWS, strict=True):
        assert part in complaint
