"""Bone age against the children of the Brush Foundation: mean, SD, z-score, determination.

The table and where it comes from stand in `models.brush`.

The z-score is (bone age - Brush mean) / Brush SD. The other convention, (bone age -
chronological age) / Brush SD, differs from it by up to 0.66 SD, so every report names this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from models.brush import NORMAL_Z, brush_reference, classify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from models.estimate import Estimate

Determination = Literal["normal", "delayed", "advanced", "indeterminate"]

DAYS_PER_YEAR: Final = 365.2425
SHORTEST_YEARS: Final = 0.5
"""Nearer results give no velocity: two errors of the network would be most of it."""
Z_90: Final = 1.645
"""SDs to either bound of a 90 % interval."""


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
    return classify(z_score)


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """A bone age of the same patient from an earlier examination.

    Attributes
    ----------
    acquired_on : date
        The day of the radiograph.
    chronological_age_months : float or None
        The age on that day.
    bone_age_months, sd_months : float
        The answer and its predictive SD.
    weights_version : str
        What gave it.
    """

    acquired_on: date
    chronological_age_months: float | None
    bone_age_months: float
    sd_months: float
    weights_version: str


@dataclass(frozen=True, slots=True)
class Velocity:
    """How fast a bone age grew between two radiographs.

    Attributes
    ----------
    years_per_year : float
        Years of bone age a year of time.
    interval : tuple of float
        90 % interval from both predictive SDs, the two errors taken as independent. Those of
        one child are alike, so it is rather too wide.
    since : date
        The day of the earlier radiograph.
    """

    years_per_year: float
    interval: tuple[float, float]
    since: date


def growth_velocity(
    estimate: Estimate, acquired_on: date | None, earlier: Sequence[EarlierResult]
) -> Velocity | None:
    """Return the growth since the latest earlier result that is at least half a year old."""
    if acquired_on is None:
        return None
    for before in sorted(earlier, key=lambda result: result.acquired_on, reverse=True):
        years = (acquired_on - before.acquired_on).days / DAYS_PER_YEAR
        if years >= SHORTEST_YEARS:
            grown = (estimate.bone_age_months - before.bone_age_months) / 12 / years
            error = Z_90 * math.hypot(estimate.sd_months, before.sd_months) / 12 / years
            return Velocity(grown, (grown - error, grown + error), before.acquired_on)
    return None
