"""The report in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from dicom_node.growth import Velocity
from dicom_node.report_text import age_words, headline, report_lines, report_text
from tests.samples import UNKNOWN, WEIGHTS, a_finding


def line(label: str, **changes: object) -> str:
    """Return what a report says under a label, with "(!)" behind a flag."""
    (found,) = [line for line in report_lines(a_finding(**changes)) if line.label == label]  # type: ignore[arg-type]
    return f"{found.text} (!)" if found.is_flag else found.text


@pytest.mark.parametrize(
    ("age_months", "words"),
    [
        (124.2, "10 y 4 m (124 months)"),
        (0.0, "0 y 0 m (0 months)"),
        (11.6, "1 y 0 m (12 months)"),
        (119.9, "10 y 0 m (120 months)"),
        (228.0, "19 y 0 m (228 months)"),
    ],
)
def test_an_age_is_years_and_months(age_months: float, words: str) -> None:
    assert age_words(age_months) == words


def test_the_whole_report_of_an_ordinary_finding() -> None:
    assert (
        report_text(a_finding())
        == f"""\
Bone age, left hand
Bone age 10 y 4 m (124 months), 90 % interval 108 to 139 months
Predictive SD      9.4 months
Chronological age  9 y 11 m (119 months)
Brush mean, SD     125.2, 11.7 months
Z-score            -0.08 to the Brush mean
Determination      normal
Sex recorded       female
Sex seen in image  female (97%), agrees
Method             Greulich-Pyle, TJ-Net
Weights            {WEIGHTS}
Research use only. Not for clinical diagnosis.
"""
    )


def test_what_was_done_to_the_image_stands_first_and_is_flagged() -> None:
    changes: dict[str, object] = {"inverted": True, "turned_deg": 270}
    lines = report_lines(a_finding(**changes))[:2]  # type: ignore[arg-type]

    assert [line.label for line in lines] == ["Image", "Image"]
    assert all(line.is_flag for line in lines)
    assert lines[0].text == "black and white were turned round"
    assert line("Image", turned_deg=90) == "turned by 90 degrees counter-clockwise (!)"


def test_views_are_named_where_more_than_one_is_averaged() -> None:
    assert line("Method") == "Greulich-Pyle, TJ-Net"
    assert line("Method", views=10) == "Greulich-Pyle, TJ-Net, mean of 10 views"


def test_an_age_is_counted_in_completed_months() -> None:
    assert line("Chronological age", age_months=119.97) == "9 y 11 m (119 months)"


def test_an_unknown_sex_has_both_estimates_and_no_z_score() -> None:
    finding = a_finding(**UNKNOWN)

    assert headline(finding).endswith(", sex not recorded")
    assert line("If male", **UNKNOWN) == "10 y 10 m (130 months)"
    assert line("If female", **UNKNOWN) == "10 y 5 m (125 months)"
    assert line("Z-score", **UNKNOWN) == "none: the sex is not recorded"
    assert line("Sex seen in image", **UNKNOWN) == "female (97%), not used"


def test_an_unknown_age_is_said() -> None:
    assert line("Chronological age", age_months=None) == "not recorded"
    assert line("Z-score", age_months=None) == "none: the age is not recorded"


def test_an_age_outside_the_table_is_indeterminate() -> None:
    assert line("Z-score", age_months=240.0) == "none: the Brush table spans 3 to 192 months"
    assert line("Determination", age_months=240.0) == "indeterminate: age outside the table"


def test_an_indeterminate_finding_says_why() -> None:
    words = line("Determination", bone_age_months=140.0, interval_months=(120.0, 160.0))

    assert words == "indeterminate: the interval crosses 2 SD"


@pytest.mark.parametrize(
    ("bone_age", "interval", "words"),
    [(160.0, (155.0, 165.0), "advanced (!)"), (90.0, (85.0, 95.0), "delayed (!)")],
)
def test_an_abnormal_growth_is_flagged(
    bone_age: float, interval: tuple[float, float], words: str
) -> None:
    assert line("Determination", bone_age_months=bone_age, interval_months=interval) == words


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (0.97, "male (97%), DISAGREES: check patient and image (!)"),
        (0.6, "male (60%), disagrees, but weakly"),
    ],
)
def test_a_sex_that_disagrees_is_a_flag_where_it_is_clear(probability: float, words: str) -> None:
    assert line("Sex seen in image", sex_seen="M", sex_probability=probability) == words


@pytest.mark.parametrize(
    ("interval", "is_flag"), [((-2.9, -0.1), True), ((3.1, 9.0), True), ((-1.0, 2.0), False)]
)
def test_a_growth_that_cannot_be_of_one_child_is_flagged(
    interval: tuple[float, float], is_flag: bool
) -> None:
    velocity = Velocity(sum(interval) / 2, interval, date(2022, 6, 1))
    finding = replace(a_finding(), velocity=velocity)

    (found,) = [line for line in report_lines(finding) if line.label == "Growth velocity"]
    assert found.is_flag is is_flag


@pytest.mark.parametrize(
    ("sex", "bone_age", "words"),
    [
        ("F", 203.0, "Bone age 16 y 11 m (203 months), 90 % interval 190 months or more"),
        ("F", 210.0, "Bone age at least 17 y 6 m (210 months), 90 % interval 190 months or more"),
        ("M", 210.0, "Bone age 17 y 6 m (210 months), 90 % interval 190 to 220 months"),
        ("M", 220.0, "Bone age at least 18 y 4 m (220 months), 90 % interval 190 to 220 months"),
    ],
)
def test_where_the_atlas_ends_a_bone_age_is_a_lower_bound(
    sex: str, bone_age: float, words: str
) -> None:
    finding = a_finding(
        sex=sex, sex_seen=sex, bone_age_months=bone_age, interval_months=(190.0, 220.0)
    )

    assert headline(finding) == words


def test_the_end_of_the_atlas_is_flagged() -> None:
    assert line("End of atlas", bone_age_months=210.0) == "18 years: a lower bound (!)"


@pytest.mark.parametrize(
    ("laterality", "title"),
    [("L", "left hand"), ("R", "right hand"), (None, "side not recorded")],
)
def test_the_side_is_named(laterality: str | None, title: str) -> None:
    finding = a_finding(laterality=laterality)  # type: ignore[arg-type]

    assert report_text(finding).startswith(f"Bone age, {title}\n")


@pytest.mark.parametrize("accuracy", [None, 0.53, 0.749])
def test_weights_that_cannot_tell_the_sex_say_nothing_of_it(accuracy: float | None) -> None:
    text = report_text(a_finding(sex="M", sex_seen="F", sex_accuracy=accuracy))
    assert "not said: these weights cannot tell" in text
    assert "disagrees" not in text.lower()


def test_a_calibration_is_named_where_there_is_one() -> None:
    assert line("Calibration", calibration="ward-0123456789ab").startswith("ward-0123456789ab")
    assert "Calibration" not in report_text(a_finding())
