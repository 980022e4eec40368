"""The report: every figure of the summary with its interval, and plots beside it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.cli import main
from models.tjnet.evaluation import tables
from models.tjnet.evaluation.transforms import TRANSFORMS

PROJECT = Path(__file__).resolve().parents[2]
PLOTS = ["agreement", "bland-altman", "calibration", "mad-by-age", "stress"]


@pytest.fixture(scope="module")
def evaluated(
    tiny_weights: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """Return what `evaluate` wrote: the JSON and the folder of the report."""
    folder = tmp_path_factory.mktemp("evaluated")
    words = ["evaluate", "--data", str(tiny_data), "--labels", str(tiny_data / "labels.csv")]
    words += ["--split", "val", "--json", str(folder / "out.json"), "--device", "cpu"]
    words += ["--weights", str(tiny_weights), "--report", str(folder / "report")]
    words += ["--stress", "--stress-count", "3", "--compare-views", "--views-count", "2"]
    assert main([*words, "--data-name", "synthetic bars", "--no-gate"]) == 0
    summary: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return summary, folder / "report"


def test_the_plots_are_pictures_and_all_are_shown(
    evaluated: tuple[dict[str, Any], Path],
) -> None:
    _, folder = evaluated
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert sorted(path.stem for path in folder.glob("*.png")) == PLOTS
    for name in PLOTS:
        assert f"]({name}.png)" in text
        with Image.open(folder / f"{name}.png") as image:
            assert image.format == "PNG"
            assert len(image.convert("L").getcolors(256) or []) > 10


def test_the_report_says_what_was_measured(evaluated: tuple[dict[str, Any], Path]) -> None:
    summary, folder = evaluated
    text = (folder / "report.md").read_text(encoding="utf-8")
    for word in (
        summary["weights"],
        "synthetic bars",
        "split: val",
        "pictures: 20,",
        f"date: {summary['date']}",
        " --split val --no-gate --stress --stress-count 3 --compare-views --views-count 2`",
        f"commit `{summary['code']['git_commit']}`",
        "one reader an image",
        "python -m models evaluate --data ",
        "--stress-count 3",
        summary["significant_error"],
    ):
        assert word in text
    assert str(folder.parent) not in text


def test_every_measure_stands_in_the_report(evaluated: tuple[dict[str, Any], Path]) -> None:
    summary, folder = evaluated
    text = (folder / "report.md").read_text(encoding="utf-8")
    low, high = summary["confidence_95"]["mad_months"]
    assert f"| MAD, months | {summary['mad_months']:.2f} ({low:.2f} to {high:.2f}) |" in text
    for name, (words, form) in tables.MEASURES.items():
        for group in (summary, *summary["by_sex"].values(), *summary["by_age_months"].values()):
            assert tables.cell(group, name, form) in text
        assert words in text
    for transform in TRANSFORMS:
        assert f"| {transform.kind}: {transform.strength} |" in text
    assert [row["views"] for row in summary["compared_views"]] == [1, 2, 10]
    assert len(re.findall(r"^\| (?:1|2|10) \| 2 \|", text, flags=re.MULTILINE)) == 3


def test_a_cell_holds_value_and_interval() -> None:
    row = {"mad_months": 4.257, "bias_months": None, "confidence_95": {"mad_months": [4, 4.5]}}
    assert tables.cell(row, "mad_months", tables.MONTHS) == "4.26 (4.00 to 4.50)"
    assert tables.cell(row, "bias_months", tables.SIGNED) == "-"


def test_the_worst_of_each_kind_is_named() -> None:
    def row(kind: str, strength: str, change: float, refused: float) -> dict[str, Any]:
        interval = {"mad_difference_months": [change - 1, change + 1]}
        values = {"mad_difference_months": change, "refused": refused, "confidence_95": interval}
        return {"kind": kind, "strength": strength, **values}

    rows = [row("flip", "a", 2, 0), row("flip", "b", -1, 0.5), row("marker", "c", -3, 0)]
    lines = tables.kinds_table({"transforms": rows}).splitlines()
    assert lines[2:] == [
        "| flip | a | +2.00 (+1.00 to +3.00) | 50.0% |",
        "| marker | c | -3.00 (-4.00 to -2.00) | 0.0% |",
    ]


def test_one_refused_picture_of_unknown_sex_has_a_report(
    tiny_weights: Path, tmp_path: Path
) -> None:
    Image.fromarray(np.full((200, 200), 90, dtype=np.uint8)).save(tmp_path / "flat.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("id,sex,bone_age_months\nflat,,300\n", encoding="utf-8")
    words = ["evaluate", "--data", str(tmp_path), "--labels", str(labels), "--device", "cpu"]
    words += ["--json", str(tmp_path / "out.json"), "--report", str(tmp_path / "report")]
    assert main([*words, "--weights", str(tiny_weights), "--stress", "--compare-views"]) == 0
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "| sex seen as recorded | - |" in text
    assert "pictures: 1, 1 of them refused by the gate" in text


def test_only_a_report_needs_matplotlib() -> None:
    code = "import sys\nsys.modules['matplotlib'] = None\n"
    code += "import models.commands.evaluate, models.commands.train\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert done.returncode == 0
