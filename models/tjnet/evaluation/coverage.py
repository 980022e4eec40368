"""Calibration: how many readings lie in intervals that are to hold so many."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from models.tjnet.evaluation.bootstrap import mean_interval, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.tjnet.evaluation.scores import Score

NOMINAL = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def coverage_curve(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return the observed coverage of central intervals for each nominal one.

    Two kinds of interval: ``scaled_sd`` is the estimate plus and minus the quantile of a normal
    distribution times the predictive SD (the softmax's, scaled as the weights card says);
    ``softmax`` lies between two quantiles of the raw softmax.

    Parameters
    ----------
    scores : sequence of Score
        Those without SD and rank are left out.
    """
    known = [(s.error_months, s.sd_months, s.rank) for s in scores if s.rank is not None]
    if not known:
        return []
    error, sd, rank = np.array(known, dtype=float).T
    rows = []
    for nominal in NOMINAL:
        half_width = NormalDist().inv_cdf(0.5 + nominal / 2) * sd
        covered = {
            "scaled_sd": np.abs(error) <= half_width,
            "softmax": np.abs(rank - 0.5) <= nominal / 2,
        }
        rows.append(
            {
                "nominal": nominal,
                **{name: rounded(inside.mean()) for name, inside in covered.items()},
                "confidence_95": {
                    name: mean_interval(inside.astype(float)) for name, inside in covered.items()
                },
            }
        )
    return rows
