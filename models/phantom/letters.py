"""What is written on the picture: the label along the top, and the lead letter of the side."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from models.phantom.field import Field, f32

LABEL = "SYNTHETIC"
"""Written along the top border of every picture."""

_LABEL_LEVEL, _MARKER_LEVEL, _PLATE_LEVEL = 0.72, 0.96, 0.035
"""The label is no brighter than bone, so that it hardly moves a window set by percentiles."""


def letters_of(text: str, capital_px: int) -> Field:
    """Return text as (h, w) in [0, 1], its capitals so high."""
    font = ImageFont.load_default(size=capital_px / 0.72)
    left, top, right, bottom = font.getbbox(text)
    size = (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2)
    image = Image.new("L", size, 0)
    stroke = max(1, capital_px // 24)
    at = (1 - left, 1 - top)
    ImageDraw.Draw(image).text(at, text, fill=255, font=font, stroke_width=stroke)
    return f32(np.asarray(image) / 255)


def _stamp(levels: Field, letters: Field, at: tuple[int, int], level: float) -> None:
    """Lay letters over the picture, from (row, column)."""
    part = levels[at[0] : at[0] + letters.shape[0], at[1] : at[1] + letters.shape[1]]
    opacity = letters[: part.shape[0], : part.shape[1]]
    part[...] = part * (1 - opacity) + level * opacity


def mark(levels: Field) -> None:
    """Write the label along the top border, and lay a lead letter on its plate at the left."""
    height, width = levels.shape
    capital = round(min(0.036 * height, 0.048 * width))
    at = (round(0.022 * height), round(0.03 * width))
    if LABEL:
        _stamp(levels, letters_of(LABEL, capital), at, _LABEL_LEVEL)
    letter = letters_of("L", round(1.45 * capital))
    row, column, pad = round(0.60 * height), round(0.055 * width), capital // 2
    rows, columns = letter.shape[0] + 3 * pad, letter.shape[1] + 2 * pad
    levels[row : row + rows, column : column + columns] += _PLATE_LEVEL
    _stamp(levels, letter, (row + 2 * pad, column + pad), _MARKER_LEVEL)
