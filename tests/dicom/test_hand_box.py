"""The box round the hand in the structured report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicom_node import vocabulary as v
from dicom_node.hand_box import HandBox
from dicom_node.identity import tracking_uid
from dicom_node.structured_report import build_structured_report
from tests.samples import INSTANCE, STUDY, a_dx_source, a_finding, a_source, an_identity, written
from tests.validators import dcentvfy, dciodvfy, dsrdump, pixelmed_sr

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

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
    assert group.tracking_uid == tracking_uid(STUDY, "L")
    assert [item.value for item in group.get_measurements(name=v.BONE_AGE)] == [124.2]


def names_in(report: Dataset) -> Counter[str]:
    """Return how often each concept is named in the measurement group."""
    (measurements,) = (
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    )
    (group,) = measurements.ContentSequence
    return Counter(item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence)


def test_the_same_is_said_with_a_place_in_the_image_and_without() -> None:
    """One group in either case; it ends in the region, or in the source alone."""
    plain, boxed = (
        names_in(build_structured_report(a_source(), a_finding(), an_identity(), hand_box=box))
        for box in (None, BOX)
    )

    assert plain - boxed == {"Source of Measurement": 1}
    assert boxed - plain == {"Image Region": 1}


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
def test_pixelmed_finds_nothing(kind: str, tmp_path: Path) -> None:
    report = build_structured_report(
        a_source(), a_finding(), an_identity(), hand_box=BOX, sop_class_uid=kind
    )

    assert pixelmed_sr(written(report, tmp_path / "sr.dcm")) == []
