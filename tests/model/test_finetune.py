"""Frozen blocks keep their bits, training stops when it brings nothing, and the card says both."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from models.cli import main
from models.tjnet.train import (
    EpochResult,
    Split,
    TrainConfig,
    Training,
    Variant,
    read_checkpoint,
    train,
)
from models.tjnet.weights import load_weights
from tests.model.conftest import TRAIN_COUNT, VAL_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def site_labels(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return labels without split: two images a patient, all read 12 months older."""
    path = tmp_path_factory.mktemp("site") / "labels.csv"
    with (tiny_data / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "sex", "bone_age_months", "patient"))
        for row in rows:
            months = min(228, int(row["bone_age_months"]) + 12)
            writer.writerow((row["id"], row["sex"], months, f"p{int(row['id']) // 2}"))
    return path


def finetune(data: Path, labels: Path, weights: Path, out: Path, *words: str) -> int:
    options = ["--epochs", "2", "--batch-size", "8", "--threads", "1", "--val-share", "0.3"]
    options = [] if "--config" in words else options
    return main(
        [
            *("finetune", "--data", str(data), "--labels", str(labels), "--out", str(out)),
            *("--weights", str(weights), "--device", "cpu", "--cache", str(out.parent / "cache")),
            *(*options, *words),
        ]
    )


@pytest.fixture(scope="module")
def finetuned(
    tiny_data: Path,
    site_labels: Path,
    learnt_weights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the weights that the command makes of them."""
    out = tmp_path_factory.mktemp("finetune") / "site"
    words = ["--data-name", "our ward", "--terms", "ours alone"]
    assert finetune(tiny_data, site_labels, learnt_weights, out, *words) == 0
    return out / "site.safetensors"


# --- the loop ------------------------------------------------------------------------------------


def test_frozen_blocks_keep_their_bits_and_the_others_learn(
    config: TrainConfig, splits: tuple[Split, Split], learnt_weights: Path, tmp_path: Path
) -> None:
    start = load_weights(learnt_weights).network.state_dict()
    variant = Variant(start=start, frozen_blocks=(1, 2, 3))
    list(train(config, lambda _: splits, tmp_path, resume=False, variant=variant))
    checkpoint = read_checkpoint(tmp_path / "checkpoint.pt", CPU)
    for state in (checkpoint["network"], checkpoint["average"]):
        for name, tensor in state.items():
            block = name.split(".")[0]
            same = torch.equal(tensor, start[name])
            if block in {"block1", "block2", "block3"}:
                assert same, name  # the batch statistics too
            elif block in {"block4", "inception1"} and name.endswith(("weight", "running_mean")):
                assert not same, name


def test_without_frozen_blocks_and_patience_a_run_is_the_same(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    for name, variant in (("plain", Variant()), ("empty", Variant(patience_epochs=2))):
        list(train(config, lambda _: splits, tmp_path / name, resume=False, variant=variant))
    plain, empty = (
        read_checkpoint(tmp_path / name / "checkpoint.pt", CPU) for name in ("plain", "empty")
    )
    assert plain.keys() == empty.keys()
    assert plain["config"] == empty["config"]
    for name, tensor in plain["network"].items():
        assert torch.equal(tensor, empty["network"][name])


def test_a_frozen_run_goes_on_with_the_same_bits(
    config: TrainConfig, splits: tuple[Split, Split], learnt_weights: Path, tmp_path: Path
) -> None:
    start = load_weights(learnt_weights).network.state_dict()
    variant = Variant(start=start, frozen_blocks=(1, 2))

    def steps(name: str, *, resume: bool) -> Iterator[EpochResult | str]:
        return train(config, lambda _: splits, tmp_path / name, resume=resume, variant=variant)

    list(steps("whole", resume=False))
    broken = steps("broken", resume=False)
    for _ in range(3):
        next(broken)
    list(steps("broken", resume=True))
    whole, resumed = (
        read_checkpoint(tmp_path / name / "checkpoint.pt", CPU)["network"]
        for name in ("whole", "broken")
    )
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_training_ends_when_the_patience_does(
    config: TrainConfig, splits: tuple[Split, Split], learnt_weights: Path, tmp_path: Path
) -> None:
    (stage,) = config.stages
    # What knows the images by heart is soon spoilt by so high a rate.
    wild = replace(config, learning_rate=0.03, stages=(replace(stage, epochs=9),))
    start = load_weights(learnt_weights).network.state_dict()
    variant = Variant(start=start, patience_epochs=1)

    def steps(*, resume: bool) -> Iterator[EpochResult | str]:
        return train(wild, lambda _: splits, tmp_path, resume=resume, variant=variant)

    results = [step for step in steps(resume=False) if isinstance(step, EpochResult)]
    best = min(range(len(results)), key=lambda row: results[row].val_mad_months)
    assert len(results) == best + 2 < 9
    # Resumed, it has still ended.
    assert list(steps(resume=True)) == []


def test_patience_counts_in_the_last_stage_alone(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    from models.tjnet.train import Stage, _is_stale

    growing = replace(config, stages=(Stage(24, 5), Stage(32, 5)))
    run = Training(growing, tmp_path, CPU, Variant(patience_epochs=2))
    run.curve = [EpochResult(n, 24, 1, 1, 5.0 + n, 0.5) for n in range(5)]
    assert not _is_stale(run)
    run.curve += [EpochResult(5 + n, 32, 1, 1, mad, 0.5) for n, mad in enumerate((9.0, 8, 8.5))]
    assert not _is_stale(run)
    run.curve.append(EpochResult(8, 32, 1, 1, 8.2, 0.5))
    assert _is_stale(run)
    run.variant = Variant()
    assert not _is_stale(run)
    assert len(splits) == 2


# --- the command ---------------------------------------------------------------------------------


def card_of(weights: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))
    return card


def test_the_card_says_what_it_was_made_from(
    finetuned: Path, learnt_weights: Path, site_labels: Path
) -> None:
    card, source = card_of(finetuned), load_weights(learnt_weights)
    started = card["started_from"]
    assert started["weights"] == source.version
    assert started["sha256"] == source.sha256
    assert started["frozen_blocks"] == [1, 2, 3]
    assert started["data"] == "bars"
    assert started["val_mad_months"] > 0
    assert card["data"]["name"] == "our ward"
    assert card["terms"] == f"ours alone; and, from {source.version}: bars are free"
    assert card["data"]["split"].startswith("by a hash of the patient, 30%")
    assert card["data"]["n_train"] + card["data"]["n_val"] == TRAIN_COUNT + VAL_COUNT
    assert str(site_labels.parent) not in json.dumps(card)


def test_no_patient_is_on_both_sides(finetuned: Path) -> None:
    with (finetuned.parent / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({(int(row["id"]) // 2, row["split"]) for row in rows}) == len(rows) // 2


def test_the_weights_can_be_used_and_their_frozen_blocks_are_the_old(
    finetuned: Path, learnt_weights: Path, tiny_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(tiny_data / "1.png"), "--sex", "F", "--device", "cpu"]
    assert main([*words, "--weights", str(finetuned), "--no-gate"]) == 0
    assert "bone age" in capsys.readouterr().out
    old, new = (load_weights(path).network.state_dict() for path in (learnt_weights, finetuned))
    names = [name for name in old if name.startswith(("block1.", "block2.", "block3."))]
    assert all(torch.equal(old[name], new[name]) for name in names)
    assert not torch.equal(old["block6.0.weight"], new["block6.0.weight"])


def test_a_calibration_of_the_old_weights_does_not_fit_the_new(
    finetuned: Path, learnt_weights: Path
) -> None:
    versions = {load_weights(path).version for path in (finetuned, learnt_weights)}
    assert len(versions) == 2


def test_a_finished_run_is_resumed_to_the_same_weights(
    finetuned: Path,
    tiny_data: Path,
    site_labels: Path,
    learnt_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "site"
    shutil.copytree(finetuned.parent, out)
    assert finetune(tiny_data, site_labels, learnt_weights, out) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    (out / "site.safetensors").unlink()
    assert finetune(tiny_data, site_labels, learnt_weights, out, "--resume") == 0
    assert (out / "site.safetensors").read_bytes() == finetuned.read_bytes()
    for words in (["--freeze", "1"], ["--patience", "3"], ["--val-share", "0.4"]):
        assert finetune(tiny_data, site_labels, learnt_weights, out, "--resume", *words) == 2
        assert "was begun with other" in capsys.readouterr().err
    assert finetune(tiny_data, site_labels, learnt_weights, out, "--resume", "--seed", "5") == 2
    assert "another config" in capsys.readouterr().err


def test_a_config_file_and_all_blocks_free(
    tiny_data: Path,
    tiny_config: Path,
    learnt_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # labels.csv beside the pictures has a split, which is used.
    words = ["--config", str(tiny_config), "--freeze", "none"]
    labels = tiny_data / "labels.csv"
    assert finetune(tiny_data, labels, learnt_weights, tmp_path / "out", *words) == 0
    printed = capsys.readouterr()
    assert "learnt-" in printed.out
    assert f"{TRAIN_COUNT} images to train on, {VAL_COUNT} to validate, 32 px" in printed.out
    card = card_of(tmp_path / "out" / "out.safetensors")
    assert card["started_from"]["frozen_blocks"] == []
    assert card["data"]["split"].startswith("column split")
    assert card["seed"] == 7
    assert card["terms"].startswith("those of the data they were made from; and, from learnt-")


def test_weights_that_became_no_better_are_named(
    tiny_data: Path, learnt_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The start knows these images by heart; a high rate spoils that at once.
    words = ["--learning-rate", "0.05", "--epochs", "1"]
    labels = tiny_data / "labels.csv"
    assert finetune(tiny_data, labels, learnt_weights, tmp_path / "out", *words) == 0
    assert "no epoch is better on val than learnt-" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--freeze", "5"], "--freeze takes block numbers from 1 to 4"),
        (["--freeze", "1,1"], "--freeze takes block numbers from 1 to 4, each once"),
        (["--freeze", ""], "--freeze takes block numbers"),
        (["--patience", "0"], "--patience must be one epoch at least"),
        (["--epochs", "0"], "--epochs must be above zero"),
        (["--batch-size", "-1"], "--batch-size must be above zero"),
        (["--learning-rate", "0"], "--learning-rate must be above zero"),
        (["--val-share", "1.5"], "share of val must lie between"),
        (["--val-share", "0.1"], "6 images of val are too few: 12 are needed"),
        (["--batch-size", "900"], "do not fill one batch of 900"),
        (["--config", "absent.yaml"], "absent.yaml"),
        (["--weights", "absent.safetensors"], "absent.safetensors: cannot be loaded"),
        (["--labels", "absent.csv"], "absent.csv"),
    ],
)
def test_what_cannot_be_finetuned_is_2(
    words: list[str],
    reason: str,
    tiny_data: Path,
    site_labels: Path,
    learnt_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert finetune(tiny_data, site_labels, learnt_weights, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1


def test_a_config_of_another_network_or_beside_options_is_2(
    tiny_data: Path,
    tiny_config: Path,
    learnt_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels, out = tiny_data / "labels.csv", tmp_path / "out"
    words = ["--config", str(tiny_config), "--epochs", "3"]
    assert finetune(tiny_data, labels, learnt_weights, out, *words) == 2
    assert "--epochs is not taken beside --config" in capsys.readouterr().err
    wider = tmp_path / "wider.yaml"
    text = tiny_config.read_text(encoding="utf-8").replace("width: 0.1", "width: 0.3")
    wider.write_text(text, encoding="utf-8")
    assert finetune(tiny_data, labels, learnt_weights, out, "--config", str(wider)) == 2
    assert "its network is not that of the weights" in capsys.readouterr().err


def test_a_run_of_train_is_not_gone_on_with(
    tiny_data: Path,
    site_labels: Path,
    learnt_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"hours of work")
    assert finetune(tiny_data, site_labels, learnt_weights, tmp_path, "--resume") == 2
    assert "finetune.json" in capsys.readouterr().err
    assert (tmp_path / "checkpoint.pt").read_bytes() == b"hours of work"


def test_a_patient_in_two_splits_is_2(
    tiny_data: Path, learnt_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    rows = ["id,sex,bone_age_months,patient,split", "1,M,50,p,train", "2,M,50,p,val"]
    labels.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert finetune(tiny_data, labels, learnt_weights, tmp_path / "out") == 2
    assert "in train and in val" in capsys.readouterr().err
