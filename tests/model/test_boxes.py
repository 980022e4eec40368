"""The share of a heatmap inside boxes, where it can be worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.tjnet.boxes import (
    Box,
    Overlap,
    measure_heatmaps,
    overlap,
    read_boxes,
    summarise_overlaps,
)
from models.tjnet.estimator import Estimator

if TYPE_CHECKING:
    from pathlib import Path

EVEN = np.ones((4, 4), dtype=np.float32)


def test_an_even_heatmap_has_the_boxes_share_of_the_frame() -> None:
    found = overlap(EVEN, [Box(0.25, 0.0, 0.5, 0.4)], (200, 100))
    assert found.boxes_share_of_frame == pytest.approx(0.1)
    assert found.share_in_boxes == pytest.approx(0.1)


def test_overlapping_boxes_count_once() -> None:
    boxes = [Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1)]
    assert overlap(EVEN, boxes, (40, 40)).boxes_share_of_frame == pytest.approx(0.75)


def test_x_goes_across_and_y_down() -> None:
    heatmap = np.zeros((8, 8), dtype=np.float32)
    heatmap[0, 7] = 1.0  # the upper right corner
    found = overlap(heatmap, [Box(0.7, 0.0, 1.0, 0.3)], (100, 300))
    assert found.share_in_boxes is not None
    assert found.share_in_boxes > 0.95
    assert found.boxes_share_of_frame == pytest.approx(0.09)


def test_bilinear_upsampling_leaks_a_known_share() -> None:
    heatmap = np.array([[1.0, 0.0]], dtype=np.float32)
    found = overlap(heatmap, [Box(0, 0, 0.5, 1)], (1, 4))
    # Four pixels of 1, 0.75, 0.25, 0: 1.75 of 2 lie in the left half.
    assert found.share_in_boxes == pytest.approx(0.875)


def test_an_empty_heatmap_has_no_share() -> None:
    empty = overlap(np.zeros((4, 4), dtype=np.float32), [Box(0, 0, 0.5, 1)], (40, 40))
    assert empty.share_in_boxes is None
    summary = summarise_overlaps([empty, Overlap(0.75, 0.25)])
    assert summary["n"] == 2
    assert summary["n_empty_heatmaps"] == 1
    assert summary["share_in_boxes"] == 0.75
    assert summary["boxes_share_of_frame"] == 0.375
    assert summary["times_even"] == 3.0  # over the frame's share of those that have a heatmap
    assert summarise_overlaps([empty])["share_in_boxes"] is None


def test_each_kind_of_box_is_measured_alone() -> None:
    heatmap = np.zeros((4, 4), dtype=np.float32)
    heatmap[:, :2] = 1.0
    boxes = [Box(0, 0, 0.25, 1, "DIP"), Box(0.75, 0, 1, 1, "Ulna"), Box(0, 0, 0.25, 0.5, "MCP")]
    found = overlap(heatmap, boxes, (4, 4))
    assert found.boxes_share_of_frame == 0.5
    shares = {kind: one.share_in_boxes for kind, one in found.by_kind.items()}
    assert shares == {"DIP": 0.5, "MCP": 0.25, "Ulna": 0.0}
    summary = summarise_overlaps([found, overlap(heatmap, boxes[:1], (4, 4))])["by_kind"]
    assert {kind: one["n"] for kind, one in summary.items()} == {"DIP": 2, "MCP": 1, "Ulna": 1}
    assert summary["DIP"]["times_even"] == 2.0
    assert summary["DIP"]["confidence_95"]["times_even"] == [2.0, 2.0]


def test_the_interval_is_that_of_the_mean_over_pictures() -> None:
    generator = np.random.default_rng(3)
    shares = generator.normal(0.4, 0.1, 200)
    summary = summarise_overlaps([Overlap(float(share), 0.2) for share in shares])
    low, high = summary["confidence_95"]["share_in_boxes"]
    expected = 1.96 * shares.std() / np.sqrt(len(shares))
    assert (high - low) / 2 == pytest.approx(expected, rel=0.1)
    assert [5 * low, 5 * high] == pytest.approx(summary["confidence_95"]["times_even"], abs=1e-3)


def test_boxes_are_read_by_picture(tmp_path: Path) -> None:
    path = tmp_path / "rois.csv"
    path.write_text("id,roi,x0,y0,x1,y1\n4,DIP,0,0,0.5,0.5\n4,MCP,0.5,0,1,1\n5,Ulna,0,0,1,1\n")
    boxes = read_boxes(path)
    assert boxes["4"] == [Box(0, 0, 0.5, 0.5, "DIP"), Box(0.5, 0, 1, 1, "MCP")]
    assert boxes["5"] == [Box(0, 0, 1, 1, "Ulna")]
    path.write_text("id,x0,y0,x1,y1\n4,0,0,0.5,0.5\n", encoding="utf-8")
    assert read_boxes(path) == {"4": [Box(0, 0, 0.5, 0.5)]}


@pytest.mark.parametrize("row", ["4,0.5,0,0.5,1", "4,0,0,1.2,1", "4,0,0,x,1", "4,nan,0,1,1", "4,0"])
def test_what_is_no_box_is_refused(tmp_path: Path, row: str) -> None:
    path = tmp_path / "rois.csv"
    path.write_text(f"id,x0,y0,x1,y1\n{row}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"rois\.csv:2"):
        read_boxes(path)


def test_no_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="no picture with boxes"):
        summarise_overlaps([])


def test_each_picture_is_measured_with_its_sex(tiny_weights: Path, tiny_data: Path) -> None:
    estimator = Estimator(tiny_weights, "cpu", gate=None)
    boxes = {"3": [Box(0, 0, 0.5, 1)], "4": [Box(0, 0, 1, 1)]}
    found = list(measure_heatmaps(estimator, tiny_data, boxes, {"3": "F"}))
    assert [round(o.boxes_share_of_frame, 2) for o in found] == [0.5, 1.0]
    assert all(o.share_in_boxes is None or 0 <= o.share_in_boxes <= 1 + 1e-9 for o in found)
