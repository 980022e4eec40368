"""The errors are summed up right, and no row is left out."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from models.estimate import Estimate
from models.tjnet.dataset import Label, read_labels
from models.tjnet.estimator import NO_HEATMAP, Estimator
from models.tjnet.evaluation.measures import summarise
from models.tjnet.evaluation.scores import Score, score_pictures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def estimator(tiny_weights: Path) -> Estimator:
    """Return a small random network behind the door."""
    return Estimator(tiny_weights, "cpu", gate=None)


def score(reading: float, estimate: float, **changes: str) -> Score:
    """Return a score with an interval of ten months each way."""
    label = Label("1", changes.get("sex", "M"), reading, "val")
    interval = (estimate - 10, estimate + 10)
    return Score(label, estimate, interval, changes.get("seen", "M"), changes.get("refusal"))


def test_measures_of_known_errors() -> None:
    scores = [score(100, 103), score(100, 96, sex="F"), score(20, 32, seen="F"), score(10, 10)]
    summary = summarise(scores)
    assert summary["n"] == 4
    assert summary["mad_months"] == 4.75
    assert summary["rmse_months"] == pytest.approx((169 / 4) ** 0.5, abs=1e-4)
    assert summary["bias_months"] == 2.75
    assert summary["sex_accuracy"] == 0.5
    assert summary["interval_coverage"] == 0.75
    assert summary["interval_width_months"] == 20
    assert summary["by_sex"]["F"]["mad_months"] == 4
    assert {name: group["n"] for name, group in summary["by_age_months"].items()} == {
        "0-24": 2,
        "96-132": 2,
    }


def test_agreement_of_known_errors() -> None:
    # Errors 3, -4, 12, 0, 30: mean 8.2, and 8.2 +- 1.96 x 13.5351, their SD with n - 1.
    summary = summarise([score(100, 100 + error) for error in (3, -4, 12, 0, 30)])
    assert summary["lower_limit_months"] == pytest.approx(8.2 - 1.96 * 13.5351, abs=1e-3)
    assert summary["upper_limit_months"] == pytest.approx(8.2 + 1.96 * 13.5351, abs=1e-3)
    assert summary["within_6_months"] == 0.6
    assert summary["within_12_months"] == 0.8
    assert summary["within_24_months"] == 0.8


def test_one_error_has_no_limits_of_agreement() -> None:
    summary = summarise([score(100, 103)])
    assert summary["lower_limit_months"] is None
    assert summary["confidence_95"]["upper_limit_months"] is None


def test_the_papers_decoding_is_measured_beside_ours() -> None:
    probability = np.zeros(77, dtype=np.float32)
    probability[[30, 31, 40]] = 0.5, 0.25, 0.25  # 90, 93 and 120 months
    estimate = Estimate(
        bone_age_months=98.25,
        sd_months=9,
        interval_months=(83, 113),
        sex="M",
        by_sex=None,
        sex_seen="M",
        sex_probability=0.9,
        sex_accuracy=None,
        heatmap=NO_HEATMAP,
        weights_version="made-up",
        age_probability=probability,
    )
    found = Score.of(Label("1", "M", 94, "val"), estimate, None)
    assert found.argmax_months == 90
    # All of class 30, and of class 31 (91.5 to 94.5) five sixths.
    assert found.rank == pytest.approx(0.5 + 0.25 * 2.5 / 3)
    summary = summarise([found])
    assert summary["mad_months"] == 4.25
    assert summary["argmax_mad_months"] == 4
    assert "argmax_mad_months" not in summarise([score(1, 1)])


def test_refused_pictures_count_and_are_counted_apart() -> None:
    summary = summarise([score(100, 103), score(100, 140, refusal="no contrast")])
    assert (summary["n"], summary["n_refused"]) == (2, 1)
    assert summary["mad_months"] == 21.5
    assert summary["accepted"]["n"] == 1
    assert summary["accepted"]["mad_months"] == 3


def test_all_refused_is_still_a_summary() -> None:
    summary = summarise([score(100, 103, refusal="no contrast")])
    assert summary["mad_months"] == 3
    assert summary["accepted"] == {"n": 0}


def test_sex_accuracy_is_of_known_sexes() -> None:
    mixed = [score(1, 1, sex="unknown"), score(1, 1, sex="F", seen="F"), score(1, 1, seen="F")]
    assert summarise(mixed)["sex_accuracy"] == 0.5
    assert summarise(mixed[:1])["sex_accuracy"] is None


def test_the_borders_of_a_band_belong_to_the_older() -> None:
    bands = summarise([score(24, 24), score(230, 228)])["by_age_months"]
    assert set(bands) == {"24-60", "168+"}


def test_bootstrap_intervals_are_repeatable_and_of_the_right_size() -> None:
    error = np.random.default_rng(1).normal(0, 10, 400)
    scores = [score(100, 100 + e) for e in error]
    summary = summarise(scores)
    interval = summary["confidence_95"]
    assert summarise(scores) == summary
    low, high = interval["bias_months"]
    assert low < error.mean() < high
    # Of a mean of 400 with SD 10: 2 x 1.96 x 0.5.
    assert high - low == pytest.approx(1.96, rel=0.15)
    for key, (lower, upper) in interval.items():
        assert lower <= summary[key] <= upper


def test_every_label_is_scored_by_the_nodes_own_estimator(
    estimator: Estimator, tiny_data: Path
) -> None:
    labels = read_labels(tiny_data / "labels.csv", "val")
    scores = list(score_pictures(estimator, tiny_data, labels))
    assert sorted(s.label.id for s in scores) == sorted(label.id for label in labels)
    picture = np.asarray(Image.open(tiny_data / "40.png"), dtype=np.float32) / 255
    expected = estimator.estimate(picture, "M")
    found = next(s for s in scores if s.label.id == "40")
    assert found.bone_age_months == expected.bone_age_months
    assert found.interval_months == expected.interval_months
    assert found.sex_seen == expected.sex_seen
    assert found.sd_months == expected.sd_months
    assert expected.age_probability is not None
    assert found.argmax_months == 3 * expected.age_probability.argmax()
    assert 0 <= (found.rank or -1) <= 1


def test_a_hidden_sex_is_hidden(estimator: Estimator, tiny_data: Path) -> None:
    labels = read_labels(tiny_data / "labels.csv", "val")[:2]
    found = list(score_pictures(estimator, tiny_data, labels, hide_sex=True))
    for one in found:
        picture = np.asarray(Image.open(tiny_data / f"{one.label.id}.png"), dtype=np.float32) / 255
        assert one.bone_age_months == estimator.estimate(picture, "unknown").bone_age_months


def test_two_readings_of_one_picture_are_two_rows(estimator: Estimator, tiny_data: Path) -> None:
    labels = [Label("3", "M", 50, ""), Label("3", "M", 60, "")]
    readings = [s.label.bone_age_months for s in score_pictures(estimator, tiny_data, labels)]
    assert readings == [50, 60]


def test_refused_pictures_are_scored_too(
    estimator: Estimator, tiny_data: Path, tmp_path: Path
) -> None:
    shutil.copy(tiny_data / "3.png", tmp_path / "3.png")
    Image.fromarray(np.full((200, 200), 9, dtype=np.uint8)).save(tmp_path / "flat.png")
    labels = [Label("3", "M", 50, ""), Label("flat", "M", 50, "")]
    refusals = {s.label.id: s.refusal for s in score_pictures(estimator, tmp_path, labels)}
    assert refusals == {"3": None, "flat": "the image has no contrast"}


def test_labels_without_a_picture_are_counted(estimator: Estimator, tiny_data: Path) -> None:
    labels = [Label("3", "M", 50, ""), Label("x", "M", 50, ""), Label("y", "M", 50, "")]
    with pytest.raises(ValueError, match="2 of 3 pictures are absent"):
        next(score_pictures(estimator, tiny_data, labels))


def test_no_label_is_an_error(estimator: Estimator, tiny_data: Path) -> None:
    with pytest.raises(ValueError, match="no label"):
        next(score_pictures(estimator, tiny_data, []))
