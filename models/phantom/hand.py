"""A hand of a sex and age, posed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from models.phantom.anatomy import (
    EPIPHYSIS_DEPTHS,
    FOREARM,
    HALF_WIDTHS,
    RAY_BASE,
    RAY_DEGREES,
    RAY_LENGTHS,
    Bone,
)
from models.phantom.field import share_of
from models.phantom.maturity import Stage, stage_of

_HAND_MONTHS = (0, 12, 36, 60, 96, 120, 144, 168, 192, 216)
_HAND_LENGTHS_MM = (
    (62, 90, 110, 127, 146, 158, 170, 184, 191, 193),
    (61, 88, 108, 125, 145, 158, 169, 174, 176, 177),
)
_SEX_GIRTH = (1.0, 0.95)

_ENDS_BROADEN_MONTHS = ((138, 204), (114, 180))
"""When the ends of the long bones take their adult breadth."""


@dataclass(frozen=True, slots=True)
class Hand:
    """A posed hand of a sex and age, in adult units; ``scale`` is its length against a man's."""

    column: int
    age_months: float
    bones: tuple[Bone, ...]
    scale: float

    def bone(self, name: str) -> Bone:
        """Return the long bone of that name."""
        return next(bone for bone in self.bones if bone.name == name)

    def stage(self, name: str) -> Stage:
        """Return a centre's stage at this age."""
        return stage_of(name, self.column, self.age_months)

    @property
    def plump(self) -> float:
        """Return 1 for a newborn's round limbs, 0 from nine years on."""
        return float((1.0 - share_of(self.age_months, 0.0, 108.0)) ** 1.4)

    @property
    def cartilage(self) -> float:
        """Return the unossified thickness at an end without epiphysis."""
        return float(3.2 * (1.0 - share_of(self.age_months, 0.0, 132.0)) ** 1.5)


def _ray(ray: int, jitter_degrees: Callable[[], float]) -> Iterator[Bone]:
    """Yield the metacarpal and the phalanges of one ray."""
    kinds = ("MC", "PP", "DP") if ray == 1 else ("MC", "PP", "MP", "DP")
    base, turn = RAY_BASE[ray], jitter_degrees()
    for kind, degrees, length in zip(kinds, RAY_DEGREES[ray], RAY_LENGTHS[ray], strict=True):
        name = f"{kind}{ray}"
        depth = EPIPHYSIS_DEPTHS.get(name, EPIPHYSIS_DEPTHS[kind])
        angle = degrees + turn + jitter_degrees() / 2
        bone = Bone(name, base, angle, length, HALF_WIDTHS[name], depth)
        yield bone
        base = bone.at(length)


def pose(column: int, age_months: float, rng: np.random.Generator) -> Hand:
    """Return the hand with the small differences of posture and build that a seed gives."""

    def jitter_degrees() -> float:
        return float(rng.uniform(-1.4, 1.4))

    rays = [bone for ray in RAY_BASE for bone in _ray(ray, jitter_degrees)]
    girth = float(rng.uniform(0.97, 1.03)) * _SEX_GIRTH[column]
    ends = girth * (0.91 + 0.09 * share_of(age_months, *_ENDS_BROADEN_MONTHS[column]))
    bones = tuple(
        replace(bone, widths=(ends * base, girth * middle, ends * head))
        for bone in (*rays, *FOREARM)
        for base, middle, head in (bone.widths,)
    )
    length_mm = float(np.interp(age_months, _HAND_MONTHS, _HAND_LENGTHS_MM[column]))
    return Hand(column, age_months, bones, length_mm / _HAND_LENGTHS_MM[0][-1])
