"""A box round the hand of a displayed radiograph, by gray levels alone.

The frame is reduced to a small grid. What surrounds the field, a flat region at the frame's edge
that is black or gray, is taken away; Otsu's threshold (IEEE Trans. Syst. Man Cybern. 1979;9:62-66)
parts hand from background, and the largest connected piece is the hand. Letters and markers are
small pieces apart from it. The forearm belongs to the hand: a box cannot tell where it begins.

The box shows where a reader should look; nothing is measured by it. Of 120 radiographs of the RSNA
challenge with marked joints (Koitka et al., PLOS ONE 2018, 10.1371/journal.pone.0207496) it holds
all joints in 117 and 2033 of 2040 joints, and covers three quarters of the frame (median).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    import numpy.typing as npt

    Field = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

GRID: Final = 128
"""Long side of the grid; a fingertip is about four of its cells wide."""

PERCENTILES: Final = (1, 98)
"""Gray levels are stretched between these; letters and frame lines lie above."""

GAMMA: Final = 0.4
"""Fingertips are much darker than the wrist: with this power Otsu's threshold keeps them."""

SMOOTHING: Final = 1.0
"""Radius of the Gaussian before the threshold, in cells."""

FLAT: Final = 0.03
"""A surround keeps this close to its commonest level; a field's background drifts further."""

LEVELS: Final = 64
"""Bins of a histogram over [0, 1]."""

SURROUNDS: Final = 4
"""As many levels of the edge are tried; a black and a gray surround occur together."""

LEAST_OF_EDGE: Final = 0.05
"""A surround covers at least this share of the frame's edge."""

DARK: Final = 0.1
"""Below this level a surround may be the background of an uncollimated field."""

FILL_OF_FIELD: Final = 0.7
"""A collimated field fills at least this share of its bounding box; fingers leave gaps."""

FRAME_LINE: Final = 3
"""Cells next to a surround that are left out: collimators draw bright lines."""

LEAST_HAND: Final = 0.03
"""Share of the frame; a smaller piece is no hand, and the box is the whole frame."""

MARGIN: Final = 4
"""Cells left free round the hand."""


@dataclass(frozen=True, slots=True)
class HandBox:
    """A box in a picture, in pixels: its corner is 0, 0, the first pixel's centre 0.5, 0.5.

    That is the origin of spatial coordinates and of graphic annotations (PS3.3 C.18.6.1.1,
    C.10.5).

    Attributes
    ----------
    left, top, right, bottom : float
        0 <= left < right <= columns, 0 <= top < bottom <= rows.
    """

    left: float
    top: float
    right: float
    bottom: float

    def outline(self) -> npt.NDArray[np.float64]:
        """Return the closed polyline round the box, (5, 2): column and row of each corner."""
        left, top, right, bottom = self.left, self.top, self.right, self.bottom
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)])


def find_hand_box(picture: npt.NDArray[np.floating]) -> HandBox:
    """Return a box round the hand; the whole frame where none is found.

    Parameters
    ----------
    picture : ndarray of float
        (H, W) in [0, 1] as displayed, bone bright.

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, is empty, or holds a value that is not finite.
    """
    if picture.ndim != 2 or 0 in picture.shape:  # noqa: PLR2004 - rows and columns
        msg = f"a picture has rows and columns, not the shape {picture.shape}"
        raise ValueError(msg)
    if not np.isfinite(picture).all():
        msg = "the picture holds values that are not finite"
        raise ValueError(msg)
    return _boxed(_hand(_reduced(picture)), picture.shape)


def _reduced(picture: npt.NDArray[np.floating]) -> Field:
    """Return the picture on the grid, stretched to [0, 1]; black where it has no contrast."""
    image = Image.fromarray(np.ascontiguousarray(picture, dtype=np.float32))
    scale = GRID / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    small = np.asarray(image.resize((size[0], size[1]), Image.Resampling.BOX))
    low, high = np.percentile(small, PERCENTILES)
    if high <= low:
        return np.zeros_like(small)
    stretched: Field = np.clip((small - low) / (high - low), 0, 1)
    return stretched


def _hand(small: Field) -> Mask:
    """Return which cells are the hand."""
    surround = _surround(small)
    levels = _smoothed(small**GAMMA)
    if _is_background(surround, small):
        # Background, flesh and bone: three classes, of which the first is not the hand.
        return _largest(~surround & (levels > _thresholds(levels)[0]))
    field = ~_grown(surround, FRAME_LINE)
    return _largest(field & (levels > _threshold(levels[field])))


def _surround(small: Field) -> Mask:
    """Return the flat regions at the frame's edge."""
    edge = np.ones(small.shape, dtype=np.bool_)
    edge[1:-1, 1:-1] = False
    found, left = np.zeros_like(edge), edge.copy()
    for _ in range(SURROUNDS):
        if not left.any():
            break
        near = np.abs(small - _commonest(small[left])) <= FLAT
        if (near & left).sum() < LEAST_OF_EDGE * edge.sum():
            break
        pieces = _pieces(near)
        found |= near & np.isin(pieces, pieces[edge & near])
        left &= ~near
    return found


def _is_background(surround: Mask, small: Field) -> bool:
    """Return whether what is left of the frame is the hand itself, and no collimated field."""
    if not surround.any() or surround.all():
        return True
    rows, columns = (np.flatnonzero(part) for part in _sides(_largest(~surround)))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    fill = _largest(~surround).sum() / (height * width)
    return bool(np.median(small[surround]) < DARK and fill < FILL_OF_FIELD)


def _boxed(hand: Mask, shape: tuple[int, ...]) -> HandBox:
    """Return the box with its margin, scaled from the grid to a picture of this shape."""
    rows, columns = shape
    if hand.mean() < LEAST_HAND:
        return HandBox(0.0, 0.0, float(columns), float(rows))
    (top, bottom), (left, right) = (
        _span(side, size_px) for side, size_px in zip(_sides(hand), shape, strict=True)
    )
    return HandBox(left, top, right, bottom)


def _sides(mask: Mask) -> tuple[Mask, Mask]:
    """Return which rows and which columns hold any of a mask."""
    return np.asarray(mask.any(axis=1)), np.asarray(mask.any(axis=0))


def _span(side: Mask, size_px: int) -> tuple[float, float]:
    """Return where the hand begins and ends along one side of the frame, in pixels."""
    cells = np.flatnonzero(side)
    first, last = max(0, cells[0] - MARGIN), min(side.size, cells[-1] + 1 + MARGIN)
    return float(first / side.size * size_px), float(last / side.size * size_px)


def _commonest(values: Field) -> float:
    """Return the commonest level: the median of the fullest bin."""
    counts, edges = np.histogram(values, LEVELS, (0, 1))
    low, high = edges[counts.argmax()], edges[counts.argmax() + 1]
    return float(np.median(values[(values >= low) & (values <= high)]))


def _smoothed(levels: Field) -> Field:
    """Return the levels after a Gaussian, in steps of 1/255."""
    image = Image.fromarray(np.rint(levels * 255).astype(np.uint8))
    smooth = np.asarray(image.filter(ImageFilter.GaussianBlur(SMOOTHING)), dtype=np.float32)
    scaled: Field = smooth / np.float32(255)
    return scaled


def _grown(mask: Mask, cells: int) -> Mask:
    """Return a mask that reaches so many cells further."""
    image = Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * cells + 1))
    return np.asarray(image) > 0


def _threshold(levels: Field) -> float:
    """Return the level that parts two classes best; 1 where there are no levels."""
    counts, edges = np.histogram(levels, LEVELS, (0, 1))
    cuts = np.arange(1, LEVELS)
    return float(edges[cuts[_spread(counts, cuts).argmax()]]) if levels.size else 1.0


def _thresholds(levels: Field) -> tuple[float, float]:
    """Return the two levels that part three classes best."""
    counts, edges = np.histogram(levels, LEVELS, (0, 1))
    high, low = (1 + index for index in np.tril_indices(LEVELS - 1, -1))
    best = _spread(counts, low, high).argmax()
    return float(edges[low[best]]), float(edges[high[best]])


def _spread(counts: npt.NDArray[Any], *cuts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the variance between classes (Otsu, 1979), up to a constant, for each set of cuts."""
    sizes = np.concatenate(([0], counts.cumsum()))
    sums = np.concatenate(([0], (counts * np.arange(LEVELS)).cumsum()))
    total = np.zeros(cuts[0].shape)
    bounds: list[Any] = [0, *cuts, LEVELS]
    for first, end in pairwise(bounds):
        size = sizes[end] - sizes[first]
        total += (sums[end] - sums[first]) ** 2 / np.maximum(size, 1)
    return total


def _largest(mask: Mask) -> Mask:
    """Return the largest connected piece; nothing of nothing."""
    pieces = _pieces(mask)
    counts = np.bincount(pieces.ravel())
    counts[0] = 0
    largest: Mask = mask & (pieces == counts.argmax())
    return largest


def _pieces(mask: Mask) -> npt.NDArray[np.intp]:
    """Return a number from 1 for each cell of a mask, the same in connected cells; 0 elsewhere."""
    pieces = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        around = np.pad(pieces, 1)
        sides = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:])
        spread = np.where(mask, np.maximum.reduce([pieces, *sides]), 0)
        # A number names the cell it began in, which may have found a higher one by now.
        spread = np.where(mask, spread.ravel()[spread - 1], 0)
        if np.array_equal(spread, pieces):
            return pieces
        pieces = spread
