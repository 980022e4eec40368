"""A straight line from estimates to readings, and how far chance may have bent it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.tjnet.evaluation.bootstrap import drawn_rows

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """reading = a + b x estimate, between the lowest and the highest fitted estimate.

    Attributes
    ----------
    a_months, b : float
        Intercept and slope.
    from_months, to_months : float
        The estimates it was fitted on. Beyond them nothing is known, so the correction of the
        nearer end is kept.
    """

    a_months: float
    b: float
    from_months: float
    to_months: float

    def correction(self, estimate_months: Values | float) -> Values:
        """Return what is added to each estimate, in months."""
        within = np.clip(estimate_months, self.from_months, self.to_months)
        return np.asarray(self.a_months + (self.b - 1) * within, dtype=float)

    def corrected(self, estimate_months: Values | float) -> Values:
        """Return each estimate corrected, in months; not clipped to the atlas."""
        return np.asarray(estimate_months, dtype=float) + self.correction(estimate_months)


def fit_line(estimate_months: Values, reading_months: Values) -> Line:
    """Return the line of least squares.

    Raises
    ------
    ValueError
        If the estimates are all alike, or the readings do not rise with them: such readings
        and pictures do not belong together.
    """
    centred = estimate_months - estimate_months.mean()
    spread = float((centred**2).sum())
    slope = float((centred * reading_months).sum()) / spread if spread > 0 else 0.0
    if slope <= 0:
        msg = f"the readings of {len(estimate_months)} images do not rise with the estimates"
        raise ValueError(msg)
    return Line(
        a_months=float(reading_months.mean() - slope * estimate_months.mean()),
        b=slope,
        from_months=float(estimate_months.min()),
        to_months=float(estimate_months.max()),
    )


def resampled_lines(estimate_months: Values, reading_months: Values) -> tuple[Values, Values]:
    """Return intercept and slope of the lines through images drawn with replacement.

    A draw in which all estimates are alike has no line and is left out.

    Returns
    -------
    a_months, b : ndarray
        (R,), R at most `bootstrap.RESAMPLES`; by a fixed seed.
    """
    a_months, slopes = [], []
    for rows in drawn_rows(len(estimate_months)):
        x, y = estimate_months[rows], reading_months[rows]
        centre = x.mean(axis=1, keepdims=True)
        spread = ((x - centre) ** 2).sum(axis=1)
        with_line = spread > 0
        slope = ((x - centre) * y).sum(axis=1)[with_line] / spread[with_line]
        slopes.append(slope)
        a_months.append(y.mean(axis=1)[with_line] - slope * centre[with_line, 0])
    return np.concatenate(a_months), np.concatenate(slopes)
