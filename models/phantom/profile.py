"""The outline of a long bone: its half width along it, and the shape of its ends."""

from __future__ import annotations

import math

import numpy as np

from models.phantom.anatomy import Bone
from models.phantom.field import Field, f32

_PROFILES = {
    "MC": (
        (0.0, 0.06, 0.17, 0.32, 0.52, 0.7, 0.82, 0.9, 1.0),
        (0.84, 1.0, 0.78, 1.02, 0.96, 1.12, 0.84, 0.98, 0.92),
        "bbbmmmhhh",
    ),
    "PP": (
        (0.0, 0.05, 0.13, 0.34, 0.6, 0.76, 0.88, 0.94, 1.0),
        (0.92, 1.0, 0.95, 1.12, 1.0, 1.06, 0.95, 1.0, 0.9),
        "bbbmmmhhh",
    ),
    "DP": (
        (0.0, 0.05, 0.14, 0.36, 0.58, 0.74, 0.86, 0.93, 1.0),
        (0.9, 1.0, 0.86, 1.15, 1.0, 1.08, 1.0, 0.98, 0.8),
        "bbbmmmhhh",
    ),
    "radius": (
        (0.0, 0.007, 0.021, 0.052, 0.1, 0.19, 1.0),
        (0.96, 1.0, 0.95, 0.72, 1.16, 1.0, 1.03),
        "bbbbmmm",
    ),
    "ulna": (
        (0.0, 0.007, 0.019, 0.043, 0.095, 0.21, 1.0),
        (0.93, 1.0, 0.92, 0.73, 1.02, 1.1, 1.44),
        "bbbbmmm",
    ),
}
"""Shares of the length, and the half width there: a factor on that of base, middle or head."""


def half_width_along(bone: Bone, share: Field) -> Field:
    """Return the half width at shares of the length: the profile's points in smooth pieces."""
    shares, factors, places = _PROFILES.get(bone.kind, _PROFILES["PP"])
    widths = dict(zip("bmh", bone.widths, strict=True))
    values = np.array([factor * widths[w] for factor, w in zip(factors, places, strict=True)])
    x = np.array(shares)
    knots = np.linspace(0, 1, 1200 if bone.in_forearm else 300)
    piece = np.clip(np.searchsorted(x, knots, side="right") - 1, 0, len(x) - 2)
    along = (knots - x[piece]) / (x[piece + 1] - x[piece])
    eased = 0.5 * along + 0.25 * (1 - np.cos(math.pi * along))
    curve = values[piece] + (values[piece + 1] - values[piece]) * eased
    return f32(np.interp(share, knots, curve))


def base_recess(bone: Bone, across: Field, v: Field) -> Field:
    """Return how far the mature base lies inside the joint line; ``across`` is -1 to 1."""
    if bone.kind == "radius":
        return f32(0.27 * v + 1.2 * (1 - across**2) + 1.5 * across**8)
    if bone.kind == "ulna":
        return f32(1.5 * across**4 - 5.5 * np.exp(-(((v - 6.0) / 1.7) ** 2)))
    if bone.kind == "MC":
        return f32(2.4 * across**4 + 0.5 * (1 - across**2))
    hollow = 0.7 if bone.kind == "PP" else 0.2
    return f32(hollow * (1 - across**2) + 1.2 * across**10)


def head_recess(bone: Bone, across: Field, half: Field) -> Field:
    """Return how far the mature head lies inside the joint line."""
    if bone.kind in {"MC", "DP"}:
        return f32(0.95 * half * (1 - np.sqrt(np.maximum(1 - 0.87 * across**2, 0))))
    return f32(half * (0.3 * across**4 + 0.05 * (1 - across**2) ** 2))


def plate_recess(across: Field, half: Field) -> Field:
    """Return the shape of a metaphysis at its plate: nearly flat, with rounded corners."""
    return f32(half * (0.1 * across**2 + 0.16 * across**8))
