"""From the softmax's SD to an honest spread: factors fitted on images not trained on.

The interval is split-conformal with the normalised score |error| / SD (Lei et al., "Distribution-
Free Predictive Inference for Regression", JASA 2018;113:1094-1111), by bands of the estimate
(Mondrian: Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005, chapter 4):
a new image exchangeable with those of its band lies within the band's interval with at least the
nominal probability. The bands are of the estimate because at the bedside nothing else is known.

Between the centres of two bands the factors are interpolated, so that no interval jumps at a
border; what this does to the guarantee is measured on folds that took no part in the fit.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from models.atlas import HIGHEST_MONTHS, LOWEST_MONTHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

NOMINAL_COVERAGE = 0.9
"""Share of readings that the interval is to hold."""

BAND_MONTHS = 12.0
"""Bands begin as years of the estimate ..."""

BAND_IMAGES = 100
"""... and are merged, from the youngest up, until each holds so many images."""

FOLDS = 5
SEED = 0


@dataclass(frozen=True, slots=True)
class Band:
    """Factors on the softmax's SD in one band of the estimate.

    Attributes
    ----------
    from_months, to_months : float
        The band; the upper border lies outside.
    centre_months : float
        Median estimate of the fitted images: here the factors hold as they are.
    n : int
        Images it was fitted on.
    sd_factor : float
        Gives the predictive SD: root mean square of error / softmax SD.
    interval_factor : float
        Gives the half width of the 90 % interval: the conformal quantile of |error| / softmax SD.
    """

    from_months: float
    to_months: float
    centre_months: float
    n: int
    sd_factor: float
    interval_factor: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The bands, from the youngest up."""

    bands: tuple[Band, ...]

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Spread:
        """Return the spread that a card's ``spread``, or its ``unknown_sex``, describes.

        Raises
        ------
        ValueError, KeyError, TypeError
            If it has no bands, or one is not as `to_dict` writes it.
        """
        bands = tuple(Band(**band) for band in card["bands"])
        values = np.array([list(asdict(band).values()) for band in bands], dtype=float)
        if not bands or not np.isfinite(values).all() or (values[:, -2:] <= 0).any():
            msg = "its bands are not finite numbers with factors above zero"
            raise ValueError(msg)
        if (np.diff(values[:, 2]) <= 0).any():
            msg = "its bands do not rise"
            raise ValueError(msg)
        return cls(bands)

    def to_dict(self) -> dict[str, Any]:
        """Return the bands for a card."""
        return {"bands": [asdict(band) for band in self.bands]}

    def sd_factor(self, estimate_months: Values | float) -> Values:
        """Return the factor of the predictive SD at each estimate."""
        return self._between(estimate_months, [band.sd_factor for band in self.bands])

    def interval_factor(self, estimate_months: Values | float) -> Values:
        """Return the factor of the interval's half width at each estimate."""
        return self._between(estimate_months, [band.interval_factor for band in self.bands])

    def band_of(self, estimate_months: Values) -> npt.NDArray[np.intp]:
        """Return (N,) the index of each estimate's band."""
        borders = [band.from_months for band in self.bands[1:]]
        return np.searchsorted(borders, estimate_months, side="right")

    def _between(self, estimate_months: Values | float, factors: list[float]) -> Values:
        """Interpolate between the bands' centres; beyond the outer ones the factors stay."""
        centres = [band.centre_months for band in self.bands]
        return np.asarray(np.interp(estimate_months, centres, factors), dtype=float)


def conformal_quantile(scores: Values) -> float:
    """Return the score that a new one stays below with the nominal probability.

    Raises
    ------
    ValueError
        If there are too few: (N + 1) * 0.9 must not exceed N, so nine at least.
    """
    rank = math.ceil((len(scores) + 1) * NOMINAL_COVERAGE)
    if rank > len(scores):
        msg = f"{len(scores)} images are too few to fit a {NOMINAL_COVERAGE:.0%} interval"
        raise ValueError(msg)
    return float(np.sort(scores)[rank - 1])


def fit_spread(
    estimate_months: npt.NDArray[np.floating],
    error_months: npt.NDArray[np.floating],
    softmax_sd_months: npt.NDArray[np.floating],
) -> Spread:
    """Fit the factors of every band; with fewer than 200 images there is one band.

    Parameters
    ----------
    estimate_months, error_months, softmax_sd_months : ndarray
        (N,) the estimate, estimate minus reading, and the SD of the softmax, of the same images.

    Raises
    ------
    ValueError
        If a value is not finite, an SD is not above zero, or there are fewer than nine images.
    """
    estimate, error, deviation = (
        np.asarray(values, dtype=float)
        for values in (estimate_months, error_months, softmax_sd_months)
    )
    if not (np.isfinite([estimate, error, deviation]).all() and (deviation > 0).all()):
        msg = "the spread cannot be fitted: a value is not finite, or an SD is zero"
        raise ValueError(msg)
    score = error / deviation
    borders = _borders(estimate)
    bands = []
    for low, high in pairwise(borders):
        rows = (estimate >= low) & ((estimate < high) | (high == HIGHEST_MONTHS))
        bands.append(_band(low, high, estimate[rows], score[rows]))
    return Spread(tuple(bands))


def _band(low: float, high: float, estimate: Values, score: Values) -> Band:
    """Return a band fitted on its images."""
    # Before the median, which has no answer for none.
    quantile = conformal_quantile(np.abs(score))
    return Band(
        from_months=low,
        to_months=high,
        centre_months=round(float(np.median(estimate)), 2),
        n=len(score),
        sd_factor=round(float(np.sqrt(np.mean(score**2))), 4),
        # Rounded upwards: the quantile itself is to lie inside.
        interval_factor=math.ceil(quantile * 1e4) / 1e4,
    )


def _borders(estimate: Values) -> list[float]:
    """Return the bands' borders: years, merged until each band has its images."""
    years = np.arange(LOWEST_MONTHS, HIGHEST_MONTHS + 1, BAND_MONTHS).tolist()
    inner: list[float] = []
    for border in years[1:-1]:
        since = inner[-1] if inner else LOWEST_MONTHS
        below = np.count_nonzero((estimate >= since) & (estimate < border))
        above = np.count_nonzero(estimate >= border)
        if min(below, above) >= BAND_IMAGES:
            inner.append(border)
    return [LOWEST_MONTHS, *inner, HIGHEST_MONTHS]


def folds_of(count: int, folds: int = FOLDS) -> npt.NDArray[np.intp]:
    """Return (count,) the fold of each image, by a fixed shuffle; the folds are of equal size."""
    return np.random.default_rng(SEED).permutation(count) % folds


def cross_fitted_factors(
    estimate_months: npt.NDArray[np.floating],
    error_months: npt.NDArray[np.floating],
    softmax_sd_months: npt.NDArray[np.floating],
) -> Values:
    """Return (N,) the interval factor for each image, fitted without it.

    Each fold gets the bands and factors of the other four, so that no image takes part in
    fitting the interval that it is held against.

    Raises
    ------
    ValueError
        As `fit_spread`, on four fifths of the images.
    """
    fold = folds_of(len(error_months))
    factors = np.empty(len(error_months))
    for held_out in range(FOLDS):
        others = fold != held_out
        fitted = fit_spread(
            estimate_months[others], error_months[others], softmax_sd_months[others]
        )
        factors[~others] = fitted.interval_factor(np.asarray(estimate_months[~others], dtype=float))
    return factors
