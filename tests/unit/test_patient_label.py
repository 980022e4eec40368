"""A patient as a page names them."""

from __future__ import annotations

import pytest

from dicom_node.patient_label import PatientLabel, patient_label, readable_name
from dicom_node.source_header import complete_header
from tests.samples import a_source


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^M^Dr^Jr", "Doe, Dr Jane M, Jr"),
        ("Anonymous", "Anonymous"),
        ("^Jane", "Jane"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou · 山田 太郎 · やまだ たろう"),
        ("=洪^吉洞=홍^길동", "洪 吉洞 · 홍 길동"),
        ("Doe ^ Jane^^^^^", "Doe, Jane"),
        ("==", ""),
        ("", ""),
    ],
)
def test_a_name_is_read_with_all_its_groups(name: str, readable: str) -> None:
    assert readable_name(name) == readable


def test_a_label_has_name_identifier_and_study_date() -> None:
    header = complete_header(a_source())

    assert patient_label(header) == PatientLabel("Doe, Jane", "P1", "2026-01-01")


def test_what_the_header_does_not_say_is_empty_and_a_header_that_says_nothing_has_none() -> None:
    no_date = complete_header(a_source(leave_out=("StudyDate",)))
    nothing = complete_header(a_source(leave_out=("PatientName", "PatientID", "StudyDate")))

    assert patient_label(no_date) == PatientLabel("Doe, Jane", "P1", "")
    assert patient_label(nothing) is None


def test_a_name_in_an_old_character_set_is_read() -> None:
    source = a_source(
        SpecificCharacterSet=["", "ISO 2022 IR 149"], PatientName="Hong^Gildong=洪^吉洞"
    )

    label = patient_label(complete_header(source))

    assert label is not None
    assert label.name == "Hong, Gildong · 洪 吉洞"


def test_attributes_with_more_values_than_they_may_have_are_read() -> None:
    source = a_source(
        PatientName=["Doe^Jane", "Roe^John"],
        PatientID=["P1", "P2"],
        StudyDate=["20260101", "20260102"],
    )

    label = patient_label(complete_header(source))

    assert label == PatientLabel("Doe, Jane / Roe, John", "P1\\P2", "")
