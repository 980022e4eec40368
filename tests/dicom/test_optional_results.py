"""What is sent beside SC and SR never costs them: an object that cannot be built is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest

from dicom_node import results
from dicom_node.finding import Known
from tests.all_results import EVERY_KIND, PICTURE, node_of, rerun_work
from tests.nodes import MODALITY, destination
from tests.samples import STUDY, a_finding, a_source

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.db import OutputRow
    from dicom_node.node import Node

NO_HEATMAP = {"heatmap": np.zeros((0, 0), dtype=np.float32)}


def built(
    folder: Path, source: dict[str, Any], finding: dict[str, Any], leave_out: tuple[str, ...] = ()
) -> list[str]:
    """Return the kinds of the results of a radiograph, every one of them asked for."""
    work = results.Work(1, "", MODALITY, STUDY, {}, Known())
    header = a_source(leave_out=leave_out, **source)
    with node_of(folder, {"results": EVERY_KIND}) as node:
        rows = results.build(node, work, header, PICTURE, a_finding(**finding))
        assert all(node.storage.absolute(row.path).is_file() for row in rows)
        return [row.kind for row in rows]


def test_every_kind_that_is_asked_for_is_built(tmp_path: Path) -> None:
    assert built(tmp_path, {}, {}) == ["sc", "pr", "pdf", "pm", "sr", "sr-2d"]


@pytest.mark.parametrize(
    ("leave_out", "source", "finding", "kinds"),
    [
        (("Rows",), {}, {}, ["sc", "pdf", "sr", "sr-2d"]),
        ((), {}, NO_HEATMAP, ["sc", "pr", "pdf", "sr", "sr-2d"]),
        ((), {"SamplesPerPixel": 3}, {}, ["sc", "pdf", "pm", "sr", "sr-2d"]),
    ],
)
def test_what_cannot_be_built_is_left_out(
    tmp_path: Path,
    leave_out: tuple[str, ...],
    source: dict[str, Any],
    finding: dict[str, Any],
    kinds: list[str],
) -> None:
    assert built(tmp_path, source, finding, leave_out) == kinds


def test_without_a_hand_box_the_report_names_the_image_alone(tmp_path: Path) -> None:
    """A picture that no box can be found in: it holds a value that is no number."""
    picture = PICTURE.copy()
    picture[0, 0] = np.nan
    work = results.Work(1, "", MODALITY, STUDY, {}, Known())
    with node_of(tmp_path, {"results": {"presentation_state": True}}) as node:
        with np.errstate(invalid="ignore"):
            rows = results.build(node, work, a_source(), picture, a_finding())
        assert [row.kind for row in rows] == ["sc", "sr", "sr-2d"]
        assert b"SCOORD" not in _report(node, rows)


def test_a_note_on_nothing_is_not_written(tmp_path: Path) -> None:
    """No destination has taken what the re-run replaces."""
    peers = [destination("PACS", "ARCHIVE", 1, rejection_notes=True)]
    with node_of(tmp_path, {"destinations": peers}) as node:
        work = rerun_work(node)
        kinds = [
            [row.kind for row in results.build(node, one, a_source(), PICTURE, a_finding())]
            for one in (work, _never_stored(work))
        ]
    assert kinds == [["sc", "sr", "sr-2d", "kos"], ["sc", "sr", "sr-2d"]]


def _never_stored(work: results.Work) -> results.Work:
    """Return the same re-run, of results that no destination took."""
    before = {kind: replace(old, was_stored=False) for kind, old in work.predecessors.items()}
    return replace(work, predecessors=before)


def _report(node: Node, rows: list[OutputRow]) -> bytes:
    (report,) = (row for row in rows if row.kind == "sr")
    path = node.storage.absolute(report.path)
    assert pydicom.dcmread(path).Modality == "SR"
    return path.read_bytes()
