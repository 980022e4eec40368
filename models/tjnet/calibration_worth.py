"""What a calibration's file says: the fit, its confidence, and what it is worth.

The errors before and after are those of a cross-validation: everything, lines and scales, is
fitted on the other folds. No image is corrected by a line that it took part in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.atlas import HIGHEST_MONTHS, LOWEST_MONTHS
from models.tjnet.calibration_fit import fit_sample, has_line_of_its_own
from models.tjnet.evaluation.bootstrap import mean_interval, percentile_interval
from models.tjnet.line import resampled_lines
from models.tjnet.spread import folds_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.tjnet.calibration_fit import Fit, Sample, Values
    from models.tjnet.line import Line

FOLDS = 20
CORRECTION_AT_MONTHS = (24, 60, 96, 132, 168, 204)
"""Where the file shows the correction and its confidence, as far as the line reaches."""

MEASURED_BY = (
    f"cross-validation in {FOLDS} folds: lines and scales fitted without the images that they "
    "are measured on; bias is estimate minus reading"
)


def fit_calibration(recorded: Sample, unknown: Sample) -> dict[str, Any]:
    """Return what a calibration's file holds of the fit.

    Parameters
    ----------
    recorded, unknown : Sample
        The same images, the network once given their recorded sex, once the unknown one.

    Raises
    ------
    ValueError
        If the readings do not rise with the estimates.
    """
    by_sex = has_line_of_its_own(recorded)
    fit, fit_unknown = fit_sample(recorded, by_sex=by_sex), fit_sample(unknown, by_sex=True)
    return {
        "n": len(recorded),
        "lines": {
            **_describe_lines(recorded, fit, by_sex=by_sex),
            **_describe_lines(unknown, fit_unknown, by_sex=True),
        },
        "interval": {**_describe_scale(fit), "unknown_sex": _describe_scale(fit_unknown)},
        "measured": {
            "by": MEASURED_BY,
            **cross_validate(recorded, by_sex=by_sex),
            "unknown_sex": cross_validate(unknown, by_sex=True),
        },
    }


def _describe_scale(fit: Fit) -> dict[str, float]:
    return {"sd_scale": fit.scale.sd, "interval_scale": fit.scale.interval}


def _describe_lines(sample: Sample, fit: Fit, *, by_sex: bool) -> dict[str, dict[str, Any]]:
    """Return the lines for the file, each with its bootstrap 95 % intervals."""
    described = {}
    for sex, line in fit.lines.items():
        group = sample.rows(sample.sex == sex) if by_sex else sample
        described[sex] = {**_describe(line, group), "common": not by_sex}
    return described


def _describe(line: Line, group: Sample) -> dict[str, Any]:
    a_months, slope = resampled_lines(group.estimate_months, group.reading_months)
    shown = [at for at in CORRECTION_AT_MONTHS if line.from_months <= at <= line.to_months]
    return {
        "n": len(group),
        "a_months": round(line.a_months, 4),
        "b": round(line.b, 6),
        "from_months": round(line.from_months, 2),
        "to_months": round(line.to_months, 2),
        "confidence_95": {
            "a_months": percentile_interval(a_months),
            "b": percentile_interval(slope),
        },
        "corrections": [
            {
                "at_months": at,
                "correction_months": round(float(line.correction(at)), 2),
                "confidence_95": percentile_interval(a_months + (slope - 1) * at),
            }
            for at in shown
        ],
    }


def cross_validate(sample: Sample, *, by_sex: bool) -> dict[str, Any]:
    """Return the errors before and after, each image corrected by a fit on the other folds."""
    fold = _folds_by_sex(sample.sex)
    corrected, half = np.empty(len(sample)), np.empty(len(sample))
    for held_out in range(FOLDS):
        rows = fold == held_out
        fit, left = fit_sample(sample.rows(~rows), by_sex=by_sex), sample.rows(rows)
        corrected[rows] = fit.corrected(left)
        half[rows] = fit.scale.interval * left.half_width_months
    return {
        "before": _errors(sample, sample.estimate_months, sample.half_width_months),
        "after": _errors(sample, corrected, half),
    }


def _folds_by_sex(sexes: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
    """Return (N,) folds over which each sex is spread evenly."""
    fold = np.empty(len(sexes), dtype=np.intp)
    for sex in np.unique(sexes):
        rows = sexes == sex
        fold[rows] = folds_of(int(rows.sum()), FOLDS)
    return fold


def _errors(sample: Sample, estimate: Values, half: Values) -> dict[str, Any]:
    """Return the errors of estimates, with bootstrap 95 % intervals."""
    error = estimate - sample.reading_months
    inside = (np.abs(error) <= half).astype(float)
    low, high = (
        np.clip(bound, LOWEST_MONTHS, HIGHEST_MONTHS)
        for bound in (estimate - half, estimate + half)
    )
    measures = {
        "mad_months": np.abs(error),
        "bias_months": error,
        "interval_coverage": inside,
    }
    return {
        **{name: round(float(values.mean()), 4) for name, values in measures.items()},
        "interval_width_months": round(float((high - low).mean()), 4),
        "confidence_95": {name: mean_interval(values) for name, values in measures.items()},
    }
