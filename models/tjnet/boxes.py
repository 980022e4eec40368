"""Does the heatmap fall where a reader looks: its share inside boxes of bones and joints."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.tjnet.dataset import read_pictures, read_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.tjnet.estimator import Estimator


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a picture, its borders as fractions of the frame, 0 to 1."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How one picture's heatmap and boxes lie.

    Attributes
    ----------
    share_in_boxes : float or None
        Of the heatmap's mass, that inside any box; None where the heatmap is empty.
    boxes_share_of_frame : float
        Of the frame's area, that inside any box: what an even heatmap would have there.
    """

    share_in_boxes: float | None
    boxes_share_of_frame: float


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """Return the boxes of each picture: a CSV of ``id, x0, y0, x1, y1``, other columns allowed.

    Raises
    ------
    ValueError
        If a column is missing or a box is none; the line is named.
    """
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for where, row in read_rows(path, {"id", "x0", "y0", "x1", "y1"}):
        try:
            box = Box(*(float(row[key]) for key in ("x0", "y0", "x1", "y1")))
        except ValueError as error:
            msg = f"{where}: {error}"
            raise ValueError(msg) from error
        if not (0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1):
            msg = f"{where}: not a box in fractions of the frame: {box}"
            raise ValueError(msg)
        boxes[row["id"].strip()].append(box)
    return dict(boxes)


def overlap(
    heatmap: npt.NDArray[np.float32], boxes: Sequence[Box], shape: tuple[int, int]
) -> Overlap:
    """Measure a heatmap against boxes on the grid of the picture's pixels.

    Parameters
    ----------
    heatmap : ndarray
        (h, w), not negative, over the same frame as the picture; it is upsampled bilinearly.
    boxes : sequence of Box
        Their union counts, an overlap once; a pixel is inside if its centre is.
    shape : tuple of int
        Rows and columns of the picture.
    """
    rows, columns = shape
    upsampled = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], shape, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns)[None] + 0.5) / columns
    inside = np.zeros(shape, dtype=bool)
    for box in boxes:
        inside |= (y >= box.y0) & (y < box.y1) & (x >= box.x0) & (x < box.x1)
    mass = float(upsampled.sum(dtype=float))
    return Overlap(
        share_in_boxes=float(upsampled[inside].sum(dtype=float)) / mass if mass > 0 else None,
        boxes_share_of_frame=float(inside.mean()),
    )


def measure_heatmaps(
    estimator: Estimator,
    data: Path,
    boxes: Mapping[str, Sequence[Box]],
    sexes: Mapping[str, str],
) -> Iterator[Overlap]:
    """Yield the overlap of each picture that has boxes; a sex not in ``sexes`` is unknown.

    Raises
    ------
    ValueError
        If a picture is absent or damaged.
    """
    for name, pixels in read_pictures(data, boxes):
        estimate, _ = estimator.assess(pixels, sexes.get(name, "unknown"))
        rows, columns = pixels.shape
        yield overlap(estimate.heatmap, boxes[name], (rows, columns))


def summarise_overlaps(overlaps: Sequence[Overlap]) -> dict[str, Any]:
    """Return the means over the pictures; empty heatmaps are counted apart.

    Raises
    ------
    ValueError
        If there is no picture.
    """
    if not overlaps:
        msg = "there is no picture with boxes"
        raise ValueError(msg)
    shares = [o.share_in_boxes for o in overlaps if o.share_in_boxes is not None]
    return {
        "n": len(overlaps),
        "n_empty_heatmaps": len(overlaps) - len(shares),
        "share_in_boxes": round(float(np.mean(shares)), 4) if shares else None,
        "boxes_share_of_frame": round(
            float(np.mean([o.boxes_share_of_frame for o in overlaps])), 4
        ),
    }
