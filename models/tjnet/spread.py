"""From the softmax's SD to an honest spread: factors fitted on images not trained on.

The interval is split-conformal with the normalised score |error| / SD (Lei et al., "Distribution-
Free Predictive Inference for Regression", JASA 2018;113:1094-1111): whatever the network, a new
image exchangeable with the fitted ones lies within it with at least the nominal probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

NOMINAL_COVERAGE = 0.9
"""Share of readings that the interval is to hold."""

FOLDS = 5
SEED = 0


@dataclass(frozen=True, slots=True)
class Spread:
    """Factors on the softmax's SD.

    Attributes
    ----------
    sd_factor : float
        Gives the predictive SD: root mean square of error / softmax SD.
    interval_factor : float
        Gives the half width of the 90 % interval: the conformal quantile of |error| / softmax SD.
    """

    sd_factor: float
    interval_factor: float


def fit_spread(
    error_months: npt.NDArray[np.floating], softmax_sd_months: npt.NDArray[np.floating]
) -> Spread:
    """Fit both factors.

    Parameters
    ----------
    error_months, softmax_sd_months : ndarray
        (N,) estimate minus reading, and the SD of the softmax, of the same images.

    Raises
    ------
    ValueError
        If a value is not finite, an SD is not above zero, or there are too few images for
        the quantile: (N + 1) * 0.9 must not exceed N, so nine at least.
    """
    error, deviation = (np.asarray(v, dtype=float) for v in (error_months, softmax_sd_months))
    if not (np.isfinite(error).all() and np.isfinite(deviation).all() and (deviation > 0).all()):
        msg = "the spread cannot be fitted: an error or an SD is not finite, or an SD is zero"
        raise ValueError(msg)
    score = error / deviation
    rank = math.ceil((len(score) + 1) * NOMINAL_COVERAGE)
    if rank > len(score):
        msg = f"{len(score)} images are too few to fit a {NOMINAL_COVERAGE:.0%} interval"
        raise ValueError(msg)
    return Spread(
        sd_factor=float(np.sqrt(np.mean(score**2))),
        interval_factor=float(np.sort(np.abs(score))[rank - 1]),
    )


def cross_fitted_factors(
    error_months: npt.NDArray[np.floating], softmax_sd_months: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Return (N,) the interval factor for each image, fitted without it.

    Five folds by a fixed shuffle; each fold gets the factor of the other four, so that no image
    takes part in fitting the interval that it is held against.

    Raises
    ------
    ValueError
        As `fit_spread`, on four fifths of the images.
    """
    fold = np.random.default_rng(SEED).permutation(len(error_months)) % FOLDS
    factors = np.empty(len(error_months))
    for held_out in range(FOLDS):
        others = fold != held_out
        fitted = fit_spread(error_months[others], softmax_sd_months[others])
        factors[~others] = fitted.interval_factor
    return factors
