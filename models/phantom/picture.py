"""The finished picture, in memory or as a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.phantom.bone import draw_skeleton
from models.phantom.flesh import draw_flesh
from models.phantom.frame import place_frame
from models.phantom.grey import exposed
from models.phantom.hand import pose
from models.phantom.letters import mark
from models.phantom.maturity import column_of

HIGHEST_VALUE = 4095
"""Twelve bits stored."""

SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 256, 4096

MOST_ASPECT = 2.5
"""Beyond this ratio of the sides the hand would be lost in the frame."""


def _check_frame(height_px: int, width_px: int, seed: int) -> None:
    """Raise ValueError where a picture of that size or seed cannot be drawn."""
    for name, side in (("height_px", height_px), ("width_px", width_px)):
        if not SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX:
            msg = f"{name} must lie in {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX}, not {side!r}"
            raise ValueError(msg)
    if max(height_px, width_px) > MOST_ASPECT * min(height_px, width_px):
        msg = f"one side must be at most {MOST_ASPECT:g} times the other"
        raise ValueError(msg)
    if seed < 0:
        msg = f"seed must not be negative, not {seed!r}"
        raise ValueError(msg)


def draw_phantom(
    sex: str, age_months: float, *, height_px: int = 1536, width_px: int = 1152, seed: int = 0
) -> npt.NDArray[np.uint16]:
    """Draw a synthetic PA radiograph of a left hand: bone bright, fingers up, thumb right.

    Parameters
    ----------
    sex : str
        "M" or "F"; girls mature earlier.
    age_months : float
        Skeletal age to show, 0 to 240.
    height_px, width_px : int
        Size of the picture, 256 to 4096 a side.
    seed : int
        Decides posture, build, texture, exposure and noise, not maturity.

    Returns
    -------
    ndarray of uint16
        (height_px, width_px), 0 to 4095, to be shown as MONOCHROME2. ``SYNTHETIC`` is written
        along the top border, and a lead ``L`` lies at the left.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    column = column_of(sex, age_months)
    _check_frame(height_px, width_px, seed)
    rng = np.random.default_rng(seed)
    hand = pose(column, age_months, rng)
    frame = place_frame(hand, height_px, width_px, rng)
    bone = draw_skeleton(hand, frame, rng)
    levels = exposed(draw_flesh(hand, frame), bone, frame, rng)
    mark(levels)
    return np.rint(np.clip(levels, 0, 1) * HIGHEST_VALUE).astype(np.uint16)


def save_phantom(  # noqa: PLR0913 - the parameters of draw_phantom, and where to write
    path: str | Path,
    sex: str,
    age_months: float,
    *,
    height_px: int = 1536,
    width_px: int = 1152,
    seed: int = 0,
) -> None:
    """Write `draw_phantom`'s picture as a grey PNG of 16 bits, stretched to all of them.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    OSError
        If the file cannot be written.
    """
    pixels = draw_phantom(sex, age_months, height_px=height_px, width_px=width_px, seed=seed)
    scaled = (pixels.astype(np.uint32) * 65535 // HIGHEST_VALUE).astype(np.uint16)
    Image.fromarray(scaled).save(Path(path), format="PNG")
