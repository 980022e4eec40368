"""The plots of a report, as PNG; matplotlib is imported here alone, and draws without a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from models.atlas import HIGHEST_MONTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from models.tjnet.evaluation.scores import Score

SIZE_INCHES = (6.4, 4.8)
DPI = 110
COLOURS = {"M": "tab:blue", "F": "tab:red", "unknown": "tab:gray"}
NAMES = {"M": "boys", "F": "girls", "unknown": "sex not recorded"}
STRESS_GOAL_MONTHS = 1.5


def bland_altman(path: Path, scores: Sequence[Score], summary: Mapping[str, Any]) -> None:
    """Draw the errors over the mean of reading and estimate, with bias and limits of agreement."""
    figure, axes = _begin("mean of reading and estimate, months", "estimate minus reading, months")
    for sex, reading, estimate in _by_sex(scores):
        middle = (reading + estimate) / 2
        axes.plot(middle, estimate - reading, ".", ms=3, color=COLOURS[sex], label=NAMES[sex])
    for name, style in (("bias", "-"), ("lower_limit", "--"), ("upper_limit", "--")):
        value = summary[f"{name}_months"]
        if value is not None:
            label = f"{name.replace('_', ' ')} {value:+.1f}"
            axes.axhline(value, color="black", linestyle=style, label=label)
    _end(figure, axes, path)


def agreement(path: Path, scores: Sequence[Score]) -> None:
    """Draw the estimate over the reading."""
    figure, axes = _begin("reading, months", "estimate, months")
    for sex, reading, estimate in _by_sex(scores):
        axes.plot(reading, estimate, ".", ms=3, color=COLOURS[sex], label=NAMES[sex])
    axes.plot([0, HIGHEST_MONTHS], [0, HIGHEST_MONTHS], color="black", label="equal")
    _end(figure, axes, path)


def calibration(path: Path, curve: Sequence[Mapping[str, Any]]) -> None:
    """Draw the observed over the nominal coverage, with its 95 % intervals."""
    figure, axes = _begin("nominal coverage, %", "observed coverage, %")
    nominal = np.array([row["nominal"] for row in curve]) * 100
    # Side by side, so that the intervals do not hide each other.
    for name, words, aside in (
        ("scaled_sd", "estimate ± quantile x predictive SD", -0.4),
        ("softmax", "between quantiles of the softmax", 0.4),
    ):
        observed, bars = (part * 100 for part in _with_bars(curve, name))
        axes.errorbar(nominal + aside, observed, bars, fmt="o", capsize=3, label=words)
    axes.plot([nominal[0], nominal[-1]], [nominal[0], nominal[-1]], "k--", label="equal")
    _end(figure, axes, path)


def mad_by_age(path: Path, bands: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw the MAD of each age band, with its 95 % interval."""
    figure, axes = _begin("reading, months", "MAD, months")
    names = [f"{name}\nn = {band['n']}" for name, band in bands.items()]
    mad, bars = _with_bars(list(bands.values()), "mad_months")
    axes.bar(names, mad, yerr=bars, capsize=4, color="tab:blue", alpha=0.7)
    _end(figure, axes, path)


def stress(path: Path, measured: Mapping[str, Any]) -> None:
    """Draw by how much each transform changes the MAD, with paired 95 % intervals."""
    rows = measured["transforms"]
    figure, axes = _begin("change of MAD, months", "", height_inches=1 + 0.24 * len(rows))
    names = [f"{row['kind']}: {row['strength']}" for row in rows]
    change, bars = _with_bars(rows, "mad_difference_months")
    axes.barh(names, change, xerr=bars, capsize=2, color="tab:blue", alpha=0.7)
    axes.axvline(STRESS_GOAL_MONTHS, color="tab:red", linestyle="--", label="goal: at most +1.5")
    axes.margins(y=0.01)
    axes.invert_yaxis()
    _end(figure, axes, path)


def _begin(x: str, y: str, height_inches: float = SIZE_INCHES[1]) -> tuple[Figure, Axes]:
    """Return an empty figure with named axes."""
    figure = Figure(figsize=(SIZE_INCHES[0], height_inches), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes


def _end(figure: Figure, axes: Axes, path: Path) -> None:
    """Write the figure; no date in it, so that the same figures give the same file."""
    if axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper center", ncols=3, fontsize="small")
    figure.savefig(path, metadata={"Software": None})


def _by_sex(
    scores: Sequence[Score],
) -> list[tuple[str, np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Return readings and estimates of each sex that there is."""
    parts = []
    for sex in COLOURS:
        pairs = [(s.label.bone_age_months, s.bone_age_months) for s in scores if s.label.sex == sex]
        if pairs:
            reading, estimate = np.array(pairs).T
            parts.append((sex, reading, estimate))
    return parts


def _with_bars(
    rows: Sequence[Mapping[str, Any]], name: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return a measure and (2, n) how far its 95 % interval reaches below and above it."""
    value = np.array([row[name] for row in rows])
    low, high = np.array([row["confidence_95"][name] for row in rows]).T
    return value, np.maximum(np.stack([value - low, high - value]), 0.0)
