"""The growth chart of a job as numbers for an SVG: the page draws it, a table says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from dicom_node.growth import EarlierResult
from dicom_node.growth_curves import Curve, reference_curves, span_years, tick_years

WIDTH, HEIGHT = 640, 430
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 12, 54
"""Around the axes, for the numbers and their names; in the SVG's own units."""

SEXES: Final = {"M": "boys", "F": "girls"}


@dataclass(frozen=True, slots=True)
class Tick:
    """A number along both axes: where on either, and what it says."""

    x: float
    y: float
    years: int


@dataclass(frozen=True, slots=True)
class Reference:
    """The children of one sex: the line of their mean, and the band of ±2 SD, as SVG paths."""

    sex: str
    name: str
    mean: str
    band: str


@dataclass(frozen=True, slots=True)
class Point:
    """One result.

    Attributes
    ----------
    x, y : float
        Where it lies.
    acquired_on : str
        The day of the radiograph.
    age_months, bone_age_months : float
        What it says.
    interval : tuple of float or None
        The bounds of its 90 % interval on the chart, upper first; None where they are not kept.
    interval_months : tuple of float or None
        The same in months, lower first.
    is_this : bool
        Whether it is the job's own.
    """

    x: float
    y: float
    acquired_on: str
    age_months: float
    bone_age_months: float
    interval: tuple[float, float] | None = None
    interval_months: tuple[float, float] | None = None
    is_this: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """A whole chart; see `chart_of`."""

    ticks: tuple[Tick, ...]
    references: tuple[Reference, ...]
    points: tuple[Point, ...]
    line: str
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a number of months lies."""

    span_months: float

    def x(self, months: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * months / self.span_months, 1)

    def y(self, months: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * months / self.span_months, 1)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        places = (f"{self.x(age)},{self.y(bone_age)}" for age, bone_age in points)
        return "M" + " L".join(places) if points else ""


def chart_of(finding: Mapping[str, Any] | None, earlier: Sequence[EarlierResult]) -> Chart | None:
    """Return the chart of a finding, as the database keeps it.

    Parameters
    ----------
    finding : mapping or None
        See `dicom_node.results.finding_values`.
    earlier : sequence of EarlierResult
        Of the same patient; those not before the finding's day are left out, as its report does.

    Returns
    -------
    Chart or None
        None where there is no bone age, or no age that it could be drawn at.
    """
    if not finding or finding.get("bone_age_months") is None:
        return None
    age = finding.get("chronological_age_months")
    known = _before(finding.get("acquired_on"), earlier)
    if age is None and not known:
        return None
    own_interval = finding.get("interval_months")
    ages = [value for result in known for value in _place(result)]
    if age is not None:
        ages += [age, finding["bone_age_months"], *(own_interval or ())]
    years = span_years(ages)
    scale = _Scale(12 * years)
    points = [_earlier_point(scale, result) for result in known]
    if age is not None:
        points.append(_own_point(scale, finding, age, own_interval))
    curves = reference_curves(str(finding.get("sex", "")))
    return Chart(
        ticks=tuple(
            Tick(scale.x(12 * tick), scale.y(12 * tick), tick)
            for tick in range(0, years + 1, tick_years(years))
        ),
        references=tuple(_reference(scale, sex, curve) for sex, curve in curves.items()),
        points=tuple(points),
        line=scale.path([(point.age_months, point.bone_age_months) for point in points]),
    )


def _before(day: str | None, earlier: Sequence[EarlierResult]) -> list[EarlierResult]:
    """Return the earlier results that have a place on the chart, oldest first."""
    if not day:
        return []
    until = date.fromisoformat(day)
    return [
        result
        for result in earlier
        if result.acquired_on < until and result.chronological_age_months is not None
    ]


def _place(result: EarlierResult) -> tuple[float, float]:
    return result.chronological_age_months or 0.0, result.bone_age_months


def _earlier_point(scale: _Scale, result: EarlierResult) -> Point:
    age, bone_age = _place(result)
    return Point(scale.x(age), scale.y(bone_age), result.acquired_on.isoformat(), age, bone_age)


def _own_point(
    scale: _Scale, finding: Mapping[str, Any], age: float, interval: Sequence[float] | None
) -> Point:
    bone_age = finding["bone_age_months"]
    return Point(
        x=scale.x(age),
        y=scale.y(bone_age),
        acquired_on=finding.get("acquired_on") or "",
        age_months=age,
        bone_age_months=bone_age,
        interval=(scale.y(interval[1]), scale.y(interval[0])) if interval else None,
        interval_months=(interval[0], interval[1]) if interval else None,
        is_this=True,
    )


def _reference(scale: _Scale, sex: str, curve: Curve) -> Reference:
    """Return the paths of one sex."""
    upper = [(age, high) for age, _, _, high in curve]
    lower = [(age, low) for age, low, _, _ in reversed(curve)]
    mean = [(age, mean) for age, _, mean, _ in curve]
    return Reference(sex, SEXES[sex], scale.path(mean), scale.path([*upper, *lower]) + " Z")
