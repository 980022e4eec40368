"""Where the hand lies in the picture: adult units to pixels, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.phantom.field import Field, Point, f32, share_of
from models.phantom.hand import Hand

_TIP_UNITS, _WRIST_UNITS, _SPREAD_UNITS = 166.0, 30.0, 182.0
"""From the metacarpals' base to the finger's tip and to the wrist's crease; the hand's width."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the hand lies: pixels from adult units."""

    height_px: int
    width_px: int
    px_per_unit: float
    origin_px: Point
    radians: float

    @property
    def shape(self) -> tuple[int, int]:
        """Return (H, W)."""
        return self.height_px, self.width_px

    def px(self, point: Point) -> Point:
        """Return (x, y) in pixels."""
        c, s = math.cos(self.radians), math.sin(self.radians)
        (x, y), k = point, self.px_per_unit
        return self.origin_px[0] + k * (c * x - s * y), self.origin_px[1] + k * (s * x + c * y)

    def units(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return pixel positions in adult units."""
        c = math.cos(self.radians) / self.px_per_unit
        s = math.sin(self.radians) / self.px_per_unit
        dx, dy = x - self.origin_px[0], y - self.origin_px[1]
        return f32(c * dx + s * dy), f32(c * dy - s * dx)


def place_frame(hand: Hand, height_px: int, width_px: int, rng: np.random.Generator) -> Frame:
    """Place the hand: a newborn's takes 0.48 of the height, an adult's 0.70, where it fits."""
    share = 0.48 + 0.22 * math.sqrt(share_of(hand.scale, 0.31, 1.0))
    length = _TIP_UNITS + _WRIST_UNITS
    k = min(share * height_px / length, width_px / (1.05 * _SPREAD_UNITS))
    top = max(0.085, 0.36 * (1.0 - k * length / height_px)) * height_px
    # The thumb reaches further to its side than the little finger.
    x = width_px * (0.5 + float(rng.uniform(-0.008, 0.008))) - 4.0 * k
    turn = math.radians(float(rng.uniform(-2.0, 2.0)))
    return Frame(height_px, width_px, k, (x, top + _TIP_UNITS * k), turn)


def clipped(values: list[float], size: int) -> slice:
    """Return the whole pixels that hold the values, within the frame; empty where none do."""
    start = min(max(math.floor(min(values)), 0), size)
    return slice(start, max(min(math.ceil(max(values)), size), start))


def centres_px(rows: slice, columns: slice, step: int = 1) -> tuple[Field, Field]:
    """Return x (1, w) and y (h, 1) of the centres of pixels ``step`` wide."""
    x = (np.arange(columns.start, columns.stop) + 0.5) * step
    y = (np.arange(rows.start, rows.stop) + 0.5) * step
    return f32(x[None, :]), f32(y[:, None])
