"""The errors of some scores summed up, each measure with its bootstrap 95 % interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from models.tjnet.evaluation.bootstrap import percentile_interval, resamples, rounded
from models.tjnet.evaluation.significance import Definition, choose_definition, is_significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from models.tjnet.evaluation.scores import Score

    Values = npt.NDArray[np.float64]

AGE_BANDS_MONTHS = {
    "0-24": (0, 24),
    "24-60": (24, 60),
    "60-96": (60, 96),
    "96-132": (96, 132),
    "132-168": (132, 168),
    "168+": (168, math.inf),
}
"""Bands of the reader's bone age, the upper border outside: 2, 5, 8, 11 and 14 years."""

WITHIN_MONTHS = (6, 12, 24)
AGREEMENT_SDS = 1.96
"""Limits of agreement: bias and so many SD of the errors (Bland and Altman, Lancet 1986)."""


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the errors over all scores, over those not refused, by sex and by age band."""
    definition = choose_definition(score.label for score in scores)
    by_age = {
        name: [s for s in scores if low <= s.label.bone_age_months < high]
        for name, (low, high) in AGE_BANDS_MONTHS.items()
    }
    by_sex = {sex: [s for s in scores if s.label.sex == sex] for sex in ("M", "F", "unknown")}
    accepted = [score for score in scores if score.refusal is None]

    def groups(of: dict[str, list[Score]]) -> dict[str, Any]:
        return {name: _group(group, definition) for name, group in of.items() if group}

    return {
        "n": len(scores),
        "n_refused": len(scores) - len(accepted),
        **measure(scores, definition),
        "significant_error": definition.value,
        "accepted": _group(accepted, definition),
        "by_sex": groups(by_sex),
        "by_age_months": groups(by_age),
    }


def _group(scores: Sequence[Score], definition: Definition) -> dict[str, Any]:
    return {"n": len(scores), **(measure(scores, definition) if scores else {})}


def measure(scores: Sequence[Score], definition: Definition) -> dict[str, Any]:
    """Return the measures of some scores, None where one is not defined, and their intervals."""
    columns = _columns(scores, definition)
    point = _statistics(columns, np.ones((1, len(scores))))
    drawn = [_statistics(columns, counts) for counts in resamples(len(scores))]
    judged = int(np.isfinite(columns["significant_errors"]).sum())
    return {
        **{name: rounded(value[0]) for name, value in point.items()},
        "n_judged": judged,
        "n_not_judged": len(scores) - judged,
        "confidence_95": {
            name: percentile_interval(np.concatenate([block[name] for block in drawn]))
            for name in point
        },
    }


def _columns(scores: Sequence[Score], definition: Definition) -> dict[str, Values]:
    """Return (n,) values whose means are the measures; NaN where an image does not count."""
    error = np.array([score.error_months for score in scores])

    def column(value: Callable[[Score], float | None]) -> Values:
        return np.array([value(score) for score in scores], dtype=float)

    argmax = column(lambda s: s.argmax_months)
    reading = column(lambda s: s.label.bone_age_months)
    columns = {
        "mad_months": np.abs(error),
        "mean_square": error**2,
        "bias_months": error,
        **{f"within_{limit}_months": (np.abs(error) <= limit) * 1.0 for limit in WITHIN_MONTHS},
        "significant_errors": column(lambda s: is_significant(s, definition)),
        "sex_accuracy": column(
            lambda s: None if s.label.sex == "unknown" else s.sex_seen == s.label.sex
        ),
        "interval_coverage": column(lambda s: s.covered),
        "interval_width_months": column(lambda s: s.interval_months[1] - s.interval_months[0]),
    }
    if np.isfinite(argmax).any():
        columns["argmax_mad_months"] = np.abs(argmax - reading)
    return columns


def _statistics(columns: dict[str, Values], counts: Values) -> dict[str, Values]:
    """Return the measures on resamples.

    Parameters
    ----------
    columns : dict of ndarray
        (n,) values each.
    counts : ndarray
        (b, n), how often each image was drawn.

    Returns
    -------
    dict of ndarray
        (b,) of each measure, NaN where no image of a resample counts.
    """
    table = np.stack(list(columns.values()), axis=1)
    counted = np.isfinite(table)
    total = counts @ counted.astype(float)
    summed = counts @ np.where(counted, table, 0.0)
    means = np.divide(summed, total, out=np.full_like(summed, np.nan), where=total > 0)
    by_name = dict(zip(columns, means.T, strict=True))
    square = by_name.pop("mean_square")
    low, high = _limits(by_name["bias_months"], square, counts.shape[1])
    return {
        "mad_months": by_name.pop("mad_months"),
        "rmse_months": np.sqrt(square),
        "bias_months": by_name.pop("bias_months"),
        "lower_limit_months": low,
        "upper_limit_months": high,
        **by_name,
    }


def _limits(bias: Values, square: Values, n: int) -> tuple[Values, Values]:
    """Return the limits of agreement from mean and mean square of the errors of n images."""
    if n == 1:
        return np.full_like(bias, np.nan), np.full_like(bias, np.nan)
    half = AGREEMENT_SDS * np.sqrt(np.maximum(square - bias**2, 0.0) * n / (n - 1))
    return bias - half, bias + half
