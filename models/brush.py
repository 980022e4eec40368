"""The children of the Brush Foundation: mean and SD of bone age by sex and chronological age.

The table is that of Greulich and Pyle's second edition (1959) as it is quoted in public. Its SDs
agree in four public sources; its means come from one alone. Plain values: no torch here.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

Normality = Literal["delayed", "normal", "advanced"]

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


def average_age(sex: str, bone_age_months: float) -> float | None:
    """Return the chronological age, in months, at which a bone age is the mean; else None.

    The inverse of the means of `brush_reference`: None for a bone age outside them.

    Parameters
    ----------
    sex : str
        "M" or "F"; any other value has no table.
    bone_age_months : float
        The means span 3.01 to 206.21 months for boys, 3.02 to 189.44 for girls.
    """
    rows = BRUSH.get(sex)
    if rows is None or not rows[0][1] <= bone_age_months <= rows[-1][1]:
        return None
    ages, means, _ = zip(*rows, strict=True)
    return float(np.interp(bone_age_months, means, ages))


def classify(z_score: float) -> Normality:
    """Return what a z-score to the Brush mean says by itself: normal up to `NORMAL_Z` SDs."""
    if z_score > NORMAL_Z:
        return "advanced"
    return "delayed" if z_score < -NORMAL_Z else "normal"
