"""The same pictures plain and changed, and under more views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from models.tjnet.dataset import Label, decode_picture, read_labels
from models.tjnet.estimator import Estimator
from models.tjnet.evaluation.scores import Score
from models.tjnet.evaluation.stress import (
    Stressed,
    sample_labels,
    stress_pictures,
    summarise_stress,
)
from models.tjnet.evaluation.transforms import TRANSFORMS
from models.tjnet.evaluation.view_costs import TimedScore, compare_views, summarise_views

if TYPE_CHECKING:
    from pathlib import Path


def score(reading: float, estimate: float, refusal: str | None = None) -> Score:
    return Score(Label("1", "M", reading, ""), estimate, (0, 228), "M", refusal)


def test_a_sample_is_fixed_whatever_the_order() -> None:
    labels = [Label(str(number), "M", 100, "") for number in range(50)]
    sample = sample_labels(labels, 7)
    assert sample == sample_labels(labels[::-1], 7)
    assert len(sample) == 7
    assert sample != labels[:7]
    assert sample == sample_labels(labels, 9)[:7]
    assert len(sample_labels(labels, None)) == len(sample_labels(labels, 99)) == 50


def test_every_transform_goes_through_the_nodes_own_door(
    tiny_weights: Path, tiny_data: Path
) -> None:
    estimator = Estimator(tiny_weights, "cpu", gate=None)
    labels = sample_labels(read_labels(tiny_data / "labels.csv", "val"), 2)
    stressed = list(stress_pictures(estimator, tiny_data, labels))
    assert sorted(s.plain.label.id for s in stressed) == sorted(label.id for label in labels)
    for one in stressed:
        picture = decode_picture(tiny_data / f"{one.plain.label.id}.png")
        sex = one.plain.label.sex
        assert one.plain.bone_age_months == estimator.estimate(picture, sex).bone_age_months
        for transform, found in zip(TRANSFORMS, one.changed, strict=True):
            estimate, refusal = estimator.assess(transform(picture), sex)
            assert (found.bone_age_months, found.refusal) == (estimate.bone_age_months, refusal)
    # 160 px: a quarter of the pixels is below what the gate takes.
    row = next(i for i, t in enumerate(TRANSFORMS) if t.strength == "a quarter of the pixels")
    assert all("smaller than 128" in (s.changed[row].refusal or "") for s in stressed)


def test_differences_are_of_the_same_pictures() -> None:
    # Plain errors 2, 4, 10; changed 5, 30 (significant: 2 SD are 19.6) and 10, which is refused.
    plain = [score(125.68, 127.68), score(125.68, 129.68), score(125.68, 115.68)]
    changed = [score(125.68, 130.68), score(125.68, 155.68), score(125.68, 115.68, "flat")]
    stressed = [Stressed(p, (c,) * len(TRANSFORMS)) for p, c in zip(plain, changed, strict=True)]
    summary = summarise_stress(stressed)
    assert summary["n"] == 3
    assert summary["plain"]["mad_months"] == pytest.approx(16 / 3, abs=1e-4)
    assert summary["plain"]["refused"] == 0
    assert [(row["kind"], row["strength"]) for row in summary["transforms"]] == [
        (t.kind, t.strength) for t in TRANSFORMS
    ]
    row = summary["transforms"][0]
    assert row["mad_months"] == 15
    assert row["mad_difference_months"] == pytest.approx(29 / 3, abs=1e-4)
    assert row["significant_errors"] == pytest.approx(1 / 3, abs=1e-4)
    assert row["significant_difference"] == pytest.approx(1 / 3, abs=1e-4)
    assert row["refused"] == pytest.approx(1 / 3, abs=1e-4)
    assert row["accepted_mad_months"] == 17.5
    low, high = row["confidence_95"]["mad_difference_months"]
    # Of 3, 26 and 0.
    assert 0 <= low < 29 / 3 < high <= 26


def test_the_interval_of_a_difference_is_paired() -> None:
    # The errors differ widely, the change is always 1: only a pair knows it.
    plain = [score(100, 100 + error) for error in range(0, 60, 5)]
    changed = [score(100, 101 + error) for error in range(0, 60, 5)]
    pairs = zip(plain, changed, strict=True)
    summary = summarise_stress([Stressed(p, (c,) * len(TRANSFORMS)) for p, c in pairs])
    assert summary["transforms"][0]["confidence_95"]["mad_difference_months"] == [1, 1]


def test_views_are_compared_on_the_same_pictures_and_one_thread(
    tiny_weights: Path, tiny_data: Path
) -> None:
    threads = torch.get_num_threads()
    estimators = [Estimator(tiny_weights, "cpu", views=views, gate=None) for views in (1, 2)]
    labels = read_labels(tiny_data / "labels.csv", "val")[:3]
    compared = []
    for one in compare_views(estimators, tiny_data, labels):
        assert torch.get_num_threads() == 1
        compared.append(one)
    assert torch.get_num_threads() == threads
    for single, double in compared:
        label = single.score.label
        assert double.score.label == label
        picture = decode_picture(tiny_data / f"{label.id}.png")
        for estimator, timed in zip(estimators, (single, double), strict=True):
            expected = estimator.estimate(picture, label.sex).bone_age_months
            assert timed.score.bone_age_months == expected
            assert timed.milliseconds > 0


def test_what_views_gain_and_cost() -> None:
    compared = [
        (TimedScore(score(100, 104), 10), TimedScore(score(100, 103), 19)),
        (TimedScore(score(100, 90), 12), TimedScore(score(100, 95), 21)),
        (TimedScore(score(100, 101), 99), TimedScore(score(100, 101), 23)),
    ]
    single, double = summarise_views((1, 2), compared)
    assert (single["views"], single["n"], single["mad_months"]) == (1, 3, 5)
    assert single["median_milliseconds"] == 12
    assert double["mad_months"] == 3
    assert double["mad_difference_months"] == -2
    assert double["median_milliseconds"] == 21
