"""Bone age against the children of the Brush Foundation: mean, SD, z-score, determination.

The table is that of Greulich and Pyle's second edition (1959) as it is quoted in public. Its SDs
agree in four public sources; its means come from one alone.

The z-score is (bone age - Brush mean) / Brush SD. The other convention, (bone age -
chronological age) / Brush SD, differs from it by up to 0.66 SD, so every report names this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from models.estimate import Estimate

Determination = Literal["normal", "delayed", "advanced", "indeterminate"]

BRUSH: Final[dict[str, tuple[tuple[float, float, float], ...]]] = {
    "M": (
        (3, 3.01, 0.69),
        (6, 6.09, 1.13),
        (9, 9.56, 1.43),
        (12, 12.74, 1.97),
        (18, 19.36, 3.52),
        (24, 25.97, 3.92),
        (30, 32.40, 4.52),
        (36, 38.21, 5.08),
        (42, 43.89, 5.40),
        (48, 49.04, 6.66),
        (54, 56.00, 8.36),
        (60, 62.43, 8.79),
        (72, 75.46, 9.17),
        (84, 88.20, 8.91),
        (96, 101.38, 9.10),
        (108, 113.90, 9.00),
        (120, 125.68, 9.79),
        (132, 137.32, 10.09),
        (144, 148.82, 10.38),
        (156, 158.39, 10.44),
        (168, 170.02, 10.72),
        (180, 182.72, 11.32),
        (192, 195.32, 12.86),
        (204, 206.21, 13.05),
    ),
    "F": (
        (3, 3.02, 0.72),
        (6, 6.04, 1.16),
        (9, 9.05, 1.36),
        (12, 12.04, 1.77),
        (18, 18.22, 3.49),
        (24, 24.16, 4.64),
        (30, 30.96, 5.37),
        (36, 36.63, 5.97),
        (42, 43.50, 7.48),
        (48, 50.14, 8.98),
        (54, 60.06, 10.73),
        (60, 66.21, 11.65),
        (72, 78.50, 10.23),
        (84, 89.30, 9.64),
        (96, 100.66, 10.23),
        (108, 113.86, 10.74),
        (120, 125.66, 11.73),
        (132, 137.86, 11.94),
        (144, 149.62, 10.24),
        (156, 162.28, 10.67),
        (168, 174.25, 11.30),
        (180, 183.62, 9.23),
        (192, 189.44, 7.31),
    ),
}
"""By sex: chronological age, mean bone age and SD of it, all in months."""

NORMAL_Z: Final = 2.0
"""A bone age within this many SD of the mean is normal."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Where a bone age lies among children of the same sex and age.

    Attributes
    ----------
    mean_months : float
        Mean bone age of the Brush children of this sex and chronological age.
    sd_months : float
        SD of their bone ages: the spread of a population, not the error of the network.
    z_score : float
        (bone age - mean) / SD.
    determination : "normal", "delayed", "advanced" or "indeterminate"
        Indeterminate when the 90 % interval of the z-score straddles +2 or -2.
    """

    mean_months: float
    sd_months: float
    z_score: float
    determination: Determination


def brush_reference(sex: str, chronological_age_months: float) -> tuple[float, float] | None:
    """Return mean and SD in months, linear between rows; None outside the table.

    Parameters
    ----------
    sex : str
        "M" or "F"; any other value has no table.
    chronological_age_months : float
        Age at acquisition. The table spans 3 to 204 months for boys, 3 to 192 for girls.
    """
    rows = BRUSH.get(sex)
    if rows is None or not rows[0][0] <= chronological_age_months <= rows[-1][0]:
        return None
    ages, means, sds = zip(*rows, strict=True)
    return (
        float(np.interp(chronological_age_months, ages, means)),
        float(np.interp(chronological_age_months, ages, sds)),
    )


def assess_growth(estimate: Estimate, chronological_age_months: float | None) -> Growth | None:
    """Compare a bone age with the Brush children of the recorded sex and the same age.

    Parameters
    ----------
    estimate : Estimate
        Its ``sex`` chooses the table: the recorded sex, never the one seen in the image.
    chronological_age_months : float or None
        Age at acquisition.

    Returns
    -------
    Growth or None
        None for unknown sex or age, or an age outside the table.
    """
    if chronological_age_months is None:
        return None
    reference = brush_reference(estimate.sex, chronological_age_months)
    if reference is None:
        return None
    mean, sd = reference
    low, high = ((bound - mean) / sd for bound in estimate.interval_months)
    z_score = (estimate.bone_age_months - mean) / sd
    return Growth(mean, sd, z_score, determine(z_score, low, high))


def determine(z_score: float, low: float, high: float) -> Determination:
    """Return what a z-score says, given the bounds of its 90 % interval.

    An interval with +2 or -2 strictly inside it cannot tell normal from not normal.
    """
    if any(low < limit < high for limit in (-NORMAL_Z, NORMAL_Z)):
        return "indeterminate"
    if z_score > NORMAL_Z:
        return "advanced"
    return "delayed" if z_score < -NORMAL_Z else "normal"
