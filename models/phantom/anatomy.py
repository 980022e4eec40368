"""The bones of an adult hand, in units of about a millimetre; x to the thumb, y to the elbow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.phantom.field import Point

RAY_BASE: dict[int, Point] = {
    1: (27.5, 8.0),
    2: (12.2, 2.2),
    3: (0.0, 2.0),
    4: (-10.8, 3.0),
    5: (-19.8, 6.0),
}
"""Where each metacarpal begins; x to the thumb, y to the elbow."""

RAY_DEGREES = {
    1: (35.0, 36.0, 41.0),
    2: (8.5, 11.0, 8.5, 6.5),
    3: (-2.0, 0.5, 0.5, 0.5),
    4: (-12.5, -11.5, -10.0, -8.5),
    5: (-23.0, -25.0, -26.0, -23.5),
}
"""Directions of metacarpal and phalanges, clockwise from up: slightly spread."""

RAY_LENGTHS = {
    1: (46.0, 32.0, 23.0),
    2: (67.0, 41.0, 25.0, 19.0),
    3: (65.0, 46.0, 30.0, 20.0),
    4: (58.0, 43.0, 29.0, 20.5),
    5: (53.0, 34.0, 21.0, 18.5),
}
"""Joint to joint."""

HALF_WIDTHS = {
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

EPIPHYSIS_DEPTHS = {"MC": 10.5, "PP": 4.4, "MP": 3.7, "DP": 3.2, "MC1": 5.6}
"""Thickness of the full epiphysis along its bone."""

OUTLINES = {
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

_FOREARM_UNITS = 420.0
"""Longer than any frame shows."""


@dataclass(frozen=True, slots=True)
class Bone:
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


FOREARM = (
    Bone("radius", (3.5, 34.0), 180.5, _FOREARM_UNITS, (15.8, 7.0, 7.0), 9.5),
    Bone("ulna", (-21.5, 37.5), 178.0, _FOREARM_UNITS, (8.8, 5.2, 6.5), 7.5),
)
"""Radius and ulna."""
