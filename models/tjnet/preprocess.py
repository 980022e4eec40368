"""From a picture to the network's input, the same in training and at the bedside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

PERCENTILES = (0.5, 99.5)
"""A frame is stretched between these percentiles of its resized pixels."""

LEVELS = 255
"""The input is rounded to this many steps, so that a training cache of bytes loses nothing."""

DESCRIPTION = {
    "resize": "squashed to a square, bilinear",
    "percentiles": list(PERCENTILES),
    "levels": LEVELS,
}
"""What a weights card says of it."""


def to_input(picture: npt.NDArray[np.generic], size_px: int) -> npt.NDArray[np.uint8]:
    """Return the network's input: squashed to a square, stretched, in 256 levels.

    The training frames come squashed to squares, so a picture is squashed too, never padded.

    Parameters
    ----------
    picture : ndarray
        (H, W), any real type; larger is brighter, bone is bright.
    size_px : int
        Side of the square.

    Returns
    -------
    ndarray of uint8
        (size_px, size_px); a frame without contrast is all zero.

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, is empty, or holds a value that is not finite.
    """
    if picture.ndim != 2 or 0 in picture.shape:  # noqa: PLR2004 - rows and columns
        msg = f"a picture must be two-dimensional and not empty, not of shape {picture.shape}"
        raise ValueError(msg)
    pixels = np.ascontiguousarray(picture, dtype=np.float32)
    if not np.isfinite(pixels).all():
        msg = "the picture holds values that are not finite"
        raise ValueError(msg)
    if pixels.shape == (size_px, size_px):
        resized = pixels
    else:
        image = Image.fromarray(pixels).resize((size_px, size_px), Image.Resampling.BILINEAR)
        resized = np.asarray(image, dtype=np.float32)
    low, high = np.percentile(resized, PERCENTILES)
    if high <= low:
        return np.zeros((size_px, size_px), dtype=np.uint8)
    stretched = np.clip((resized - low) / (high - low), 0.0, 1.0)
    levels: npt.NDArray[np.uint8] = np.rint(stretched * LEVELS).astype(np.uint8)
    return levels
