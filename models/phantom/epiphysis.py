"""The epiphysis while it is apart from its shaft."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.phantom.field import Field, f32
from models.phantom.maturity import Stage
from models.phantom.mineral import shell
from models.phantom.shaft import Part


def _superellipse(along: Field, across: Field, power: float) -> Field:
    """Return 1 on the outline and 0 in the middle; a higher power has squarer corners."""
    return f32((np.abs(along) ** power + np.abs(across) ** power) ** (1 / power))


def _disc(along: Field, across: Field, stage: Stage) -> Field:
    """Return the epiphysis of a base: a bar whose corners reach over the metaphysis at last."""
    inner = np.clip(across, -1, 1)
    bent = along + (0.30 * stage.grown + 0.40 * stage.capping) * inner**4
    hollow = 1 + 0.22 * stage.grown * (1 - inner**2)
    hollowed = f32(np.where(bent > 0, bent * hollow, bent))
    return _superellipse(hollowed, across, 2.0 + 1.6 * stage.grown)


def _dome(along: Field, across: Field, stage: Stage) -> Field:
    """Return the epiphysis of a metacarpal's head: a ball, then flat at its plate."""
    plate_side = _superellipse(along, across, 2.0 + 4.0 * stage.grown**2)
    return f32(np.where(along < 0, plate_side, np.hypot(along, across)))


def _radius_wedge(along: Field, across: Field, stage: Stage) -> Field:
    """Return the epiphysis of the radius: first on the thumb's side, and thicker there."""
    across = f32(across + 0.25 * (1 - stage.grown))
    wedge = f32((along + 1) / (1 - 0.36 * np.clip(across, -1, 1)) - 1)
    plate_side = _superellipse(wedge, across, 2.0 + 3.0 * stage.grown)
    joint_side = _superellipse(wedge, across, 2.0 + 1.2 * stage.grown)
    return f32(np.where(wedge < 0, plate_side, joint_side))


def _ulna_cap(along: Field, across: Field, stage: Stage) -> Field:
    """Return the epiphysis of the ulna: a cap that grows its styloid on the outer side."""
    across = f32(across + 0.2 * (1 - stage.grown))
    styloid = 1.6 * stage.grown * np.exp(-(((across - 0.68) / 0.22) ** 2))
    raised = f32(np.where(along > 0, along / (1 + styloid), along))
    return _superellipse(raised, across, 2.0 + 1.2 * stage.grown)


_EPIPHYSIS_SHAPES: dict[str, Callable[[Field, Field, Stage], Field]] = {
    "radius": _radius_wedge,
    "ulna": _ulna_cap,
}


def epiphysis(part: Part) -> Field:
    """Return the separate epiphysis: a dot that widens, takes its shape, and caps."""
    bone, stage, grown = part.bone, part.stage, part.stage.grown
    spread = grown ** (0.6 if bone.in_forearm else 0.40)
    full = bone.widths[2 if bone.distal_plate else 0]
    half_width = full * (0.16 + 0.82 * spread + 0.05 * stage.capping)
    half_depth = bone.epiphysis_depth * (0.2 + 0.32 * grown**0.8)
    beyond = part.plate - (bone.length - part.patch.u if bone.distal_plate else part.patch.u)
    # Minus 1 at the plate, plus 1 at the joint; minus 1 to 1 from side to side.
    along, across = f32(beyond / half_depth - 1), f32(part.patch.v / half_width)
    shape = _EPIPHYSIS_SHAPES.get(bone.kind, _dome if bone.distal_plate else _disc)
    depth = (0.48 if bone.in_forearm else 0.62) * half_width * (0.75 + 0.25 * grown)
    radius = shape(along, across, stage)
    return shell(radius, min(half_width, half_depth), depth, part.patch.texture)
