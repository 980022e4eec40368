"""The radiograph in gray, the heatmap over it, and the bar that explains its colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt

RAMP: Final = ((0.0, (94, 60, 153)), (0.5, (214, 93, 70)), (1.0, (253, 208, 98)))
"""Colours of the heatmap, from little to much; lightness grows along it."""
OPACITY: Final = 0.5
"""Of the heatmap where it is strongest, so that the bone stays visible through it."""
PERCENTILES: Final = (0.5, 99.5)
"""The radiograph is shown between these percentiles, as the network sees it."""
MID_GRAY: Final = 128


def draw_radiograph(
    picture: npt.NDArray[np.floating],
    heatmap: npt.NDArray[np.floating] | None,
    size_px: tuple[int, int],
) -> Image.Image:
    """Return the radiograph (width, height) large, with a heatmap blended over it if there is one.

    Parameters
    ----------
    picture : ndarray of float
        (H, W) in [0, 1], bone bright.
    heatmap : ndarray of float or None
        (h, w) in [0, 1], over the whole picture.
    size_px : tuple of int
        Width and height.
    """
    resized = _resized(picture, size_px)
    low, high = np.percentile(resized, PERCENTILES)
    gray = _as_bytes((resized - low) / max(high - low, np.finfo(np.float32).tiny))
    if heatmap is None:
        return gray.convert("RGB")
    return _blended(gray, _as_bytes(_resized(heatmap, size_px)))


def draw_heat(heatmap: npt.NDArray[np.floating], size_px: tuple[int, int]) -> Image.Image:
    """Return the heatmap alone as RGBA, (width, height) large, to be laid over its radiograph.

    Its alpha is the heat: shown at `OPACITY` it looks as `draw_radiograph` blends it.

    Parameters
    ----------
    heatmap : ndarray of float
        (h, w) in [0, 1], over the whole picture.
    size_px : tuple of int
        Width and height.
    """
    heat = _as_bytes(_resized(heatmap, size_px))
    tinted = heat.copy()
    tinted.putpalette(_palette().tobytes())
    drawn = tinted.convert("RGB")
    drawn.putalpha(heat)
    return drawn


def draw_ramp(size_px: tuple[int, int]) -> Image.Image:
    """Return the colours of the heatmap as they look over mid-gray bone, (width, height) large."""
    heat = Image.linear_gradient("L").rotate(90).resize(size_px)
    return _blended(Image.new("L", size_px, MID_GRAY), heat)


def _resized(values: npt.NDArray[np.floating], size_px: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a field smoothly resized to (width, height)."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    if image.size != size_px:
        image = image.resize(size_px, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _as_bytes(values: npt.NDArray[np.floating]) -> Image.Image:
    """Return a field in [0, 1] as an 8-bit image; bicubic values beyond are cut."""
    return Image.fromarray(np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8))


def _blended(gray: Image.Image, heat: Image.Image) -> Image.Image:
    """Return the colours of the heat over the gray, the denser the more heat there is."""
    tinted = heat.copy()
    tinted.putpalette(_palette().tobytes())
    density = heat.point([round(OPACITY * level) for level in range(256)])
    return Image.composite(tinted.convert("RGB"), gray.convert("RGB"), density)


def _palette() -> npt.NDArray[np.uint8]:
    """Return the colour of each of 256 levels of heat, (256, 3)."""
    levels = np.linspace(0.0, 1.0, 256)
    stops = [stop for stop, _ in RAMP]
    colours = np.asarray([colour for _, colour in RAMP], dtype=np.float64)
    channels = [np.interp(levels, stops, colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
