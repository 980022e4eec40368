"""Where the Greulich-Pyle atlas begins and ends, as plain numbers: no torch here."""

from __future__ import annotations

from typing import Final

LOWEST_MONTHS: Final = 0.0
HIGHEST_MONTHS: Final = 228.0
"""The scale of a bone age: no estimate and no bound of an interval lies outside."""

CEILING_MONTHS: Final = {"M": 228.0, "F": 216.0, "unknown": 216.0}
"""Age of the atlas's last plate: 19 years for boys, 18 for girls; unknown sex takes the lower."""

LAST_STEP_MONTHS: Final = 12.0
"""The last plates lie a year apart: beyond the last but one, only 'at least' can be said."""


def clipped(months: float) -> float:
    """Return an age moved onto the scale."""
    return min(HIGHEST_MONTHS, max(LOWEST_MONTHS, months))


def is_at_ceiling(bone_age_months: float, sex: str) -> bool:
    """Return whether the bone age lies where the atlas ends, so that it is only a lower bound."""
    return bone_age_months >= CEILING_MONTHS[sex] - LAST_STEP_MONTHS


def reaches_ceiling(bound_months: float, sex: str) -> bool:
    """Return whether an upper bound reaches the atlas's last plate, so that it is open."""
    return bound_months >= CEILING_MONTHS[sex]
