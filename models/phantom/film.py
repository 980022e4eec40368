"""Path lengths through bone, drawn on small patches in the axes of each bone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.phantom.anatomy import Bone
from models.phantom.field import Field, f32, smooth_noise
from models.phantom.frame import Frame, centres_px, clipped


def _trabecular_tile(rng: np.random.Generator) -> Field:
    """Return (256, 256) of mean 1: thin bright strands, where smooth noise crosses zero."""
    strands = [np.exp(-((smooth_noise(rng, 256, s) / 0.35) ** 2)) for s in (1.6, 2.6)]
    tile = 0.65 + sum(strands)
    return f32(tile / np.mean(tile))


@dataclass(frozen=True, slots=True)
class Patch:
    """A part of the film in a bone's own axes: ``u`` along it, ``v`` across, in units."""

    path: Field
    u: Field
    v: Field
    texture: Field


class Film:
    """Path lengths through bone, summed bone by bone on small patches of the frame."""

    def __init__(self, frame: Frame, rng: np.random.Generator) -> None:
        self.frame = frame
        self.path = np.zeros(frame.shape, dtype=np.float32)
        self._tile = _trabecular_tile(rng)

    def patch(self, bone: Bone, box: tuple[float, float, float, float]) -> Patch:
        """Return the part that holds a box (u0, u1, v0, v1) in a bone's axes; it may be empty."""
        angle = math.radians(bone.degrees)
        s, c = math.sin(angle), math.cos(angle)
        x0, y0 = bone.base
        corners = [
            self.frame.px((x0 + u * s + v * c, y0 - u * c + v * s))
            for u in box[:2]
            for v in box[2:]
        ]
        columns = clipped([p[0] for p in corners], self.frame.width_px)
        rows = clipped([p[1] for p in corners], self.frame.height_px)
        x, y = self.frame.units(*centres_px(rows, columns))
        u, v = s * (x - x0) - c * (y - y0), c * (x - x0) + s * (y - y0)
        # No bone has a ruler's edge.
        phase = bone.degrees + x0
        rough_u = 0.14 * np.sin(0.9 * v + phase) + 0.04 * np.sin(2.7 * v + 2 * phase)
        rough_v = 0.14 * np.sin(0.5 * u + phase) + 0.03 * np.sin(1.9 * u + 3 * phase)
        u, v = f32(u + rough_u), f32(v + rough_v)
        return Patch(self.path[rows, columns], u, v, self._trabeculae(bone, u, v))

    def _trabeculae(self, bone: Bone, u: Field, v: Field) -> Field:
        """Return a texture of mean 1 whose strands run along u, fainter in a thick bone."""
        size, offset = len(self._tile), sum(map(ord, bone.name))
        rows = (3.0 * u).astype(np.int32) + 37 * offset
        columns = (7.5 * v).astype(np.int32) + 91 * offset
        strength = min(1.0, math.sqrt(3.0 / max(bone.widths)))
        return f32(1 + strength * (self._tile[rows % size, columns % size] - 1))
