"""Frames without a hand, drawn: limbs, bodies, textures, gradients, noise, blank frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from models.gate.scenes import Dice


def _places(size_px: int) -> tuple[Tensor, Tensor]:
    """Return x (1, 1, S) and y (1, S, 1) in [-1, 1]."""
    along = (torch.arange(size_px) + 0.5) / size_px * 2 - 1
    return along[None, None, :], along[None, :, None]


def _rod(x: Tensor, y: Tensor, ends: Tensor, half: Tensor, flare: float) -> Tensor:
    """Return (B, S, S) path lengths through a rod that is wider at its ends.

    Parameters
    ----------
    x, y : Tensor
        Places.
    ends : Tensor
        (B, 4): x and y of either end.
    half : Tensor
        (B, 1, 1) half width.
    flare : float
        By how much the ends are wider.
    """
    x0, y0, x1, y1 = (end[:, None, None] for end in ends.T)
    long = torch.hypot(x1 - x0, y1 - y0).clamp(min=0.05)
    u = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / long
    v = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / long
    end = torch.minimum(u, long - u)
    wide = half * (1 + flare * torch.exp(-((end / (3 * half)) ** 2)))
    inside = (1 - (v / wide) ** 2).clamp(min=0).sqrt()
    rod: Tensor = inside * torch.sigmoid(end / 0.02) * wide / half
    return rod


def limbs(size_px: int, dice: Dice) -> Tensor:
    """Return long bones in their flesh, one or two beside each other, straight or bent."""
    x, y = _places(size_px)
    count = dice.count
    angle, bend = dice.even(0, math.tau), dice.even(-0.6, 0.6) * dice.chance(0.6)
    middle_x, middle_y = dice.even(-0.4, 0.4), dice.even(-0.4, 0.4)
    flesh, bone = torch.zeros(2, count, size_px, size_px)
    half = dice.even(0.05, 0.16)
    gap = torch.where(dice.chance(0.5), dice.even(1.5, 2.6) * half, torch.zeros(count))
    for turn in (angle, angle + math.pi + bend):
        reach = dice.even(0.8, 2.2)
        along_x, along_y = torch.cos(turn), torch.sin(turn)
        start = dice.even(0.0, 0.1)
        for side in (-0.5, 0.5):
            off_x, off_y = -along_y * gap * side, along_x * gap * side
            ends = torch.stack([
                middle_x + start * along_x + off_x, middle_y + start * along_y + off_y,
                middle_x + reach * along_x + off_x, middle_y + reach * along_y + off_y,
            ], dim=1)  # fmt: skip
            wide = (half * dice.even(0.6, 1.0))[:, None, None]
            rod = _rod(x, y, ends, wide, 0.9)
            core = _rod(x, y, ends, wide * 0.6, 0.9)
            bone = torch.maximum(bone, rod - 0.4 * core)
            around = _rod(x, y, ends, wide * dice.even(2.0, 3.5)[:, None, None], 0.2)
            flesh = torch.maximum(flesh, around)
    share = dice.even(0.2, 0.6)[:, None, None]
    return _bars(share * flesh + (1 - share) * bone, dice)[:, None]


def _bars(x: Tensor, dice: Dice) -> Tensor:
    """Lay even bars along the borders of half of the frames, as a collimator does."""
    place = (torch.arange(x.shape[-1]) + 0.5) / x.shape[-1]
    low, high = dice.even(0.0, 0.3)[:, None], 1 - dice.even(0.0, 0.3)[:, None]
    outside = ((place[None] < low) | (place[None] > high))[:, None, :]
    some = dice.chance(0.5)[:, None, None]
    return torch.where(outside & some, dice.even()[:, None, None].round(), x)


def bodies(size_px: int, dice: Dice) -> Tensor:
    """Return ellipses within ellipses: trunks with lungs and ribs, heads, cuts through either."""
    x, y = _places(size_px)

    def ellipse(low: float, high: float, off: float) -> Tensor:
        a, b = (dice.even(low, high)[:, None, None] for _ in range(2))
        cx, cy = (dice.even(-off, off)[:, None, None] for _ in range(2))
        return torch.sigmoid((1 - ((x - cx) / a) ** 2 - ((y - cy) / b) ** 2) / 0.06)

    def level(low: float, high: float) -> Tensor:
        return dice.even(low, high)[:, None, None]

    trunk = level(0.3, 1.0) * ellipse(0.5, 1.4, 0.2)
    rim = level(0.0, 0.6) * (ellipse(0.5, 1.2, 0.1) - ellipse(0.4, 1.1, 0.1)).clamp(min=0)
    spine = level(0.0, 0.5) * torch.exp(-(((x - level(-0.1, 0.1)) / level(0.05, 0.15)) ** 2))
    waves = torch.sin(level(8, 30) * (y + level(-0.6, 0.6) * x**2) + level(0, 6))
    ribs = level(0.0, 0.15) * waves * ellipse(0.5, 1.0, 0.2)
    out = trunk + rim + spine * trunk + ribs
    for _ in range(4):
        out = out + level(-0.7, 0.4) * ellipse(0.1, 0.5, 0.6) * trunk
    return out.clamp(0, 1)[:, None]


def textures(size_px: int, dice: Dice) -> Tensor:
    """Return noise of one grain or two, on a ramp or on waves, or on next to nothing."""
    x, y = _places(size_px)
    grains = [_grain(size_px, dice) for _ in range(2)]
    angle, rate = dice.even(0, math.tau)[:, None, None], dice.even(1, 40)[:, None, None]
    along = x * torch.cos(angle) + y * torch.sin(angle)
    waves = torch.where(dice.chance(0.5)[:, None, None], along, torch.sin(rate * along))
    rings = torch.sin(rate * torch.hypot(x - torch.cos(angle), y))
    weight = torch.rand(4, dice.count, 1, 1, generator=dice.generator) ** 3
    parts = torch.stack([*grains, waves, rings])
    return (0.5 + 0.5 * (weight * parts).sum(dim=0) / weight.sum(dim=0)).clamp(0, 1)[:, None]


def _grain(size_px: int, dice: Dice) -> Tensor:
    """Return (B, S, S) smooth noise, of one grain in the whole batch."""
    cells = (3, 5, 9, 16, 30, size_px)[int(dice.below(6)[0])]
    noise = torch.randn(dice.count, 1, cells, cells, generator=dice.generator)
    smooth = F.interpolate(noise, size=(size_px, size_px), mode="bicubic", align_corners=False)
    return smooth[:, 0]


def fields(size_px: int, dice: Dice) -> Tensor:
    """Return empty frames: fields and plates with straight borders, letters, lines of writing."""
    x, y = _places(size_px)
    out = dice.even(0.0, 0.6)[:, None, None].expand(-1, size_px, size_px).clone()
    letters = dice.chance(0.5)
    for number in range(7):
        most = torch.where(letters & (number > 0), 0.12, 0.9)
        a, b = (dice.even(0.02)[:, None, None] * most[:, None, None] for _ in range(2))
        cx, cy = (dice.even(-0.9, 0.9)[:, None, None] for _ in range(2))
        inside = ((x - cx).abs() < a) & ((y - cy).abs() < b)
        out = torch.where(inside, dice.even()[:, None, None], out)
    noise = torch.randn(out.shape, generator=dice.generator)
    return (out + dice.even(0.001, 0.05)[:, None, None] * noise).clamp(0, 1)[:, None]
