"""Path lengths through mineral: the wall and core of a rod, and a closed shell."""

from __future__ import annotations

import numpy as np

from models.phantom.anatomy import Bone
from models.phantom.field import Field, f32

_CORE_DENSITY, _MARROW_DENSITY = 0.30, 0.08
"""Mineral of trabecular bone against cortex, near the ends and in the middle of a shaft."""


def chord(side: Field, end: Field, half: Field) -> Field:
    """Return the path through a round rod, from distances inside its side and its end."""
    a, b = np.clip(side / half, 0, 1), np.clip(end / 0.9, 0, 1)
    return f32(2 * half * np.sqrt(a * (2 - a) * b * (2 - b)))


def wall(bone: Bone, share: Field, half: Field) -> tuple[Field, Field]:
    """Return thickness of the cortex and density of the core along a bone."""
    if bone.in_forearm:
        middle = np.clip(share * bone.length / 60.0, 0, 1)
        thickest = 2.4 if bone.kind == "radius" else 1.9
    else:
        middle = np.clip(1 - np.abs(2 * share - 1.04), 0, 1)
        thickest = 0.44 * bone.widths[1]
    middle = middle * middle * (3 - 2 * middle)
    cortex = np.minimum(0.35 + (thickest - 0.35) * middle, 0.6 * half)
    return f32(cortex), f32(_CORE_DENSITY + (_MARROW_DENSITY - _CORE_DENSITY) * middle)


def shell(radius: Field, size: float, depth: float, texture: Field) -> Field:
    """Return path lengths of a closed shell; ``radius`` is 1 on its outline, 0 in its middle."""
    rim = 1.0 - min(0.45 / size, 0.6)
    outer = np.maximum(1 - radius**2, 0) ** 0.33
    inner = rim * np.maximum(1 - (radius / rim) ** 2, 0) ** 0.33
    return f32(2 * depth * (outer - inner + _CORE_DENSITY * texture * inner))
