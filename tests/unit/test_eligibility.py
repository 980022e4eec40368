"""Which headers are assessed, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from dicom_node.config import EligibilitySection
from dicom_node.eligibility import reason_to_reject
from dicom_node.vocabulary import MANUFACTURER
from tests.builders import cr_header, items

RULES = EligibilitySection()


def reason(**values: Any) -> str | None:  # noqa: ANN401
    return reason_to_reject(cr_header(**values), RULES)


def code(meaning: str) -> list[Any]:
    return items(CodeValue="1", CodingSchemeDesignator="99X", CodeMeaning=meaning)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"SOPClassUID": DigitalXRayImageStorageForPresentation, "Modality": "DX"},
        {"SOPClassUID": DigitalXRayImageStorageForProcessing, "Modality": "DX"},
        {"Modality": ""},
        {"BodyPartExamined": "hand"},
        {"BodyPartExamined": "LEFT HAND"},
        {"BodyPartExamined": "L_HAND"},
        {"BodyPartExamined": "WRIST"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": code("Hand")},
        {"BodyPartExamined": "", "StudyDescription": "Bone age"},
        {"BodyPartExamined": "", "SeriesDescription": "HAND_PA"},
        {"BodyPartExamined": "EXTREMITY", "ProtocolName": "Knochenalter"},
        {"BodyPartExamined": "extremity", "ProtocolName": "Handgelenk links"},
        {"BodyPartExamined": "", "StudyDescription": "Âge osseux"},
        {"BodyPartExamined": "", "StudyDescription": "Edad ósea, muñeca"},
        {
            "BodyPartExamined": "",
            "StudyDescription": "左手 骨年齢",
            "SpecificCharacterSet": "ISO_IR 192",
        },
        {"BodyPartExamined": "", "ProcedureCodeSequence": code("XR hand bone age")},
        {
            "BodyPartExamined": "",
            "RequestAttributesSequence": items(ScheduledProcedureStepDescription="left hand"),
        },
        {"NumberOfFrames": "1"},
        {"NumberOfFrames": "01"},
        {"ViewPosition": "AP"},
        {"ViewPosition": ""},
        {"StudyDescription": "Bilateral hands"},
        {"PatientBirthDate": "", "PatientAge": ""},
        {"PatientBirthDate": "20030602", "StudyDate": "20230601"},
        {"Rows": 256, "Columns": 256},
        {"ImageType": ["DERIVED", "PRIMARY"]},
    ],
    ids=str,
)
def test_assessed(values: dict[str, Any]) -> None:
    assert reason(**values) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SOPClassUID": CTImageStorage}, "not a radiograph: neither Computed Radiography"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "Secondary Capture, and no route"),
        ({"Modality": "MG"}, "modality MG, not CR or DX"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
        ({"BodyPartExamined": "CHEST"}, "body part CHEST, not a hand"),
        ({"BodyPartExamined": "SHAND"}, "body part SHAND, not a hand"),
        ({"BodyPartExamined": "FOOT", "StudyDescription": "hand"}, "body part FOOT, not a hand"),
        ({"BodyPartExamined": None}, "no body part, and no description that names a hand"),
        ({"BodyPartExamined": "ARM"}, "body part ARM, and no description that names a hand"),
        (
            {"BodyPartExamined": "", "AnatomicRegionSequence": code("Knee")},
            "anatomic region Knee, not a hand",
        ),
        ({"ViewPosition": "LL"}, "view LL, not postero-anterior"),
        ({"ViewPosition": "OBLIQUE"}, "view OBLIQUE, not postero-anterior"),
        ({"SeriesDescription": "Hand LAT"}, "the description says 'lat'"),
        ({"SeriesDescription": "HAND_OBL"}, "the description says 'obl'"),
        ({"StudyDescription": "Scaphoid"}, "the description says 'scaphoid'"),
        ({"ViewCodeSequence": code("lateral projection")}, "the description says 'lateral'"),
        ({"NumberOfFrames": "2"}, "2 frames, not a single image"),
        ({"Rows": None}, "no image: Rows or Columns is missing"),
        ({"Columns": 0}, "no image: Rows or Columns is missing"),
        ({"Columns": 255}, "too small: 255 x 512 pixels, at least 256 a side"),
        ({"Rows": 10_001}, "too large: 512 x 10001 pixels, at most 10000 a side"),
        ({"PatientBirthDate": "20030530", "StudyDate": "20230601"}, "the patient is older than 20"),
        ({"PatientBirthDate": "", "PatientAge": "021Y"}, "the patient is older than 20 years"),
        ({"Manufacturer": MANUFACTURER}, "this is a result of this node"),
        (
            {"ContributingEquipmentSequence": items(Manufacturer=MANUFACTURER)},
            "this is a result of this node",
        ),
    ],
    ids=str,
)
def test_rejected(values: dict[str, Any], expected: str) -> None:
    found = reason(**values)
    assert found is not None
    assert found.startswith(expected)


def test_secondary_capture_where_a_route_takes_it() -> None:
    header = cr_header(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT")
    assert reason_to_reject(header, RULES, secondary_capture_allowed=True) is None


def test_the_rules_are_the_configurations() -> None:
    rules = EligibilitySection(
        hand_pattern="^L_HAND$",
        exclude_pattern="stress",
        oldest_years=5,
        smallest_side_px=600,
        unspecific_body_parts=["EXTREM"],
    )

    def found(**values: object) -> str | None:
        header = cr_header(**{"Rows": 600, "Columns": 600, "PatientBirthDate": "", **values})
        return reason_to_reject(header, rules)

    assert found(BodyPartExamined="L_HAND") is None
    assert found(BodyPartExamined="HAND") == "body part HAND, not a hand"
    assert found(BodyPartExamined="EXTREM", ProtocolName="l_hand") is None
    assert found(BodyPartExamined="L_HAND", SeriesDescription="lat") is None
    assert (
        found(BodyPartExamined="L_HAND", ProtocolName="Stress") == "the description says 'stress'"
    )
    assert found(BodyPartExamined="L_HAND", PatientAge="006Y") == (
        "the patient is older than 5 years"
    )
    assert str(found(BodyPartExamined="L_HAND", Rows=599)).startswith("too small: 600 x 599")


def test_no_reason_names_the_patient() -> None:
    for values in ({"Modality": "MG"}, {"BodyPartExamined": "FOOT"}, {"PatientAge": "099Y"}):
        found = reason(PatientBirthDate="", PatientName="Secret^Name", PatientID="S-1", **values)
        assert found is not None
        assert "Secret" not in found
        assert "S-1" not in found


@pytest.mark.parametrize("keyword", ["ProcedureCodeSequence", "RequestAttributesSequence"])
def test_a_code_of_the_procedure_stands_for_a_text(keyword: str) -> None:
    bone_age = items(CodeValue="24724-7", CodingSchemeDesignator="LN", CodeMeaning="XR views")
    ordered = (
        bone_age
        if keyword == "ProcedureCodeSequence"
        else items(RequestedProcedureCodeSequence=bone_age)
    )

    assert reason(BodyPartExamined="ARM") is not None
    assert reason(**{"BodyPartExamined": "ARM", keyword: ordered}) is None


def test_an_excluded_code_is_named() -> None:
    rules = EligibilitySection(exclude_procedure_codes=["37002^99X"])
    trauma = items(CodeValue="37002", CodingSchemeDesignator="99X", CodeMeaning="Hand")

    assert reason_to_reject(cr_header(ProcedureCodeSequence=trauma), rules) == (
        "the procedure code 37002^99X is excluded"
    )


@pytest.mark.parametrize(
    ("values", "is_wanted"),
    [
        ({}, False),
        ({"StudyDescription": "XR hand"}, False),
        ({"StudyDescription": "XR hand, bone age"}, True),
        ({"RequestAttributesSequence": items(RequestedProcedureDescription="Knochenalter")}, True),
        (
            {
                "ProcedureCodeSequence": items(
                    CodeValue="24724-7", CodingSchemeDesignator="LN", CodeMeaning="XR"
                )
            },
            True,
        ),
    ],
)
def test_only_what_was_ordered_where_the_rules_say_so(
    values: dict[str, Any], is_wanted: bool
) -> None:
    found = reason_to_reject(cr_header(**values), EligibilitySection(ordered_only=True))

    assert (found is None) == is_wanted
    assert is_wanted or "no order for a bone age" in str(found)


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("uid", ["", "abc", "1..2", "1.2.", "1." * 40 + "1", ["1.2", "1.3"], None])
def test_an_image_without_a_usable_uid_is_refused_by_name(keyword: str, uid: object) -> None:
    """A result could not refer to it; an admin's acceptance would end in a failed job."""
    assert reason(**{keyword: uid}) == f"{keyword} is missing or no UID"


def test_a_uid_with_leading_zeros_or_blanks_is_one() -> None:
    assert reason(StudyInstanceUID=" 1.2.840.010.1 ") is None
