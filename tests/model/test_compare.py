"""The comparison: equal budgets, resumed where it stopped, and nothing claimed that was not run."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from models.baselines import make_resnet50
from models.cli import main
from models.tjnet.compare import CONTENDERS, Result, choose, finished
from models.tjnet.compare_report import rows, table
from models.tjnet.network import TJNet
from models.tjnet.train import TrainConfig, Training, Variant, load_split, read_checkpoint, train

if TYPE_CHECKING:
    from pathlib import Path

    from models.tjnet.train import Split

RUN = ("tjnet", "no-cbam", "no-sex-task")
ABSENT = {"vgg16", "inception-v3"}


def compare(config: Path, data: Path, folder: Path, *words: str) -> int:
    """Run the command in a folder of its own."""
    given = ["--config", str(config), "--data", str(data), "--cache", str(folder / "cache")]
    given += ["--out", str(folder / "runs"), "--json", str(folder / "out" / "compare.json")]
    given += ["--report", str(folder / "docs" / "compare.md"), "--device", "cpu"]
    return main(["compare", *given, *words])


def written(folder: Path) -> dict[str, Any]:
    """Return the rows that the command wrote, by name."""
    text = (folder / "out" / "compare.json").read_text(encoding="utf-8")
    return {row["name"]: row for row in json.loads(text)["contenders"]}


@pytest.fixture(scope="module")
def folder(tiny_config: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three contenders run, one of them after an interruption."""
    folder = tmp_path_factory.mktemp("compare")
    rois = folder / "rois.csv"
    with rois.open("w", newline="", encoding="utf-8") as file:
        boxes = [(name, "DIP", 0, 0, 0.5, 1) for name in "1234"]
        csv.writer(file).writerows([("id", "roi", "x0", "y0", "x1", "y1"), *boxes])
    labels = tiny_data / "labels.csv"
    splits = load_split(tiny_data, labels, "train", 32), load_split(tiny_data, labels, "val", 32)
    steps = train(
        TrainConfig.read(tiny_config), lambda _: splits, folder / "runs" / "tjnet", resume=False
    )
    next(steps)  # and killed
    assert compare(tiny_config, tiny_data, folder, "--only", *RUN, "--rois", str(rois)) == 0
    return folder


def test_those_asked_for_are_run_and_the_others_are_named(folder: Path) -> None:
    found = written(folder)
    assert list(found) == [contender.name for contender in CONTENDERS]
    for name, row in found.items():
        assert row["state"] == ("run" if name in RUN else "not run")
    assert {n for n, row in found.items() if "torchvision" in row.get("reason", "")} == ABSENT
    assert found["resnet50"]["reason"] == "not asked for"
    assert found["tjnet"]["n"] == 20
    low, high = found["tjnet"]["confidence_95"]["mad_months"]
    assert low <= found["tjnet"]["mad_months"] <= high
    assert found["no-cbam"]["parameters"] < found["tjnet"]["parameters"]
    assert [found[name]["epochs"] for name in RUN] == [2, 2, 2]
    assert [found[name]["sex_accuracy"] is None for name in RUN] == [False, False, True]


def test_an_ablation_differs_in_its_switch_alone(folder: Path) -> None:
    kept = [
        read_checkpoint(folder / "runs" / name / "checkpoint.pt", torch.device("cpu"))["config"]
        for name in ("tjnet", "no-cbam")
    ]
    assert kept[0]["network"].pop("cbam") is True
    assert kept[1]["network"].pop("cbam") is False
    assert kept[0] == kept[1]


def test_the_difference_is_that_of_the_same_images(folder: Path) -> None:
    found = written(folder)
    against = found["no-cbam"]["against_reference"]
    expected = found["no-cbam"]["mad_months"] - found["tjnet"]["mad_months"]
    assert against["mad_months"] == pytest.approx(expected, abs=1e-3)
    assert found["tjnet"]["against_reference"] is None


def test_heatmaps_are_measured_with_and_without_attention(folder: Path) -> None:
    shares = []
    for name in ("tjnet", "no-cbam"):
        explained = written(folder)[name]["explain"]
        for found in (explained, explained["fine"]):
            assert found["boxes_share_of_frame"] == 0.5
            assert found["n"] == 4
            empty = found["n_empty_heatmaps"] == 4
            assert (found["share_in_boxes"] is None) == empty
            shares += [] if empty else [found["share_in_boxes"]]
    # After two epochs the map of a network may be empty, but not that of every one.
    assert shares
    assert all(0 < share < 1 for share in shares)


def test_the_table_shows_the_figures_and_marks_what_was_not_run(folder: Path) -> None:
    text = (folder / "docs" / "compare.md").read_text(encoding="utf-8")
    lines = {line.split(" | ")[0][2:]: line for line in text.splitlines() if line[:2] == "| "}
    found = written(folder)
    assert f"| {found['tjnet']['mad_months']:.2f} (" in lines["tjnet"]
    assert "not run: not asked for" in lines["resnet50"]
    assert "not run: needs torchvision" in lines["vgg16"]
    assert len({line.count("|") for line in lines.values()}) == 1  # a table for every renderer


def test_a_second_call_keeps_what_is_run_and_stops_in_time(
    folder: Path, tiny_config: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = written(folder)
    assert compare(tiny_config, tiny_data, folder, "--minutes", "0") == 0
    printed = capsys.readouterr()
    assert "epoch" not in printed.out
    assert "resnet50: not run: no time was left" in printed.err
    after = written(folder)
    assert after["resnet50"]["reason"] == "no time was left"
    assert after["no-cbam"]["mad_months"] == before["no-cbam"]["mad_months"]


def test_runs_of_another_budget_are_not_taken_for_this_one(folder: Path, tiny_config: Path) -> None:
    config = TrainConfig.read(tiny_config)
    assert finished(folder / "runs" / "tjnet", config)
    assert not finished(folder / "runs" / "tjnet", replace(config, batch_size=8))
    assert not finished(folder / "runs" / "resnet50", config)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--only", "lenet"], "no contender is called 'lenet': tjnet, no-cbam"),
        (["--rois", "absent.csv"], "absent.csv"),
    ],
)
def test_bad_input_is_one_line(
    tiny_config: Path,
    tiny_data: Path,
    tmp_path: Path,
    words: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert compare(tiny_config, tiny_data, tmp_path, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reason in line


def test_frames_of_several_sizes_are_refused(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "two.yaml"
    text = tiny_config.read_text(encoding="utf-8")
    config.write_text(text.replace("stages:", "stages:\n- {size_px: 24, epochs: 1}"), "utf-8")
    assert compare(config, tiny_data, tmp_path) == 2
    assert "one stage" in capsys.readouterr().err


def test_another_network_trains_resumes_and_adds_nothing_to_the_checkpoint(
    tiny_config: Path, tiny_data: Path, tmp_path: Path
) -> None:
    config = replace(TrainConfig.read(tiny_config), batch_size=16)
    split: Split = load_split(tiny_data, tiny_data / "labels.csv", "train", 32)
    cpu, rows_ = torch.device("cpu"), torch.arange(16)
    variant = Variant(make_network=make_resnet50)
    run = Training(config, tmp_path, cpu, variant)
    first = run.train_step(split, rows_, 4)
    run.save()
    second = run.train_step(split, rows_, 4)
    again = Training(config, tmp_path, cpu, variant)
    again.resume()
    assert again.train_step(split, rows_, 4) == second != first
    assert not isinstance(again.averaged(), TJNet)
    plain = Training(config, tmp_path / "plain", cpu)
    (tmp_path / "plain").mkdir()
    plain.save()
    kept = [read_checkpoint(r.checkpoint, cpu) for r in (run, plain)]
    assert kept[0]["config"] == kept[1]["config"] == asdict(config)
    assert set(kept[0]) == set(kept[1])


def test_a_clear_difference_has_an_interval_without_zero() -> None:
    generator = np.random.default_rng(5)
    hard = generator.exponential(10, 300)  # errors differ by image far more than by network
    summary = {"mad_months": 10.0}
    results = {
        "tjnet": Result(summary, hard),
        "resnet50": Result(summary, hard + generator.normal(1, 0.5, 300)),
        "no-cbam": Result(summary, hard + generator.normal(0, 0.5, 300)),
    }
    found = {row["name"]: row for row in rows(results, {"no-shortcuts": "no time was left"})}
    low, high = found["resnet50"]["against_reference"]["confidence_95"]
    assert 0.9 < low < 1 < high < 1.1
    low, high = found["no-cbam"]["against_reference"]["confidence_95"]
    assert low < 0 < high
    assert found["no-shortcuts"]["reason"] == "no time was left"
    alone = rows({"resnet50": results["resnet50"]}, {})
    assert [row.get("against_reference") for row in alone if row["state"] == "run"] == [None]


def test_a_table_of_nothing_run_is_still_a_table(tiny_config: Path) -> None:
    config = asdict(TrainConfig.read(tiny_config))
    nothing = {"config": config, "n_train": 0, "n_val": 0, "contenders": rows({}, {})}
    assert table(nothing).count("not run: ") == len(CONTENDERS)


def test_contenders_come_in_the_tables_order() -> None:
    assert [one.name for one in choose(["resnet50", "tjnet"])] == ["tjnet", "resnet50"]
    assert choose(None) == list(CONTENDERS)
