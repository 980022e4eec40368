"""The gate on what is drawn or made up here: its words, its thresholds, how it turns a picture."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from models.gate.checks import grey_share, refusal_of
from models.gate.look import Gate, Look, judge
from models.gate.network import CUT_OFF, HAND, OTHER, TWO_HANDS, GateConfig, GateNetwork, Opinion
from models.gate.weights import SHIPPED, Thresholds, load_gate_weights
from models.phantom import draw_phantom
from models.tjnet.preprocess import to_input
from models.tjnet.weights import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

THRESHOLDS = Thresholds(hand=0.4, turn=0.8, inverted=0.5)
NOISE = np.random.default_rng(3)


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Return the gate that ships."""
    return Gate()


def phantom(sex: str = "F", age_months: float = 126, seed: int = 0) -> npt.NDArray[np.uint16]:
    return draw_phantom(sex, age_months, height_px=512, width_px=384, seed=seed)


def an_opinion(
    kind: tuple[float, ...], turn: tuple[float, ...] = (1, 0, 0, 0), inverted: float = 0
) -> Opinion:
    return Opinion(torch.tensor([kind]), torch.tensor([turn]), torch.tensor([inverted]))


@pytest.mark.parametrize("sex", ["M", "F"])
@pytest.mark.parametrize("age_months", [0, 6, 18, 48, 90, 126, 168, 228])
def test_the_phantom_is_accepted_as_it_is(gate: Gate, sex: str, age_months: float) -> None:
    look = gate.look(phantom(sex, age_months, seed=int(age_months)))
    assert look.refusal is None
    assert (look.turned_deg, look.inverted) == (0, False)


@pytest.mark.parametrize("turned_deg", [90, 180, 270])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_phantom_is_turned_upright(gate: Gate, turned_deg: int, inverted: bool) -> None:
    picture = phantom()
    given = np.rot90(picture, -turned_deg // 90)
    look = gate.look(given.max() - given if inverted else given)
    assert look.refusal is None
    assert (look.turned_deg, look.inverted) == (turned_deg, inverted)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (phantom()[:127, :], "the image is smaller than 128 pixels on a side"),
        (np.full((300, 200), 7.0), "the image has no contrast"),
        (np.zeros((300, 200)), "the image has no contrast"),
        (np.where(phantom() > 900, 1.0, 0.0).repeat(2, 0).repeat(2, 1), "saturated"),
        (NOISE.random((300, 200)), "the image shows no hand"),
        (NOISE.normal(0.5, 1e-3, (256, 256)), "the image shows no hand"),
        (np.linspace(0, 1, 300 * 200).reshape(300, 200), "no hand|cut off"),
        (np.indices((256, 256)).sum(axis=0) // 32 % 2, "saturated"),
        (np.hstack([phantom(), phantom("F", 130, 1)[:, ::-1]]), "the image shows two hands"),
        (np.hstack([phantom("M", 90), phantom("M", 90, 2)]), "the image shows two hands"),
        (phantom()[230:], "cut off"),
        (phantom()[:, 200:], "cut off|no hand"),
        (phantom()[200:300, 150:280].repeat(2, 0).repeat(2, 1), "cut off|no hand"),
    ],
    ids=[
        *("small", "blank", "black", "saturated", "noise", "faint noise", "ramp", "checkers"),
        *("two hands, mirrored", "two hands", "no finger tips", "half a hand", "a palm"),
    ],
)
def test_what_is_no_usable_hand_is_refused_in_words(
    gate: Gate, picture: npt.NDArray[np.generic], reason: str
) -> None:
    refusal = gate.look(picture).refusal
    assert refusal is not None
    assert any(part in refusal for part in reason.split("|")), refusal


def test_what_is_no_picture_is_an_error(gate: Gate) -> None:
    with pytest.raises(ValueError, match="two-dimensional"):
        gate.look(np.zeros((200, 200, 3)))


@pytest.mark.parametrize(
    ("kind", "reason"), [(OTHER, "no hand"), (TWO_HANDS, "two hands"), (CUT_OFF, "cut off")]
)
def test_the_likeliest_other_kind_is_the_reason(kind: int, reason: str) -> None:
    shares = [0.1, 0.1, 0.1, 0.1]
    shares[HAND], shares[kind] = 0.39, 0.41
    look = judge(an_opinion(tuple(shares)), 0, THRESHOLDS)
    assert look.refusal is not None
    assert reason in look.refusal
    assert look.hand_probability == pytest.approx(0.39)


def test_a_hand_is_accepted_from_its_threshold_on() -> None:
    assert judge(an_opinion((0.4, 0.6, 0, 0)), 0, THRESHOLDS).refusal is None


def test_a_plain_check_comes_first() -> None:
    assert judge(an_opinion((0.1, 0.9, 0, 0)), 0, THRESHOLDS, "blank").refusal == "blank"


@pytest.mark.parametrize(
    ("turn", "turned_deg"),
    [((0.1, 0.9, 0, 0), 90), ((0.3, 0.7, 0, 0), 0), ((0, 0, 0.2, 0.8), 270), ((0.9, 0.1, 0, 0), 0)],
)
def test_a_hand_is_turned_only_where_the_network_is_sure(
    turn: tuple[float, ...], turned_deg: int
) -> None:
    assert judge(an_opinion((1, 0, 0, 0), turn), 0, THRESHOLDS).turned_deg == turned_deg


@pytest.mark.parametrize("turned_deg", [0, 90, 180, 270])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_righted_picture_is_upright_and_its_map_lies_over_what_came(
    turned_deg: int, inverted: bool
) -> None:
    upright = np.arange(12, dtype=np.float32).reshape(3, 4)
    came = np.rot90(11 - upright if inverted else upright, -turned_deg // 90)
    look = Look(None, turned_deg, inverted, 1.0)
    assert np.array_equal(look.righted(came), upright)
    assert np.array_equal(look.laid_back(upright), np.rot90(upright, -turned_deg // 90))


def test_whole_numbers_do_not_run_over_when_they_are_inverted() -> None:
    came = np.array([[0, 65535], [10, 20]], dtype=np.uint16)
    righted = Look(None, 0, inverted=True, hand_probability=1.0).righted(came)
    assert righted.tolist() == [[65535, 0], [65525, 65515]]


def test_a_frame_needs_grey_between_black_and_white() -> None:
    picture = np.zeros((200, 200))
    picture[:40] = 3.0
    assert "saturated" in str(refusal_of(picture, to_input(picture, 64)))
    picture[40:60] = 1.0
    assert grey_share(picture) == pytest.approx(20 / 200)
    assert refusal_of(picture, to_input(picture, 64)) is None
    assert grey_share(np.full((9, 9), 2)) == 0


def test_inverting_a_picture_inverts_its_input() -> None:
    levels = to_input(phantom(), 64).astype(int)
    righted = Look(None, 0, inverted=True, hand_probability=1.0).righted(4095 - phantom())
    assert np.abs(to_input(righted, 64).astype(int) - levels).max() <= 1


def test_the_shipped_gate_is_small_and_says_how_it_was_made(gate: Gate) -> None:
    card = gate.weights.card
    assert SHIPPED.stat().st_size < 2 * 1024 * 1024
    assert sum(p.numel() for p in gate.weights.network.parameters()) <= 300_000
    for key in ("seed", "data", "terms", "code", "training", "thresholds_fitted"):
        assert card[key] is not None
    assert {"held_out", "shipped"} <= card["measured"].keys()


def test_weights_that_are_not_the_cards_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gate.safetensors"
    shutil.copy(SHIPPED, path)
    card = json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))
    path.with_suffix(".json").write_text(json.dumps({**card, "sha256": "0" * 64}), encoding="utf-8")
    with pytest.raises(WeightsError, match="speaks of other weights"):
        load_gate_weights(path)
    del card["thresholds"]
    path.with_suffix(".json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(WeightsError, match="thresholds"):
        load_gate_weights(path)
    with pytest.raises(WeightsError, match="No such file"):
        load_gate_weights(tmp_path / "absent.safetensors")


def test_the_network_keeps_to_any_size() -> None:
    network = GateNetwork(GateConfig(input_size_px=40, widths=(4, 8), hidden=8)).eval()
    assert network(torch.zeros(3, 1, 40, 40)).shape == (3, 9)
