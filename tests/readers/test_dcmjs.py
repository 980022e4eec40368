"""dcmjs, which viewers on the web read with, reads the phantom's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node import vocabulary as v
from tests.readers.dcmjs import Item, read_report

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

    from tests.readers.study import PhantomStudy


@pytest.fixture(scope="module")
def items(study: PhantomStudy) -> list[Item]:
    """Return the content items."""
    return read_report(study.report)[0]


def only(items: list[Item], name: Code) -> Item:
    """Return the only item of a name."""
    (found,) = [item for item in items if item.is_named(name)]
    return found


def as_list(code: Code) -> list[str]:
    return [code.value, code.scheme_designator, code.meaning]


def test_the_root_is_an_imaging_measurement_report(items: list[Item]) -> None:
    assert (items[0].depth, items[0].type) == (0, "CONTAINER")
    assert items[0].is_named(v.IMAGING_MEASUREMENT_REPORT)


def test_the_numbers_are_those_that_the_node_found(items: list[Item], study: PhantomStudy) -> None:
    lower, upper = study.finding["interval_months"]
    expected = {
        v.BONE_AGE: study.finding["bone_age_months"],
        v.INTERVAL_LOWER: lower,
        v.INTERVAL_UPPER: upper,
        v.SUBJECT_AGE: study.finding["chronological_age_months"],
    }
    for name, months in expected.items():
        item = only(items, name)
        assert item.value["number"] == pytest.approx(months, abs=0.051)
        assert item.value["unit"][:2] == as_list(v.MONTH)[:2]
    assert only(items, v.Z_SCORE).value["number"] == pytest.approx(
        study.finding["z_score"], abs=0.0051
    )


def test_the_codes_arrive(items: list[Item]) -> None:
    after_bone_age = items[items.index(only(items, v.BONE_AGE)) + 1]
    assert after_bone_age.value == as_list(v.GREULICH_PYLE)
    assert only(items, v.QUALITY).value == as_list(v.QUALITY_MET)
    assert as_list(v.HAND) in [item.value for item in items]
    assert as_list(v.LATERALITY["L"]) in [item.value for item in items]


def test_the_marking_arrives(items: list[Item]) -> None:
    assert v.RESEARCH_USE in [item.value for item in items if item.is_named(v.COMMENT)]


def test_its_reader_of_measurement_reports_takes_the_report(study: PhantomStudy) -> None:
    """It looks for what a viewer drew, and we draw nothing with a viewer's tools."""
    _, tools = read_report(study.report)
    assert tools
    assert not any(tools.values())
