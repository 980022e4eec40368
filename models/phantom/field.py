"""Arrays of float32, and the few operations that more than one layer of the picture needs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]
"""An array of float32, mostly (H, W)."""

Point = tuple[float, float]
"""x and y."""


def f32(values: npt.ArrayLike) -> Field:
    """Return values as float32."""
    return np.asarray(values, dtype=np.float32)


def share_of(value: float, low: float, high: float) -> float:
    """Return how far a value has come from low to high, 0 to 1."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


def resized(field: Field, shape: tuple[int, ...]) -> Field:
    """Return a field resampled to (H, W)."""
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return f32(np.asarray(image))


def blurred(field: Field, sigma_px: float) -> Field:
    """Return a field under a Gaussian blur, edges held."""
    reach = max(1, math.ceil(3 * sigma_px))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        size = field.shape[axis]
        padding = [(reach, reach) if axis == a else (0, 0) for a in (0, 1)]
        padded = np.pad(field, padding, mode="edge")
        field = np.zeros_like(field)
        for offset, weight in enumerate(kernel.tolist()):
            shifted = slice(offset, offset + size)
            field += weight * (padded[shifted] if axis == 0 else padded[:, shifted])
    return field


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> Field:
    """Return (size, size) Gaussian noise of SD 1, smoothed, its edges fitting each other."""
    frequency = np.fft.fftfreq(size)
    kernel = np.exp(-2.0 * (math.pi * sigma * frequency) ** 2)
    noise = np.fft.fft2(rng.standard_normal((size, size)))
    smooth = np.fft.ifft2(noise * kernel[:, None] * kernel[None, :]).real
    return f32(smooth / smooth.std())
