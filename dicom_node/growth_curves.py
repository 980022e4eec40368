"""What a growth chart shows, as numbers: the curves, and how far its axes go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.brush import BRUSH, NORMAL_Z

if TYPE_CHECKING:
    from collections.abc import Iterable

SPANS_YEARS: Final = ((3.0, 4), (18.5, 20))
"""A chart spans so many years if all that is on it lies below the first number."""

Curve = tuple[tuple[float, float, float, float], ...]
"""Chronological age, and the mean bone age less 2 SD, itself, and with 2 SD; all in months."""


def reference_curves(sex: str) -> dict[str, Curve]:
    """Return the curves of the Brush children by sex: of the recorded one, else of both."""
    sexes = [sex] if sex in BRUSH else list(BRUSH)
    return {
        name: tuple(
            (age, mean - NORMAL_Z * sd, mean, mean + NORMAL_Z * sd) for age, mean, sd in BRUSH[name]
        )
        for name in sexes
    }


def span_years(ages_months: Iterable[float]) -> int:
    """Return how far both axes go: an infant's chart is closer, and none ends before its child."""
    most = max(ages_months, default=SPANS_YEARS[-1][0] * 12) / 12
    fitting = (span for limit, span in SPANS_YEARS if most <= limit)
    # Even, as the numbers along the axes are.
    return next(fitting, max(SPANS_YEARS[-1][1], 2 * int(most / 2) + 2))


def tick_years(span: int) -> int:
    """Return how many years lie between two numbers along an axis."""
    return 1 if span == SPANS_YEARS[0][1] else 2
