"""The 90 % interval holds what it says, on errors of a known distribution."""

from __future__ import annotations

import numpy as np
import pytest

from models.tjnet.spread import cross_fitted_factors, fit_spread


def test_factors_of_nine_known_errors() -> None:
    error = np.array([1.0, -2, 3, -4, 5, -6, 7, -8, 9])
    fitted = fit_spread(error, np.ones(9))
    # (9 + 1) * 0.9 = 9: with nine images the largest score is the quantile.
    assert fitted.interval_factor == 9
    assert fitted.sd_factor == pytest.approx(np.sqrt(285 / 9))


def test_the_finite_sample_correction_takes_the_next_rank() -> None:
    error = np.arange(1.0, 101)
    # (100 + 1) * 0.9 = 90.9: the 91st of a hundred, not the 90th.
    assert fit_spread(error, np.ones(100)).interval_factor == 91


def test_the_score_is_relative_to_the_deviation() -> None:
    error, deviation = np.arange(1.0, 21), np.arange(1.0, 21)
    assert fit_spread(3 * error, deviation).interval_factor == pytest.approx(3)
    assert fit_spread(3 * error, deviation).sd_factor == pytest.approx(3)


def test_the_nominal_coverage_is_reached_on_other_images() -> None:
    generator = np.random.default_rng(4)
    deviation = generator.uniform(2, 20, 4000)
    error = generator.laplace(0, deviation)
    half = fit_spread(error[:2000], deviation[:2000]).interval_factor * deviation[2000:]
    # The SD of a share of 0.9 among 2000, fitted on as many, is about 0.0095.
    assert np.mean(np.abs(error[2000:]) <= half) == pytest.approx(0.9, abs=0.03)


def test_cross_fitting_never_looks_at_the_fold_itself() -> None:
    error, deviation = np.arange(1.0, 51), np.ones(50)
    before = cross_fitted_factors(error, deviation)
    assert len(np.unique(before)) > 1
    changed = error.copy()
    changed[17] = 1000.0
    after = cross_fitted_factors(changed, deviation)
    assert after[17] == before[17]
    assert (after != before).any()


def test_cross_fitted_coverage_is_honest() -> None:
    generator = np.random.default_rng(5)
    deviation = generator.uniform(2, 20, 3000)
    error = generator.normal(0, deviation)
    inside = np.abs(error) <= cross_fitted_factors(error, deviation) * deviation
    assert inside.mean() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(
    ("error", "deviation"),
    [
        (np.full(20, np.nan), np.ones(20)),
        (np.ones(20), np.zeros(20)),
        (np.ones(20), np.full(20, np.inf)),
        (np.ones(8), np.ones(8)),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    error: np.ndarray[tuple[int], np.dtype[np.float64]],
    deviation: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    with pytest.raises(ValueError, match=r"cannot be fitted|too few"):
        fit_spread(error, deviation)
