"""Nominal against observed coverage."""

from __future__ import annotations

import numpy as np
import pytest

from models.tjnet.dataset import Label
from models.tjnet.evaluation.coverage import NOMINAL, coverage_curve
from models.tjnet.evaluation.scores import Score


def score(error: float, sd: float | None, rank: float | None) -> Score:
    """Return the score of a reading of 100 months."""
    estimate = 100 + error
    return Score(Label("1", "M", 100, ""), estimate, (0, 228), "M", None, sd, None, rank)


def test_known_errors_are_covered_by_the_right_intervals() -> None:
    # In SDs: 0.1 is in every interval, 1.2 from 80 % on (1.28), 1.7 from 95 % on (1.96), 3 never.
    errors = [1, -12, 17, 30]
    # From the middle of the softmax: 0, 0.32 (from 70 % on), 0.44 (from 90 % on), 0.49 (never).
    ranks = [0.5, 0.82, 0.06, 0.99]
    curve = coverage_curve([score(e, 10, r) for e, r in zip(errors, ranks, strict=True)])
    assert [row["nominal"] for row in curve] == list(NOMINAL)
    assert [row["scaled_sd"] for row in curve] == [0.25, 0.25, 0.25, 0.5, 0.5, 0.75]
    assert [row["softmax"] for row in curve] == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75]


def test_normal_errors_with_their_own_sd_lie_on_the_line() -> None:
    generator = np.random.default_rng(3)
    scores = [
        score(e, 10, u)
        for e, u in zip(generator.normal(0, 10, 2000), generator.uniform(0, 1, 2000), strict=True)
    ]
    for row in coverage_curve(scores):
        for kind in ("scaled_sd", "softmax"):
            low, high = row["confidence_95"][kind]
            assert row[kind] == pytest.approx(row["nominal"], abs=0.03)
            assert low <= row[kind] <= high


def test_without_a_softmax_there_is_no_curve() -> None:
    assert coverage_curve([score(1, None, None)]) == []
