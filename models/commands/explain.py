"""`explain`: how much of the heatmap falls into boxes of bones and joints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.commands.estimator import estimator_of
from models.commands.output import DONE, say, with_progress, write_json
from models.tjnet.boxes import measure_heatmaps, read_boxes, summarise_overlaps
from models.tjnet.dataset import read_labels

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Write how much of the heatmaps falls into boxes: block 4's, and the finer ones beside."""
    boxes = read_boxes(args.rois)
    sexes = {label.id: label.sex for label in read_labels(args.labels)} if args.labels else {}
    args.json.parent.mkdir(parents=True, exist_ok=True)

    def measure(method: str) -> dict[str, Any]:
        estimator = estimator_of(args, heatmap=method)
        found = measure_heatmaps(estimator, args.data, boxes, sexes)
        summary = summarise_overlaps(list(with_progress(found, len(boxes))))
        say(_line(method, summary))
        return {**summary, "weights": estimator.weights.version}

    written = measure("gradcam")
    if args.method == "fine":
        written["fine"] = measure("fine")
    write_json(args.json, written)
    return DONE


def _line(method: str, summary: dict[str, Any]) -> str:
    """Return the line for a person."""
    pictures = f"{method}: {summary['n']} pictures"
    frame = f"the boxes, which are {summary['boxes_share_of_frame']} of the frame"
    if summary["share_in_boxes"] is None:
        return f"{pictures}: every heatmap is empty; none of it in {frame}"
    low, high = summary["confidence_95"]["times_even"]
    return (
        f"{pictures}: {summary['share_in_boxes']} of the heatmap in {frame}: "
        f"{summary['times_even']:.2f} times (95 % interval {low:.2f} to {high:.2f})"
    )
