"""The stress test: the same pictures plain and changed, through the same door.

Every change is a picture of its own to the `Estimator`, as if a user had sent it so: the gate may
refuse it, and whatever it puts right, it puts right here too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.tjnet.evaluation.bootstrap import mean_interval, rounded
from models.tjnet.evaluation.scores import Score, labelled_pictures, score
from models.tjnet.evaluation.significance import Definition, choose_definition, is_significant
from models.tjnet.evaluation.transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.tjnet.dataset import Label
    from models.tjnet.estimator import Estimator

    Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stressed:
    """One labelled picture, plain and under each of `TRANSFORMS`, in their order."""

    plain: Score
    changed: tuple[Score, ...]


def sample_labels(labels: Sequence[Label], count: int | None) -> list[Label]:
    """Return a fixed sample: the labels whose hashed ids come first; None takes all.

    Parameters
    ----------
    labels : sequence of Label
        What to draw from.
    count : int or None
        How many; all of them if there are fewer.
    """
    by_hash = sorted(labels, key=lambda label: hashlib.sha256(label.id.encode()).digest())
    return by_hash[:count]


def stress_pictures(
    estimator: Estimator, data: Path, labels: Sequence[Label], *, hide_sex: bool = False
) -> Iterator[Stressed]:
    """Yield the scores of every label, plain and changed.

    Raises
    ------
    ValueError
        As `models.tjnet.evaluation.scores.score_pictures`.
    """
    for label, pixels in labelled_pictures(data, labels):
        plain = score(estimator, label, pixels, hide_sex=hide_sex)
        changed = (
            score(estimator, label, transform(pixels), hide_sex=hide_sex)
            for transform in TRANSFORMS
        )
        yield Stressed(plain, tuple(changed))


def summarise_stress(stressed: Sequence[Stressed]) -> dict[str, Any]:
    """Return the measures of the plain pictures and, one row each, of every transform.

    Differences are changed minus plain on the same pictures, and so are their intervals.
    """
    definition = choose_definition(one.plain.label for one in stressed)
    plain = [one.plain for one in stressed]
    rows = (
        {
            "kind": transform.kind,
            "strength": transform.strength,
            **_row([one.changed[index] for one in stressed], plain, definition),
        }
        for index, transform in enumerate(TRANSFORMS)
    )
    return {
        "n": len(stressed),
        "significant_error": definition.value,
        "plain": _row(plain, None, definition),
        "transforms": list(rows),
    }


def _row(
    scores: Sequence[Score], plain: Sequence[Score] | None, definition: Definition
) -> dict[str, Any]:
    """Return the measures of some scores, and their differences to those of the plain pictures."""
    columns = _columns(scores, definition)
    if plain is not None:
        before = _columns(plain, definition)
        columns["mad_difference_months"] = columns["mad_months"] - before["mad_months"]
        columns["significant_difference"] = (
            columns["significant_errors"] - before["significant_errors"]
        )
    accepted = np.array([score.refusal is None for score in scores])
    defined = {name: values[np.isfinite(values)] for name, values in columns.items()}
    measured = {name: values for name, values in defined.items() if len(values)}
    return {
        **{name: rounded(values.mean()) for name, values in measured.items()},
        "accepted_mad_months": (
            rounded(columns["mad_months"][accepted].mean()) if accepted.any() else None
        ),
        "n_judged": len(defined["significant_errors"]),
        "confidence_95": {name: mean_interval(values) for name, values in measured.items()},
    }


def _columns(scores: Sequence[Score], definition: Definition) -> dict[str, Values]:
    """Return (n,) values whose means are the measures; NaN where an image is not judged."""
    return {
        "mad_months": np.array([abs(score.error_months) for score in scores]),
        "significant_errors": np.array(
            [is_significant(score, definition) for score in scores], dtype=float
        ),
        "refused": np.array([score.refusal is not None for score in scores], dtype=float),
    }
