"""The report of an evaluation: Markdown with tables, and plots beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.tjnet.evaluation import plots, tables
from models.tjnet.evaluation.bootstrap import RESAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.tjnet.evaluation.scores import Score

NAME = "report.md"


def write_report(folder: Path, summary: Mapping[str, Any], scores: Sequence[Score]) -> Path:
    """Write report.md and its plots into a folder and return the report's path.

    Parameters
    ----------
    folder : Path
        Made if it is not there; files of the same names are replaced.
    summary : dict
        What ``evaluate`` writes as JSON.
    scores : sequence of Score
        What the plots show.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_about(summary), _errors(folder, summary, scores), _groups(folder, summary)]
    parts.append(_intervals(folder, summary))
    if "stress" in summary:
        parts.append(_stress(folder, summary["stress"]))
    if "compared_views" in summary:
        parts.append(_views(summary))
    path = folder / NAME
    path.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    return path


def _about(summary: Mapping[str, Any]) -> str:
    """Return what was measured, on what, by what."""
    sex = "hidden from the network" if summary["sex_hidden"] else "given to the network"
    code = summary["code"]
    rows = {
        "weights": f"`{summary['weights']}`",
        "data": summary["data"],
        "split": summary["split"] or "all rows",
        "pictures": f"{summary['n']}, {summary['n_refused']} of them refused by the gate",
        "recorded sex": sex,
        "views of each picture": str(summary["views"]),
        "device": summary["device"],
        "date": summary["date"],
        "code": f"commit `{code['git_commit']}`, torch {code['torch']}, monai {code['monai']}",
        "command": f"`{summary['command']}`",
    }
    about = "\n".join(f"- {what}: {which}" for what, which in rows.items())
    return (
        f"# How far the bone age is off\n\n{about}\n\n"
        "Every row of the labels is scored, by the estimator that the node uses; what the gate "
        "would refuse is counted. The reference is one reader an image, whose own error is part "
        "of every figure: do not compare with figures on other sets of images. In brackets: 95 % "
        f"intervals by bootstrap over the images ({RESAMPLES} resamples, fixed seed). Weights "
        "chosen by their error on this split are slightly better on it than on new images."
    )


def _errors(folder: Path, summary: Mapping[str, Any], scores: Sequence[Score]) -> str:
    plots.bland_altman(folder / "bland-altman.png", scores, summary)
    plots.agreement(folder / "agreement.png", scores)
    return (
        f"## Errors\n\n{tables.measures_table(summary)}\n\n"
        "The limits of agreement are the bias and 1.96 SD of the errors. Clinically significant: "
        f"{summary['significant_error']}. Judged: {summary['n_judged']} pictures; outside the "
        f"Brush table, or of unknown sex or age, and so not judged: {summary['n_not_judged']}.\n\n"
        "![Bland-Altman plot](bland-altman.png)\n\n![Estimate over reading](agreement.png)"
    )


def _groups(folder: Path, summary: Mapping[str, Any]) -> str:
    bands = summary["by_age_months"]
    plots.mad_by_age(folder / "mad-by-age.png", bands)
    return (
        f"## By sex\n\n{tables.groups_tables(summary['by_sex'], 'sex')}\n\n"
        f"## By age\n\nBands of the reading, in months, the upper border outside.\n\n"
        f"{tables.groups_tables(bands, 'months')}\n\n![MAD by age](mad-by-age.png)"
    )


def _intervals(folder: Path, summary: Mapping[str, Any]) -> str:
    curve = summary["coverage"]
    if not curve:
        return ""
    plots.calibration(folder / "calibration.png", curve)
    return (
        "## Calibration\n\nHow many readings lie in intervals that are to hold so many. On the "
        "split that the spread was fitted on, the scaled intervals are judged by the images that "
        "they were fitted to; the weights card has the cross-fitted coverage.\n\n"
        f"{tables.coverage_table(curve)}\n\n![Calibration](calibration.png)"
    )


def _stress(folder: Path, stress: Mapping[str, Any]) -> str:
    plots.stress(folder / "stress.png", stress)
    changes = [row["mad_difference_months"] for row in stress["transforms"]]
    goal = plots.STRESS_GOAL_MONTHS
    over = sum(change > goal for change in changes)
    return (
        f"## Stress test\n\n{stress['n']} pictures, each also under {len(changes)} "
        "transforms, each through the same estimator as a user's picture. The pictures are changed "
        "as the data hold them: squashed frames are turned squashed. Changes of the figures are to "
        "those of the plain pictures, with paired intervals. Refused pictures are scored too; the "
        f"last column leaves them out. Goal: no transform raises MAD by more than {goal} months; "
        f"{over} of {len(changes)} do.\n\n{tables.kinds_table(stress)}\n\n"
        f"{tables.stress_table(stress)}\n\n![Stress test](stress.png)"
    )


def _views(summary: Mapping[str, Any]) -> str:
    return (
        "## Test-time augmentation\n\n2 views: the picture and its mirror image; 10: both at five "
        "angles of up to 10 degrees. Time from decoded pixels to the estimate, without heatmap, "
        f"on {summary['device']}, one thread.\n\n{tables.views_table(summary['compared_views'])}"
    )
