"""The commands: what they print and write, their exit codes, and one clear line for bad input."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.cli import build_parser, main
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator
from models.tjnet.weights import load_weights

PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = [
    "train",
    "finetune",
    "export",
    "calibrate",
    "predict",
    "evaluate",
    "explain",
    "compare",
    "bundle",
    "train-gate",
    "evaluate-gate",
]
KEYS = [
    "file",
    "accepted",
    "reason",
    "bone_age_months",
    "sd_months",
    "interval_months",
    "by_sex",
    "sex_seen",
    "sex_probability",
    "inverted",
    "turned_deg",
    "at_least",
    "calibration",
]


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Return a picture that the gate refuses."""
    path = tmp_path / "flat.png"
    Image.fromarray(np.full((200, 200), 90, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a file that is no picture."""
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    return path


def predict(weights: Path, *words: str | Path) -> int:
    # The gate refuses bars, which are no hand.
    options = ["--weights", str(weights), "--device", "cpu", "--no-gate"]
    return main(["predict", *options, *map(str, words)])


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_prints_one_object_a_line(
    tiny_weights: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = [tiny_data / "1.png", tiny_data / "2.png"]
    assert predict(tiny_weights, *pictures, "--sex", "F", "--json") == 0
    found = objects(capsys)
    assert [list(one) for one in found] == [KEYS, KEYS]
    assert [one["file"] for one in found] == list(map(str, pictures))
    expected = Estimator(tiny_weights, "cpu", gate=None).estimate(decode_picture(pictures[0]), "F")
    assert found[0] == {
        "file": str(pictures[0]),
        "accepted": True,
        "reason": None,
        "bone_age_months": expected.bone_age_months,
        "sd_months": expected.sd_months,
        "interval_months": list(expected.interval_months),
        "by_sex": None,
        "sex_seen": expected.sex_seen,
        "sex_probability": expected.sex_probability,
        "inverted": False,
        "turned_deg": 0,
        "at_least": False,
        "calibration": None,
    }


def test_predict_answers_an_unknown_sex_under_all_three(
    tiny_weights: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tiny_data / "1.png"
    assert predict(tiny_weights, picture, "--sex", "unknown", "--json") == 0
    (found,) = objects(capsys)
    assert set(found["by_sex"]) == {"M", "F"}
    assert predict(tiny_weights, picture, "--sex", "unknown") == 0
    line = capsys.readouterr().out
    assert f"as M {found['by_sex']['M']:.1f}, as F {found['by_sex']['F']:.1f}" in line
    assert "recorded sex unknown" in line


def test_predict_refuses_with_3_and_nulls(
    tiny_weights: Path, tiny_data: Path, flat: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tiny_weights, flat, tiny_data / "1.png", "--sex", "M", "--json") == 3
    refused, answered = objects(capsys)
    assert refused["reason"] == "the image has no contrast"
    assert refused["accepted"] is False
    assert all(refused[key] is None for key in KEYS[3:])
    assert answered["accepted"] is True


def test_predict_answers_the_others_when_one_is_unreadable(
    tiny_weights: Path,
    tiny_data: Path,
    flat: Path,
    broken: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pictures: list[str | Path] = [broken, flat, "absent.png", tiny_data / "1.png"]
    assert predict(tiny_weights, *pictures, "--sex", "M", "--json") == 2
    found = objects(capsys)
    assert [one["accepted"] for one in found] == [False, False, False, True]
    assert found[0]["reason"] == "cannot be read: no readable picture (UnidentifiedImageError)"
    assert found[2]["reason"] == "cannot be read: No such file or directory"


def test_predict_speaks_to_people(
    tiny_weights: Path, tiny_data: Path, flat: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(tiny_weights, tiny_data / "1.png", flat, "--sex", "F") == 3
    answered, refused = capsys.readouterr().out.splitlines()
    assert "1.png: bone age " in answered
    assert " months, 90 % interval " in answered
    assert refused == f"{flat}: no estimate: the image has no contrast"


def test_predict_reads_every_form_of_a_picture_alike(
    tiny_weights: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.asarray(Image.open(tiny_data / "1.png"))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    Image.fromarray(pixels).save(tmp_path / "same.tiff")
    Image.fromarray(pixels).save(tmp_path / "same.webp", lossless=True)
    pictures = [tiny_data / "1.png", *sorted(tmp_path.iterdir())]
    assert predict(tiny_weights, *pictures, "--sex", "F", "--json") == 0
    assert len({one["bone_age_months"] for one in objects(capsys)}) == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["guess"],
        ["predict", "x.png"],
        ["predict", "x.png", "--sex", "X"],
        ["predict", "--sex", "M"],
        ["evaluate", "--data", "x"],
        ["predict", "x.png", "--sex", "M", "--views", "3"],
        ["evaluate", "--data", "x", "--labels", "y", "--json", "z", "--stress-count", "0"],
    ],
)
def test_bad_words_exit_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["predict", "x.png", "--sex", "M", "--weights", "no-such"], "no-such.safetensors"),
        (["predict", "x.png", "--sex", "M", "--device", "banana"], "no device is called"),
        (["evaluate", "--data", "no", "--labels", "no.csv", "--json", "o.json"], "no.csv"),
        (["explain", "--data", "no", "--rois", "no.csv", "--json", "o.json"], "no.csv"),
        (["train-gate", "--data", "no", "--to", "t"], "no"),
        (["train-gate", "--data", "no", "--to", "t", "--others", "none"], "none"),
        (["evaluate-gate", "--data", "no", "--labels", "n.csv", "--json", "o.json"], "no"),
        (["train", "--config", "no.yaml", "--data", "no"], "no.yaml"),
        (["export", "--run", "no", "--data", "no", "--name", "n", "--to", "t"], "checkpoint.pt"),
    ],
)
def test_bad_input_is_one_line_and_2(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1
    assert error.startswith(f"{words[0]}: ")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m models")


def test_every_option_is_explained() -> None:
    (commands,) = (
        action.choices for action in build_parser()._actions if isinstance(action.choices, dict)
    )
    assert list(commands) == COMMANDS
    for parser in commands.values():
        assert all(action.help for action in parser._actions)


def test_help_comes_without_torch() -> None:
    code = "import sys\nfrom models.cli import build_parser\nbuild_parser().format_help()\n"
    code += "sys.exit(int('torch' in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


def test_evaluate_writes_the_contracts_keys(
    tiny_weights: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out.json"
    words = ["evaluate", "--data", str(tiny_data), "--labels", str(tiny_data / "labels.csv")]
    words += ["--json", str(out), "--weights", str(tiny_weights), "--device", "cpu", "--no-gate"]
    assert main([*words, "--split", "val"]) == 0
    summary = json.loads(out.read_text(encoding="utf-8"))
    assert summary["n"] == 20
    assert summary["n_refused"] == 0
    assert summary["split"] == "val"
    assert summary["sex_hidden"] is False
    assert summary["weights"].startswith("tiny-")
    for key in ("mad_months", "rmse_months", "bias_months", "sex_accuracy"):
        assert isinstance(summary[key], float)
        low, high = summary["confidence_95"][key]
        assert low <= summary[key] <= high
    printed = capsys.readouterr()
    assert "20/20" in printed.err
    assert f"MAD {summary['mad_months']:.2f} months" in printed.out
    assert main(words) == 0
    assert json.loads(out.read_text(encoding="utf-8"))["n"] == 52


@pytest.mark.parametrize("words", [["--stress-count", "5"], ["--views-count", "5"]])
def test_a_count_of_what_is_not_asked_for_is_refused(
    words: list[str], tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluate = ["evaluate", "--data", str(tiny_data), "--labels", str(tiny_data / "labels.csv")]
    assert main([*evaluate, "--json", str(tmp_path / "out.json"), *words]) == 2
    assert f"{words[0]} needs --" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()


def test_predict_averages_views(
    tiny_weights: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tiny_data / "1.png"
    assert predict(tiny_weights, picture, "--sex", "F", "--json", "--views", "10") == 0
    (found,) = objects(capsys)
    expected = Estimator(tiny_weights, "cpu", views=10, gate=None).estimate(
        decode_picture(picture), "F"
    )
    assert found["bone_age_months"] == expected.bone_age_months


def test_evaluate_names_how_many_pictures_are_absent(
    tiny_weights: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,sex,bone_age_months\n1,M,5\nx,M,5\ny,F,6\n", encoding="utf-8")
    words = ["evaluate", "--data", str(tiny_data), "--labels", str(labels)]
    words += ["--json", str(tmp_path / "out.json"), "--weights", str(tiny_weights)]
    assert main(words) == 2
    assert "2 of 3 pictures are absent" in capsys.readouterr().err
    assert not (tmp_path / "out.json").exists()
    assert main([*words, "--split", "val"]) == 2
    assert "no row of split 'val'" in capsys.readouterr().err


def test_explain_writes_the_contracts_keys(
    tiny_weights: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rois, out = tmp_path / "rois.csv", tmp_path / "out.json"
    with rois.open("w", newline="", encoding="utf-8") as file:
        rows = [("id", "roi", "x0", "y0", "x1", "y1"), *((n, "DIP", 0, 0, 0.5, 1) for n in "1234")]
        csv.writer(file).writerows(rows)
    words = ["explain", "--data", str(tiny_data), "--rois", str(rois), "--json", str(out)]
    words += [
        "--labels",
        str(tiny_data / "labels.csv"),
        "--weights",
        str(tiny_weights),
        "--no-gate",
    ]
    assert main(words) == 0
    summary = json.loads(out.read_text(encoding="utf-8"))
    assert summary["n"] == 4
    assert summary["boxes_share_of_frame"] == 0.5
    assert 0 < summary["share_in_boxes"] < 1
    assert 0 < summary["fine"]["share_in_boxes"] < 1
    assert summary["fine"]["share_in_boxes"] != summary["share_in_boxes"]
    assert summary["by_kind"]["DIP"]["share_in_boxes"] == summary["share_in_boxes"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["gradcam", "4 pictures"],
        ["fine", "4 pictures"],
    ]
    assert main([*words, "--method", "gradcam"]) == 0
    again = json.loads(out.read_text(encoding="utf-8"))
    assert "fine" not in again
    assert again["share_in_boxes"] == summary["share_in_boxes"]


def test_train_never_writes_over_a_run(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"hours of work")
    words = ["train", "--config", str(tiny_config), "--data", str(tiny_data)]
    assert main([*words, "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 2
    assert "--resume" in capsys.readouterr().err
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"hours of work"


def test_train_says_what_it_does_and_leaves_weights_that_predict(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "short.yaml"
    text = tiny_config.read_text(encoding="utf-8").replace("epochs: 2", "epochs: 1")
    config.write_text(text, encoding="utf-8")
    # A tar beside its labels: the folder of the data need not hold pictures.
    archive = shutil.make_archive(str(tmp_path / "all"), "tar", tiny_data)
    shutil.copy(tiny_data / "labels.csv", tmp_path / "labels.csv")
    out = tmp_path / "out"
    words = ["train", "--config", str(config), "--data", archive, "--out", str(out)]
    assert main([*words, "--cache", str(tmp_path / "cache"), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "32 images to train on, 20 to validate, 32 px, on cpu" in printed
    assert "epoch 1/1 7/8 loss " in printed
    assert "epoch 1 done in " in printed
    picture = tiny_data / "1.png"
    assert predict(out / "tjnet-short.safetensors", picture, "--sex", "M", "--json") == 0
    assert json.loads(capsys.readouterr().out)["accepted"] is True


def test_train_starts_from_weights_and_says_so(
    tiny_config: Path, tiny_data: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    config = tmp_path / "short.yaml"
    text = tiny_config.read_text(encoding="utf-8").replace("epochs: 2", "epochs: 1")
    config.write_text(text, encoding="utf-8")
    words = ["train", "--config", str(config), "--data", str(tiny_data), "--device", "cpu"]
    words += ["--cache", str(tmp_path / "cache"), "--start", str(tiny_weights)]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    card = json.loads((tmp_path / "out" / "tjnet-short.json").read_text(encoding="utf-8"))
    source = load_weights(tiny_weights)
    assert card["started_from"] == {"weights": source.version, "sha256": source.sha256}


def test_the_module_runs_as_a_program() -> None:
    command = [sys.executable, "-m", "models", "evaluate", "--labels", "absent.csv"]
    command += ["--data", "absent", "--json", "absent/out.json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "evaluate: [Errno 2] No such file or directory: 'absent.csv'\n"
