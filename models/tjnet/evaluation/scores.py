"""Every labelled picture and what the network says of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.tjnet.dataset import Label, read_pictures
from models.tjnet.network import AGE_CLASSES, MONTHS_PER_CLASS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.estimate import Estimate
    from models.tjnet.estimator import Estimator

    Pixels = npt.NDArray[np.float32]

CLASS_EDGES_MONTHS = (np.arange(AGE_CLASSES + 1) - 0.5) * MONTHS_PER_CLASS
"""A class stands for the months nearer to it than to any other."""


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
    sd_months : float or None
        The predictive SD; None where it was not asked for.
    argmax_months : float or None
        The paper's decoding: the most probable class. None where it was not asked for.
    rank : float or None
        Share of the softmax below the reading, 0 to 1; None where it was not asked for.
    """

    label: Label
    bone_age_months: float
    interval_months: tuple[float, float]
    sex_seen: str
    refusal: str | None = None
    sd_months: float | None = None
    argmax_months: float | None = None
    rank: float | None = None

    @classmethod
    def of(cls, label: Label, estimate: Estimate, refusal: str | None) -> Score:
        """Return the score of an estimate."""
        probability = estimate.age_probability
        return cls(
            label=label,
            bone_age_months=estimate.bone_age_months,
            interval_months=estimate.interval_months,
            sex_seen=estimate.sex_seen,
            refusal=refusal,
            sd_months=estimate.sd_months,
            argmax_months=None if probability is None else _argmax_months(probability),
            rank=None if probability is None else _rank(probability, label.bone_age_months),
        )

    @property
    def error_months(self) -> float:
        """Return estimate minus reading."""
        return self.bone_age_months - self.label.bone_age_months

    @property
    def covered(self) -> bool:
        """Return whether the reading lies in the interval."""
        low, high = self.interval_months
        return low <= self.label.bone_age_months <= high


def _argmax_months(probability: Pixels) -> float:
    return float(probability.argmax() * MONTHS_PER_CLASS)


def _rank(probability: Pixels, reading_months: float) -> float:
    """Return the share of a softmax below a reading; within a class it is spread evenly."""
    below = np.concatenate([[0.0], np.cumsum(probability, dtype=float)])
    return float(np.interp(reading_months, CLASS_EDGES_MONTHS, below))


def score_pictures(
    estimator: Estimator, data: Path, labels: Sequence[Label], *, hide_sex: bool = False
) -> Iterator[Score]:
    """Yield the score of every label, by the same `Estimator` as the node's, without a heatmap.

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
    for label, pixels in labelled_pictures(data, labels):
        yield score(estimator, label, pixels, hide_sex=hide_sex)


def score(estimator: Estimator, label: Label, pixels: Pixels, *, hide_sex: bool) -> Score:
    """Return the score of one picture."""
    sex = "unknown" if hide_sex else label.sex
    return Score.of(label, *estimator.assess(pixels, sex, explain=False))


def labelled_pictures(data: Path, labels: Sequence[Label]) -> Iterator[tuple[Label, Pixels]]:
    """Yield every label with its picture, (H, W) float32; a picture may have several labels.

    Raises
    ------
    ValueError
        As `score_pictures`.
    """
    if not labels:
        msg = "there is no label to score"
        raise ValueError(msg)
    wanted: defaultdict[str, list[Label]] = defaultdict(list)
    for label in labels:
        wanted[label.id].append(label)
    for name, pixels in read_pictures(data, wanted):
        for label in wanted[name]:
            yield label, pixels
