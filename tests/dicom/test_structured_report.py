"""The structured report, read back and put before the validators that others use."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pydicom
import pytest
from highdicom.sr import MeasurementReport, MeasurementsAndQualitativeEvaluations, srread
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node import vocabulary as v
from dicom_node.header import read_header
from dicom_node.identity import ReferencedInstance, device_uid, tracking_uid
from dicom_node.structured_report import build_structured_report
from tests.samples import (
    INSTANCE,
    SERIES,
    STARTED,
    STUDY,
    TYPE_2,
    UNKNOWN,
    WEIGHTS,
    a_dx_source,
    a_finding,
    a_source,
    an_identity,
    read_back,
    written,
)
from tests.validators import dcentvfy, dciodvfy, dsrdump, pixelmed_sr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dicom_node.finding import Finding

pytestmark = pytest.mark.usefixtures("strict_writing")

OLD = ReferencedInstance(
    sop_class_uid=Comprehensive3DSRStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)


def a_code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a code as a sequence item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def a_report(source: Dataset | None = None, finding: Finding | None = None) -> Dataset:
    """Return the report of a finding in a source, both ordinary where they are not given."""
    return build_structured_report(source or a_source(), finding or a_finding(), an_identity())


def items(root: Dataset, name: Code) -> Iterator[Dataset]:
    """Yield the content items of a name, wherever they are."""
    for item in root.get("ContentSequence", []):
        concept = item.ConceptNameCodeSequence[0]
        if (concept.CodeValue, concept.CodingSchemeDesignator) == (
            name.value,
            name.scheme_designator,
        ):
            yield item
        yield from items(item, name)


def number(report: Dataset, name: Code) -> float:
    """Return the value of the only NUM of a name."""
    (item,) = items(report, name)
    return float(item.MeasuredValueSequence[0].NumericValue)


def value(report: Dataset, name: Code) -> str:
    """Return the code value of the only CODE of a name."""
    (item,) = items(report, name)
    return str(item.ConceptCodeSequence[0].CodeValue)


def texts(report: Dataset, name: Code) -> list[str]:
    """Return the TEXT items of a name."""
    return [item.TextValue for item in items(report, name)]


def group_of(path: Path) -> MeasurementsAndQualitativeEvaluations:
    """Return the only measurement group, as highdicom reads it."""
    content = srread(path).content
    assert isinstance(content, MeasurementReport)
    (group,) = content.get_image_measurement_groups()
    assert isinstance(group, MeasurementsAndQualitativeEvaluations)
    return group


# --- header --------------------------------------------------------------------------------


def test_it_is_a_complete_preliminary_unverified_comprehensive_3d_sr() -> None:
    report = a_report()

    assert report.SOPClassUID == report.file_meta.MediaStorageSOPClassUID
    assert report.SOPClassUID == Comprehensive3DSRStorage
    assert report.Modality == "SR"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert report.CompletionFlag == "COMPLETE"
    assert report.PreliminaryFlag == "PRELIMINARY"
    assert report.VerificationFlag == "UNVERIFIED"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert report.SeriesDescription == v.SR_SERIES_DESCRIPTION
    assert len(report.SeriesDescription) <= 64


def test_it_lies_in_the_study_of_the_source_in_a_series_of_its_own() -> None:
    identity = an_identity(series_number=77, instance_number=3)

    report = build_structured_report(a_source(), a_finding(), identity)

    assert report.StudyInstanceUID == STUDY
    assert report.SeriesInstanceUID == identity.series_instance_uid
    assert report.SOPInstanceUID == identity.sop_instance_uid
    assert report.file_meta.MediaStorageSOPInstanceUID == identity.sop_instance_uid
    assert (report.SeriesNumber, report.InstanceNumber) == (77, 3)
    assert report.PatientName == "Doe^Jane"
    assert report.PatientID == "P1"
    assert report.StudyDescription == "XR hand"
    assert "ViewPosition" not in report


def test_content_time_is_when_the_analysis_started_in_the_zone_of_the_source() -> None:
    report = a_report(a_source(TimezoneOffsetFromUTC="+0530"))

    assert str(report.ContentDate) == "20260304"
    assert str(report.ContentTime) == "103607"
    assert report.TimezoneOffsetFromUTC == "+0530"


def test_without_a_zone_content_time_is_local() -> None:
    report = a_report()
    local = STARTED.astimezone()

    assert str(report.ContentDate) == f"{local:%Y%m%d}"
    assert str(report.ContentTime) == f"{local:%H%M%S}"
    assert "TimezoneOffsetFromUTC" not in report


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    identity = an_identity()
    first, second = (
        written(
            build_structured_report(a_source(), a_finding(), identity), tmp_path / f"{n}.dcm"
        ).read_bytes()
        for n in (1, 2)
    )

    assert first == second


def test_every_referenced_instance_is_evidence() -> None:
    (study,) = a_report().CurrentRequestedProcedureEvidenceSequence

    assert study.StudyInstanceUID == STUDY
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [INSTANCE]


def test_the_algorithm_is_contributing_equipment_as_ihe_air_says() -> None:
    identity = an_identity()

    report = build_structured_report(a_source(), a_finding(), identity)

    acquisition, algorithm = report.ContributingEquipmentSequence
    purpose = algorithm.PurposeOfReferenceCodeSequence[0]
    assert (purpose.CodeValue, purpose.CodingSchemeDesignator) == ("Newcode1", "99IHE")
    assert purpose.CodeMeaning == "Processing Algorithm"
    assert algorithm.Manufacturer == report.Manufacturer == v.MANUFACTURER
    assert algorithm.ManufacturerModelName == v.MODEL_NAME
    assert algorithm.SoftwareVersions == ["0.1.0", WEIGHTS]
    assert algorithm.DeviceUID == identity.device_uid
    assert acquisition.Manufacturer == "Maker"


def test_a_source_without_manufacturer_leaves_the_algorithm_alone() -> None:
    report = a_report(a_source(leave_out=("Manufacturer",)))

    assert len(report.ContributingEquipmentSequence) == 1


def test_the_device_uid_changes_with_weights_and_software() -> None:
    uids = {device_uid(w, s) for w in ("a", "b") for s in ("1", "2")}

    assert len(uids) == 4
    assert device_uid("a", "1") in uids
    assert all(uid.startswith("2.25.") and len(uid) <= 64 for uid in uids)


def test_a_calibration_changes_the_device_uid_and_only_if_there_is_one() -> None:
    assert device_uid("a", "1", None) == device_uid("a", "1")
    assert len({device_uid("a", "1", c) for c in (None, "ward-1", "ward-2")}) == 3


def test_calibration_and_views_are_parameters_and_the_calibration_is_software() -> None:
    calibration = "ward-0123456789ab"
    finding = a_finding(calibration=calibration, views=2)
    identity = an_identity(calibration=calibration)

    report = build_structured_report(a_source(), finding, identity)
    plain = build_structured_report(a_source(), a_finding(), an_identity())

    texts, plain_texts = (
        [element.value for element in one.iterall() if element.keyword == "TextValue"]
        for one in (report, plain)
    )
    assert f"calibration: {calibration}" in texts
    assert "views: 2" in texts
    assert not any("calibration" in text or "views" in text for text in plain_texts)
    (*_, algorithm) = report.ContributingEquipmentSequence
    assert algorithm.SoftwareVersions == ["0.1.0", WEIGHTS, calibration]
    assert report.SoftwareVersions == algorithm.SoftwareVersions


def test_the_private_schemes_are_declared_and_those_of_the_source_kept() -> None:
    scheme = Dataset()
    scheme.CodingSchemeDesignator = "99HOSP"
    scheme.CodingSchemeName = "Codes of the hospital"
    source = a_source(
        ProcedureCodeSequence=[a_code("HAND", "99HOSP", "Hand")],
        CodingSchemeIdentificationSequence=[scheme],
    )

    declared = a_report(source).CodingSchemeIdentificationSequence

    assert [i.CodingSchemeDesignator for i in declared] == ["99BONEAGE", "99IHE", "99HOSP"]


def test_orders_are_named_where_they_are_known() -> None:
    order = Dataset()
    order.RequestedProcedureID = "RP1"
    order.RequestedProcedureDescription = "Bone age"
    order.RequestedProcedureCodeSequence = [a_code("BA", "99HOSP", "Bone age")]

    (request,) = a_report(a_source(RequestAttributesSequence=[order])).ReferencedRequestSequence

    assert request.AccessionNumber == "A1"
    assert request.RequestedProcedureID == "RP1"
    assert request.RequestedProcedureCodeSequence[0].CodeValue == "BA"
    assert request.StudyInstanceUID == STUDY


def test_without_order_and_accession_there_is_no_request() -> None:
    report = a_report(a_source(leave_out=("AccessionNumber",)))

    assert "ReferencedRequestSequence" not in report
    assert report.PerformedProcedureCodeSequence == []
    assert report.ReferencedPerformedProcedureStepSequence == []


def test_a_rerun_names_its_predecessor() -> None:
    report = build_structured_report(a_source(), a_finding(), an_identity(), predecessors=[OLD])

    (study,) = report.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    (instance,) = series.ReferencedSOPSequence
    assert study.StudyInstanceUID == STUDY
    assert series.SeriesInstanceUID == OLD.series_instance_uid
    assert instance.ReferencedSOPInstanceUID == OLD.sop_instance_uid
    assert "PredecessorDocumentsSequence" not in a_report()


# --- tree ----------------------------------------------------------------------------------


def test_the_measurement_group_reads_back_with_highdicom(tmp_path: Path) -> None:
    group = group_of(written(a_report(), tmp_path / "sr.dcm"))

    assert group.tracking_uid == tracking_uid(STUDY, "L")
    assert group.tracking_identifier == "Bone age, left hand"
    (site,) = group.finding_sites
    assert site.value == v.HAND
    assert site.laterality == v.LATERALITY["L"]
    (bone_age,) = group.get_measurements(v.BONE_AGE)
    assert bone_age.value == 124.2
    assert bone_age.unit == v.MONTH
    assert bone_age.method == v.GREULICH_PYLE
    assert bone_age.qualifier is None
    (z_score,) = group.get_measurements(v.Z_SCORE)
    assert z_score.value == pytest.approx(-0.08)
    assert z_score.method == v.Z_CONVENTION
    (sex,) = group.get_qualitative_evaluations(v.SEX_SEEN)
    assert sex.value == v.SEX["F"]
    assert [image.referenced_sop_instance_uid for image in group.source_images] == [INSTANCE]


def test_every_number_stands_in_the_group() -> None:
    report = a_report()

    assert number(report, v.BONE_AGE) == 124.2
    assert number(report, v.INTERVAL_LOWER) == 108.1
    assert number(report, v.INTERVAL_UPPER) == 139.4
    assert number(report, v.SUBJECT_AGE) == 119.5
    assert number(report, v.POPULATION_MEAN) == pytest.approx(125.17, abs=0.01)
    assert number(report, v.POPULATION_SD) == pytest.approx(11.69, abs=0.01)
    assert number(report, v.SEX_PROBABILITY) == 0.97
    assert value(report, v.QUALITY) == "111237"
    assert value(report, v.SEX_SEEN) == "F"


def test_a_report_is_silent_on_the_sex_that_the_weights_cannot_tell() -> None:
    report = a_report(finding=a_finding(sex_accuracy=0.53))
    assert not list(items(report, v.SEX_SEEN))
    assert not list(items(report, v.SEX_PROBABILITY))


@pytest.mark.parametrize(
    ("bone_age", "interval", "code"),
    [
        (124.2, (108.1, 139.4), "17621005"),
        (160.0, (155.0, 165.0), "371879000"),
        (90.0, (85.0, 95.0), "371880002"),
        (140.0, (120.0, 160.0), "371934000"),
    ],
)
def test_the_determination_is_coded(
    bone_age: float, interval: tuple[float, float], code: str
) -> None:
    finding = a_finding(bone_age_months=bone_age, interval_months=interval)

    assert value(a_report(finding=finding), v.NORMALITY) == code


def test_an_age_outside_the_table_is_indeterminate_without_a_z_score() -> None:
    report = a_report(finding=a_finding(age_months=240.0))

    assert value(report, v.NORMALITY) == "371934000"
    assert not list(items(report, v.Z_SCORE))
    assert number(report, v.SUBJECT_AGE) == 240.0


def test_without_an_age_there_is_neither_age_nor_z_score_nor_determination() -> None:
    report = a_report(finding=a_finding(age_months=None))

    absent = (v.SUBJECT_AGE, v.Z_SCORE, v.POPULATION_MEAN, v.POPULATION_SD, v.NORMALITY)
    assert not [name for name in absent if list(items(report, name))]


def test_an_unknown_sex_has_three_named_bone_ages_and_no_z_score() -> None:
    report = a_report(finding=a_finding(**UNKNOWN))

    assert number(report, v.BONE_AGE) == 124.2
    assert number(report, v.BONE_AGE_BY_SEX["M"]) == 130.2
    assert number(report, v.BONE_AGE_BY_SEX["F"]) == 125.1
    assert not list(items(report, v.Z_SCORE))
    assert not list(items(report, v.NORMALITY))
    assert "sex given to the network: unknown" in "".join(
        item.get("TextValue", "") for item in items(report, Code("111002", "DCM", ""))
    )


def test_at_the_end_of_the_atlas_no_number_is_bare() -> None:
    finding = a_finding(bone_age_months=210.0, interval_months=(195.0, 222.0))
    report = a_report(finding=finding)

    for name in (v.BONE_AGE, v.INTERVAL_UPPER):
        (item,) = items(report, name)
        assert item.NumericValueQualifierCodeSequence[0].CodeValue == "114009"
    (lower,) = items(report, v.INTERVAL_LOWER)
    assert "NumericValueQualifierCodeSequence" not in lower
    assert "at least 17 y 6 m (210 months)" in texts(report, v.COMMENT)[0]


def test_the_comments_are_the_answer_in_words_and_the_marking() -> None:
    assert texts(a_report(), v.COMMENT) == [
        "Bone age 10 y 4 m (124 months), 90 % interval 108 to 139 months",
        "Determination: normal",
        "Research use only. Not for clinical diagnosis.",
    ]


def test_whatever_the_page_flags_is_a_comment() -> None:
    """A viewer that shows the tree alone must not hide that the sexes disagree."""
    finding = a_finding(sex_seen="M", sex_probability=0.97)

    said = texts(a_report(finding=finding), v.COMMENT)

    assert "Sex seen in image: male (97%), DISAGREES: check patient and image" in said


def test_what_was_done_to_the_image_is_a_comment() -> None:
    report = a_report(finding=a_finding(inverted=True, turned_deg=180))
    assert texts(report, v.COMMENT)[1:-2] == [
        "Image: black and white were turned round",
        "Image: turned by 180 degrees counter-clockwise",
    ]


@pytest.mark.parametrize(("laterality", "code"), [("L", "7771000"), ("R", "24028007")])
def test_the_hand_has_its_side(laterality: str, code: str) -> None:
    report = a_report(finding=a_finding(laterality=laterality))  # type: ignore[arg-type]

    (site,) = items(report, Code("363698007", "SCT", ""))
    assert site.ContentSequence[0].ConceptCodeSequence[0].CodeValue == code


def test_a_side_that_nobody_recorded_is_not_written() -> None:
    report = a_report(finding=a_finding(laterality=None))

    (site,) = items(report, Code("363698007", "SCT", ""))
    assert "ContentSequence" not in site
    assert tracking_uid(STUDY, None) != tracking_uid(STUDY, "L") != tracking_uid(STUDY, "R")


def test_the_image_library_describes_the_source() -> None:
    report = a_report(a_source(ImagerPixelSpacing=["0.1", "0.2"]))

    assert value(report, v.MODALITY) == "CR"
    assert (number(report, v.ROWS), number(report, v.COLUMNS)) == (32, 24)
    assert texts(report, v.ROW_ORIENTATION) == ["L"]
    assert texts(report, v.COLUMN_ORIENTATION) == ["F"]
    assert number(report, v.VERTICAL_SPACING) == 0.1
    assert number(report, v.HORIZONTAL_SPACING) == 0.2


def test_what_the_source_does_not_say_is_not_in_the_library() -> None:
    source = a_source(leave_out=("PatientOrientation", "ImagerPixelSpacing"))

    report = a_report(source)

    absent = (v.ROW_ORIENTATION, v.COLUMN_ORIENTATION, v.VERTICAL_SPACING, v.HORIZONTAL_SPACING)
    assert not [name for name in absent if list(items(report, name))]


@pytest.mark.parametrize(
    ("codes", "reported"),
    [
        ([a_code("241062004", "SCT", "Radiography of hand")], ["241062004"]),
        ([a_code("H1", "99HOSP", "Hand"), a_code("H2", "99HOSP", "Age")], ["H1", "H2"]),
        ([a_code("24724-7", "LN", "XR Hand bone age")], ["363679005"]),
        ([a_code("H3", "99HOSP", "Hand " * 12 + "hand")], ["H3"]),
        ([], ["363679005"]),
    ],
)
def test_the_procedure_is_that_of_the_source(codes: list[Dataset], reported: list[str]) -> None:
    report = a_report(a_source(ProcedureCodeSequence=codes))

    procedures = items(report, Code("121058", "DCM", ""))
    assert [item.ConceptCodeSequence[0].CodeValue for item in procedures] == reported
    performed = report.PerformedProcedureCodeSequence
    assert [item.CodeValue for item in performed] == [code.CodeValue for code in codes]


def test_a_heatmap_is_named_and_is_evidence() -> None:
    heatmap = a_source(
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID="1.2.3.8.1",
        SeriesInstanceUID="1.2.3.8",
    )

    report = build_structured_report(a_source(), a_finding(), an_identity(), heatmap=heatmap)

    (image,) = items(report, v.VISUAL_EXPLANATION)
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.8.1"
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    series = {item.SeriesInstanceUID for item in study.ReferencedSeriesSequence}
    assert series == {SERIES, "1.2.3.8"}


# --- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GB18030", "乗^太郎"),  # its second byte is a backslash
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_a_name_in_any_character_set_is_intact_in_the_report(
    charset: str | list[str], name: str, tmp_path: Path
) -> None:
    source = a_source(SpecificCharacterSet=charset, PatientName=name)
    source = read_back(source, tmp_path / "source.dcm")

    path = written(a_report(source), tmp_path / "sr.dcm")

    assert str(pydicom.dcmread(path).PatientName) == name
    assert name.encode("utf-8") in path.read_bytes()
    assert dciodvfy(path) == []
    assert name in dsrdump(path)


def test_a_name_of_one_component_is_kept_and_warned_of_nowhere() -> None:
    assert a_report(a_source(PatientName="Anonymous")).PatientName == "Anonymous"


def test_an_identifier_that_is_too_long_is_still_the_same_identifier(tmp_path: Path) -> None:
    source = a_source()
    with disable_value_validation():
        source["PatientID"] = DataElement("PatientID", "LO", "0123456789" * 8)
        source["AccessionNumber"] = DataElement("AccessionNumber", "SH", "A" * 30)
    path = written(a_report(source), tmp_path / "sr.dcm")

    with disable_value_validation():
        report = pydicom.dcmread(path)
        assert report.PatientID == "0123456789" * 8
        assert report.AccessionNumber == "A" * 30


# --- validators ----------------------------------------------------------------------------

SOURCES: dict[str, Callable[[], Dataset]] = {
    "whole CR": a_source,
    "DX, right hand": a_dx_source,
    "nothing of type 2": lambda: a_source(
        leave_out=(
            *TYPE_2,
            "ImagerPixelSpacing",
            "SpecificCharacterSet",
        )
    ),
    "all of type 2 empty": lambda: a_source(
        PatientName="",
        PatientID="",
        PatientBirthDate="",
        PatientSex="",
        StudyDate="",
        StudyTime="",
        StudyID="",
        AccessionNumber="",
        ReferringPhysicianName="",
        Manufacturer="",
        PatientOrientation="",
    ),
    "sex U": lambda: a_source(PatientSex="U"),
    "sex O": lambda: a_source(PatientSex="O"),
    "only an age": lambda: a_source(leave_out=("PatientBirthDate",)),
    "orders and codes": lambda: a_source(
        ProcedureCodeSequence=[a_code("241062004", "SCT", "Radiography of hand")],
        RequestAttributesSequence=[a_code("1", "99X", "not an order")],
        StudyDescription="H" * 64,
        PatientSize="1.4",
        PatientWeight="32.5",
    ),
    "a Secondary Capture": lambda: a_source(
        SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"
    ),
}

FINDINGS: dict[str, Callable[[], Finding]] = {
    "left": a_finding,
    "right": lambda: a_finding(laterality="R"),
    "no side": lambda: a_finding(laterality=None),
    "unknown sex": lambda: a_finding(**UNKNOWN),
    "unknown age": lambda: a_finding(age_months=None),
    "age beyond the table": lambda: a_finding(age_months=300.0),
    "new-born": lambda: a_finding(age_months=0.0, bone_age_months=0.4, interval_months=(0, 6.0)),
    "end of the atlas": lambda: a_finding(bone_age_months=214.0, interval_months=(200.0, 228.0)),
    "sexes disagree": lambda: a_finding(sex_seen="M"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_report_on_any_source_is_valid(name: str, tmp_path: Path) -> None:
    path = written(a_report(SOURCES[name]()), tmp_path / "sr.dcm")

    assert dciodvfy(path) == []
    assert "Imaging Measurement Report" in dsrdump(path)
    assert group_of(path).get_measurements(v.BONE_AGE)


@pytest.mark.parametrize("name", FINDINGS)
def test_a_report_of_any_finding_is_valid(name: str, tmp_path: Path) -> None:
    path = written(a_report(finding=FINDINGS[name]()), tmp_path / "sr.dcm")

    assert dciodvfy(path) == []
    assert "XR Bone age" in dsrdump(path)


@pytest.mark.parametrize("finding", [a_finding(), a_finding(**UNKNOWN)], ids=["girl", "unknown"])
def test_a_report_follows_its_template(finding: Finding, tmp_path: Path) -> None:
    heatmap = a_source(
        SOPClassUID=SecondaryCaptureImageStorage,
        SOPInstanceUID="1.2.3.8.1",
        SeriesInstanceUID="1.2.3.8",
    )
    report = build_structured_report(
        a_source(), finding, an_identity(), predecessors=[OLD], heatmap=heatmap
    )

    assert pixelmed_sr(written(report, tmp_path / "sr.dcm")) == []


def test_a_report_is_consistent_with_its_source(tmp_path: Path) -> None:
    source = a_source()

    assert (
        dcentvfy(
            written(source, tmp_path / "source.dcm"), written(a_report(source), tmp_path / "sr.dcm")
        )
        == []
    )


def test_an_archive_without_3d_gets_a_comprehensive_sr(tmp_path: Path) -> None:
    report = build_structured_report(
        a_source(), a_finding(), an_identity(), sop_class_uid=ComprehensiveSRStorage
    )
    path = written(report, tmp_path / "sr.dcm")

    assert report.SOPClassUID == ComprehensiveSRStorage
    assert dciodvfy(path) == []
    assert "Comprehensive SR Document" in dsrdump(path)


def test_no_other_kind_of_report_is_made() -> None:
    with pytest.raises(KeyError):
        build_structured_report(
            a_source(), a_finding(), an_identity(), sop_class_uid=SecondaryCaptureImageStorage
        )


def test_a_moment_later_is_another_report() -> None:
    later = a_finding()
    object.__setattr__(later, "started_at", STARTED + timedelta(hours=1))

    assert a_report(finding=later).ContentTime != a_report().ContentTime


# --- careless sources ------------------------------------------------------------------------


def test_an_orientation_of_one_side_gives_one_item() -> None:
    report = a_report(a_source(PatientOrientation=["L", ""]))

    assert texts(report, v.ROW_ORIENTATION) == ["L"]
    assert texts(report, v.COLUMN_ORIENTATION) == []


@pytest.mark.parametrize("spacing", [["0", "0"], ["-1", "-1"], ["0.15", "0"]])
def test_a_spacing_that_is_none_is_not_reported(spacing: list[str]) -> None:
    assert list(items(a_report(a_source(ImagerPixelSpacing=spacing)), v.VERTICAL_SPACING)) == []


def test_a_procedure_with_a_long_code_is_reported() -> None:
    procedure = Dataset()
    procedure.LongCodeValue, procedure.CodingSchemeDesignator = "L" * 20, "99HERE"
    procedure.CodeMeaning = "Hand"

    report = a_report(a_source(ProcedureCodeSequence=[procedure]))

    (reported,) = items(report, Code("121058", "DCM", "Procedure reported"))
    assert reported.ConceptCodeSequence[0].LongCodeValue == "L" * 20
    assert report.PerformedProcedureCodeSequence[0].LongCodeValue == "L" * 20


def test_a_guessed_character_set_is_said_in_a_comment(tmp_path: Path) -> None:
    path = written(a_source(PatientName="Mueller^Joerg"), tmp_path / "source.dcm")
    content = path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 192")
    path.write_bytes(content.replace(b"Mueller", "Mü lle".encode("latin-1") + b"r"))
    source = read_header(path)

    report = a_report(source)

    assert report.PatientName == "Mü ller^Joerg"
    assert [line for line in texts(report, v.COMMENT) if "Latin-1, which is a guess" in line]
    assert dciodvfy(written(report, tmp_path / "sr.dcm")) == []
