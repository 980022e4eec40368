"""`explain`: how much of the heatmap falls into boxes of bones and joints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.commands.output import DONE, say, with_progress, write_json
from models.tjnet.boxes import measure_heatmaps, read_boxes, summarise_overlaps
from models.tjnet.dataset import read_labels
from models.tjnet.estimator import Estimator

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Write how much of the heatmaps falls into boxes."""
    boxes = read_boxes(args.rois)
    sexes = {label.id: label.sex for label in read_labels(args.labels)} if args.labels else {}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    estimator = Estimator(args.weights, args.device, gate=None if args.no_gate else "shipped")
    found = measure_heatmaps(estimator, args.data, boxes, sexes)
    summary = summarise_overlaps(list(with_progress(found, len(boxes))))
    write_json(args.json, {**summary, "weights": estimator.weights.version})
    say(
        f"{summary['n']} pictures: {summary['share_in_boxes']} of the heatmap in the boxes, "
        f"which are {summary['boxes_share_of_frame']} of the frame"
    )
    return DONE
