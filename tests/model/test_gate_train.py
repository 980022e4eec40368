"""How the gate's examples are made, that its training repeats itself, and its two commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from models.cli import main
from models.gate import drawings, scenes
from models.gate.evaluate import measure_hands, measure_others
from models.gate.examples import Sources, draw_examples, stretch, turned
from models.gate.look import Gate
from models.gate.material import is_of_second_half, load_others
from models.gate.network import CUT_OFF, HAND, OTHER, TWO_HANDS, GateConfig
from models.gate.scenes import Dice, find_extents
from models.gate.train import GateTraining, train_gate
from models.phantom import draw_phantom
from models.tjnet.preprocess import to_input

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

SIZE_PX = 32
SMALL = GateTraining(
    network=GateConfig(input_size_px=SIZE_PX, widths=(4, 8), hidden=8),
    steps=3,
    more_steps=2,
    batch_size=48,
    seed=5,
)


def dice(count: int, seed: int = 0) -> Dice:
    return Dice(count, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def hands() -> Tensor:
    """Return (4, 64, 64) bytes: phantoms, without the word along their top border."""
    frames = [draw_phantom("F", age, height_px=320, width_px=256) for age in (40, 90, 130, 200)]
    inputs = torch.from_numpy(np.stack([to_input(frame, 2 * SIZE_PX) for frame in frames]))
    inputs[:, :5] = 0
    return inputs


@pytest.fixture(scope="module")
def sources(hands: Tensor) -> Sources:
    """Return the phantoms, and no other picture."""
    others = torch.zeros(0, 2 * SIZE_PX, 2 * SIZE_PX, dtype=torch.uint8)
    return Sources.of(hands, others, torch.tensor([18.0, 40.0, 60.0, 200.0]))


def as_frames(hands: Tensor) -> Tensor:
    return hands[:, None].float() / 255


def test_a_batch_has_every_kind_and_the_same_chance_gives_the_same_batch(sources: Sources) -> None:
    rows = torch.arange(48) % 4
    first, again, other = (
        draw_examples(sources, rows, SIZE_PX, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert first.x.shape == (48, 1, SIZE_PX, SIZE_PX)
    assert torch.equal(first.x, again.x)
    assert not torch.equal(first.x, other.x)
    for kind in (HAND, OTHER, TWO_HANDS, CUT_OFF):
        assert int((first.kind == kind).sum()) >= 5
    assert set(first.turn.tolist()) == {0, 1, 2, 3}
    assert set(first.inverted.tolist()) == {0, 1}
    assert first.x.min() == 0
    assert first.x.max() == 1


def test_infants_are_drawn_more_often(sources: Sources) -> None:
    assert sources.weight.tolist() == [8, 2, 1, 1]


def test_turning_goes_counter_clockwise_and_back(hands: Tensor) -> None:
    x = as_frames(hands)
    turns = torch.arange(4)
    out = turned(x, turns)
    for row in range(4):
        assert np.array_equal(out[row, 0].numpy(), np.rot90(x[row, 0].numpy(), row))
    assert torch.equal(turned(out, -turns), x)


def test_a_batch_is_stretched_as_a_picture_is(hands: Tensor) -> None:
    dim = 0.3 + 0.2 * as_frames(hands)
    levels = (stretch(dim)[:, 0] * 255).round().numpy()
    for row in range(4):
        expected = to_input(dim[row, 0].numpy(), 2 * SIZE_PX).astype(float)
        assert np.abs(levels[row] - expected).mean() < 6
    assert not stretch(torch.full((1, 1, 8, 8), 0.4)).any()


def test_the_extents_of_a_phantom_hold_its_hand(hands: Tensor) -> None:
    extents = find_extents(hands)
    assert extents.is_clear.all()
    assert ((extents.top > 0.05) & (extents.top < 0.4)).all()
    assert ((extents.left > 0.0) & (extents.left < extents.right)).all()


def test_what_is_cut_off_loses_a_part_and_what_is_whole_does_not(hands: Tensor) -> None:
    x = as_frames(hands).repeat(16, 1, 1, 1)
    extents = find_extents(hands).at(torch.arange(64) % 4)
    whole = scenes.window(x, (torch.zeros(64), torch.zeros(64), *torch.ones(2, 64)), 2 * SIZE_PX)
    assert torch.allclose(whole, x, atol=1e-5)
    cut = scenes.cut_off(x, extents, SIZE_PX, dice(64))
    assert cut.shape == (64, 1, SIZE_PX, SIZE_PX)
    borders = torch.stack([cut[:, 0, 0].amax(1), cut[:, 0, :, 0].amax(1), cut[:, 0, :, -1].amax(1)])
    touches = borders.amax(dim=0) > 0.3  # the flesh reaches the border, or the wrist is gone
    assert touches.float().mean() > 0.6


def test_two_hands_lie_beside_each_other(hands: Tensor) -> None:
    x = as_frames(hands).repeat(8, 1, 1, 1)
    out = scenes.two_hands(x, SIZE_PX, dice(32))
    left, right = out[..., : SIZE_PX // 2], out[..., SIZE_PX // 2 :]
    assert (left.amax(dim=(1, 2, 3)) > 0.5).all()
    assert (right.amax(dim=(1, 2, 3)) > 0.5).all()


@pytest.mark.parametrize("seed", range(4))
def test_no_tile_stays_where_it_was_last(hands: Tensor, seed: int) -> None:
    out = scenes.tiles(as_frames(hands), 40, dice(4, seed))
    assert out.shape == (4, 1, 40, 40)
    small = torch.nn.functional.interpolate(as_frames(hands), size=40, mode="area")
    assert torch.allclose(out.flatten(1).sort().values, small.flatten(1).sort().values)
    assert not torch.allclose(out[..., :8, :8], small[..., :8, :8])


@pytest.mark.parametrize(
    "draw", [drawings.limbs, drawings.bodies, drawings.textures, drawings.fields]
)
def test_drawings_are_frames_of_their_own(draw: object) -> None:
    assert callable(draw)
    out = draw(SIZE_PX, dice(8))
    assert out.shape == (8, 1, SIZE_PX, SIZE_PX)
    assert torch.isfinite(out).all()
    assert len({frame.sum().item() for frame in out}) == 8


def test_the_same_seed_trains_the_same_gate_and_it_goes_on(sources: Sources) -> None:
    told: list[int] = []
    first = train_gate(SMALL, sources, lambda step, _: told.append(step))
    again = train_gate(SMALL, sources, lambda *_: None)
    assert told == [1, 2, 3]
    kept = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    assert all(torch.equal(kept[name], t) for name, t in again.state_dict().items())
    further = train_gate(SMALL, sources, lambda step, _: told.append(step), first)
    assert told == [1, 2, 3, 1, 2]
    assert all(torch.equal(kept[name], t) for name, t in first.state_dict().items())
    assert not torch.equal(further.state_dict()["head.2.weight"], kept["head.2.weight"])


def test_one_hand_is_too_few(hands: Tensor) -> None:
    with pytest.raises(ValueError, match="too few"):
        train_gate(SMALL, Sources.of(hands[:1], hands[:0], torch.tensor([50.0])), lambda *_: None)


def test_what_is_held_out_is_decided_by_the_name(tmp_path: Path) -> None:
    share = np.mean([is_of_second_half(f"CXR/{number:06d}") for number in range(400)])
    assert 0.4 < share < 0.6
    for folder in ("common", "rare"):
        (tmp_path / folder).mkdir()
        for number in range(12):
            frame = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
            Image.fromarray(frame).save(tmp_path / folder / f"{number}.png")
    others = load_others([tmp_path / "common"], [tmp_path / "rare"], SIZE_PX)
    assert others.large.shape == (24, 2 * SIZE_PX, 2 * SIZE_PX)
    expected = [is_of_second_half(f"common/{name.split('/')[1]}") for name in others.names[:12]]
    assert others.is_held_out.tolist() == [*expected, *[True] * 12]
    assert 0 < sum(expected) < 12


def test_the_measures_count(hands: Tensor) -> None:
    gate = Gate().weights
    small = torch.from_numpy(
        np.stack([to_input(hand.numpy(), gate.network.config.input_size_px) for hand in hands])
    )
    found = measure_hands(gate.network, gate.thresholds, small)
    assert found["as_they_are"] == {
        "n": 4,
        "n_refused": 0,
        "share_refused": 0.0,
        "share_turn_right": 1.0,
        "share_greys_right": 1.0,
    }
    assert found["turned_90_deg_inverted"]["share_greys_right"] == 1.0
    noise = torch.randint(0, 255, small.shape, generator=torch.Generator().manual_seed(1))
    frames = torch.cat([noise.byte(), small[:1]])
    others = measure_others(gate.network, gate.thresholds, [*"abcd", "a hand"], frames)
    assert (others["n"], others["n_refused"], others["accepted"]) == (5, 4, ["a hand"])


def test_the_commands_train_and_measure(
    tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "others").mkdir()
    for number in range(6):
        frame = np.random.default_rng(number).integers(0, 255, (90, 80), dtype=np.uint8)
        Image.fromarray(frame).save(tmp_path / "others" / f"{number}.png")
    words = ["train-gate", "--data", str(tiny_data), "--cache", str(tmp_path / "cache")]
    words += ["--others", str(tmp_path / "others"), "--steps", "2", "--more-steps", "1"]
    assert main([*words, "--to", str(tmp_path), "--name", "tiny"]) == 0
    printed = capsys.readouterr()
    assert "32 hands and 6 pictures without one" in printed.out
    assert "rehearsal 2/2 loss " in printed.err
    card = json.loads((tmp_path / "tiny.json").read_text(encoding="utf-8"))
    assert card["measured"]["shipped"]["others"]["n"] == 6
    assert card["measured"]["held_out"]["others"]["n"] < 6
    assert str(tmp_path) not in json.dumps(card)
    out = tmp_path / "out.json"
    words = ["evaluate-gate", "--data", str(tiny_data), "--split", "val"]
    words += ["--labels", str(tiny_data / "labels.csv"), "--others", str(tmp_path / "others")]
    words += ["--weights", str(tmp_path / "tiny.safetensors"), "--json", str(out)]
    assert main(words) == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["hands"] == card["measured"]["shipped"]["hands"]
    assert found["weights"] == card["sha256"]
    assert "refused: " in capsys.readouterr().out
