"""The heatmap that a job keeps for its page."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dicom_node.finding import Refusal
from dicom_node.heatmap_file import keep_heatmap, read_heatmap
from dicom_node.storage import Storage
from tests.samples import STARTED, a_finding, an_estimate

if TYPE_CHECKING:
    from pathlib import Path


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    storage, finding = Storage(tmp_path), a_finding()
    [row] = keep_heatmap(storage, 300, finding)
    assert (row.job_id, row.kind) == (300, "heatmap")
    assert row.path.startswith("results/2c/300-heatmap-")
    heatmap = read_heatmap(storage.absolute(row.path))
    assert heatmap is not None
    assert np.abs(heatmap - finding.estimate.heatmap).max() <= 0.5 / 255
    assert storage.absolute(row.path).stat().st_size < 2000
    assert list(storage.partial.iterdir()) == []


def test_each_assessment_keeps_its_own(tmp_path: Path) -> None:
    """One whose lease ran out may still be writing while the next one does."""
    storage = Storage(tmp_path)
    paths = {keep_heatmap(storage, 7, a_finding())[0].path for _ in range(2)}
    assert len(paths) == 2


def test_there_may_be_none(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    bare = replace(a_finding(), estimate=an_estimate(heatmap=np.zeros((0, 0), np.float32)))
    assert keep_heatmap(storage, 7, bare) == []
    assert keep_heatmap(storage, 7, Refusal("no hand", None, STARTED, "w")) == []
    assert read_heatmap(tmp_path / "none.png") is None
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert read_heatmap(tmp_path / "damaged.png") is None
