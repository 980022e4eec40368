"""Plots as SVG, drawn by the server in the style of the page: classes, no colours, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from markupsafe import Markup

WIDTH_PX: Final = 360
WIDE_PX: Final = 540
HEIGHT_PX: Final = 190
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 44, 8, 10, 26
LABELS: Final = 5
"""At most so many words along the horizontal axis."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Counts over time.

    Attributes
    ----------
    labels : sequence of str
        What the horizontal axis says of each bar.
    values : sequence of int
        Heights.
    """

    labels: Sequence[str]
    values: Sequence[int]


@dataclass(frozen=True, slots=True)
class Line:
    """A line over time, broken where there is no value."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Box:
    """Quartiles; None where there is nothing."""

    lower: float | None
    middle: float | None
    upper: float | None
    title: str


class _Frame:
    """An empty plot with its axes: turns values into pixels."""

    def __init__(
        self, summary: str, places: int, low: float, high: float, width_px: int = WIDTH_PX
    ) -> None:
        self.svg = ET.Element(
            "svg",
            {"class": "plot", "viewBox": f"0 0 {width_px} {HEIGHT_PX}", "role": "img"},
        )
        self.svg.set("aria-label", summary)
        self.step_px = (width_px - LEFT_PX - RIGHT_PX) / max(places, 1)
        self.low, self.high = low, high

    def x(self, place: float) -> float:
        """Return where a place begins."""
        return LEFT_PX + place * self.step_px

    def y(self, value: float) -> float:
        """Return where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return TOP_PX + (1 - share) * (HEIGHT_PX - TOP_PX - BOTTOM_PX)

    def add(self, tag: str, css: str, **values: float) -> ET.Element:
        """Add a shape."""
        attributes = {key: f"{value:.1f}" for key, value in values.items()}
        return ET.SubElement(self.svg, tag, {"class": css, **attributes})

    def text(self, css: str, x: float, y: float, words: str) -> None:
        """Add words."""
        self.add("text", css, x=x, y=y).text = words

    def across(self, css: str, value: float, first: float, last: float) -> None:
        """Add a level line from one place to another."""
        y = self.y(value)
        self.add("line", css, x1=self.x(first), y1=y, x2=self.x(last), y2=y)

    def axes(self, labels: Sequence[str], ticks: Sequence[tuple[float, str]]) -> None:
        """Draw the grid with its words, and as many of the labels as there is room for."""
        for value, words in ticks:
            self.across("base" if value == max(self.low, 0) else "grid", value, 0, len(labels))
            self.text("tick-y", LEFT_PX - 6, self.y(value) + 4, words)
        every = math.ceil(len(labels) / LABELS)
        for place in range(0, len(labels), every):
            middle = self.x(place + 0.5)
            self.text("tick-x", middle, HEIGHT_PX - 8, labels[place])

    def drawn(self) -> Markup:
        """Return the plot for a page; ElementTree has escaped all words."""
        return Markup(ET.tostring(self.svg, encoding="unicode"))  # noqa: S704


def nice_ceiling(value: float) -> float:
    """Return the next number of few digits, 4 at least."""
    if value <= 4:  # noqa: PLR2004 - so that halves and quarters are whole
        return 4
    power = 10 ** math.floor(math.log10(value))
    return float(next(step * power for step in (1, 2, 4, 5, 6, 8, 10) if step * power >= value))


def bar_plot(summary: str, tone: str, bars: Bars) -> Markup:
    """Draw counts."""
    high = nice_ceiling(max(bars.values, default=0))
    frame = _Frame(summary, len(bars.values), 0, high)
    frame.axes(bars.labels, [(share * high, f"{share * high:g}") for share in (0, 0.5, 1)])
    for place, (label, value) in enumerate(zip(bars.labels, bars.values, strict=True)):
        if value:
            bar = frame.add(
                "rect",
                f"column of-{tone}",
                x=frame.x(place + 0.12),
                y=frame.y(value),
                width=0.76 * frame.step_px,
                height=frame.y(0) - frame.y(value),
            )
            ET.SubElement(bar, "title").text = f"{label}: {value}"
    return frame.drawn()


def seconds_words(seconds: float) -> str:
    """Return a duration in two digits or so: "8.5 s", "3.0 min", "2.1 h"."""
    for limit, unit, words in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {words}" if value < 10 else f"{value:.0f} {words}"  # noqa: PLR2004
    return f"{seconds / 86_400:.0f} d"


def latency_plot(summary: str, labels: Sequence[str], lines: Sequence[Line]) -> Markup:
    """Draw durations in seconds on a logarithmic axis: minutes and days are both seen."""
    known = [value for line in lines for value in line.values if value is not None and value > 0]
    ladder = [1, 10, 60, 600, 3600, 21_600, 86_400]
    low = max((step for step in ladder if step <= min(known, default=1)), default=1)
    high = next((step for step in ladder if step >= max(known, default=60) and step > low), 86_400)
    frame = _Frame(summary, len(labels), math.log(low), math.log(high))
    ticks = [step for step in ladder if low <= step <= high]
    words = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21_600: "6 h"}
    frame.axes(labels, [(math.log(step), words.get(step, "1 d")) for step in ticks])
    for number, line in enumerate(lines, start=1):
        _draw_line(frame, number, labels, line, (low, high))
    return frame.drawn()


def _draw_line(
    frame: _Frame, number: int, labels: Sequence[str], line: Line, limits: tuple[float, float]
) -> None:
    """Draw a line with a mark at each value; where one is missing, the line is broken."""
    strokes: list[list[str]] = [[]]
    for place, value in enumerate(line.values):
        if value is None:
            strokes.append([])
            continue
        x = frame.x(place + 0.5)
        y = frame.y(math.log(min(max(value, limits[0]), limits[1])))
        strokes[-1].append(f"{x:.1f},{y:.1f}")
        mark = (
            frame.add("circle", f"mark line-{number}", cx=x, cy=y, r=2.6)
            if number == 1
            else frame.add(
                "rect", f"mark line-{number}", x=x - 2.4, y=y - 2.4, width=4.8, height=4.8
            )
        )
        ET.SubElement(mark, "title").text = f"{labels[place]}: {line.name} {seconds_words(value)}"
    for points in strokes:
        if len(points) > 1:
            shape = frame.add("polyline", f"stroke line-{number}")
            shape.set("points", " ".join(points))


def box_plot(
    summary: str,
    labels: Sequence[str],
    boxes: Sequence[Box],
    levels: Sequence[tuple[str, float | None, int, int]],
) -> Markup:
    """Draw quartiles over time.

    Parameters
    ----------
    summary, labels, boxes
        What it says, what the axis says, and the quartiles in months.
    levels : sequence
        Lines over some of the places: class, value, first place and the one after the last.
    """
    bounds = [value for box in boxes for value in (box.lower, box.upper) if value is not None]
    bounds += [value for _, value, _, _ in levels if value is not None]
    reach = nice_ceiling(max((abs(bound) for bound in bounds), default=12))
    frame = _Frame(summary, len(labels), -reach, reach, WIDE_PX)
    ticks = [share * reach for share in (-1, -0.5, 0, 0.5, 1)]
    frame.axes(labels, [(tick, f"{tick:+g}" if tick else "0") for tick in ticks])
    for place, box in enumerate(boxes):
        if box.lower is None or box.middle is None or box.upper is None:
            continue
        shape = frame.add(
            "rect",
            "box",
            x=frame.x(place + 0.15),
            y=frame.y(box.upper),
            width=0.7 * frame.step_px,
            height=max(frame.y(box.lower) - frame.y(box.upper), 1),
        )
        ET.SubElement(shape, "title").text = box.title
        frame.across("middle", box.middle, place + 0.15, place + 0.85)
    for css, value, first, last in levels:
        if value is not None:
            frame.across(css, value, first, last)
    return frame.drawn()
