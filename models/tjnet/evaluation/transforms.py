"""What a picture may have gone through before it comes: seven kinds of change, each documented.

The kinds are those of Santomartino et al., "Evaluating the Robustness of a Deep Learning Bone Age
Algorithm to Clinical Image Variation Using Computational Stress Testing", Radiology: Artificial
Intelligence 2024, doi:10.1148/ryai.230240; the strengths are this project's choice.

Every change takes and returns a picture of (H, W) float32 in [0, 1], bone bright, and ends in 256
grey levels, as a stored picture has them: what falls outside 0 to 1 is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.phantom.letters import letters_of

if TYPE_CHECKING:
    from collections.abc import Callable

Picture: TypeAlias = npt.NDArray[np.float32]

LEVELS = 255
MARKER_MARGIN = 0.03
"""From the corner to the marker, of the shorter side."""


@dataclass(frozen=True, slots=True)
class Transform:
    """One change of a picture.

    Attributes
    ----------
    kind : str
        One of the seven.
    strength : str
        How much of it, in words.
    change : callable
        (H, W) float32 to (h, w) float32.
    """

    kind: str
    strength: str
    change: Callable[[Picture], Picture]

    def __call__(self, picture: Picture) -> Picture:
        """Return the changed picture in 256 levels, (h, w) float32 in [0, 1]."""
        changed = np.clip(self.change(np.clip(picture, 0.0, 1.0)), 0.0, 1.0)
        return (np.rint(changed * LEVELS) / LEVELS).astype(np.float32)


def turn(picture: Picture, angle_deg: float) -> Picture:
    """Turn counter-clockwise; right angles are exact and swap the sides.

    Other angles keep the frame, as a viewer does: corners are cut off, and what comes in from
    outside is black.
    """
    quarters, rest = divmod(angle_deg, 90)
    if rest == 0:
        return np.rot90(picture, int(quarters)).copy()
    image = Image.fromarray(np.ascontiguousarray(picture))
    turned = image.rotate(angle_deg, Image.Resampling.BILINEAR, fillcolor=0.0)
    return np.asarray(turned, dtype=np.float32)


def mirror(picture: Picture) -> Picture:
    """Mirror left and right: the other hand, or the palm down on the other side of the film."""
    return picture[:, ::-1].copy()


def upend(picture: Picture) -> Picture:
    """Mirror top and bottom: the fingers point down."""
    return picture[::-1].copy()


def scale_brightness(picture: Picture, factor: float) -> Picture:
    """Multiply every level; above 1 the brightest are lost."""
    return (picture * np.float32(factor)).astype(np.float32)


def shift_brightness(picture: Picture, shift: float) -> Picture:
    """Add to every level; the darkest or the brightest are lost."""
    return picture + np.float32(shift)


def scale_contrast(picture: Picture, factor: float) -> Picture:
    """Stretch or squeeze the levels about the picture's mean."""
    mean = np.float32(picture.mean(dtype=np.float64))
    return (picture - mean) * np.float32(factor) + mean


def invert(picture: Picture) -> Picture:
    """Swap black and white: bone is dark, as on a print or in a MONOCHROME1 file read plainly."""
    return np.float32(1.0) - picture


def lower_resolution(picture: Picture, share: float, *, enlarge: bool = False) -> Picture:
    """Keep a share of the pixels; enlarged, the picture has its size again but not its detail."""
    height, width = picture.shape
    side = math.sqrt(share)
    size = (max(1, round(width * side)), max(1, round(height * side)))
    image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
    if enlarge:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def add_marker(picture: Picture, letter: str, size: float) -> Picture:
    """Lay a white lead letter in an upper corner: L at the left of the frame, R at the right.

    Parameters
    ----------
    letter : str
        "L" or "R".
    size : float
        Height of the letter as a share of the picture's height.
    """
    height, width = picture.shape
    stamp = letters_of(letter, max(4, round(size * height)))[:height, :width]
    margin = round(MARKER_MARGIN * min(height, width))
    row = min(margin, height - stamp.shape[0])
    column = min(margin, width - stamp.shape[1])
    if letter == "R":
        column = width - stamp.shape[1] - column
    marked = picture.copy()
    part = marked[row : row + stamp.shape[0], column : column + stamp.shape[1]]
    np.maximum(part, stamp, out=part)
    return marked


TURNS_DEG = (-30, -20, -10, -5, 5, 10, 20, 30)
RIGHT_ANGLES_DEG = (90, 180, 270)
FACTORS = (0.5, 0.75, 1.5, 2.0)
SHIFTS = (-0.1, 0.1, 0.2)
MARKERS = (("L", 0.05), ("L", 0.1), ("R", 0.1), ("R", 0.15))

TRANSFORMS = (
    *(Transform("rotation", f"{a:+d} degrees", partial(turn, angle_deg=a)) for a in TURNS_DEG),
    *(Transform("rotation", f"{a} degrees", partial(turn, angle_deg=a)) for a in RIGHT_ANGLES_DEG),
    Transform("flip", "left and right", mirror),
    Transform("flip", "top and bottom", upend),
    *(Transform("brightness", f"x {f:g}", partial(scale_brightness, factor=f)) for f in FACTORS),
    *(
        Transform("brightness", f"{s:+.0%} of the range", partial(shift_brightness, shift=s))
        for s in SHIFTS
    ),
    *(Transform("contrast", f"x {f:g}", partial(scale_contrast, factor=f)) for f in FACTORS),
    Transform("inversion", "bone dark", invert),
    Transform("resolution", "half the pixels", partial(lower_resolution, share=1 / 2)),
    Transform("resolution", "a quarter of the pixels", partial(lower_resolution, share=1 / 4)),
    Transform(
        "resolution",
        "a sixteenth, enlarged again",
        partial(lower_resolution, share=1 / 16, enlarge=True),
    ),
    *(
        Transform("marker", f"{x}, {s:.0%} of the height", partial(add_marker, letter=x, size=s))
        for x, s in MARKERS
    ),
)
"""The seven kinds in order; an angle is counter-clockwise."""
