"""The growth chart: the child's bone ages over the mean and ±2 SD of the Brush children."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from PIL import Image

from dicom_node import growth_curves
from dicom_node.fonts import faces
from dicom_node.sheet import FAINT, INK, PAPER, RULE
from models.atlas import reaches_ceiling
from models.brush import BRUSH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dicom_node.finding import Finding
    from dicom_node.sheet import Colour

SEX_COLOURS: Final[dict[str, Colour]] = {"M": (122, 170, 255), "F": (122, 170, 255)}
BOTH_COLOURS: Final[dict[str, Colour]] = {"M": (122, 170, 255), "F": (90, 205, 165)}
"""Of the curve of the recorded sex; of both where it is unknown."""

LEFT, RIGHT, TOP, BOTTOM = 21.0, 8.0, 6.0, 19.0
"""Around the axes, in units: room for the numbers."""

POINTS_PER_INCH: Final = 72


def curves(finding: Finding) -> dict[str, Colour]:
    """Return the sexes whose children are drawn: the recorded one, both where it is unknown."""
    sex = finding.estimate.sex
    return {sex: SEX_COLOURS[sex]} if sex in BRUSH else dict(BOTH_COLOURS)


def earlier_points(finding: Finding) -> list[tuple[float, float]]:
    """Return age and bone age, in months, of the earlier results whose age is known."""
    return [
        (earlier.chronological_age_months, earlier.bone_age_months)
        for earlier in finding.earlier
        if earlier.chronological_age_months is not None
    ]


def draw_chart(finding: Finding, size_px: tuple[int, int], unit_px: float) -> Image.Image:
    """Return the chart, (width, height) large, with numbers along its axes and no words.

    Parameters
    ----------
    finding : Finding
        Its estimate, its age, the earlier results; a result without an age has no point.
    size_px : tuple of int
        Width and height.
    unit_px : float
        Pixels of a unit: lines, points and numbers are as large as on the rest of the page.
    """
    # So that matplotlib's point is our unit, and nobody's matplotlibrc has a say.
    with mpl.rc_context(mpl.rcParamsDefault):
        dpi = POINTS_PER_INCH * unit_px
        inches = size_px[0] / dpi, size_px[1] / dpi
        figure = Figure(figsize=inches, dpi=dpi, facecolor=_rgb(PAPER))
        canvas = FigureCanvasAgg(figure)
        axes = _axes(figure, (size_px[0] / unit_px, size_px[1] / unit_px), _span_years(finding))
        for sex, colour in curves(finding).items():
            _curve(axes, sex, colour, is_faint=finding.estimate.sex not in BRUSH)
        _points(axes, finding)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return Image.fromarray(pixels[..., :3]).resize(size_px)


def _span_years(finding: Finding) -> int:
    """Return how far both axes go."""
    ages = [age for point in earlier_points(finding) for age in point]
    if finding.chronological_age_months is not None:
        ages += [finding.chronological_age_months, finding.estimate.interval_months[1]]
    return growth_curves.span_years(ages)


def _axes(figure: Figure, size: tuple[float, float], span_years: int) -> Axes:
    """Return axes in years, with a quiet grid."""
    width, height = size
    box = (
        LEFT / width,
        BOTTOM / height,
        (width - LEFT - RIGHT) / width,
        (height - TOP - BOTTOM) / height,
    )
    axes = figure.add_axes(box, facecolor=_rgb(PAPER))
    step = growth_curves.tick_years(span_years)
    ticks = range(0, span_years + 1, step)
    numbers = FontProperties(fname=faces()[0].path, size=12)
    axes.set_xlim(0, span_years)
    axes.set_ylim(0, span_years)
    axes.set_xticks(ticks, [str(tick) for tick in ticks], fontproperties=numbers)
    # Lines every two years, numbers every four: a chart may be low.
    named = [str(tick) if step == 1 or tick % 4 == 0 else "" for tick in ticks]
    axes.set_yticks(ticks, named, fontproperties=numbers)
    axes.tick_params(length=0, pad=4, labelcolor=_rgb(FAINT))
    axes.grid(color=_rgb(RULE), linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[:].set_color(_rgb(RULE))
    return axes


def _curve(axes: Axes, sex: str, colour: Colour, *, is_faint: bool) -> None:
    """Draw mean and ±2 SD of the Brush children of one sex, as far as the table goes."""
    ages, low, means, high = np.asarray(growth_curves.reference_curves(sex)[sex]).T / 12
    ink, style = _rgb(colour), "--" if is_faint and sex == "F" else "-"
    axes.fill_between(ages, low, high, color=ink, alpha=0.08 if is_faint else 0.16, linewidth=0)
    for edge in (low, high):
        axes.plot(ages, edge, style, color=ink, alpha=0.5 if is_faint else 0.75, linewidth=0.9)
    axes.plot(ages, means, style, color=ink, alpha=0.75 if is_faint else 1, linewidth=1.6)


def _points(axes: Axes, finding: Finding) -> None:
    """Draw the earlier points, this child's with its interval, and the line that joins them."""
    points = earlier_points(finding)
    if points:
        x, y = np.asarray(points).T / 12
        axes.plot(x, y, "o", **_point(5.5, PAPER), clip_on=False)
    age_months = finding.chronological_age_months
    if age_months is not None:
        points = [*points, (age_months, finding.estimate.bone_age_months)]
        _now(axes, finding, age_months / 12)
    if len(points) > 1:
        x, y = np.asarray(points).T / 12
        axes.plot(x, y, color=_rgb(INK), linewidth=1.0, zorder=2.5)


def _now(axes: Axes, finding: Finding, age_years: float) -> None:
    """Draw this child's point and its interval: an arrow where that is open."""
    estimate = finding.estimate
    age, (low, high) = estimate.bone_age_months / 12, (m / 12 for m in estimate.interval_months)
    is_open = reaches_ceiling(estimate.interval_months[1], estimate.sex)
    axes.plot([age_years] * 2, [low, high], color=_rgb(INK), linewidth=1.6, zorder=4)
    for bound, mark in ((low, "_"), (high, "^" if is_open else "_")):
        size = 5 if mark == "^" else 8
        axes.plot(
            age_years, bound, mark, ms=size, mew=1.6, color=_rgb(INK), zorder=4, clip_on=False
        )
    axes.plot(age_years, age, "o", **_point(7, INK), clip_on=False)


def _point(size: float, fill: Colour) -> dict[str, Any]:
    """Return how a point looks; a rim of paper would hide the line behind it."""
    return {
        "ms": size,
        "mfc": _rgb(fill),
        "mec": _rgb(INK),
        "mew": 1.4,
        "zorder": 5,
    }


def _rgb(colour: Colour) -> tuple[float, float, float]:
    """Return a colour as matplotlib takes it."""
    red, green, blue = (level / 255 for level in colour)
    return red, green, blue
