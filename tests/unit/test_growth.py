"""z-scores to the Brush mean and determinations."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.growth import (
    EarlierResult,
    assess_growth,
    determine,
    growth_velocity,
)
from models.atlas import is_at_ceiling, reaches_ceiling
from models.brush import BRUSH
from tests.samples import an_estimate


def test_the_two_conventions_of_z_differ_by_at_most_what_the_module_says() -> None:
    differences = [abs(mean - age) / sd for rows in BRUSH.values() for age, mean, sd in rows]

    assert max(differences) == pytest.approx(0.66, abs=0.005)


def test_z_is_measured_from_the_brush_mean() -> None:
    estimate = an_estimate(sex="M", bone_age_months=135.47, interval_months=(130.0, 140.0))

    growth = assess_growth(estimate, 120.0)

    assert growth is not None
    assert growth.mean_months == 125.68
    assert growth.sd_months == 9.79
    assert growth.z_score == pytest.approx(1.0)
    assert growth.determination == "normal"


@pytest.mark.parametrize(
    ("changes", "age_months"),
    [({"sex": "unknown"}, 120.0), ({}, None), ({}, 240.0), ({}, -1.0), ({}, 2.0)],
)
def test_without_sex_age_or_row_there_is_no_growth(
    changes: dict[str, Any], age_months: float | None
) -> None:
    assert assess_growth(an_estimate(**changes), age_months) is None


@pytest.mark.parametrize(
    ("z_score", "low", "high", "expected"),
    [
        (0.0, -1.5, 1.5, "normal"),
        (0.0, -2.0, 2.0, "normal"),
        (2.5, 2.1, 2.9, "advanced"),
        (2.5, 2.0, 3.0, "advanced"),
        (-2.5, -3.0, -2.1, "delayed"),
        (-2.5, -3.0, -2.0, "delayed"),
        (1.0, -0.5, 2.01, "indeterminate"),
        (2.5, 1.9, 3.1, "indeterminate"),
        (-2.5, -4.0, -1.0, "indeterminate"),
        (0.0, -3.0, 3.0, "indeterminate"),
    ],
)
def test_an_interval_across_two_sd_is_indeterminate(
    z_score: float, low: float, high: float, expected: str
) -> None:
    assert determine(z_score, low, high) == expected


@given(
    age_months=st.floats(3, 192),
    bone_age=st.floats(0, 228),
    half=st.floats(0, 60),
    sex=st.sampled_from("MF"),
)
def test_a_determination_holds_over_the_whole_interval(
    age_months: float, bone_age: float, half: float, sex: str
) -> None:
    estimate = an_estimate(
        sex=sex, bone_age_months=bone_age, interval_months=(bone_age - half, bone_age + half)
    )

    growth = assess_growth(estimate, age_months)

    assert growth is not None
    low, high = ((b - growth.mean_months) / growth.sd_months for b in estimate.interval_months)
    if growth.determination == "indeterminate":
        assert _region(low) != _region(high)
    else:
        inside = np.linspace(low, high, 11)[1:-1]
        assert {_region(z) for z in inside} == {growth.determination}


def _region(z_score: float) -> str:
    if abs(z_score) <= 2:
        return "normal"
    return "advanced" if z_score > 0 else "delayed"


@pytest.mark.parametrize(("sex", "first_months"), [("M", 216.0), ("F", 204.0), ("unknown", 204.0)])
def test_beyond_the_last_plate_but_one_a_bone_age_is_a_lower_bound(
    sex: str, first_months: float
) -> None:
    assert is_at_ceiling(first_months, sex)
    assert not is_at_ceiling(first_months - 0.1, sex)
    assert reaches_ceiling(first_months + 12, sex)
    assert not reaches_ceiling(first_months + 11.9, sex)


def earlier(day: date, bone_age_months: float = 100.0) -> EarlierResult:
    """Return an earlier result."""
    return EarlierResult(day, None, bone_age_months, 9.0, "tjnet-test")


def test_the_velocity_is_years_of_bone_age_a_year_with_both_errors_in_its_interval() -> None:
    estimate = an_estimate(bone_age_months=124.0, sd_months=12.0)

    found = growth_velocity(estimate, date(2024, 6, 1), [earlier(date(2022, 6, 1))])

    assert found is not None
    assert found.years_per_year == pytest.approx(1.0, abs=0.001)
    # 1.645 x sqrt(9^2 + 12^2) months over two years.
    assert found.interval[1] - found.years_per_year == pytest.approx(1.645 * 15 / 24, abs=0.001)
    assert found.since == date(2022, 6, 1)


def test_the_velocity_is_since_the_latest_result_that_is_half_a_year_old() -> None:
    results = [earlier(date(2024, 5, 1)), earlier(date(2020, 1, 1)), earlier(date(2023, 11, 1))]

    found = growth_velocity(an_estimate(), date(2024, 6, 1), results)

    assert found is not None
    assert found.since == date(2023, 11, 1)


@pytest.mark.parametrize(
    ("day", "results"),
    [
        (None, [earlier(date(2020, 1, 1))]),
        (date(2024, 6, 1), []),
        (date(2024, 6, 1), [earlier(date(2024, 5, 1)), earlier(date(2025, 1, 1))]),
    ],
)
def test_there_is_no_velocity_without_two_days_far_enough_apart(
    day: date | None, results: list[EarlierResult]
) -> None:
    assert growth_velocity(an_estimate(), day, results) is None
