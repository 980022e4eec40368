"""Reading reports back: what was built says the same, and what is not ours says nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

from dicom_node import vocabulary as v
from dicom_node.finding import Refusal
from dicom_node.growth import Z_90
from dicom_node.identity import ReferencedInstance
from dicom_node.report_reading import EarlierReport, read_report
from dicom_node.structured_report import build_refusal_report, build_structured_report
from tests.samples import (
    STARTED,
    STUDY,
    UNKNOWN,
    WEIGHTS,
    a_finding,
    a_source,
    an_identity,
    read_back,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from dicom_node.finding import Finding

OLD = ReferencedInstance(
    sop_class_uid=Comprehensive3DSRStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)


def built(finding: Finding, **options: Any) -> Dataset:  # noqa: ANN401 - of the builder
    return build_structured_report(a_source(), finding, an_identity(), **options)


def read(report: Dataset, folder: Path) -> EarlierReport:
    """Return what the file of a report says."""
    found = read_report(read_back(report, folder / "report.dcm"))
    assert found is not None
    return found


def measured(report: Dataset, code: str) -> Dataset:
    """Return the measured value of a number of the hand, by its code."""
    group = report.ContentSequence[-2].ContentSequence[0]
    (found,) = (
        item
        for item in group.ContentSequence
        if item.ValueType == "NUM" and item.ConceptNameCodeSequence[0].CodeValue == code
    )
    value: Dataset = found.MeasuredValueSequence[0]
    return value


@pytest.mark.parametrize("sop_class_uid", [Comprehensive3DSRStorage, ComprehensiveSRStorage])
def test_a_report_reads_back_as_it_was_built(tmp_path: Path, sop_class_uid: str) -> None:
    finding = a_finding(
        bone_age_months=124.2, interval_months=(124.2 - 9.4 * Z_90, 124.2 + 9.4 * Z_90)
    )
    report = built(finding, sop_class_uid=sop_class_uid, predecessors=[OLD])
    report.IssuerOfPatientID = "WARD"
    found = read(report, tmp_path)

    assert (found.sop_instance_uid, found.study_instance_uid) == (report.SOPInstanceUID, STUDY)
    assert (found.patient_id, found.issuer_of_patient_id) == ("P1", "WARD")
    assert (found.laterality, found.replaces) == ("L", (OLD.sop_instance_uid,))
    assert found.result.acquired_on == date(2026, 1, 1)
    assert found.result.bone_age_months == 124.2
    assert found.result.chronological_age_months == 119.5
    assert found.result.sd_months == pytest.approx(9.4, abs=0.05)
    assert found.result.weights_version == WEIGHTS


def test_what_a_report_does_not_say_is_unknown(tmp_path: Path) -> None:
    found = read(built(a_finding(age_months=None, laterality=None, **UNKNOWN)), tmp_path)
    assert (found.laterality, found.replaces, found.issuer_of_patient_id) == (None, (), "")
    assert found.result.chronological_age_months is None
    assert found.result.bone_age_months == 124.2


def test_of_an_interval_that_the_atlas_cuts_the_whole_side_counts(tmp_path: Path) -> None:
    finding = a_finding(bone_age_months=215.0, interval_months=(195.0, 216.0), age_months=200.0)
    assert read(built(finding), tmp_path).result.sd_months == pytest.approx(20 / Z_90)


def test_a_report_that_an_archive_made_its_own_is_still_ours(tmp_path: Path) -> None:
    report = built(a_finding())
    report.Manufacturer, report.DeviceSerialNumber = "Archive", "1"
    assert read(report, tmp_path).result.weights_version == WEIGHTS


def test_a_refusal_has_no_result() -> None:
    refusal = Refusal("no hand", "L", STARTED, WEIGHTS)
    assert read_report(build_refusal_report(a_source(), refusal, an_identity())) is None


def test_a_report_of_another_maker_is_not_read() -> None:
    report = built(a_finding())
    assert read_report(report) is not None
    report.Manufacturer = "Another"
    for item in report.ContributingEquipmentSequence:
        item.Manufacturer = "Another"
    assert read_report(report) is None


@pytest.mark.parametrize("day", ["", "20260231", "yesterday"])
def test_a_report_without_a_day_is_not_read(day: str) -> None:
    report = built(a_finding())
    assert read_report(report) is not None
    report["StudyDate"]._value = day  # as a file may have it
    assert read_report(report) is None


@pytest.mark.parametrize("number", ["-1", "NaN", "1E9", "ten"])
def test_a_bone_age_that_cannot_be_is_not_read(number: str) -> None:
    report = built(a_finding())
    assert read_report(report) is not None
    measured(report, v.BONE_AGE.value)["NumericValue"]._value = number
    assert read_report(report) is None


def test_a_bone_age_in_another_unit_is_not_read() -> None:
    report = built(a_finding())
    measured(report, v.BONE_AGE.value).MeasurementUnitsCodeSequence[0].CodeValue = "a"
    assert read_report(report) is None


def test_a_bone_age_without_its_interval_is_not_read() -> None:
    report = built(a_finding())
    measured(report, v.INTERVAL_LOWER.value).NumericValue = "124.2"
    measured(report, v.INTERVAL_UPPER.value).NumericValue = "124.2"
    assert read_report(report) is None


def test_an_empty_data_set_is_not_read() -> None:
    report = built(a_finding())
    del report.ContentSequence
    assert read_report(report) is None


def test_the_value_is_that_of_the_network_not_of_the_other_sex(tmp_path: Path) -> None:
    finding = replace(a_finding(**UNKNOWN))
    assert finding.estimate.by_sex == {"M": 130.2, "F": 125.1}
    assert read(built(finding), tmp_path).result.bone_age_months == 124.2
