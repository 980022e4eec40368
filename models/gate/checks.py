"""What needs no network to be refused: too small, without contrast, saturated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.tjnet.preprocess import PERCENTILES

if TYPE_CHECKING:
    import numpy.typing as npt

MINIMUM_SIDE_PX = 128
"""Below this a frame shows no growth plate."""

LEAST_GREY_SHARE = 0.05
"""A frame with less between black and white shows no bone in its hand: it is saturated."""

DARKEST, BRIGHTEST = 0.05, 0.95
"""Of the range between the percentiles: what lies within counts as grey."""

SAMPLED_PX = 128
"""So many rows and columns tell; they are picked, not averaged, which would make grey of black
and white."""


def refusal_of(picture: npt.NDArray[np.generic], levels: npt.NDArray[np.uint8]) -> str | None:
    """Return why a picture can carry no estimate, whatever it shows, or None.

    Parameters
    ----------
    picture : ndarray
        (H, W).
    levels : ndarray of uint8
        The same as `models.tjnet.preprocess.to_input` leaves it.
    """
    if min(picture.shape) < MINIMUM_SIDE_PX:
        return f"the image is smaller than {MINIMUM_SIDE_PX} pixels on a side"
    if not levels.any():
        return "the image has no contrast"
    if grey_share(picture) < LEAST_GREY_SHARE:
        return "the image is saturated: nearly all of it is black or white"
    return None


def grey_share(picture: npt.NDArray[np.generic]) -> float:
    """Return the share of a picture that is neither black nor white."""
    steps = [max(1, side // SAMPLED_PX) for side in picture.shape]
    pixels = np.asarray(picture[:: steps[0], :: steps[1]], dtype=np.float64)
    low, high = np.percentile(pixels, PERCENTILES)
    if high <= low:
        return 0.0
    shown = (pixels - low) / (high - low)
    return float(np.mean((shown > DARKEST) & (shown < BRIGHTEST)))
