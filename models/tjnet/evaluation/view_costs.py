"""Test-time augmentation: what more views of a picture cost and gain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.tjnet.evaluation.bootstrap import mean_interval, rounded
from models.tjnet.evaluation.scores import Score, labelled_pictures, score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from models.tjnet.dataset import Label
    from models.tjnet.estimator import Estimator


@dataclass(frozen=True, slots=True)
class TimedScore:
    """A score and how long its picture took, from decoded pixels to the estimate."""

    score: Score
    milliseconds: float


def compare_views(
    estimators: Sequence[Estimator],
    data: Path,
    labels: Sequence[Label],
    *,
    hide_sex: bool = False,
) -> Iterator[tuple[TimedScore, ...]]:
    """Yield the scores of every label by each estimator, on one thread.

    Raises
    ------
    ValueError
        As `models.tjnet.evaluation.scores.score_pictures`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for label, pixels in labelled_pictures(data, labels):
            timed = []
            for estimator in estimators:
                start = time.perf_counter()
                found = score(estimator, label, pixels, hide_sex=hide_sex)
                timed.append(TimedScore(found, (time.perf_counter() - start) * 1000))
            yield tuple(timed)
    finally:
        torch.set_num_threads(threads)


def summarise_views(
    views: Sequence[int], compared: Sequence[tuple[TimedScore, ...]]
) -> list[dict[str, Any]]:
    """Return a row for each number of views; differences are to the first, on the same pictures."""
    columns = list(zip(*compared, strict=True))
    first = np.array([abs(one.score.error_months) for one in columns[0]])
    rows = []
    for count, column in zip(views, columns, strict=True):
        error = np.array([abs(one.score.error_months) for one in column])
        rows.append(
            {
                "views": count,
                "n": len(column),
                "mad_months": rounded(error.mean()),
                "mad_difference_months": rounded((error - first).mean()),
                "median_milliseconds": round(median(one.milliseconds for one in column), 1),
                "confidence_95": {
                    "mad_months": mean_interval(error),
                    "mad_difference_months": mean_interval(error - first),
                },
            }
        )
    return rows
