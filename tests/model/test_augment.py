"""Augmentation keeps form and range, and the same seed draws the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.tjnet.augment import AugmentConfig, augment

STILL = AugmentConfig(
    rotation_deg=0,
    shift=0,
    zoom=0,
    aspect=0,
    flip=0,
    invert=0,
    gamma=0,
    contrast=0,
    brightness=0,
    noise=0,
    blur=0,
    exposure=0,
    occlusion=0,
    marker=0,
    collimator=0,
)
# Grey levels below 1e-4 are lifted to it, so that gamma has a slope there.
CLAMPED = 2e-4


def batch(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 24, 24, generator=torch.Generator().manual_seed(0))


def drawn(config: AugmentConfig, seed: int = 1, count: int = 6) -> torch.Tensor:
    return augment(batch(count), config, torch.Generator().manual_seed(seed))


def test_form_and_range_are_kept() -> None:
    out = drawn(AugmentConfig(invert=0.5))
    assert out.shape == batch().shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    assert torch.equal(drawn(AugmentConfig()), drawn(AugmentConfig()))
    assert not torch.equal(drawn(AugmentConfig()), drawn(AugmentConfig(), seed=2))


def test_the_global_generator_plays_no_part() -> None:
    torch.manual_seed(1)
    first = drawn(AugmentConfig())
    torch.manual_seed(2)
    assert torch.equal(drawn(AugmentConfig()), first)


def test_the_batch_itself_is_left_alone() -> None:
    x = batch()
    augment(x, AugmentConfig(), torch.Generator().manual_seed(1))
    assert torch.equal(x, batch())


def test_each_image_draws_its_own() -> None:
    same = batch(1).expand(4, -1, -1, -1).contiguous()
    out = augment(same, AugmentConfig(), torch.Generator().manual_seed(1))
    assert not torch.allclose(out[0], out[1])


def test_no_strength_is_no_change() -> None:
    assert torch.allclose(drawn(STILL), batch(), atol=CLAMPED)


def test_flip_is_the_mirror_image() -> None:
    assert torch.allclose(drawn(replace(STILL, flip=1)), batch().flip(-1), atol=CLAMPED)


def test_invert_turns_black_and_white_round() -> None:
    assert torch.allclose(drawn(replace(STILL, invert=1)), 1 - batch(), atol=CLAMPED)


def test_occlusion_lays_one_level_over_a_part() -> None:
    out = drawn(replace(STILL, occlusion=1))
    changed = (out - batch()).abs() > CLAMPED
    assert changed.flatten(1).any(dim=1).all()
    assert changed.float().mean() < 0.1
    assert set(out[changed].tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    "change", [{"rotation_deg": 20}, {"shift": 0.1}, {"zoom": 0.2}, {"aspect": 0.2}]
)
def test_each_placing_moves_the_picture(change: dict[str, float]) -> None:
    assert not torch.allclose(drawn(replace(STILL, **change)), batch(), atol=0.05)


def test_rotation_is_done_in_the_frame_before_it_was_squashed() -> None:
    # A square turned in a squashed frame becomes a parallelogram: its sides change alike only
    # where the frame was square.
    square = torch.zeros(64, 1, 48, 48)
    square[:, :, 12:36, 12:36] = 1
    turn = replace(STILL, rotation_deg=40)
    generator = torch.Generator().manual_seed(1)
    stretched = augment(square, turn, generator)
    generator.manual_seed(1)
    level = augment(square, replace(turn, frame_aspect=1.0), generator)

    def tall(x: torch.Tensor) -> torch.Tensor:
        rows, columns = ((x > 0.5).any(dim=axis).sum(-1) for axis in (3, 2))
        return (rows / columns).flatten().float()

    assert tall(level).sub(1).abs().max() < 0.1
    assert tall(stretched).sub(1).abs().max() > 0.2


def test_a_share_of_the_strengths_is_a_weaker_change_and_none_is_none() -> None:
    config = AugmentConfig()
    assert config.scaled(1) == config
    assert drawn(replace(config.scaled(0), flip=0)).equal(drawn(STILL))
    half = config.scaled(0.5)
    assert (half.rotation_deg, half.invert, half.flip) == (20, 0.015, 0.5)
    assert half.frame_aspect**2 == pytest.approx(config.frame_aspect)


def test_blur_loses_fine_detail_and_keeps_the_mean() -> None:
    x = (torch.arange(24) % 2).float().expand(8, 1, 24, 24).contiguous()
    out = augment(x, replace(STILL, blur=1), torch.Generator().manual_seed(1))
    assert out.std() < 0.5 * x.std()
    assert out.mean() == pytest.approx(x.mean().item(), abs=0.05)


def test_a_low_exposure_leaves_few_levels() -> None:
    ramp = torch.linspace(0, 1, 128 * 128).reshape(1, 1, 128, 128)
    out = augment(ramp, replace(STILL, exposure=1), torch.Generator().manual_seed(1))
    assert 20 < len(set(out.flatten().tolist())) < 140 < len(set(ramp.flatten().tolist()))


def test_a_marker_is_small_and_bright() -> None:
    black = torch.zeros(16, 1, 64, 64)
    out = augment(black, replace(STILL, marker=1), torch.Generator().manual_seed(1))
    lit = out > 0.5
    assert lit.flatten(1).any(dim=1).all()
    assert lit.float().mean() < 0.02


def test_a_collimator_leaves_an_even_margin() -> None:
    grey = torch.full((16, 1, 64, 64), 0.5)
    out = augment(grey, replace(STILL, collimator=1), torch.Generator().manual_seed(1))
    assert (out[:, :, 6:-6, 6:-6] == 0.5).all()
    assert set(out.flatten().tolist()) == {0.0, 0.5, 1.0}


def test_brightness_moves_all_pixels_alike() -> None:
    grey = torch.full((1, 1, 8, 8), 0.5)
    out = augment(grey, replace(STILL, brightness=0.2), torch.Generator().manual_seed(3))
    assert len(set(out.flatten().tolist())) == 1
    assert 0 < (out - 0.5).abs().max() <= 0.2
