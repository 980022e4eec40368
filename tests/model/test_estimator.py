"""The one door to the network: the same picture, the same answer, and refusals in words."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.gate.look import Gate
from models.phantom import draw_phantom
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator, UnusablePictureError, choose_device
from models.tjnet.network import SEX_INPUTS, expected_months
from models.tjnet.spread import Band, Spread
from models.tjnet.train import load_split, predict_split
from models.tjnet.weights import WeightsError
from tests.model.conftest import draw_picture, one_band

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = draw_picture(100, seed=5)


@pytest.fixture(scope="module")
def estimator(tiny_weights: Path) -> Estimator:
    """Return a small random network behind the door."""
    return Estimator(tiny_weights, "cpu", gate=None)


def test_the_same_picture_has_the_same_answer(estimator: Estimator, tiny_weights: Path) -> None:
    first, again = estimator.estimate(PICTURE, "F"), estimator.estimate(PICTURE, "F")
    elsewhere = Estimator(tiny_weights, "cpu", gate=None).estimate(PICTURE.copy(), "F")
    for other in (again, elsewhere):
        assert other.bone_age_months == first.bone_age_months
        assert other.interval_months == first.interval_months
        assert np.array_equal(other.heatmap, first.heatmap)


@pytest.mark.parametrize("views", [2, 10])
def test_with_mirrored_views_the_mirror_image_has_the_same_age(
    tiny_weights: Path, views: int
) -> None:
    estimator = Estimator(tiny_weights, "cpu", views=views, gate=None)
    mirrored = estimator.estimate(PICTURE[:, ::-1], "M").bone_age_months
    assert mirrored == pytest.approx(estimator.estimate(PICTURE, "M").bone_age_months, abs=1e-3)


def test_the_batched_path_of_training_says_the_same(estimator: Estimator, tiny_data: Path) -> None:
    split = load_split(tiny_data, tiny_data / "labels.csv", "val", 32)
    mean, deviation = expected_months(predict_split(estimator.network, split))
    for row, number in enumerate(range(32, 52)):
        picture = decode_picture(tiny_data / f"{number}.png")
        estimate = estimator.estimate(picture, SEX_INPUTS[int(split.sex[row])])
        assert estimate.bone_age_months == pytest.approx(mean[row].item(), abs=1e-2)
        assert estimate.sd_months == pytest.approx(0.5 * deviation[row].item(), abs=1e-2)


def test_more_views_are_averaged_and_leave_the_heatmap(
    estimator: Estimator, tiny_weights: Path
) -> None:
    alone = estimator.estimate(PICTURE, "M")
    both = Estimator(tiny_weights, "cpu", views=2, gate=None).estimate(PICTURE, "M")
    mirrored = estimator.estimate(PICTURE[:, ::-1], "M")
    low, high = sorted([alone.bone_age_months, mirrored.bone_age_months])
    assert low < both.bone_age_months < high
    assert np.allclose(both.heatmap, alone.heatmap, atol=1e-4)


def test_another_number_of_views_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(ValueError, match="views must be one of 1, 2, 10, not 3"):
        Estimator(tiny_weights, "cpu", views=3, gate=None)


def test_a_known_sex_is_answered_alone(estimator: Estimator) -> None:
    estimate = estimator.estimate(PICTURE, "M")
    assert estimate.sex == "M"
    assert estimate.by_sex is None


@pytest.mark.parametrize("sex", ["unknown", "O", "", "m"])
def test_an_unknown_sex_is_answered_under_all_three(estimator: Estimator, sex: str) -> None:
    estimate = estimator.estimate(PICTURE, sex)
    assert estimate.sex == "unknown"
    assert estimate.by_sex is not None
    for known in ("M", "F"):
        expected = estimator.estimate(PICTURE, known).bone_age_months
        assert estimate.by_sex[known] == pytest.approx(expected, abs=1e-4)
    ages = {round(v, 3) for v in (estimate.bone_age_months, *estimate.by_sex.values())}
    assert len(ages) == 3


def test_spread_and_interval_follow_the_card(estimator: Estimator) -> None:
    known, unknown = estimator.estimate(PICTURE, "F"), estimator.estimate(PICTURE, "unknown")
    for estimate, share in ((known, 0.25 / 0.5), (unknown, 0.5 / 0.75)):
        half = estimate.sd_months * share
        low, high = estimate.interval_months
        assert low == pytest.approx(max(0, estimate.bone_age_months - half))
        assert high == pytest.approx(min(228, estimate.bone_age_months + half))


def test_the_interval_stays_within_the_scale(tiny_weights: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.safetensors"
    shutil.copy(tiny_weights, wide)
    card = json.loads(tiny_weights.with_suffix(".json").read_text(encoding="utf-8"))
    card["spread"] = {**one_band(1.0, 100.0), "unknown_sex": one_band(1.0, 100.0)}
    wide.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    assert Estimator(wide, "cpu", gate=None).estimate(PICTURE, "F").interval_months == (0.0, 228.0)


def test_the_sex_seen_does_not_depend_on_the_recorded_one(estimator: Estimator) -> None:
    seen = {estimator.estimate(PICTURE, sex).sex_seen for sex in SEX_INPUTS}
    probability = estimator.estimate(PICTURE, "F").sex_probability
    assert len(seen) == 1
    assert seen <= {"M", "F"}
    assert 0.5 <= probability <= 1


@pytest.mark.parametrize(("method", "side"), [("gradcam", 2), ("fine", 4)])
def test_the_heatmap_is_on_its_blocks_grid_between_0_and_1(
    tiny_weights: Path, method: str, side: int
) -> None:
    heatmap = (
        Estimator(tiny_weights, "cpu", heatmap=method, gate=None).estimate(PICTURE, "F").heatmap
    )
    assert heatmap.shape == (side, side)
    assert heatmap.dtype == np.float32
    assert heatmap.min() >= 0
    assert heatmap.max() == 1


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("sex", ["F", "unknown"])
def test_without_the_heatmap_the_answer_is_the_same(
    tiny_weights: Path, sex: str, views: int
) -> None:
    estimator = Estimator(tiny_weights, "cpu", views=views, gate=None)
    whole, _ = estimator.assess(PICTURE, sex)
    fast, _ = estimator.assess(PICTURE, sex, explain=False)
    assert fast.heatmap.shape == (0, 0)
    for name in ("bone_age_months", "sd_months", "interval_months", "by_sex", "sex_probability"):
        assert getattr(fast, name) == getattr(whole, name)


def test_the_softmax_comes_with_the_answer(estimator: Estimator) -> None:
    found = estimator.estimate(PICTURE, "F")
    assert found.age_probability is not None
    assert found.age_probability.shape == (77,)
    assert found.age_probability.sum() == pytest.approx(1, abs=1e-5)
    mean = (found.age_probability * 3 * np.arange(77)).sum()
    assert mean == pytest.approx(found.bone_age_months, abs=1e-3)


def test_the_finer_heatmap_leaves_the_estimate(estimator: Estimator, tiny_weights: Path) -> None:
    coarse = Estimator(tiny_weights, "cpu", heatmap="gradcam", gate=None).estimate(PICTURE, "F")
    fine = estimator.estimate(PICTURE, "F")
    assert fine.heatmap.shape != coarse.heatmap.shape
    assert fine.bone_age_months == coarse.bone_age_months


def test_another_method_for_the_heatmap_is_refused(tiny_weights: Path) -> None:
    with pytest.raises(ValueError, match="one of gradcam, fine, not 'guess'"):
        Estimator(tiny_weights, "cpu", heatmap="guess", gate=None)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (draw_picture(100, 1, side=127), "smaller than 128 pixels"),
        (PICTURE[:, :50], "smaller than 128 pixels"),
        (np.full((200, 200), 40, dtype=np.uint8), "no contrast"),
    ],
)
def test_a_picture_that_can_carry_no_estimate_is_refused(
    estimator: Estimator, picture: np.ndarray[tuple[int, int], np.dtype[np.uint8]], reason: str
) -> None:
    with pytest.raises(UnusablePictureError, match=reason):
        estimator.estimate(picture, "F")
    measured, refusal = estimator.assess(picture, "F")
    assert refusal is not None
    assert 0 <= measured.bone_age_months <= 228


def test_a_turned_and_inverted_hand_is_righted_and_has_the_same_answer(
    tiny_weights: Path,
) -> None:
    estimator = Estimator(tiny_weights, "cpu")
    upright = draw_phantom("F", 126, height_px=512, width_px=384)
    first = estimator.estimate(upright, "F")
    assert (first.turned_deg, first.inverted) == (0, False)
    for turned_deg in (90, 180, 270):
        given = np.rot90(upright, -turned_deg // 90)
        for inverted in (False, True):
            again = estimator.estimate(4095 - given if inverted else given, "F")
            assert (again.turned_deg, again.inverted) == (turned_deg, inverted)
            assert again.bone_age_months == pytest.approx(first.bone_age_months, abs=0.2)
            laid_back = np.rot90(first.heatmap, -turned_deg // 90)
            assert np.allclose(again.heatmap, laid_back, atol=0.05)


def test_a_refused_picture_is_not_read(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = Estimator(tiny_weights, "cpu", gate=None)

    def read(_: object) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(estimator.network, "early", read)
    with pytest.raises(UnusablePictureError, match="no contrast"):
        estimator.estimate(np.full((200, 200), 90, dtype=np.uint8), "F")


def test_the_shipped_gate_looks_unless_told_otherwise(tiny_weights: Path) -> None:
    gated = Estimator(tiny_weights, "cpu")
    assert isinstance(gated.gate, Gate)
    assert Estimator(tiny_weights, "cpu", gate=gated.gate).gate is gated.gate
    noise = np.random.default_rng(0).random((200, 200))
    with pytest.raises(UnusablePictureError, match="no hand"):
        gated.estimate(noise, "F")
    measured, refusal = gated.assess(noise, "F")
    assert refusal == "the image shows no hand"
    assert 0 <= measured.bone_age_months <= 228
    assert Estimator(tiny_weights, "cpu", gate=None).estimate(noise, "F").turned_deg == 0


def test_an_answer_that_spreads_too_widely_is_refused(tiny_weights: Path, tmp_path: Path) -> None:
    sure = Estimator(tiny_weights, "cpu", gate=None).estimate(PICTURE, "F")
    softmax_sd_months = sure.sd_months / 0.5  # the card's sd_factor
    for limit, is_refused in ((softmax_sd_months * 0.99, True), (softmax_sd_months * 1.01, False)):
        path = tmp_path / "limited.safetensors"
        shutil.copy(tiny_weights, path)
        card = json.loads(tiny_weights.with_suffix(".json").read_text(encoding="utf-8"))
        card["gate"] = {"largest_softmax_sd_months": limit}
        path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
        measured, refusal = Estimator(path, "cpu", gate=None).assess(PICTURE, "F")
        assert measured.bone_age_months == sure.bone_age_months
        assert (refusal is not None) == is_refused
        if is_refused:
            spread = f"spread over {softmax_sd_months:.0f} months"
            assert refusal == f"the network cannot tell: its answers {spread}"


def test_what_is_no_picture_is_an_error(estimator: Estimator) -> None:
    with pytest.raises(ValueError, match="two-dimensional"):
        estimator.estimate(np.zeros((200, 200, 3)), "F")
    with pytest.raises(ValueError, match="not finite"):
        estimator.estimate(np.full((200, 200), np.nan), "F")


def with_spread(spread: object, weights: Path, folder: Path) -> Path:
    """Return a copy of weights whose card has another spread."""
    copy = folder / "copy.safetensors"
    shutil.copy(weights, copy)
    card = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    copy.with_suffix(".json").write_text(json.dumps({**card, "spread": spread}), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    "spread",
    [
        None,
        {},
        one_band(0.5, 0.25),  # nothing for the unknown sex
        {"bands": [], "unknown_sex": one_band(0.5, 0.25)},
        {**one_band(0.5, -1.0), "unknown_sex": one_band(0.5, 0.25)},
        {**one_band(0.5, float("nan")), "unknown_sex": one_band(0.5, 0.25)},
        {"bands": 2 * one_band(0.5, 0.25)["bands"], "unknown_sex": one_band(0.5, 0.25)},
        {"sd_factor": 0.5, "interval_factor": 0.25},
        {"bands": [{"sd_factor": 0.5}], "unknown_sex": one_band(0.5, 0.25)},
    ],
)
def test_weights_without_a_spread_are_refused(
    spread: object, tiny_weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match="no spread"):
        Estimator(with_spread(spread, tiny_weights, tmp_path), "cpu", gate=None)


def test_the_interval_is_that_of_the_estimates_band(tiny_weights: Path, tmp_path: Path) -> None:
    alone = Estimator(tiny_weights, "cpu", gate=None).estimate(PICTURE, "F")
    months, softmax_sd = alone.bone_age_months, alone.sd_months / 0.5
    young = Band(0.0, months, months - 6, 100, 1.0, 0.2)
    old = Band(months, 228.0, months + 2, 100, 2.0, 0.4)
    spread = {**Spread((young, old)).to_dict(), "unknown_sex": one_band(1.0, 1.0)}
    weights = with_spread(spread, tiny_weights, tmp_path)
    estimate = Estimator(weights, "cpu", gate=None).estimate(PICTURE, "F")
    # Three quarters of the way from the one centre to the other.
    assert estimate.sd_months == pytest.approx(1.75 * softmax_sd)
    low, high = estimate.interval_months
    assert high - low == pytest.approx(2 * 0.35 * softmax_sd, abs=1e-3)


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in {"cpu", "cuda"}
    for absent in ("banana", "mps", "cuda:999", "meta"):
        with pytest.raises(ValueError, match=absent):
            choose_device(absent)
