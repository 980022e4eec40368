"""Soft tissue: a union of capsules about fingers, palm and forearm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.phantom.anatomy import Bone
from models.phantom.field import Field, Point, blurred, f32, resized
from models.phantom.frame import Frame, centres_px, clipped
from models.phantom.hand import Hand

_FINGER_RADII = {
    1: (12.0, 11.2, 8.6),
    2: (11.2, 10.0, 8.7, 7.6),
    3: (11.4, 10.3, 9.0, 7.9),
    4: (10.9, 9.6, 8.4, 7.4),
    5: (10.2, 8.6, 7.4, 6.6),
}
"""Half width of the flesh at the knuckle, at each joint further on, and at the tip."""

_WEB = 1.7
"""Width over which two capsules of flesh run into each other."""


@dataclass(frozen=True, slots=True)
class _Capsule:
    """Flesh about a line from a to b: half widths and half thicknesses at both ends."""

    a: Point
    b: Point
    radii: tuple[float, float]
    depths: tuple[float, float]

    def distance(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return the signed distance, inside negative, and the half thickness."""
        dx, dy = self.b[0] - self.a[0], self.b[1] - self.a[1]
        px, py = x - self.a[0], y - self.a[1]
        share = np.clip((px * dx + py * dy) / (dx * dx + dy * dy), 0, 1)
        radius = self.radii[0] + share * (self.radii[1] - self.radii[0])
        depth = self.depths[0] + share * (self.depths[1] - self.depths[0])
        return f32(np.hypot(px - share * dx, py - share * dy) - radius), f32(depth)


def _finger_flesh(hand: Hand) -> Iterator[_Capsule]:
    """Yield the flesh of the five fingers, from the knuckles to the tips."""
    plump = 1.0 + 0.22 * hand.plump
    for ray, radii in _FINGER_RADII.items():
        kinds = ("PP", "DP") if ray == 1 else ("PP", "MP", "DP")
        for index, kind in enumerate(kinds):
            bone = hand.bone(f"{kind}{ray}")
            r = (plump * radii[index], plump * radii[index + 1])
            stop = bone.length - (2.6 if kind == "DP" else 0.0)
            yield _Capsule(bone.base, bone.at(stop), r, (0.78 * r[0], 0.78 * r[1]))


def _between(one: Bone, other: Bone, share: float) -> Point:
    """Return the point half way between two bones, at a share of their lengths."""
    (ax, ay), (bx, by) = one.at(share * one.length), other.at(share * other.length)
    return (ax + bx) / 2, (ay + by) / 2


def _palm_flesh(hand: Hand) -> Iterator[_Capsule]:
    """Yield the flesh of the palm and of the balls of the thumb and the little finger."""
    wide = 1.0 + 0.16 * hand.plump
    rays = [hand.bone(f"MC{ray}") for ray in range(1, 6)]
    for bone in rays[1:]:
        tip = bone.at(bone.length)
        yield _Capsule(bone.base, tip, (12.5 * wide, 11.0 * wide), (15.0, 10.5))
    for one, other in pairwise(rays[1:]):
        ends = _between(one, other, 0.0), _between(one, other, 0.85)
        yield _Capsule(*ends, (12.0, 11.0), (15.0, 11.5))
    thumb, index, little = rays[0], rays[1], rays[-1]
    yield _Capsule(thumb.base, thumb.at(46.0), (13.5 * wide, 12.0 * wide), (14.0, 10.0))
    yield _Capsule((21.0, 5.0), (36.0, -28.0), (14.0, 15.0), (17.0, 15.5))
    yield _Capsule(thumb.at(40.0), index.at(50.0), (12.0, 12.5), (10.5, 11.5))
    yield _Capsule((-20.0, 16.0), little.at(34.0), (14.0 * wide, 11.5 * wide), (14.5, 12.0))


def _forearm_flesh(hand: Hand) -> Iterator[_Capsule]:
    """Yield the flesh of wrist and forearm, wider to the elbow, most of all in an infant."""
    palm, wrist, arm = (1.0 + share * hand.plump for share in (0.16, 0.22, 0.55))
    yield _Capsule((14.0, 12.0), (9.0, 36.0), (17.0 * palm, 17.5 * wrist), (15.5, 18.0))
    yield _Capsule((-14.0, 14.0), (-17.5, 38.0), (16.5 * palm, 15.0 * wrist), (15.5, 18.0))
    yield _Capsule((-2.0, 6.0), (-4.5, 38.0), (20.0, 20.0), (15.5, 18.0))
    yield _Capsule((9.0, 36.0), (6.0, 110.0), (17.5 * wrist, 23.0 * arm), (18.0, 22.0))
    yield _Capsule((-17.5, 38.0), (-15.0, 110.0), (15.0 * wrist, 20.5 * arm), (18.0, 22.0))
    yield _Capsule((-4.5, 38.0), (-4.5, 430.0), (20.0, 32.0), (18.0, 26.0))
    yield _Capsule((6.0, 110.0), (6.0, 430.0), (23.0 * arm, 34.0 * arm), (22.0, 26.0))
    yield _Capsule((-15.0, 110.0), (-15.0, 430.0), (20.5 * arm, 32.0 * arm), (22.0, 26.0))


def _united(hand: Hand, frame: Frame) -> tuple[Field, Field]:
    """Return the depth inside the skin and the half thickness, in units, at half resolution."""
    shape = ((frame.height_px + 1) // 2, (frame.width_px + 1) // 2)
    near, thickness = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for capsule in (*_finger_flesh(hand), *_palm_flesh(hand), *_forearm_flesh(hand)):
        reach = (max(capsule.radii) + 7.0 * _WEB) * frame.px_per_unit
        ends = [frame.px(capsule.a), frame.px(capsule.b)]
        columns = clipped([(x + d) / 2 for x, _ in ends for d in (-reach, reach)], shape[1])
        rows = clipped([(y + d) / 2 for _, y in ends for d in (-reach, reach)], shape[0])
        x, y = frame.units(*centres_px(rows, columns, step=2))
        distance, depth = capsule.distance(x, y)
        weight = np.exp(np.clip(-distance / _WEB, -7, 30))
        near[rows, columns] += weight
        thickness[rows, columns] += weight * depth
    near = np.maximum(near, np.float32(1e-6))
    return f32(_WEB * np.log(near)), f32(thickness / near)


def _evened(thickness: Field, mask: Field, px_per_unit: float) -> Field:
    """Return the thickness of the flesh without the ridges where capsules meet."""
    small = (max(8, mask.shape[0] // 4), max(8, mask.shape[1] // 4))
    sigma_px = 3.0 * px_per_unit / 4
    weight = blurred(resized(mask, small), sigma_px) + 1e-4
    summed = blurred(resized(f32(mask * thickness), small), sigma_px)
    return np.maximum(resized(f32(summed / weight), mask.shape), np.float32(0.5))


def draw_flesh(hand: Hand, frame: Frame) -> Field:
    """Return path lengths through soft tissue, (H, W)."""
    inside, thickness = _united(hand, frame)
    half = _evened(thickness, f32(inside > 0), frame.px_per_unit / 2)
    share = np.clip(inside / half, 0, 1)
    return resized(f32(2 * half * np.sqrt(share * (2 - share))), frame.shape)
