"""A synthetic hand radiograph by sex and age, for demonstrations and tests; of no patient.

It is a drawing, not a simulation of a person: bones are outlines with a cortex and a trabecular
core, soft tissue is a union of capsules, and the grey level is linear in the path length, as in
a logarithmic detector. Anatomy is written once for an adult, in units of about a millimetre, and
scaled: a child differs by what is ossified, by proportions and by its place in the frame.

Sources, all rounded to approximate textbook values and good for a drawing only:

* appearance of the centres: medians after Garn, Rohmann and Silverman, "Radiographic standards
  for postnatal ossification and tooth calcification", Medical Radiography and Photography 43
  (1967) 45-66; the pisiform after Greulich and Pyle;
* fusion, in the order distal phalanges, proximal and middle ones, metacarpals, ulna, radius:
  after Greulich and Pyle, "Radiographic Atlas of Skeletal Development of the Hand and Wrist",
  2nd ed. (Stanford University Press, 1959);
* the stages of an epiphysis, from a dot to as wide as the metaphysis, to capping, to fusing:
  Tanner et al., "Assessment of Skeletal Maturity and Prediction of Adult Height" (1975);
* lengths of the adult bones: after Garn, Hertzog, Poznanski and Nagy, "Metacarpophalangeal
  length in the evaluation of skeletal malformation", Radiology 105 (1972) 375-381;
* hand length by age: after Snyder et al., "Anthropometry of Infants, Children, and Youths to
  Age 18 for Product Safety Design", UM-HSRI-77-17 (1977).

Widths, outlines, grey levels and the ages of full width were set by eye and by measurement on
hand radiographs, and against what a network in training made of the drawings: an estimate of a
phantom tests that the parts work together, never how accurate they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Field = npt.NDArray[np.float32]
Point = tuple[float, float]

LABEL = "SYNTHETIC"
"""Written along the top border of every picture."""

HIGHEST_VALUE = 4095
"""Twelve bits stored."""

OLDEST_MONTHS = 240.0
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 256, 4096

MOST_ASPECT = 2.5
"""Beyond this ratio of the sides the hand would be lost in the frame."""


def _f32(values: npt.ArrayLike) -> Field:
    """Return values as float32."""
    return np.asarray(values, dtype=np.float32)


def _share(value: float, low: float, high: float) -> float:
    """Return how far a value has come from low to high, 0 to 1."""
    return min(max((value - low) / (high - low), 0.0), 1.0)


# ------------------------------------------------------------------------------- maturity


@dataclass(frozen=True, slots=True)
class Centre:
    """An ossification centre that appears after birth; ages in months, (boys, girls).

    Attributes
    ----------
    name : str
        The bone, as "PP3" (proximal phalanx of the middle finger), "MC1", "radius", "lunate".
    appears : tuple of float
        Median age at appearance.
    full : tuple of float
        Age from which it is as wide as the metaphysis, or has its adult shape.
    fuses : tuple of tuple of float
        Start and end of its fusion with the shaft; infinite for a bone that does not fuse.
    """

    name: str
    appears: tuple[float, float]
    full: tuple[float, float]
    fuses: tuple[tuple[float, float], tuple[float, float]] = ((math.inf,) * 2,) * 2


_PP_FULL, _MP_FULL, _MC_FULL = (134, 110), (146, 120), (142, 116)
_DP_FUSES = ((173, 189), (148, 162))
_PP_FUSES = ((182, 198), (157, 173))
_MP_FUSES = ((183, 199), (158, 174))
_MC_FUSES = ((185, 202), (160, 176))

CENTRES = (
    Centre("capitate", (3, 2), (108, 90)),
    Centre("hamate", (4, 2), (114, 96)),
    Centre("triquetrum", (29, 21), (150, 126)),
    Centre("lunate", (49, 31), (156, 132)),
    Centre("scaphoid", (68, 49), (162, 138)),
    Centre("trapezium", (70, 49), (160, 136)),
    Centre("trapezoid", (75, 50), (158, 134)),
    Centre("pisiform", (138, 112), (186, 162)),
    Centre("sesamoid", (153, 129), (186, 162)),
    Centre("radius", (13, 10), (144, 120), ((205, 228), (186, 210))),
    Centre("ulna", (85, 64), (162, 138), ((198, 216), (180, 200))),
    Centre("MC1", (31, 19), _MC_FULL, ((180, 196), (154, 170))),
    Centre("MC2", (19, 13), _MC_FULL, _MC_FUSES),
    Centre("MC3", (21, 14), _MC_FULL, _MC_FUSES),
    Centre("MC4", (24, 15), _MC_FULL, _MC_FUSES),
    Centre("MC5", (26, 16), _MC_FULL, _MC_FUSES),
    Centre("PP1", (36, 20), _MC_FULL, _PP_FUSES),
    Centre("PP2", (16, 10), _PP_FULL, _PP_FUSES),
    Centre("PP3", (16, 10), _PP_FULL, _PP_FUSES),
    Centre("PP4", (17, 11), _PP_FULL, _PP_FUSES),
    Centre("PP5", (21, 14), _PP_FULL, _PP_FUSES),
    Centre("MP2", (26, 16), _MP_FULL, _MP_FUSES),
    Centre("MP3", (24, 15), _MP_FULL, _MP_FUSES),
    Centre("MP4", (24, 15), _MP_FULL, _MP_FUSES),
    Centre("MP5", (41, 22), _MP_FULL, _MP_FUSES),
    Centre("DP1", (19, 12), _MP_FULL, _DP_FUSES),
    Centre("DP2", (38, 23), _MP_FULL, _DP_FUSES),
    Centre("DP3", (29, 18), _MP_FULL, _DP_FUSES),
    Centre("DP4", (29, 18), _MP_FULL, _DP_FUSES),
    Centre("DP5", (39, 23), _MP_FULL, _DP_FUSES),
)
_BY_NAME = {centre.name: centre for centre in CENTRES}

_NARROWS_MONTHS, _SCAR_MONTHS = 24.0, 30.0
"""How long a plate narrows before it fuses, and how long its scar can be seen afterwards."""


def _column(sex: str, age_months: float) -> int:
    """Return the sex's place in the tables, once sex and age are known to be sound."""
    if sex not in {"M", "F"}:
        msg = f"sex must be 'M' or 'F', not {sex!r}"
        raise ValueError(msg)
    if not 0.0 <= age_months <= OLDEST_MONTHS:
        msg = f"age_months must lie in 0 to {OLDEST_MONTHS:g}, not {age_months!r}"
        raise ValueError(msg)
    return 0 if sex == "M" else 1


def ossified_centres(sex: str, age_months: float) -> frozenset[str]:
    """Return the names of those of `CENTRES` that have appeared by an age.

    Raises
    ------
    ValueError
        If the sex is not "M" or "F", or the age lies outside 0 to 240 months.
    """
    column = _column(sex, age_months)
    return frozenset(centre.name for centre in CENTRES if age_months >= centre.appears[column])


@dataclass(frozen=True, slots=True)
class _Stage:
    """A centre at an age; the shares run from 0 to 1.

    ``grown`` from a dot to full, ``capping`` from full to the start of fusion, ``narrowed`` how
    far the plate has narrowed, ``fused``, and ``faded`` how far the scar is gone.
    """

    visible: bool
    grown: float
    capping: float
    narrowed: float
    fused: float
    faded: float


def _stage(name: str, column: int, age_months: float) -> _Stage:
    """Return a centre's stage."""
    centre = _BY_NAME[name]
    appears, full = centre.appears[column], centre.full[column]
    start, end = centre.fuses[column]
    visible, grown = age_months >= appears, _share(age_months, appears, full)
    if not math.isfinite(start):
        return _Stage(visible, grown, 0.0, 0.0, 0.0, 0.0)
    return _Stage(
        visible,
        grown,
        capping=_share(age_months, full, start),
        narrowed=_share(age_months, start - _NARROWS_MONTHS, start),
        fused=_share(age_months, start, end),
        faded=_share(age_months, end, end + _SCAR_MONTHS),
    )


# ------------------------------------------------------------------------------- anatomy

_RAY_BASE: dict[int, Point] = {
    1: (27.5, 8.0),
    2: (12.2, 2.2),
    3: (0.0, 2.0),
    4: (-10.8, 3.0),
    5: (-19.8, 6.0),
}
"""Where each metacarpal begins; x to the thumb, y to the elbow."""

_RAY_DEGREES = {
    1: (35.0, 36.0, 41.0),
    2: (8.5, 11.0, 8.5, 6.5),
    3: (-2.0, 0.5, 0.5, 0.5),
    4: (-12.5, -11.5, -10.0, -8.5),
    5: (-23.0, -25.0, -26.0, -23.5),
}
"""Directions of metacarpal and phalanges, clockwise from up: slightly spread."""

_RAY_LENGTHS = {
    1: (46.0, 32.0, 23.0),
    2: (67.0, 41.0, 25.0, 19.0),
    3: (65.0, 46.0, 30.0, 20.0),
    4: (58.0, 43.0, 29.0, 20.5),
    5: (53.0, 34.0, 21.0, 18.5),
}
"""Joint to joint."""

_HALF_WIDTHS = {
    "MC1": (7.8, 5.0, 7.4),
    "MC2": (7.3, 4.1, 7.7),
    "MC3": (6.8, 4.0, 7.5),
    "MC4": (5.7, 3.4, 6.7),
    "MC5": (6.3, 3.8, 6.5),
    "PP1": (7.9, 4.8, 6.5),
    "PP2": (7.6, 4.5, 5.9),
    "PP3": (7.9, 4.7, 6.2),
    "PP4": (7.3, 4.4, 5.8),
    "PP5": (6.4, 3.6, 4.7),
    "MP2": (6.2, 3.5, 4.9),
    "MP3": (6.7, 3.8, 5.4),
    "MP4": (6.4, 3.6, 5.2),
    "MP5": (5.1, 2.9, 4.1),
    "DP1": (6.9, 3.8, 5.2),
    "DP2": (4.9, 2.5, 3.9),
    "DP3": (5.3, 2.7, 4.3),
    "DP4": (5.2, 2.7, 4.2),
    "DP5": (4.3, 2.1, 3.4),
}
"""At the base, in the middle of the shaft, and at the head."""

_EPIPHYSIS_DEPTHS = {"MC": 10.5, "PP": 4.4, "MP": 3.7, "DP": 3.2, "MC1": 5.6}
"""Thickness of the full epiphysis along its bone."""

_FOREARM_UNITS = 420.0
"""Longer than any frame shows."""

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

_OUTLINES = {
    "capitate": (
        "-6,2.2 0,1.2 5.6,2.2 6.3,6 5,10.5 5.6,16 3.4,21.2 -1,22.8 -4.8,20.8 -6,15 -5.6,8"
    ),
    "hamate": ("-7.8,2.6 -13,2.4 -19,5 -22.3,8.2 -20,12 -15,16 -10,20.2 -7.8,19 -7.5,13 -7.2,7"),
    "triquetrum": (
        "-24,11.8 -20.6,13.8 -15.8,18 -12.6,22.2 -13.8,26 -18,27 -23,24.8 -26,20 -26.2,15"
    ),
    "lunate": (
        "-12,23.4 -8,22.8 -3.2,24.8 1,24.8 3.2,24 3.8,28 2.2,32.6 -2,34.8 -7.4,34.2 -11.8,31 -13,27"
    ),
    "scaphoid": (
        "6.2,23.4 7.4,19 9.8,15.6 13.4,14.2 17.4,15 19.4,18 18.8,22 16.6,26.4 13,30.2 8.4,32.8 "
        "4.8,32 4.2,27.6"
    ),
    "trapezoid": "7,3 10.4,1.4 14.5,1.6 17.6,4.6 16.4,9.4 13,12.4 9,12.2 7,8",
    "trapezium": "15.4,5.4 18.4,1.8 22.4,3 25.8,7.6 26.2,12.4 22.6,15.6 17.4,15.6 13.6,12.4",
    "pisiform": "-22.5,19 -20,16.6 -17.2,18.4 -16.4,22 -18,25.4 -21,25.6 -23,22.6",
    "sesamoid": "-2.4,0 -1.7,-2 0,-2.9 1.7,-2 2.4,0 1.7,2 0,2.9 -1.7,2",
}
"""Adult outlines, x,y, as a left hand shows them; the sesamoid is placed by the thumb."""


@dataclass(frozen=True, slots=True)
class _Bone:
    """A long bone in adult units: from ``base`` along ``degrees``, joint to joint.

    ``widths`` are half widths at base, middle and head. A bone of the forearm points to the
    elbow, so that every bone but four metacarpals bears its epiphysis at its base.
    """

    name: str
    base: Point
    degrees: float
    length: float
    widths: tuple[float, float, float]
    epiphysis_depth: float

    def at(self, along: float) -> Point:
        """Return the point so far along the axis."""
        angle = math.radians(self.degrees)
        return self.base[0] + along * math.sin(angle), self.base[1] - along * math.cos(angle)

    @property
    def kind(self) -> str:
        """Return "MC", "PP", "MP", "DP", "radius" or "ulna"."""
        return self.name if self.in_forearm else self.name[:2]

    @property
    def in_forearm(self) -> bool:
        """Return whether this is the radius or the ulna."""
        return self.name in {"radius", "ulna"}

    @property
    def distal_plate(self) -> bool:
        """Return whether the epiphysis is at the head: the second to the fifth metacarpal."""
        return self.kind == "MC" and self.name != "MC1"


_FOREARM = (
    _Bone("radius", (3.5, 34.0), 180.5, _FOREARM_UNITS, (15.8, 7.0, 7.0), 9.5),
    _Bone("ulna", (-21.5, 37.5), 178.0, _FOREARM_UNITS, (8.8, 5.2, 6.5), 7.5),
)


@dataclass(frozen=True, slots=True)
class _Hand:
    """A posed hand of a sex and age, in adult units; ``scale`` is its length against a man's."""

    column: int
    age_months: float
    bones: tuple[_Bone, ...]
    scale: float

    def bone(self, name: str) -> _Bone:
        """Return the long bone of that name."""
        return next(bone for bone in self.bones if bone.name == name)

    def stage(self, name: str) -> _Stage:
        """Return a centre's stage at this age."""
        return _stage(name, self.column, self.age_months)

    @property
    def plump(self) -> float:
        """Return 1 for a newborn's round limbs, 0 from nine years on."""
        return float((1.0 - _share(self.age_months, 0.0, 108.0)) ** 1.4)

    @property
    def cartilage(self) -> float:
        """Return the unossified thickness at an end without epiphysis."""
        return float(3.2 * (1.0 - _share(self.age_months, 0.0, 132.0)) ** 1.5)


_HAND_MONTHS = (0, 12, 36, 60, 96, 120, 144, 168, 192, 216)
_HAND_LENGTHS_MM = (
    (62, 90, 110, 127, 146, 158, 170, 184, 191, 193),
    (61, 88, 108, 125, 145, 158, 169, 174, 176, 177),
)
_SEX_GIRTH = (1.0, 0.95)
_ENDS_BROADEN_MONTHS = ((138, 204), (114, 180))
"""When the ends of the long bones take their adult breadth."""


def _ray(ray: int, jitter_degrees: Callable[[], float]) -> Iterator[_Bone]:
    """Yield the metacarpal and the phalanges of one ray."""
    kinds = ("MC", "PP", "DP") if ray == 1 else ("MC", "PP", "MP", "DP")
    base, turn = _RAY_BASE[ray], jitter_degrees()
    for kind, degrees, length in zip(kinds, _RAY_DEGREES[ray], _RAY_LENGTHS[ray], strict=True):
        name = f"{kind}{ray}"
        depth = _EPIPHYSIS_DEPTHS.get(name, _EPIPHYSIS_DEPTHS[kind])
        angle = degrees + turn + jitter_degrees() / 2
        bone = _Bone(name, base, angle, length, _HALF_WIDTHS[name], depth)
        yield bone
        base = bone.at(length)


def _pose(column: int, age_months: float, rng: np.random.Generator) -> _Hand:
    """Return the hand with the small differences of posture and build that a seed gives."""

    def jitter_degrees() -> float:
        return float(rng.uniform(-1.4, 1.4))

    rays = [bone for ray in _RAY_BASE for bone in _ray(ray, jitter_degrees)]
    girth = float(rng.uniform(0.97, 1.03)) * _SEX_GIRTH[column]
    ends = girth * (0.91 + 0.09 * _share(age_months, *_ENDS_BROADEN_MONTHS[column]))
    bones = tuple(
        replace(bone, widths=(ends * base, girth * middle, ends * head))
        for bone in (*rays, *_FOREARM)
        for base, middle, head in (bone.widths,)
    )
    length_mm = float(np.interp(age_months, _HAND_MONTHS, _HAND_LENGTHS_MM[column]))
    return _Hand(column, age_months, bones, length_mm / _HAND_LENGTHS_MM[0][-1])


# ------------------------------------------------------------------------------- the frame

_TIP_UNITS, _WRIST_UNITS, _SPREAD_UNITS = 166.0, 30.0, 182.0
"""From the metacarpals' base to the finger's tip and to the wrist's crease; the hand's width."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where the hand lies: pixels from adult units."""

    height_px: int
    width_px: int
    px_per_unit: float
    origin_px: Point
    radians: float

    @property
    def shape(self) -> tuple[int, int]:
        """Return (H, W)."""
        return self.height_px, self.width_px

    def px(self, point: Point) -> Point:
        """Return (x, y) in pixels."""
        c, s = math.cos(self.radians), math.sin(self.radians)
        (x, y), k = point, self.px_per_unit
        return self.origin_px[0] + k * (c * x - s * y), self.origin_px[1] + k * (s * x + c * y)

    def units(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return pixel positions in adult units."""
        c = math.cos(self.radians) / self.px_per_unit
        s = math.sin(self.radians) / self.px_per_unit
        dx, dy = x - self.origin_px[0], y - self.origin_px[1]
        return _f32(c * dx + s * dy), _f32(c * dy - s * dx)


def _frame(hand: _Hand, height_px: int, width_px: int, rng: np.random.Generator) -> _Frame:
    """Place the hand: a newborn's takes 0.48 of the height, an adult's 0.70, where it fits."""
    share = 0.48 + 0.22 * math.sqrt(_share(hand.scale, 0.31, 1.0))
    length = _TIP_UNITS + _WRIST_UNITS
    k = min(share * height_px / length, width_px / (1.05 * _SPREAD_UNITS))
    top = max(0.085, 0.36 * (1.0 - k * length / height_px)) * height_px
    # The thumb reaches further to its side than the little finger.
    x = width_px * (0.5 + float(rng.uniform(-0.008, 0.008))) - 4.0 * k
    turn = math.radians(float(rng.uniform(-2.0, 2.0)))
    return _Frame(height_px, width_px, k, (x, top + _TIP_UNITS * k), turn)


def _clipped(values: list[float], size: int) -> slice:
    """Return the whole pixels that hold the values, within the frame; empty where none do."""
    start = min(max(math.floor(min(values)), 0), size)
    return slice(start, max(min(math.ceil(max(values)), size), start))


def _centres_px(rows: slice, columns: slice, step: int = 1) -> tuple[Field, Field]:
    """Return x (1, w) and y (h, 1) of the centres of pixels ``step`` wide."""
    x = (np.arange(columns.start, columns.stop) + 0.5) * step
    y = (np.arange(rows.start, rows.stop) + 0.5) * step
    return _f32(x[None, :]), _f32(y[:, None])


def _smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> Field:
    """Return (size, size) Gaussian noise of SD 1, smoothed, its edges fitting each other."""
    frequency = np.fft.fftfreq(size)
    kernel = np.exp(-2.0 * (math.pi * sigma * frequency) ** 2)
    noise = np.fft.fft2(rng.standard_normal((size, size)))
    smooth = np.fft.ifft2(noise * kernel[:, None] * kernel[None, :]).real
    return _f32(smooth / smooth.std())


def _trabecular_tile(rng: np.random.Generator) -> Field:
    """Return (256, 256) of mean 1: thin bright strands, where smooth noise crosses zero."""
    strands = [np.exp(-((_smooth_noise(rng, 256, s) / 0.35) ** 2)) for s in (1.6, 2.6)]
    tile = 0.65 + sum(strands)
    return _f32(tile / np.mean(tile))


@dataclass(frozen=True, slots=True)
class _Patch:
    """A part of the film in a bone's own axes: ``u`` along it, ``v`` across, in units."""

    path: Field
    u: Field
    v: Field
    texture: Field


class _Film:
    """Path lengths through bone, summed bone by bone on small patches of the frame."""

    def __init__(self, frame: _Frame, rng: np.random.Generator) -> None:
        self.frame = frame
        self.path = np.zeros(frame.shape, dtype=np.float32)
        self._tile = _trabecular_tile(rng)

    def patch(self, bone: _Bone, box: tuple[float, float, float, float]) -> _Patch:
        """Return the part that holds a box (u0, u1, v0, v1) in a bone's axes; it may be empty."""
        angle = math.radians(bone.degrees)
        s, c = math.sin(angle), math.cos(angle)
        x0, y0 = bone.base
        corners = [
            self.frame.px((x0 + u * s + v * c, y0 - u * c + v * s))
            for u in box[:2]
            for v in box[2:]
        ]
        columns = _clipped([p[0] for p in corners], self.frame.width_px)
        rows = _clipped([p[1] for p in corners], self.frame.height_px)
        x, y = self.frame.units(*_centres_px(rows, columns))
        u, v = s * (x - x0) - c * (y - y0), c * (x - x0) + s * (y - y0)
        # No bone has a ruler's edge.
        phase = bone.degrees + x0
        rough_u = 0.14 * np.sin(0.9 * v + phase) + 0.04 * np.sin(2.7 * v + 2 * phase)
        rough_v = 0.14 * np.sin(0.5 * u + phase) + 0.03 * np.sin(1.9 * u + 3 * phase)
        u, v = _f32(u + rough_u), _f32(v + rough_v)
        return _Patch(self.path[rows, columns], u, v, self._trabeculae(bone, u, v))

    def _trabeculae(self, bone: _Bone, u: Field, v: Field) -> Field:
        """Return a texture of mean 1 whose strands run along u, fainter in a thick bone."""
        size, offset = len(self._tile), sum(map(ord, bone.name))
        rows = (3.0 * u).astype(np.int32) + 37 * offset
        columns = (7.5 * v).astype(np.int32) + 91 * offset
        strength = min(1.0, math.sqrt(3.0 / max(bone.widths)))
        return _f32(1 + strength * (self._tile[rows % size, columns % size] - 1))


# ------------------------------------------------------------------------------- bone

_CORE_DENSITY, _MARROW_DENSITY = 0.30, 0.08
"""Mineral of trabecular bone against cortex, near the ends and in the middle of a shaft."""

_JOINT = 0.5
"""Half the width of a joint."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A long bone on its patch, with where its plate lies from the end of the epiphysis."""

    bone: _Bone
    stage: _Stage
    patch: _Patch
    head: float
    plate: float
    shaft: float


def _part(hand: _Hand, bone: _Bone, patch: _Patch) -> _Part:
    """Return a bone with its zones: joint, epiphysis, plate, shaft, cartilage at the head."""
    stage = hand.stage(bone.name)
    gap = min(0.45 / hand.scale, 0.9) * (0.6 if bone.distal_plate else 1.0)
    plate = _JOINT + bone.epiphysis_depth
    cartilage = 0.0 if bone.kind == "DP" else hand.cartilage
    shaft = plate + gap * (1.0 - 0.4 * stage.narrowed)
    return _Part(bone, stage, patch, bone.length - _JOINT - cartilage, plate, shaft)


def _half_width(bone: _Bone, share: Field) -> Field:
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
    return _f32(np.interp(share, knots, curve))


def _base_recess(bone: _Bone, across: Field, v: Field) -> Field:
    """Return how far the mature base lies inside the joint line; ``across`` is -1 to 1."""
    if bone.kind == "radius":
        return _f32(0.27 * v + 1.2 * (1 - across**2) + 1.5 * across**8)
    if bone.kind == "ulna":
        return _f32(1.5 * across**4 - 5.5 * np.exp(-(((v - 6.0) / 1.7) ** 2)))
    if bone.kind == "MC":
        return _f32(2.4 * across**4 + 0.5 * (1 - across**2))
    hollow = 0.7 if bone.kind == "PP" else 0.2
    return _f32(hollow * (1 - across**2) + 1.2 * across**10)


def _head_recess(bone: _Bone, across: Field, half: Field) -> Field:
    """Return how far the mature head lies inside the joint line."""
    if bone.kind in {"MC", "DP"}:
        return _f32(0.95 * half * (1 - np.sqrt(np.maximum(1 - 0.87 * across**2, 0))))
    return _f32(half * (0.3 * across**4 + 0.05 * (1 - across**2) ** 2))


def _plate_recess(across: Field, half: Field) -> Field:
    """Return the shape of a metaphysis at its plate: nearly flat, with rounded corners."""
    return _f32(half * (0.1 * across**2 + 0.16 * across**8))


def _chord(side: Field, end: Field, half: Field) -> Field:
    """Return the path through a round rod, from distances inside its side and its end."""
    a, b = np.clip(side / half, 0, 1), np.clip(end / 0.9, 0, 1)
    return _f32(2 * half * np.sqrt(a * (2 - a) * b * (2 - b)))


def _wall(bone: _Bone, share: Field, half: Field) -> tuple[Field, Field]:
    """Return thickness of the cortex and density of the core along a bone."""
    if bone.in_forearm:
        middle = np.clip(share * bone.length / 60.0, 0, 1)
        thickest = 2.4 if bone.kind == "radius" else 1.9
    else:
        middle = np.clip(1 - np.abs(2 * share - 1.04), 0, 1)
        thickest = 0.44 * bone.widths[1]
    middle = middle * middle * (3 - 2 * middle)
    cortex = np.minimum(0.35 + (thickest - 0.35) * middle, 0.6 * half)
    return _f32(cortex), _f32(_CORE_DENSITY + (_MARROW_DENSITY - _CORE_DENSITY) * middle)


def _rod(part: _Part, share: Field, half: Field, end: Field) -> Field:
    """Return path lengths, as if of cortex, through a rod: a wall about a core."""
    cortex, density = _wall(part.bone, share, half)
    side = half - np.abs(part.patch.v)
    outer = _chord(side, end, half)
    inner = _chord(side - cortex, end - 0.4, np.maximum(half - cortex, 0.2))
    # The wall towards the film is thinner than the wall at the sides, and a wide bone is flat.
    inner *= 1 + 0.5 * cortex / half
    flat = np.minimum(0.9, 6.4 / half)
    return _f32(flat * (outer - inner + density * part.patch.texture * inner))


def _shell(radius: Field, size: float, depth: float, texture: Field) -> Field:
    """Return path lengths of a closed shell; ``radius`` is 1 on its outline, 0 in its middle."""
    rim = 1.0 - min(0.45 / size, 0.6)
    outer = np.maximum(1 - radius**2, 0) ** 0.33
    inner = rim * np.maximum(1 - (radius / rim) ** 2, 0) ** 0.33
    return _f32(2 * depth * (outer - inner + _CORE_DENSITY * texture * inner))


def _shaft(part: _Part) -> Field:
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
    share = _f32(np.clip(share, 0, 1))
    half = _half_width(bone, share)
    across = _f32(np.clip(v / half, -1, 1))
    flat = _plate_recess(across, half)
    near = _base_recess(bone, across, v) if bone.distal_plate else flat
    far = flat if bone.distal_plate else _head_recess(bone, across, half)
    return _rod(part, share, half, _f32(np.minimum(u - start - near, stop - far - u)))


def _whole(part: _Part) -> Field:
    """Return the bone with its epiphysis fused, from joint to joint."""
    bone, u, v = part.bone, part.patch.u, part.patch.v
    stop = bone.length - _JOINT if bone.distal_plate else part.head
    share = _f32(np.clip((u - _JOINT) / (stop - _JOINT), 0, 1))
    half = _half_width(bone, share)
    across = _f32(np.clip(v / half, -1, 1))
    near = u - _JOINT - _base_recess(bone, across, v)
    far = stop - _head_recess(bone, across, half) - u
    return _rod(part, share, half, _f32(np.minimum(near, far)))


def _superellipse(along: Field, across: Field, power: float) -> Field:
    """Return 1 on the outline and 0 in the middle; a higher power has squarer corners."""
    return _f32((np.abs(along) ** power + np.abs(across) ** power) ** (1 / power))


def _disc(along: Field, across: Field, stage: _Stage) -> Field:
    """Return the epiphysis of a base: a bar whose corners reach over the metaphysis at last."""
    inner = np.clip(across, -1, 1)
    bent = along + (0.30 * stage.grown + 0.40 * stage.capping) * inner**4
    hollow = 1 + 0.22 * stage.grown * (1 - inner**2)
    hollowed = _f32(np.where(bent > 0, bent * hollow, bent))
    return _superellipse(hollowed, across, 2.0 + 1.6 * stage.grown)


def _dome(along: Field, across: Field, stage: _Stage) -> Field:
    """Return the epiphysis of a metacarpal's head: a ball, then flat at its plate."""
    plate_side = _superellipse(along, across, 2.0 + 4.0 * stage.grown**2)
    return _f32(np.where(along < 0, plate_side, np.hypot(along, across)))


def _radius_wedge(along: Field, across: Field, stage: _Stage) -> Field:
    """Return the epiphysis of the radius: first on the thumb's side, and thicker there."""
    across = _f32(across + 0.25 * (1 - stage.grown))
    wedge = _f32((along + 1) / (1 - 0.36 * np.clip(across, -1, 1)) - 1)
    plate_side = _superellipse(wedge, across, 2.0 + 3.0 * stage.grown)
    joint_side = _superellipse(wedge, across, 2.0 + 1.2 * stage.grown)
    return _f32(np.where(wedge < 0, plate_side, joint_side))


def _ulna_cap(along: Field, across: Field, stage: _Stage) -> Field:
    """Return the epiphysis of the ulna: a cap that grows its styloid on the outer side."""
    across = _f32(across + 0.2 * (1 - stage.grown))
    styloid = 1.6 * stage.grown * np.exp(-(((across - 0.68) / 0.22) ** 2))
    raised = _f32(np.where(along > 0, along / (1 + styloid), along))
    return _superellipse(raised, across, 2.0 + 1.2 * stage.grown)


_EPIPHYSIS_SHAPES: dict[str, Callable[[Field, Field, _Stage], Field]] = {
    "radius": _radius_wedge,
    "ulna": _ulna_cap,
}


def _epiphysis(part: _Part) -> Field:
    """Return the separate epiphysis: a dot that widens, takes its shape, and caps."""
    bone, stage, grown = part.bone, part.stage, part.stage.grown
    spread = grown ** (0.6 if bone.in_forearm else 0.40)
    full = bone.widths[2 if bone.distal_plate else 0]
    half_width = full * (0.16 + 0.82 * spread + 0.05 * stage.capping)
    half_depth = bone.epiphysis_depth * (0.2 + 0.32 * grown**0.8)
    beyond = part.plate - (bone.length - part.patch.u if bone.distal_plate else part.patch.u)
    # Minus 1 at the plate, plus 1 at the joint; minus 1 to 1 from side to side.
    along, across = _f32(beyond / half_depth - 1), _f32(part.patch.v / half_width)
    shape = _EPIPHYSIS_SHAPES.get(bone.kind, _dome if bone.distal_plate else _disc)
    depth = (0.48 if bone.in_forearm else 0.62) * half_width * (0.75 + 0.25 * grown)
    radius = shape(along, across, stage)
    return _shell(radius, min(half_width, half_depth), depth, part.patch.texture)


def _fusing(part: _Part, apart: Field) -> Field:
    """Return the bone on its way from ``apart`` to whole: a plate closes from its middle out."""
    bone, stage, u = part.bone, part.stage, part.patch.u
    half = bone.widths[2 if bone.distal_plate else 0]
    closed = np.clip(2 * stage.fused - np.abs(part.patch.v) / half, 0, 1)
    from_end = bone.length - u if bone.distal_plate else u
    scar = np.exp(-(((from_end - part.plate - 0.3) / 0.55) ** 2))
    whole = _whole(part) * (1 + 0.16 * (1 - stage.faded) * scar)
    return _f32((1 - closed) * apart + closed * whole)


def _draw_long_bone(film: _Film, hand: _Hand, bone: _Bone) -> None:
    """Draw a long bone: shaft and epiphysis apart, whole, or between the two."""
    margin = max(bone.widths) + 4.0
    patch = film.patch(bone, (-8.0, bone.length + 2.0, -margin, margin))
    part = _part(hand, bone, patch)
    path = np.zeros_like(patch.u)
    if part.stage.fused < 1.0:
        path += _shaft(part)
        if part.stage.visible:
            path += _epiphysis(part)
    patch.path[...] += path if part.stage.fused <= 0.0 else _fusing(part, path)


def _outline(text: str) -> tuple[Point, Field, Field]:
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
    return (float(centre[0]), float(centre[1])), _f32(grid), _f32(smooth)


def _draw_round_bone(film: _Film, hand: _Hand, name: str) -> None:
    """Draw a carpal bone or the sesamoid: a dot that grows into its adult outline."""
    stage = hand.stage(name)
    if not stage.visible:
        return
    centre, grid, radii = _outline(_OUTLINES[name])
    if name == "sesamoid":
        thumb = hand.bone("MC1")
        x, y = thumb.at(0.93 * thumb.length)
        centre = (x - 7.6, y - 2.2)
    mean, shape = float(radii.mean()), stage.grown**0.8
    early = name in {"capitate", "hamate"}
    growth = 0.15 + 0.85 * stage.grown ** (0.38 if early else 0.62)
    radii = _f32(1.05 * growth * (mean + shape * (radii - mean)))
    reach = float(radii.max()) + 1.0
    bone = _Bone(name, centre, 0.0, 0.0, (mean, mean, mean), 0.0)
    patch = film.patch(bone, (-reach, reach, -reach, reach))
    limit = np.interp(np.arctan2(-patch.u, patch.v), grid, radii, period=2 * math.pi)
    radius = _f32(np.hypot(patch.u, patch.v) / limit)
    patch.path[...] += _shell(radius, 0.9 * growth * mean, 0.92 * growth * mean, patch.texture)


def _draw_skeleton(hand: _Hand, frame: _Frame, rng: np.random.Generator) -> Field:
    """Return path lengths through bone, as if all were cortex, (H, W)."""
    film = _Film(frame, rng)
    for bone in hand.bones:
        _draw_long_bone(film, hand, bone)
    for name in _OUTLINES:
        _draw_round_bone(film, hand, name)
    return film.path


# ------------------------------------------------------------------------------- soft tissue

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
        return _f32(np.hypot(px - share * dx, py - share * dy) - radius), _f32(depth)


def _finger_flesh(hand: _Hand) -> Iterator[_Capsule]:
    """Yield the flesh of the five fingers, from the knuckles to the tips."""
    plump = 1.0 + 0.22 * hand.plump
    for ray, radii in _FINGER_RADII.items():
        kinds = ("PP", "DP") if ray == 1 else ("PP", "MP", "DP")
        for index, kind in enumerate(kinds):
            bone = hand.bone(f"{kind}{ray}")
            r = (plump * radii[index], plump * radii[index + 1])
            stop = bone.length - (2.6 if kind == "DP" else 0.0)
            yield _Capsule(bone.base, bone.at(stop), r, (0.78 * r[0], 0.78 * r[1]))


def _between(one: _Bone, other: _Bone, share: float) -> Point:
    """Return the point half way between two bones, at a share of their lengths."""
    (ax, ay), (bx, by) = one.at(share * one.length), other.at(share * other.length)
    return (ax + bx) / 2, (ay + by) / 2


def _palm_flesh(hand: _Hand) -> Iterator[_Capsule]:
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


def _forearm_flesh(hand: _Hand) -> Iterator[_Capsule]:
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


def _united(hand: _Hand, frame: _Frame) -> tuple[Field, Field]:
    """Return the depth inside the skin and the half thickness, in units, at half resolution."""
    shape = ((frame.height_px + 1) // 2, (frame.width_px + 1) // 2)
    near, thickness = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for capsule in (*_finger_flesh(hand), *_palm_flesh(hand), *_forearm_flesh(hand)):
        reach = (max(capsule.radii) + 7.0 * _WEB) * frame.px_per_unit
        ends = [frame.px(capsule.a), frame.px(capsule.b)]
        columns = _clipped([(x + d) / 2 for x, _ in ends for d in (-reach, reach)], shape[1])
        rows = _clipped([(y + d) / 2 for _, y in ends for d in (-reach, reach)], shape[0])
        x, y = frame.units(*_centres_px(rows, columns, step=2))
        distance, depth = capsule.distance(x, y)
        weight = np.exp(np.clip(-distance / _WEB, -7, 30))
        near[rows, columns] += weight
        thickness[rows, columns] += weight * depth
    near = np.maximum(near, np.float32(1e-6))
    return _f32(_WEB * np.log(near)), _f32(thickness / near)


def _evened(thickness: Field, mask: Field, px_per_unit: float) -> Field:
    """Return the thickness of the flesh without the ridges where capsules meet."""
    small = (max(8, mask.shape[0] // 4), max(8, mask.shape[1] // 4))
    sigma_px = 3.0 * px_per_unit / 4
    weight = _blurred(_resized(mask, small), sigma_px) + 1e-4
    summed = _blurred(_resized(_f32(mask * thickness), small), sigma_px)
    return np.maximum(_resized(_f32(summed / weight), mask.shape), np.float32(0.5))


def _draw_flesh(hand: _Hand, frame: _Frame) -> Field:
    """Return path lengths through soft tissue, (H, W)."""
    inside, thickness = _united(hand, frame)
    half = _evened(thickness, _f32(inside > 0), frame.px_per_unit / 2)
    share = np.clip(inside / half, 0, 1)
    return _resized(_f32(2 * half * np.sqrt(share * (2 - share))), frame.shape)


# ------------------------------------------------------------------------------- grey levels

_BACKGROUND, _FLESH_PER_UNIT, _BONE_PER_UNIT, _NOISE = 0.035, 0.0108, 0.038, 0.0021
"""Shares of the full range, matched to radiographs as they come from a detector."""

_SCATTER = 0.11
"""Share of the light that is spread widely."""


def _resized(field: Field, shape: tuple[int, ...]) -> Field:
    """Return a field resampled to (H, W)."""
    image = Image.fromarray(field).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return _f32(np.asarray(image))


def _blurred(field: Field, sigma_px: float) -> Field:
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


def _scattered(field: Field, px_per_unit: float) -> Field:
    """Return the picture with a share of its light spread widely."""
    small = (max(8, field.shape[0] // 16), max(8, field.shape[1] // 16))
    wide = _resized(_blurred(_resized(field, small), 11.0 * px_per_unit / 16), field.shape)
    return _f32((1 - _SCATTER) * field + _SCATTER * wide)


def _collimation(shape: tuple[int, int]) -> Field:
    """Return (H, W) of 1 in the field, falling off over the last hundredths of the frame."""
    sides = []
    for size in shape:
        edge = np.minimum(np.arange(size) + 0.5, size - np.arange(size) - 0.5) / size
        sides.append(0.45 + 0.55 / (1 + np.exp(-(edge - 0.012) / 0.0035)))
    return _f32(np.outer(*sides))


def _exposed(flesh: Field, bone: Field, frame: _Frame, rng: np.random.Generator) -> Field:
    """Return grey levels as shares of the range: paths, blur, scatter, fall-off, noise."""
    gain = float(rng.uniform(0.96, 1.04))
    mottle = 1 + 0.015 * _resized(_smooth_noise(rng, 64, 2.5), frame.shape)
    sharp = _f32(gain * _BONE_PER_UNIT * bone)
    hand = gain * _FLESH_PER_UNIT * flesh * mottle + _blurred(sharp, 0.16 * frame.px_per_unit)
    heel = np.linspace(0.008, -0.008, frame.height_px)[:, None]
    lit = _BACKGROUND + heel + _scattered(_f32(hand), frame.px_per_unit)
    levels = _f32(lit * _collimation(frame.shape))
    grain = rng.standard_normal(frame.shape, dtype=np.float32)
    return _f32(levels + _NOISE * (0.6 + levels) * grain)


# ------------------------------------------------------------------------------- letters

_LABEL_LEVEL, _MARKER_LEVEL, _PLATE_LEVEL = 0.72, 0.96, 0.035
"""The label is no brighter than bone, so that it hardly moves a window set by percentiles."""


def _letters(text: str, capital_px: int) -> Field:
    """Return text as (h, w) in [0, 1], its capitals so high."""
    font = ImageFont.load_default(size=capital_px / 0.72)
    left, top, right, bottom = font.getbbox(text)
    size = (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2)
    image = Image.new("L", size, 0)
    stroke = max(1, capital_px // 24)
    at = (1 - left, 1 - top)
    ImageDraw.Draw(image).text(at, text, fill=255, font=font, stroke_width=stroke)
    return _f32(np.asarray(image) / 255)


def _stamp(levels: Field, letters: Field, at: tuple[int, int], level: float) -> None:
    """Lay letters over the picture, from (row, column)."""
    part = levels[at[0] : at[0] + letters.shape[0], at[1] : at[1] + letters.shape[1]]
    opacity = letters[: part.shape[0], : part.shape[1]]
    part[...] = part * (1 - opacity) + level * opacity


def _mark(levels: Field) -> None:
    """Write the label along the top border, and lay a lead letter on its plate at the left."""
    height, width = levels.shape
    capital = round(min(0.036 * height, 0.048 * width))
    at = (round(0.022 * height), round(0.03 * width))
    if LABEL:
        _stamp(levels, _letters(LABEL, capital), at, _LABEL_LEVEL)
    letter = _letters("L", round(1.45 * capital))
    row, column, pad = round(0.60 * height), round(0.055 * width), capital // 2
    rows, columns = letter.shape[0] + 3 * pad, letter.shape[1] + 2 * pad
    levels[row : row + rows, column : column + columns] += _PLATE_LEVEL
    _stamp(levels, letter, (row + 2 * pad, column + pad), _MARKER_LEVEL)


# ------------------------------------------------------------------------------- the door


def _check_frame(height_px: int, width_px: int, seed: int) -> None:
    """Raise ValueError where a picture of that size or seed cannot be drawn."""
    for name, side in (("height_px", height_px), ("width_px", width_px)):
        if not SMALLEST_SIDE_PX <= side <= LARGEST_SIDE_PX:
            msg = f"{name} must lie in {SMALLEST_SIDE_PX} to {LARGEST_SIDE_PX}, not {side!r}"
            raise ValueError(msg)
    if max(height_px, width_px) > MOST_ASPECT * min(height_px, width_px):
        msg = f"one side must be at most {MOST_ASPECT:g} times the other"
        raise ValueError(msg)
    if seed < 0:
        msg = f"seed must not be negative, not {seed!r}"
        raise ValueError(msg)


def draw_phantom(
    sex: str, age_months: float, *, height_px: int = 1536, width_px: int = 1152, seed: int = 0
) -> npt.NDArray[np.uint16]:
    """Draw a synthetic PA radiograph of a left hand: bone bright, fingers up, thumb right.

    Parameters
    ----------
    sex : str
        "M" or "F"; girls mature earlier.
    age_months : float
        Skeletal age to show, 0 to 240.
    height_px, width_px : int
        Size of the picture, 256 to 4096 a side.
    seed : int
        Decides posture, build, texture, exposure and noise, not maturity.

    Returns
    -------
    ndarray of uint16
        (height_px, width_px), 0 to 4095, to be shown as MONOCHROME2. ``SYNTHETIC`` is written
        along the top border, and a lead ``L`` lies at the left.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    column = _column(sex, age_months)
    _check_frame(height_px, width_px, seed)
    rng = np.random.default_rng(seed)
    hand = _pose(column, age_months, rng)
    frame = _frame(hand, height_px, width_px, rng)
    bone = _draw_skeleton(hand, frame, rng)
    levels = _exposed(_draw_flesh(hand, frame), bone, frame, rng)
    _mark(levels)
    return np.rint(np.clip(levels, 0, 1) * HIGHEST_VALUE).astype(np.uint16)


def save_phantom(  # noqa: PLR0913 - the parameters of draw_phantom, and where to write
    path: str | Path,
    sex: str,
    age_months: float,
    *,
    height_px: int = 1536,
    width_px: int = 1152,
    seed: int = 0,
) -> None:
    """Write `draw_phantom`'s picture as a grey PNG of 16 bits, stretched to all of them.

    Raises
    ------
    ValueError
        If an argument is out of its range.
    OSError
        If the file cannot be written.
    """
    pixels = draw_phantom(sex, age_months, height_px=height_px, width_px=width_px, seed=seed)
    scaled = (pixels.astype(np.uint32) * 65535 // HIGHEST_VALUE).astype(np.uint16)
    Image.fromarray(scaled).save(Path(path), format="PNG")
