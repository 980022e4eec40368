"""A site's correction fitted: the lines, and the interval of corrected estimates.

**Lines.** reading = a + b x estimate by least squares, one for each sex where both have
`SEX_IMAGES`, else a common one; and one for the "unknown" input, through the same images with
their sex hidden.

**Interval.** An image's score is its error after correction by lines fitted without it, over the
half width that the weights' own interval has there. The conformal quantile of the scores (with
the finite-sample correction, as in `models.tjnet.spread`) scales the half width: by construction
the scaled interval holds at least 90 % of the images that were corrected without themselves. A
quantile above 1 widens the interval. One below 1 narrows it only as far as the images prove: to
the upper bound of the quantile's one-sided 97.5 % confidence, which is distribution-free (an
order statistic: the binomial law), and not at all where that bound reaches 1. With fewer than 36
images there is no such bound. The SD is scaled in the same way, by the root mean square of error
over SD and the bootstrap's bound of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from models.atlas import HIGHEST_MONTHS, LOWEST_MONTHS
from models.tjnet.calibration import Scale
from models.tjnet.evaluation.bootstrap import drawn_rows
from models.tjnet.line import Line, fit_line
from models.tjnet.network import SEX_INPUTS
from models.tjnet.spread import NOMINAL_COVERAGE, conformal_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

Values: TypeAlias = npt.NDArray[np.float64]

FEWEST_IMAGES = 50
SEX_IMAGES = 20
"""Each sex has a line of its own from so many images of each."""

NOT_NARROWER = 0.975
"""One-sided confidence that is asked for before an interval is narrowed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the weights alone say of some images, and what the site's reader said.

    Attributes
    ----------
    sex : ndarray of str
        (N,) "M" or "F" as recorded, or "unknown" for all: what the network was given.
    reading_months, estimate_months, sd_months, half_width_months : ndarray
        (N,) the reader's bone age; estimate, predictive SD, and half of the 90 % interval
        before the ends of the atlas clip it.
    """

    sex: npt.NDArray[np.str_]
    reading_months: Values
    estimate_months: Values
    sd_months: Values
    half_width_months: Values

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.sex)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Sample:
        """Return some of the images."""
        return Sample(
            self.sex[chosen],
            self.reading_months[chosen],
            self.estimate_months[chosen],
            self.sd_months[chosen],
            self.half_width_months[chosen],
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """Lines by recorded sex, and what they do to the spread."""

    lines: Mapping[str, Line]
    scale: Scale

    def corrected(self, sample: Sample) -> Values:
        """Return (N,) corrected estimates."""
        corrected = np.empty(len(sample))
        for sex, line in self.lines.items():
            rows = sample.sex == sex
            corrected[rows] = line.corrected(sample.estimate_months[rows])
        return np.clip(corrected, LOWEST_MONTHS, HIGHEST_MONTHS)


def has_line_of_its_own(sample: Sample) -> bool:
    """Return whether each sex has enough images for a line of its own."""
    return all(int((sample.sex == sex).sum()) >= SEX_IMAGES for sex in ("M", "F"))


def fit_sample(sample: Sample, *, by_sex: bool) -> Fit:
    """Fit lines and scales.

    Raises
    ------
    ValueError
        If the readings do not rise with the estimates, or there are too few images.
    """
    error = _left_out_errors(sample, by_sex=by_sex)
    scale = Scale(
        sd=_sd_scale(error / sample.sd_months),
        interval=_interval_scale(np.abs(error) / sample.half_width_months),
    )
    return Fit(_lines(sample, by_sex=by_sex), scale)


def _lines(sample: Sample, *, by_sex: bool) -> dict[str, Line]:
    """Return the line of each sex; the same one twice where it is common."""
    if not by_sex:
        return dict.fromkeys(("M", "F"), fit_line(sample.estimate_months, sample.reading_months))
    groups = {sex: sample.rows(sample.sex == sex) for sex in SEX_INPUTS if sex in sample.sex}
    return {
        sex: fit_line(group.estimate_months, group.reading_months) for sex, group in groups.items()
    }


def _left_out_errors(sample: Sample, *, by_sex: bool) -> Values:
    """Return (N,) the error of each image after correction by a line fitted without it."""
    errors = np.empty(len(sample))
    for row in range(len(sample)):
        # The line of the other sex is not needed: only this image's group is fitted anew.
        group = sample.sex == sample.sex[row] if by_sex else np.ones(len(sample), dtype=bool)
        group[row] = False
        line = fit_line(sample.estimate_months[group], sample.reading_months[group])
        corrected = float(line.corrected(float(sample.estimate_months[row])))
        errors[row] = np.clip(corrected, LOWEST_MONTHS, HIGHEST_MONTHS)
        errors[row] -= sample.reading_months[row]
    return errors


def _interval_scale(scores: Values) -> float:
    """Return the factor on the half width; below 1 only as far as the images prove it."""
    upper = _quantile_bound(scores)
    scale = max(conformal_quantile(scores), min(1.0, upper))
    # Rounded upwards: the quantile itself is to lie inside.
    return math.ceil(scale * 1e4) / 1e4


def _quantile_bound(scores: Values) -> float:
    """Return the upper confidence bound of the scores' 90 % quantile; infinite if there is none.

    The k-th smallest of n scores exceeds the quantile with the probability that fewer than k of
    n fall below it, which is binomial.
    """
    count = len(scores)
    below = 0.0
    for k in range(count):
        # In logarithms: among a thousand images the coefficients are larger than a float.
        ways = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        chance = k * math.log(NOMINAL_COVERAGE) + (count - k) * math.log(1 - NOMINAL_COVERAGE)
        below += math.exp(ways + chance)
        if below >= NOT_NARROWER:
            return float(np.sort(scores)[k])
    return math.inf


def _sd_scale(scores: Values) -> float:
    """Return the factor on the SD; below 1 only as far as the bootstrap admits it."""
    square = scores**2
    drawn = np.concatenate([square[rows].mean(axis=1) for rows in drawn_rows(len(square))])
    upper = math.sqrt(float(np.quantile(drawn, NOT_NARROWER)))
    return round(max(math.sqrt(float(square.mean())), min(1.0, upper)), 4)
