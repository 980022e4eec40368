"""A long bone divided at its plate, and its shaft: alone, or with the epiphysis fused to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.phantom.anatomy import Bone
from models.phantom.field import Field, f32
from models.phantom.film import Patch
from models.phantom.hand import Hand
from models.phantom.maturity import Stage
from models.phantom.mineral import chord, wall
from models.phantom.profile import base_recess, half_width_along, head_recess, plate_recess

JOINT = 0.5
"""Half the width of a joint."""


@dataclass(frozen=True, slots=True)
class Part:
    """A long bone on its patch, with where its plate lies from the end of the epiphysis."""

    bone: Bone
    stage: Stage
    patch: Patch
    head: float
    plate: float
    shaft: float


def part_of(hand: Hand, bone: Bone, patch: Patch) -> Part:
    """Return a bone with its zones: joint, epiphysis, plate, shaft, cartilage at the head."""
    stage = hand.stage(bone.name)
    gap = min(0.45 / hand.scale, 0.9) * (0.6 if bone.distal_plate else 1.0)
    plate = JOINT + bone.epiphysis_depth
    cartilage = 0.0 if bone.kind == "DP" else hand.cartilage
    shaft = plate + gap * (1.0 - 0.4 * stage.narrowed)
    return Part(bone, stage, patch, bone.length - JOINT - cartilage, plate, shaft)


def _rod(part: Part, share: Field, half: Field, end: Field) -> Field:
    """Return path lengths, as if of cortex, through a rod: a wall about a core."""
    cortex, density = wall(part.bone, share, half)
    side = half - np.abs(part.patch.v)
    outer = chord(side, end, half)
    inner = chord(side - cortex, end - 0.4, np.maximum(half - cortex, 0.2))
    # The wall towards the film is thinner than the wall at the sides, and a wide bone is flat.
    inner *= 1 + 0.5 * cortex / half
    flat = np.minimum(0.9, 6.4 / half)
    return f32(flat * (outer - inner + density * part.patch.texture * inner))


def open_shaft(part: Part) -> Field:
    """Return the shaft alone, up to its open plate."""
    bone, u, v = part.bone, part.patch.u, part.patch.v
    if bone.distal_plate:
        start, stop = bone.length - part.head, bone.length - part.shaft
        share = 0.02 + 0.9 * (u - start) / (stop - start)
    elif bone.in_forearm:
        start, stop = part.shaft, bone.length
        share = (u - start + 2.5) / bone.length
    else:
        start, stop = part.shaft, part.head
        share = 0.05 + 0.95 * (u - start) / (stop - start)
    share = f32(np.clip(share, 0, 1))
    half = half_width_along(bone, share)
    across = f32(np.clip(v / half, -1, 1))
    flat = plate_recess(across, half)
    near = base_recess(bone, across, v) if bone.distal_plate else flat
    far = flat if bone.distal_plate else head_recess(bone, across, half)
    return _rod(part, share, half, f32(np.minimum(u - start - near, stop - far - u)))


def whole_bone(part: Part) -> Field:
    """Return the bone with its epiphysis fused, from joint to joint."""
    bone, u, v = part.bone, part.patch.u, part.patch.v
    stop = bone.length - JOINT if bone.distal_plate else part.head
    share = f32(np.clip((u - JOINT) / (stop - JOINT), 0, 1))
    half = half_width_along(bone, share)
    across = f32(np.clip(v / half, -1, 1))
    near = u - JOINT - base_recess(bone, across, v)
    far = stop - head_recess(bone, across, half) - u
    return _rod(part, share, half, f32(np.minimum(near, far)))
