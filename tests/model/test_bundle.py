"""A MONAI bundle passes MONAI's own checks, without the network, and says what the project says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from models.cli import main
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator
from models.tjnet.network import SEX_INPUTS, expected_months
from models.tjnet.portable import PortableTJNet, predict
from models.tjnet.preprocess import to_input
from models.tjnet.train import TrainConfig
from models.tjnet.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

FIGURES = {"n": 20, "mad_months": 12.5, "rmse_months": 15.0, "bias_months": -0.5}
NETWORK, META = "configs/inference.json", "configs/metadata.json"


@pytest.fixture(scope="module")
def whole_weights(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny weights with a card that has all that `export` writes."""
    weights = load_weights(tiny_weights)
    training = {"network": weights.card["network"], "stages": [{"size_px": 32, "epochs": 2}]}
    card = {
        **weights.card,
        "training": training,
        "data": {"name": "bars with some noise", "n_train": 32},
        "terms": "free to use",
        "measured": {
            "on": "the val split",
            **FIGURES,
            "by_sex": {"M": FIGURES},
            "by_age_months": {},
        },
    }
    path = tmp_path_factory.mktemp("whole") / "tiny.safetensors"
    save_weights(path, weights.network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def bundle(whole_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of the tiny weights."""
    to = tmp_path_factory.mktemp("bundles") / "tiny"
    assert main(["bundle", "--weights", str(whole_weights), "--to", str(to)]) == 0
    return to


def monai(bundle: Path, *words: str) -> str:
    """Run one of MONAI's programs in the bundle and return what it says."""
    command = [sys.executable, "-m", "monai.bundle", *words]
    done = subprocess.run(command, cwd=bundle, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_metadata_are_verified_offline(bundle: Path) -> None:
    said = monai(
        bundle,
        *("verify_metadata", "--meta_file", META),
        *("--filepath", "configs/schema.json", "--create_dir", "False"),
    )
    assert "skipped downloading" in said
    assert "metadata is verified with no error" in said


def test_the_network_has_the_inputs_and_outputs_that_the_metadata_say(bundle: Path) -> None:
    words = ("--net_id", "network_def", "--meta_file", META, "--config_file", NETWORK)
    said = monai(bundle, "verify_net_in_out", *words)
    assert "data shape of network is verified with no error" in said


@pytest.mark.filterwarnings("ignore:`torch.jit.load` is deprecated:DeprecationWarning")
def test_the_checkpoint_is_exported(bundle: Path, tiny_weights: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.ts"
    monai(
        bundle,
        *("ckpt_export", "--net_id", "network_def", "--filepath", str(exported)),
        *("--ckpt_file", "models/model.pt", "--meta_file", META, "--config_file", NETWORK),
    )
    network = torch.jit.load(exported).eval()  # type: ignore[no-untyped-call]
    trained = load_weights(tiny_weights).network
    x, unknown = torch.rand(2, 1, 32, 32), torch.tensor([2, 2])
    with torch.no_grad():
        assert torch.allclose(network(x), trained(x, unknown), atol=1e-5)
        assert torch.allclose(
            network(x, torch.tensor([0, 1])), trained(x, torch.tensor([0, 1])), atol=1e-5
        )


def test_the_bundle_runs_without_the_project_and_says_the_same(
    bundle: Path, tiny_weights: Path, tiny_data: Path
) -> None:
    picture = tiny_data / "1.png"
    said = monai(bundle, "run", "--config_file", NETWORK, "--picture", str(picture), "--sex", "F")
    expected = Estimator(tiny_weights, "cpu", gate=None).estimate(decode_picture(picture), "F")
    found = re.search(r"'bone_age_months': ([\d.]+)", said)
    assert found is not None
    assert float(found[1]) == pytest.approx(expected.bone_age_months, abs=0.01)
    source = "".join(path.read_text("utf-8") for path in (bundle / "scripts").glob("*.py"))
    assert "from models" not in source
    assert "import models" not in source


@pytest.mark.parametrize("sex", SEX_INPUTS)
def test_prediction_agrees_with_the_estimator(
    sex: str, bundle: Path, tiny_weights: Path, tiny_data: Path
) -> None:
    trained = load_weights(tiny_weights)
    network = PortableTJNet(trained.network.config)
    answer = predict(network, bundle / "models" / "model.pt", tiny_data / "2.png", sex)
    levels = to_input(decode_picture(tiny_data / "2.png"), 32)
    x = torch.from_numpy(np.array(levels))[None, None].float() / 255.0
    with torch.no_grad():
        logits = trained.network(x, torch.tensor([SEX_INPUTS.index(sex)]))
    months = expected_months(logits)[0].item()
    assert answer["bone_age_months"] == pytest.approx(months, abs=0.01)
    assert answer["recorded_sex"] == sex


def test_the_documents_say_what_the_card_says(bundle: Path) -> None:
    readme = (bundle / "docs" / "README.md").read_text("utf-8")
    assert "Research use only" in readme
    assert "| all | 20 | 12.5 | 15.0 | -0.5 | - | - |" in readme
    assert "$" not in readme
    assert "free to use" in (bundle / "docs" / "data_license.txt").read_text("utf-8")
    assert "Apache License" in (bundle / "LICENSE").read_text("utf-8")
    meta: dict[str, Any] = json.loads((bundle / META).read_text("utf-8"))
    assert meta["eval_metrics"]["mad_months"] == 12.5
    assert len(meta["network_data_format"]["outputs"]["pred"]["channel_def"]) == 79
    assert TrainConfig.read(bundle / "configs" / "train.yaml").network.input_size_px == 32


def refused(capsys: pytest.CaptureFixture[str], words: Sequence[str | Path]) -> str:
    assert main(["bundle", *map(str, words)]) == 2
    return capsys.readouterr().err


def test_a_folder_that_holds_something_is_refused(
    whole_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("keep", "utf-8")
    said = refused(capsys, ["--weights", whole_weights, "--to", tmp_path])
    assert said == f"bundle: {tmp_path} is no empty folder\n"


def test_a_card_that_says_too_little_is_refused(
    tiny_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, ["--weights", tiny_weights, "--to", tmp_path / "new"])
    assert "has no data, measured, terms, training" in said
    assert not (tmp_path / "new").exists()
