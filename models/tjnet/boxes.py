"""Does the heatmap fall where a reader looks: its share inside boxes of bones and joints.

The share is held against the boxes' share of the frame, which an even heatmap would have in them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.tjnet.dataset import read_pictures, read_rows
from models.tjnet.evaluation.bootstrap import (
    mean_interval,
    percentile_interval,
    resamples,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from models.tjnet.estimator import Estimator


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a picture, its borders as fractions of the frame, 0 to 1.

    ``kind`` is what it is drawn round, e.g. "DIP"; empty where the file does not say.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How one picture's heatmap and boxes lie.

    Attributes
    ----------
    share_in_boxes : float or None
        Of the heatmap's mass, that inside any box; None where the heatmap is empty.
    boxes_share_of_frame : float
        Of the frame's area, that inside any box: what an even heatmap would have there.
    by_kind : dict of Overlap
        The same for the boxes of each kind alone.
    """

    share_in_boxes: float | None
    boxes_share_of_frame: float
    by_kind: dict[str, Overlap] = field(default_factory=dict)


def read_boxes(path: Path) -> dict[str, list[Box]]:
    """Return the boxes of each picture: a CSV of ``id, x0, y0, x1, y1``, optionally ``roi``.

    Raises
    ------
    ValueError
        If a column is missing or a box is none; the line is named.
    """
    boxes: defaultdict[str, list[Box]] = defaultdict(list)
    for where, row in read_rows(path, {"id", "x0", "y0", "x1", "y1"}):
        try:
            x0, y0, x1, y1 = (float(row[key]) for key in ("x0", "y0", "x1", "y1"))
        except ValueError as error:
            msg = f"{where}: {error}"
            raise ValueError(msg) from error
        box = Box(x0, y0, x1, y1, kind=(row.get("roi") or "").strip())
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
    upsampled = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], shape, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    kinds = sorted({box.kind for box in boxes if box.kind})
    by_kind = {kind: _overlap(upsampled, [b for b in boxes if b.kind == kind]) for kind in kinds}
    return replace(_overlap(upsampled, boxes), by_kind=by_kind)


def _overlap(heatmap: npt.NDArray[np.float32], boxes: Sequence[Box]) -> Overlap:
    """Measure a heatmap on the picture's pixels against the union of some boxes."""
    rows, columns = heatmap.shape
    y = (np.arange(rows)[:, None] + 0.5) / rows
    x = (np.arange(columns)[None] + 0.5) / columns
    inside = np.zeros(heatmap.shape, dtype=bool)
    for box in boxes:
        inside |= (y >= box.y0) & (y < box.y1) & (x >= box.x0) & (x < box.x1)
    mass = float(heatmap.sum(dtype=float))
    return Overlap(
        share_in_boxes=float(heatmap[inside].sum(dtype=float)) / mass if mass > 0 else None,
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
    """Return the means over the pictures, for all boxes and for those of each kind.

    ``times_even`` is the share in boxes over the boxes' share of the frame, both means over the
    pictures; ``confidence_95`` are bootstrap intervals over the pictures. Empty heatmaps are
    counted apart.

    Raises
    ------
    ValueError
        If there is no picture.
    """
    if not overlaps:
        msg = "there is no picture with boxes"
        raise ValueError(msg)
    kinds = sorted({kind for overlap in overlaps for kind in overlap.by_kind})
    of_kind = {kind: [o.by_kind[kind] for o in overlaps if kind in o.by_kind] for kind in kinds}
    return {
        **_means(overlaps),
        "by_kind": {kind: _means(found) for kind, found in of_kind.items()},
    }


def _means(overlaps: Sequence[Overlap]) -> dict[str, Any]:
    """Return the means of some overlaps; the boxes' share of the frame is that of all of them."""
    frame = np.array([o.boxes_share_of_frame for o in overlaps])
    share = np.array([np.nan if o.share_in_boxes is None else o.share_in_boxes for o in overlaps])
    counts = {"n": len(overlaps), "n_empty_heatmaps": int(np.isnan(share).sum())}
    frame_mean = round(float(frame.mean()), 4)
    if np.isnan(share).all():
        return {**counts, "share_in_boxes": None, "boxes_share_of_frame": frame_mean}
    share, frame = share[~np.isnan(share)], frame[~np.isnan(share)]
    ratios = np.concatenate([drawn @ share / (drawn @ frame) for drawn in resamples(len(share))])
    return {
        **counts,
        "share_in_boxes": round(float(share.mean()), 4),
        "boxes_share_of_frame": frame_mean,
        "times_even": round(float(share.mean() / frame.mean()), 4),
        "confidence_95": {
            "share_in_boxes": mean_interval(share),
            "times_even": percentile_interval(ratios),
        },
    }
