"""Percentile bootstrap over images, by a fixed seed: the same scores give the same intervals.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

RESAMPLES = 2000
LARGEST_BLOCK = 1_000_000
"""Resampled rows held at once: 8 MB of indices."""

SEED = 0
CONFIDENCE_PERCENTILES = (2.5, 97.5)


def drawn_rows(n: int) -> Iterator[npt.NDArray[np.intp]]:
    """Yield blocks of (b, n) rows drawn with replacement, `RESAMPLES` in all."""
    generator = np.random.default_rng(SEED)
    block = max(1, LARGEST_BLOCK // n)
    for start in range(0, RESAMPLES, block):
        yield generator.integers(0, n, (min(block, RESAMPLES - start), n))


def resamples(n: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield blocks of (b, n) counts, `RESAMPLES` rows in all: how often each image was drawn."""
    for rows in drawn_rows(n):
        size = len(rows)
        drawn = rows + np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n)
        yield counts.reshape(size, n).astype(np.float64)


def percentile_interval(values: npt.NDArray[np.floating]) -> list[float] | None:
    """Return the 95 % interval of a statistic's resampled values, rounded.

    A resample on which the statistic is not defined (NaN) is left out; None if all are.
    """
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    return [round(float(bound), 4) for bound in np.percentile(defined, CONFIDENCE_PERCENTILES)]


def mean_interval(values: npt.NDArray[np.floating]) -> list[float] | None:
    """Return the 95 % interval of the mean of (n,) values, one an image."""
    n = len(values)
    means = np.concatenate([counts @ values / n for counts in resamples(n)])
    return percentile_interval(means)


def rounded(value: float | np.floating) -> float | None:
    """Return a value for people and JSON: four decimals say more than any sample can."""
    return round(float(value), 4) if math.isfinite(value) else None
