"""What must be refused, made from hands that must not: two in a frame, cut off, a patch, tiles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

DARK = 0.2
"""Mean of a border beyond which it belongs to a field or a hand."""

FEWEST_PX = 2
"""So many bright pixels in a line are a finger, and no noise."""


TIPS, LEFT, RIGHT = 0.5, 0.67, 0.84
"""Where what is cut off changes, of 1: half of them lose the finger tips, the last the wrist."""


class Dice:
    """Numbers for each image of a batch, from one generator."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def even(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return (B,) numbers in [low, high)."""
        return low + (high - low) * torch.rand(self.count, generator=self.generator)

    def chance(self, probability: float) -> Tensor:
        """Return (B,) choices."""
        return self.even() < probability

    def below(self, bound: int) -> Tensor:
        """Return (B,) whole numbers in [0, bound)."""
        return torch.randint(bound, (self.count,), generator=self.generator)


@dataclass(frozen=True, slots=True)
class Extents:
    """Where hands lie in their frames, as shares of the side; each (N,).

    Attributes
    ----------
    top, left, right : Tensor
        Of the hand, without its marker.
    is_clear : Tensor
        Whether the background is dark up to the borders, so that the other three can be trusted.
    """

    top: Tensor
    left: Tensor
    right: Tensor
    is_clear: Tensor

    def at(self, rows: Tensor) -> Extents:
        """Return those of some frames."""
        return Extents(self.top[rows], self.left[rows], self.right[rows], self.is_clear[rows])


def find_extents(inputs: Tensor) -> Extents:
    """Return where upright hands lie, by the first bright lines from each side.

    Parameters
    ----------
    inputs : Tensor
        (N, S, S) bytes.
    """
    x = F.adaptive_avg_pool2d(inputs[:, None].float() / 255, 80)[:, 0]
    bright = x > 0.5 * (x.mean(dim=(1, 2), keepdim=True) + DARK)
    middle = slice(20, 60)
    rows = (bright[:, :, middle].sum(dim=2) >= FEWEST_PX).float()
    columns = (bright[:, middle].sum(dim=1) >= FEWEST_PX).float()
    borders = torch.stack(
        [x[:, :2].mean((1, 2)), x[..., :2].mean((1, 2)), x[..., -2:].mean((1, 2))]
    )
    return Extents(
        top=rows.argmax(dim=1) / 80,
        left=columns.argmax(dim=1) / 80,
        right=1 - columns.flip(1).argmax(dim=1) / 80,
        is_clear=borders.amax(dim=0) < DARK,
    )


def window(x: Tensor, box: tuple[Tensor, Tensor, Tensor, Tensor], size_px: int) -> Tensor:
    """Return the window (left, top, right, bottom) of each frame, stretched; black outside.

    Parameters
    ----------
    x : Tensor
        (B, 1, S, S).
    box : tuple of Tensor
        Four (B,) shares of the side.
    size_px : int
        Side of what comes out.
    """
    left, top, right, bottom = box
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = right - left, bottom - top
    theta[:, 0, 2], theta[:, 1, 2] = left + right - 1, top + bottom - 1
    grid = F.affine_grid(theta, [len(x), 1, size_px, size_px], align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def whole(x: Tensor, extents: Extents, size_px: int, dice: Dice) -> Tensor:
    """Return whole hands; some close to the borders, some small on a black, grey or white plate."""
    near = dice.chance(1 / 3) & extents.is_clear
    zero, one = torch.zeros(len(x)), torch.ones(len(x))
    small = dice.chance(0.25) & ~near
    around = torch.where(small, dice.even(0.1, 1.2), zero)
    across, down = dice.even(), dice.even()
    box = (
        torch.where(near, dice.even(0.3, 1.0) * extents.left, -across * around),
        torch.where(near, dice.even(0.3, 1.0) * (extents.top - 0.01).clamp(min=0), -down * around),
        torch.where(near, 1 - dice.even(0.3, 1.0) * (1 - extents.right), 1 + (1 - across) * around),
        torch.where(near, dice.even(0.93, 1.0), one + (1 - down) * around),
    )
    plate = torch.where(dice.chance(0.5), dice.even(), zero)[:, None, None, None]
    return window(x - plate, box, size_px) + plate


def two_hands(x: Tensor, size_px: int, dice: Dice) -> Tensor:
    """Return two hands side by side: the batch and itself, moved on by one."""
    split = dice.even(-0.15, 0.15)
    left = _squeezed(x, size_px, split, -1.0, dice)
    right = _squeezed(x.roll(1, dims=0), size_px, split, 1.0, dice)
    place = (torch.arange(size_px) + 0.5) / size_px * 2 - 1
    on_left = (place[None] < split[:, None])[:, None, None]
    apart = torch.where(on_left, left, right)
    together = torch.maximum(left, right)
    return torch.where(dice.chance(0.5)[:, None, None, None], apart, together)


def _squeezed(x: Tensor, size_px: int, split: Tensor, side: float, dice: Dice) -> Tensor:
    """Return hands that fill what lies on one side of the split, now and then less high."""
    centre = (split + side) / 2
    half = (1 - side * split) / 2
    theta = torch.zeros(len(x), 2, 3)
    across = dice.even(0.75, 1.0) / half
    theta[:, 0, 0] = across * torch.where(dice.chance(0.25), 1.0, side)
    theta[:, 0, 2] = -theta[:, 0, 0] * centre
    low = dice.chance(0.5).float()
    theta[:, 1, 1] = dice.even(0.9, 1.1) + low * dice.even(0.0, 0.8)
    theta[:, 1, 2] = dice.even(-0.15, 0.15)
    grid = F.affine_grid(theta, [len(x), 1, size_px, size_px], align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def cut_off(x: Tensor, extents: Extents, size_px: int, dice: Dice) -> Tensor:
    """Return hands of which several finger tips, or about half, lie outside the frame."""
    tall, wide = 1 - extents.top, extents.right - extents.left
    clear, which = extents.is_clear, dice.even()
    zero, one = torch.zeros(len(x)), torch.ones(len(x))
    deep = torch.where(clear, extents.top + tall * dice.even(0.14, 0.6), dice.even(0.45, 0.65))
    from_left = torch.where(clear, extents.left + wide * dice.even(0.33, 0.6), dice.even(0.45, 0.6))
    from_right = torch.where(
        clear, extents.right - wide * dice.even(0.33, 0.6), dice.even(0.4, 0.55)
    )
    low = torch.where(clear, extents.top + tall * dice.even(0.3, 0.52), dice.even(0.35, 0.5))
    top = torch.where(which < TIPS, deep, zero)
    left = torch.where((which >= TIPS) & (which < LEFT), from_left, zero)
    right = torch.where((which >= LEFT) & (which < RIGHT), from_right, one)
    bottom = torch.where(which >= RIGHT, low, one)
    # Now and then nothing is stretched: the hand lies partly outside, beside it is nothing.
    moved = dice.chance(0.3).float()
    box = (
        left - moved * (1 - right),
        top - moved * (1 - bottom),
        right + moved * left,
        bottom + moved * top,
    )
    return window(x, box, size_px)


def patches(x: Tensor, size_px: int, dice: Dice) -> Tensor:
    """Return patches too small to be a hand, and forearms without one."""
    side = dice.even(0.12, 0.28)
    left, top = dice.even() * (1 - side), dice.even() * (1 - side)
    arm = dice.chance(0.25)
    box = (
        torch.where(arm, dice.even(0.0, 0.15), left),
        torch.where(arm, dice.even(0.8, 0.87), top),
        torch.where(arm, dice.even(0.85, 1.0), left + side),
        torch.where(arm, torch.ones(len(x)), top + side),
    )
    return window(x, box, size_px)


def tiles(x: Tensor, size_px: int, dice: Dice) -> Tensor:
    """Return hands cut into 4, 16 or 64 tiles and laid anew, the same way in the whole batch."""
    x = F.interpolate(x, size=size_px, mode="area")
    across = (2, 4, 8)[int(dice.below(3)[0])]
    step = size_px // across
    cut = x.unfold(2, step, step).unfold(3, step, step).reshape(len(x), across**2, step, step)
    order = torch.randperm(across**2 - 1, generator=dice.generator) + 1
    # No tile of the smallest cut may stay: two hand halves swapped sides are no hand.
    laid = cut[:, torch.cat([order, torch.zeros(1, dtype=torch.long)])]
    rows = laid.reshape(len(x), across, across, step, step).permute(0, 1, 3, 2, 4)
    return rows.reshape(len(x), 1, size_px, size_px)


def whole_frame(x: Tensor, size_px: int, dice: Dice) -> Tensor:
    """Return frames of something else: whole, or a large part."""
    left, top = dice.even(0.0, 0.25), dice.even(0.0, 0.25)
    some = dice.chance(0.4)
    zero, one = torch.zeros(len(x)), torch.ones(len(x))
    box = (
        torch.where(some, left, zero),
        torch.where(some, top, zero),
        torch.where(some, dice.even(0.75, 1.0), one),
        torch.where(some, dice.even(0.75, 1.0), one),
    )
    return window(x, box, size_px)
