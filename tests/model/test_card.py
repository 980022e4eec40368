"""The card says what was trained, on what, and how good it is, and claims nothing else."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from models.cli import main
from models.tjnet.card import (
    KNOWN_DATA,
    RSNA,
    code_version,
    largest_softmax_sd_months,
    measure,
    name_data,
    read_run,
)
from models.tjnet.dataset import data_hash, read_labels
from models.tjnet.estimator import Estimator
from models.tjnet.evaluation.measures import summarise
from models.tjnet.evaluation.scores import score_pictures
from models.tjnet.network import expected_months
from models.tjnet.spread import cross_fitted_factors
from models.tjnet.train import TrainConfig, load_split, predict_split, train

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt


@pytest.fixture(scope="module")
def run_folder(
    tiny_config: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a run that stopped in the middle of its second epoch."""
    out = tmp_path_factory.mktemp("run")
    labels = tiny_data / "labels.csv"
    train_split, val_split = (load_split(tiny_data, labels, name, 32) for name in ("train", "val"))
    steps = train(
        TrainConfig.read(tiny_config), lambda _: (train_split, val_split), out, resume=False
    )
    for _ in range(10):
        next(steps)
    return out


@pytest.fixture(scope="module")
def exported(run_folder: Path, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights that export makes of it."""
    to = tmp_path_factory.mktemp("exported")
    words = ["export", "--run", str(run_folder), "--data", str(tiny_data), "--device", "cpu"]
    words += ["--name", "half", "--to", str(to), "--cache", str(to / "cache")]
    words += ["--note", "stopped in its second epoch"]
    assert main(words) == 0
    return to / "half.safetensors"


@pytest.fixture(scope="module")
def card(exported: Path) -> dict[str, Any]:
    """Return the card of it."""
    loaded: dict[str, Any] = json.loads(exported.with_suffix(".json").read_text(encoding="utf-8"))
    return loaded


def test_an_interrupted_run_can_ship(card: dict[str, Any], run_folder: Path) -> None:
    assert card["name"] == "half"
    assert card["note"] == "stopped in its second epoch"
    assert card["epochs_done"] == card["best_epoch"] == 1
    assert [row["epoch"] for row in card["curve"]] == [1]
    assert card["training"] == json.loads(json.dumps(read_run(run_folder).config))
    assert card["seed"] == 7
    assert card["network"] == card["training"]["network"]


def test_the_data_are_named_for_what_they_are(card: dict[str, Any], tiny_data: Path) -> None:
    digest = data_hash(tiny_data, tiny_data / "labels.csv")
    assert card["data"]["sha256"] == digest
    assert (card["data"]["n_train"], card["data"]["n_val"]) == (32, 20)
    assert card["data"]["name"] == "unnamed"
    assert "RSNA" not in json.dumps(card)
    assert name_data(digest, "our own").name == "our own"
    assert name_data(next(iter(KNOWN_DATA)), "our own") == RSNA


def test_rsna_is_known_by_its_hash(shared_data: Path) -> None:
    rsna = shared_data / "rsna"
    assert name_data(data_hash(rsna, rsna / "labels.csv"), None) == RSNA


def test_the_preprocessing_is_on_the_card(card: dict[str, Any]) -> None:
    assert card["preprocessing"]["percentiles"] == [0.5, 99.5]
    assert card["preprocessing"]["levels"] == 255


def test_what_is_measured_is_what_evaluate_measures(
    card: dict[str, Any], exported: Path, tiny_data: Path
) -> None:
    labels = read_labels(tiny_data / "labels.csv", "val")
    estimator = Estimator(exported, "cpu", gate=None)
    for hidden, measured in (
        (False, card["measured"]),
        (True, card["measured"]["unknown_sex"]),
    ):
        scores = list(score_pictures(estimator, tiny_data, labels, hide_sex=hidden))
        summary = summarise(scores)
        for key in ("n", "mad_months", "rmse_months", "bias_months", "sex_accuracy"):
            assert summary[key] == pytest.approx(measured[key], abs=2e-2), key
        # Fitted on the same images, the shipped interval holds ceil(21 * 0.9) = 19 of 20; the
        # one that decides lies on its border, on either side by rounding.
        assert summary["interval_coverage"] >= 0.9


def test_the_intervals_on_the_card_are_cross_fitted(run_folder: Path, tiny_data: Path) -> None:
    split = load_split(tiny_data, tiny_data / "labels.csv", "val", 32)
    network = read_run(run_folder).network(torch.device("cpu"))
    measured, spread, _ = measure(network, split)
    mean, deviation = (v.numpy() for v in expected_months(predict_split(network, split)))
    error = mean - split.months.numpy()

    def width(factors: npt.NDArray[np.float64] | float) -> float:
        low = np.maximum(0, mean - deviation * factors)
        high = np.minimum(228, mean + deviation * factors)
        return float(np.mean(high - low))

    factors = cross_fitted_factors(mean, error, deviation)
    covered = np.abs(error) <= deviation * factors
    assert measured["interval_coverage"] == pytest.approx(covered.mean())
    assert measured["interval_width_months"] == pytest.approx(width(factors), abs=1e-3)
    (band,) = spread["bands"]  # 20 images are one band
    assert abs(width(factors) - width(band["interval_factor"])) > 0.01
    assert measured["by_estimate_months"] == {
        "0-228": {
            "n": 20,
            "interval_coverage": measured["interval_coverage"],
            "interval_width_months": measured["interval_width_months"],
        }
    }


def test_the_spread_is_given_for_both_inputs(card: dict[str, Any]) -> None:
    spreads = card["spread"], card["spread"]["unknown_sex"]
    factors = [band for spread in spreads for band in spread["bands"]]
    assert all(f["sd_factor"] > 0 and f["interval_factor"] > 0 for f in factors)
    assert factors[0]["sd_factor"] != factors[1]["sd_factor"]


def test_the_gate_after_the_network_refuses_few_of_val(
    run_folder: Path, tiny_data: Path, card: dict[str, Any]
) -> None:
    split = load_split(tiny_data, tiny_data / "labels.csv", "val", 32)
    logits = predict_split(read_run(run_folder).network(torch.device("cpu")), split)
    limit = card["gate"]["largest_softmax_sd_months"]
    assert expected_months(logits)[1].max().item() <= limit
    for even, limit_months in ((4, 66.68), (3, 0.01)):
        sure = torch.zeros(1000, 79)  # of 1000 images, 3 may be refused
        sure[even:, 40] = 100  # the others are even: their softmax spreads over 67 months
        assert largest_softmax_sd_months(sure) == pytest.approx(limit_months, abs=0.011)


def test_nothing_of_the_machine_is_on_the_card(card: dict[str, Any], tiny_data: Path) -> None:
    assert str(tiny_data) not in json.dumps(card)


def test_the_code_is_named() -> None:
    code = code_version()
    assert code["torch"] == torch.__version__
    assert code["git_commit"] is None or len(code["git_commit"]) == 40


def test_a_run_without_an_epoch_cannot_ship(
    run_folder: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(run_folder / "checkpoint.pt", tmp_path / "checkpoint.pt")
    words = ["export", "--run", str(tmp_path), "--data", str(tiny_data), "--name", "none"]
    assert main([*words, "--to", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 2
    assert "best.pt" in capsys.readouterr().err
    assert not (tmp_path / "none.safetensors").exists()
