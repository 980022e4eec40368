"""The bones on the film: long ones, round ones, and all of them."""

from __future__ import annotations

import math

import numpy as np

from models.phantom.anatomy import OUTLINES, Bone
from models.phantom.epiphysis import epiphysis
from models.phantom.field import Field, Point, f32
from models.phantom.film import Film
from models.phantom.frame import Frame
from models.phantom.hand import Hand
from models.phantom.mineral import shell
from models.phantom.shaft import Part, open_shaft, part_of, whole_bone


def _fusing(part: Part, apart: Field) -> Field:
    """Return the bone on its way from ``apart`` to whole: a plate closes from its middle out."""
    bone, stage, u = part.bone, part.stage, part.patch.u
    half = bone.widths[2 if bone.distal_plate else 0]
    closed = np.clip(2 * stage.fused - np.abs(part.patch.v) / half, 0, 1)
    from_end = bone.length - u if bone.distal_plate else u
    scar = np.exp(-(((from_end - part.plate - 0.3) / 0.55) ** 2))
    whole = whole_bone(part) * (1 + 0.16 * (1 - stage.faded) * scar)
    return f32((1 - closed) * apart + closed * whole)


def draw_long_bone(film: Film, hand: Hand, bone: Bone) -> None:
    """Draw a long bone: shaft and epiphysis apart, whole, or between the two."""
    margin = max(bone.widths) + 4.0
    patch = film.patch(bone, (-8.0, bone.length + 2.0, -margin, margin))
    part = part_of(hand, bone, patch)
    path = np.zeros_like(patch.u)
    if part.stage.fused < 1.0:
        path += open_shaft(part)
        if part.stage.visible:
            path += epiphysis(part)
    patch.path[...] += path if part.stage.fused <= 0.0 else _fusing(part, path)


def outline_of(text: str) -> tuple[Point, Field, Field]:
    """Return the centroid of an outline, and its radius over evenly spaced angles."""
    corners = np.array([[float(n) for n in pair.split(",")] for pair in text.split()])
    following = np.roll(corners, -1, axis=0)
    steps = np.linspace(0, 1, 24, endpoint=False)[:, None, None]
    dense = (corners + steps * (following - corners)).reshape(-1, 2)
    centre = dense.mean(axis=0)
    x, y = (dense - centre).T
    angle = np.arctan2(y, x)
    order = np.argsort(angle)
    grid = np.linspace(-math.pi, math.pi, 256, endpoint=False)
    radius = np.interp(grid, angle[order], np.hypot(x, y)[order], period=2 * math.pi)
    kernel = np.hanning(15) / np.hanning(15).sum()
    smooth = np.convolve(np.concatenate([radius[-7:], radius, radius[:7]]), kernel, "valid")
    return (float(centre[0]), float(centre[1])), f32(grid), f32(smooth)


def draw_round_bone(film: Film, hand: Hand, name: str) -> None:
    """Draw a carpal bone or the sesamoid: a dot that grows into its adult outline."""
    stage = hand.stage(name)
    if not stage.visible:
        return
    centre, grid, radii = outline_of(OUTLINES[name])
    if name == "sesamoid":
        thumb = hand.bone("MC1")
        x, y = thumb.at(0.93 * thumb.length)
        centre = (x - 7.6, y - 2.2)
    mean, shape = float(radii.mean()), stage.grown**0.8
    early = name in {"capitate", "hamate"}
    growth = 0.15 + 0.85 * stage.grown ** (0.38 if early else 0.62)
    radii = f32(1.05 * growth * (mean + shape * (radii - mean)))
    reach = float(radii.max()) + 1.0
    bone = Bone(name, centre, 0.0, 0.0, (mean, mean, mean), 0.0)
    patch = film.patch(bone, (-reach, reach, -reach, reach))
    limit = np.interp(np.arctan2(-patch.u, patch.v), grid, radii, period=2 * math.pi)
    radius = f32(np.hypot(patch.u, patch.v) / limit)
    patch.path[...] += shell(radius, 0.9 * growth * mean, 0.92 * growth * mean, patch.texture)


def draw_skeleton(hand: Hand, frame: Frame, rng: np.random.Generator) -> Field:
    """Return path lengths through bone, as if all were cortex, (H, W)."""
    film = Film(frame, rng)
    for bone in hand.bones:
        draw_long_bone(film, hand, bone)
    for name in OUTLINES:
        draw_round_bone(film, hand, name)
    return film.path
