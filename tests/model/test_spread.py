"""The 90 % interval holds what it says, on errors of a known distribution, at every age."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.tjnet.spread import Band, Spread, cross_fitted_factors, fit_spread

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


def one_age(count: int) -> Values:
    """Return estimates that are all alike: one band."""
    return np.full(count, 100.0)


def only_band(error: Values, deviation: Values) -> Band:
    (band,) = fit_spread(one_age(len(error)), error, deviation).bands
    return band


def test_factors_of_nine_known_errors() -> None:
    fitted = only_band(np.array([1.0, -2, 3, -4, 5, -6, 7, -8, 9]), np.ones(9))
    # (9 + 1) * 0.9 = 9: with nine images the largest score is the quantile.
    assert fitted.interval_factor == 9
    assert fitted.sd_factor == pytest.approx(np.sqrt(285 / 9), abs=1e-4)
    assert (fitted.from_months, fitted.to_months, fitted.n) == (0, 228, 9)
    assert fitted.centre_months == 100


def test_the_finite_sample_correction_takes_the_next_rank() -> None:
    # (100 + 1) * 0.9 = 90.9: the 91st of a hundred, not the 90th.
    assert only_band(np.arange(1.0, 101), np.ones(100)).interval_factor == 91


def test_the_score_is_relative_to_the_deviation() -> None:
    error, deviation = np.arange(1.0, 21), np.arange(1.0, 21)
    assert only_band(3 * error, deviation).interval_factor == pytest.approx(3)
    assert only_band(3 * error, deviation).sd_factor == pytest.approx(3)


def test_a_rounded_factor_still_holds_its_own_image() -> None:
    error = np.full(9, np.pi)
    assert only_band(error, np.ones(9)).interval_factor >= np.pi


def aged(count: int, seed: int) -> tuple[Values, Values, Values]:
    """Return estimates, errors, SDs; the older, the more the softmax underrates the error."""
    generator = np.random.default_rng(seed)
    estimate = generator.triangular(0, 150, 228, count)
    deviation = generator.uniform(2, 20, count)
    return estimate, generator.laplace(0, deviation * (0.5 + estimate / 228)), deviation


def test_every_band_has_its_images_and_together_they_are_the_scale() -> None:
    estimate, error, deviation = aged(1279, 1)
    spread = fit_spread(estimate, error, deviation)
    assert len(spread.bands) > 4
    assert all(band.n >= 100 for band in spread.bands)
    assert sum(band.n for band in spread.bands) == 1279
    borders = [(band.from_months, band.to_months) for band in spread.bands]
    assert (borders[0][0], borders[-1][1]) == (0, 228)
    assert all(before[1] == after[0] for before, after in pairwise(borders))
    found = np.bincount(spread.band_of(estimate))
    assert found.tolist() == [band.n for band in spread.bands]


@pytest.mark.parametrize(("count", "bands"), [(199, 1), (2000, 2)])
def test_few_images_are_one_band_and_a_border_needs_images_on_both_sides(
    count: int, bands: int
) -> None:
    estimate = np.random.default_rng(0).uniform(100, 119, count)
    spread = fit_spread(estimate, estimate - 110, np.ones(count))
    assert len(spread.bands) == bands


def test_the_ends_of_the_scale_lie_in_the_outer_bands() -> None:
    estimate = np.repeat([0.0, 228.0], 100)
    spread = fit_spread(estimate, np.ones(200), np.ones(200))
    assert [band.n for band in spread.bands] == [100, 100]


def test_factors_do_not_jump_at_a_border_and_stay_beyond_the_outer_centres() -> None:
    young, old = Band(0, 100, 80, 100, 1.0, 2.0), Band(100, 228, 160, 100, 3.0, 6.0)
    spread = Spread((young, old))
    assert spread.interval_factor(np.array([0.0, 80, 100, 120, 160, 228])).tolist() == [
        *(2, 2, 3, 4, 6, 6)
    ]
    assert float(spread.sd_factor(120.0)) == 2
    assert spread.band_of(np.array([99.9, 100.0])).tolist() == [0, 1]


def test_a_spread_comes_back_from_its_card() -> None:
    spread = fit_spread(*aged(500, 2))
    assert Spread.of(spread.to_dict()) == spread


def test_the_nominal_coverage_is_reached_on_other_images_young_and_old() -> None:
    estimate, error, deviation = aged(8000, 4)
    spread = fit_spread(estimate[:4000], error[:4000], deviation[:4000])
    half = spread.interval_factor(estimate[4000:]) * deviation[4000:]
    inside = np.abs(error[4000:]) <= half
    assert inside.mean() == pytest.approx(0.9, abs=0.02)
    young = estimate[4000:] < 90
    assert inside[young].mean() == pytest.approx(0.9, abs=0.035)
    # One factor for all ages would hold too many of the young and too few of the old.
    alone = only_band(error[:4000], deviation[:4000]).interval_factor
    assert np.mean((np.abs(error[4000:]) <= alone * deviation[4000:])[young]) > 0.94


def test_cross_fitting_never_looks_at_the_fold_itself() -> None:
    error, deviation = np.arange(1.0, 51), np.ones(50)
    before = cross_fitted_factors(one_age(50), error, deviation)
    assert len(np.unique(before)) > 1
    changed = error.copy()
    changed[17] = 1000.0
    after = cross_fitted_factors(one_age(50), changed, deviation)
    assert after[17] == before[17]
    assert (after != before).any()


def test_cross_fitted_coverage_is_honest() -> None:
    estimate, error, deviation = aged(3000, 5)
    inside = np.abs(error) <= cross_fitted_factors(estimate, error, deviation) * deviation
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("error", "deviation"),
    [
        (np.full(20, np.nan), np.ones(20)),
        (np.ones(20), np.zeros(20)),
        (np.ones(20), np.full(20, np.inf)),
        (np.ones(8), np.ones(8)),
        (np.ones(0), np.ones(0)),
    ],
)
def test_what_cannot_be_fitted_is_refused(error: Values, deviation: Values) -> None:
    with pytest.raises(ValueError, match=r"cannot be fitted|too few"):
        fit_spread(one_age(len(error)), error, deviation)
