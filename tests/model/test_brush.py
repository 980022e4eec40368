"""The Brush table, its interpolation and its inverse."""

from __future__ import annotations

import pytest

from models.brush import BRUSH, average_age, brush_reference, classify


@pytest.mark.parametrize(
    ("sex", "age_months", "mean", "sd"),
    [
        ("M", 3, 3.01, 0.69),
        ("M", 120, 125.68, 9.79),
        ("M", 204, 206.21, 13.05),
        ("F", 3, 3.02, 0.72),
        ("F", 54, 60.06, 10.73),
        ("F", 192, 189.44, 7.31),
    ],
)
def test_a_row_of_the_table_is_returned_as_printed(
    sex: str, age_months: float, mean: float, sd: float
) -> None:
    assert brush_reference(sex, age_months) == (mean, sd)


def test_between_two_rows_the_reference_is_linear() -> None:
    mean, sd = brush_reference("M", 123) or (0, 0)

    assert mean == pytest.approx(125.68 + (137.32 - 125.68) / 4)
    assert sd == pytest.approx(9.79 + (10.09 - 9.79) / 4)


@pytest.mark.parametrize(
    ("sex", "age_months"),
    [("M", 2.99), ("M", 204.01), ("F", 192.01), ("F", 0), ("F", -5), ("unknown", 120), ("O", 120)],
)
def test_outside_the_table_there_is_no_reference(sex: str, age_months: float) -> None:
    assert brush_reference(sex, age_months) is None


@pytest.mark.parametrize("sex", ["M", "F"])
def test_the_table_grows_with_age(sex: str) -> None:
    ages = [age for age, _, _ in BRUSH[sex]]
    means = [mean for _, mean, _ in BRUSH[sex]]

    assert ages == sorted(set(ages))
    assert means == sorted(set(means))


@pytest.mark.parametrize("sex", ["M", "F"])
def test_the_average_age_of_a_mean_is_its_row(sex: str) -> None:
    assert [average_age(sex, mean) for _, mean, _ in BRUSH[sex]] == [
        pytest.approx(age) for age, _, _ in BRUSH[sex]
    ]


def test_between_two_means_the_average_age_is_linear() -> None:
    # Halfway between 125.68 and 137.32 months, the means of 120 and 132.
    assert average_age("M", 131.5) == pytest.approx(126)


@pytest.mark.parametrize(
    ("sex", "bone_age_months"),
    [("M", 3), ("M", 206.3), ("F", 189.5), ("F", 0), ("unknown", 120)],
)
def test_outside_the_means_nobody_is_average(sex: str, bone_age_months: float) -> None:
    assert average_age(sex, bone_age_months) is None


@pytest.mark.parametrize(
    ("z_score", "expected"),
    [(0, "normal"), (2, "normal"), (-2, "normal"), (2.01, "advanced"), (-2.01, "delayed")],
)
def test_two_sd_from_the_mean_is_still_normal(z_score: float, expected: str) -> None:
    assert classify(z_score) == expected
