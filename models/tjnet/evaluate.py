"""How far the network is off: every labelled picture scored, and the errors summed up."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.tjnet.dataset import Label, read_pictures

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.tjnet.estimator import Estimator

RESAMPLES = 2000
LARGEST_BLOCK = 1_000_000
"""Resampled rows held at once: 8 MB of indices."""

SEED = 0
CONFIDENCE_PERCENTILES = (2.5, 97.5)
AGE_BANDS_MONTHS = {
    "0-24": (0, 24),
    "24-60": (24, 60),
    "60-96": (60, 96),
    "96-132": (96, 132),
    "132-168": (132, 168),
    "168+": (168, math.inf),
}
"""Bands of the reader's bone age, the upper border outside: 2, 5, 8, 11 and 14 years."""


@dataclass(frozen=True, slots=True)
class Score:
    """One labelled picture and what the network says of it.

    Attributes
    ----------
    label : Label
        The reader's bone age and the recorded sex.
    bone_age_months : float
        The estimate.
    interval_months : tuple of float
        The 90 % interval.
    sex_seen : str
        "M" or "F".
    refusal : str or None
        Why the gate would keep the estimate back.
    """

    label: Label
    bone_age_months: float
    interval_months: tuple[float, float]
    sex_seen: str
    refusal: str | None = None

    @property
    def error_months(self) -> float:
        """Return estimate minus reading."""
        return self.bone_age_months - self.label.bone_age_months

    @property
    def covered(self) -> bool:
        """Return whether the reading lies in the interval."""
        low, high = self.interval_months
        return low <= self.label.bone_age_months <= high


def score_pictures(
    estimator: Estimator, data: Path, labels: Sequence[Label], *, hide_sex: bool = False
) -> Iterator[Score]:
    """Yield the score of every label, by the same `Estimator` as the node's.

    A picture that the gate would refuse is scored too and says so.

    Parameters
    ----------
    estimator : Estimator
        The network.
    data : Path
        A folder of pictures, a tar of them, or a folder of ``train-*.tar``.
    labels : sequence of Label
        What to score.
    hide_sex : bool
        Give the network the "unknown" sex instead of the recorded one.

    Raises
    ------
    ValueError
        If there is no label, a label has no picture (how many is said), or one is damaged.
    """
    if not labels:
        msg = "there is no label to score"
        raise ValueError(msg)
    wanted: defaultdict[str, list[Label]] = defaultdict(list)
    for label in labels:
        wanted[label.id].append(label)
    for name, pixels in read_pictures(data, wanted):
        for label in wanted[name]:
            estimate, refusal = estimator.assess(pixels, "unknown" if hide_sex else label.sex)
            yield Score(
                label=label,
                bone_age_months=estimate.bone_age_months,
                interval_months=estimate.interval_months,
                sex_seen=estimate.sex_seen,
                refusal=refusal,
            )


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the errors over all scores, over those not refused, by sex and by age band."""
    by_age = {
        name: [s for s in scores if low <= s.label.bone_age_months < high]
        for name, (low, high) in AGE_BANDS_MONTHS.items()
    }
    by_sex = {sex: [s for s in scores if s.label.sex == sex] for sex in ("M", "F", "unknown")}
    accepted = [score for score in scores if score.refusal is None]
    return {
        "n": len(scores),
        "n_refused": len(scores) - len(accepted),
        **_measures(scores),
        "accepted": _group(accepted),
        "by_sex": {name: _group(group) for name, group in by_sex.items() if group},
        "by_age_months": {name: _group(group) for name, group in by_age.items() if group},
    }


def _group(scores: Sequence[Score]) -> dict[str, Any]:
    return {"n": len(scores), **(_measures(scores) if scores else {})}


def _measures(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the measures of some scores with their bootstrap 95 % intervals."""
    error = np.array([score.error_months for score in scores])
    covered = np.array([score.covered for score in scores], dtype=float)
    known = [score for score in scores if score.label.sex != "unknown"]
    right = np.array([score.sex_seen == score.label.sex for score in known], dtype=float)
    low, high = np.array([score.interval_months for score in scores]).T
    return {
        "mad_months": _rounded(np.abs(error).mean()),
        "rmse_months": _rounded(np.sqrt((error**2).mean())),
        "bias_months": _rounded(error.mean()),
        "sex_accuracy": _rounded(right.mean()) if known else None,
        "interval_coverage": _rounded(covered.mean()),
        "interval_width_months": _rounded((high - low).mean()),
        "confidence_95": {
            "mad_months": _bootstrap(np.abs(error)),
            "rmse_months": [_rounded(v**0.5) for v in _bootstrap(error**2)],
            "bias_months": _bootstrap(error),
            "sex_accuracy": _bootstrap(right) if known else None,
            "interval_coverage": _bootstrap(covered),
        },
    }


def _bootstrap(values: npt.NDArray[np.floating]) -> list[float]:
    """Return the percentile interval of the mean over resampled images, by a fixed seed."""
    generator = np.random.default_rng(SEED)
    block = max(1, LARGEST_BLOCK // len(values))
    sizes = [min(block, RESAMPLES - start) for start in range(0, RESAMPLES, block)]
    drawn = (generator.integers(0, len(values), (size, len(values))) for size in sizes)
    means = np.concatenate([values[rows].mean(axis=1) for rows in drawn])
    return [_rounded(bound) for bound in np.percentile(means, CONFIDENCE_PERCENTILES)]


def _rounded(value: float | np.floating) -> float:
    """Return a value for people and JSON: four decimals say more than any sample can."""
    return round(float(value), 4)
