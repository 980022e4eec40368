"""Grey levels from path lengths: blur, scatter, collimation and noise."""

from __future__ import annotations

import numpy as np

from models.phantom.field import Field, blurred, f32, resized, smooth_noise
from models.phantom.frame import Frame

_BACKGROUND, _FLESH_PER_UNIT, _BONE_PER_UNIT, _NOISE = 0.035, 0.0108, 0.038, 0.0021
"""Shares of the full range, matched to radiographs as they come from a detector."""

_SCATTER = 0.11
"""Share of the light that is spread widely."""


def _scattered(field: Field, px_per_unit: float) -> Field:
    """Return the picture with a share of its light spread widely."""
    small = (max(8, field.shape[0] // 16), max(8, field.shape[1] // 16))
    wide = resized(blurred(resized(field, small), 11.0 * px_per_unit / 16), field.shape)
    return f32((1 - _SCATTER) * field + _SCATTER * wide)


def _collimation(shape: tuple[int, int]) -> Field:
    """Return (H, W) of 1 in the field, falling off over the last hundredths of the frame."""
    sides = []
    for size in shape:
        edge = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5) / size
        sides.append(0.45 + 0.55 / (1 + np.exp(-(edge - 0.012) / 0.0035)))
    return f32(np.outer(*sides))


def exposed(flesh: Field, bone: Field, frame: Frame, rng: np.random.Generator) -> Field:
    """Return grey levels as shares of the range: paths, blur, scatter, fall-off, noise."""
    gain = float(rng.uniform(0.96, 1.04))
    mottle = 1 + 0.015 * resized(smooth_noise(rng, 64, 2.5), frame.shape)
    sharp = f32(gain * _BONE_PER_UNIT * bone)
    hand = gain * _FLESH_PER_UNIT * flesh * mottle + blurred(sharp, 0.16 * frame.px_per_unit)
    heel = np.linspace(0.008, -0.008, frame.height_px)[:, None]
    lit = _BACKGROUND + heel + _scattered(f32(hand), frame.px_per_unit)
    levels = f32(lit * _collimation(frame.shape))
    grain = rng.standard_normal(frame.shape, dtype=np.float32)
    return f32(levels + _NOISE * (0.6 + levels) * grain)
