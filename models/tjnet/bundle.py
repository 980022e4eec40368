"""A MONAI bundle from weights and their card: metadata, configs, code, documents, terms."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import distribution, version
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import torch
import yaml

from models.tjnet.network import AGE_CLASSES, MONTHS_PER_CLASS, SEX_CLASSES, SEX_INPUTS
from models.tjnet.weights import Weights, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
FILES = HERE / "bundle_files"
SCRIPTS = ("network.py", "portable.py", "preprocess.py")
"""Modules that run without the rest of the project; the bundle holds copies."""

SCHEMA_URL = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
PROJECT = "bone-age-node"
FIGURES = ("n", "mad_months", "rmse_months", "bias_months", "sex_accuracy", "interval_coverage")
INTENDED_USE = "Research on automatic bone age. No medical device, not for diagnosis."


def write_bundle(weights: Weights, to: Path) -> None:
    """Write a bundle into a new or empty folder.

    Parameters
    ----------
    weights : Weights
        As `models.tjnet.weights.load_weights` returns them.
    to : Path
        The bundle's folder; its name is the bundle's.

    Raises
    ------
    WeightsError
        If the card does not say what the weights were made from.
    ValueError
        If the folder holds something.
    """
    missing = {"training", "data", "terms", "measured"} - weights.card.keys()
    if missing:
        msg = f"the card of {weights.version} has no {', '.join(sorted(missing))}"
        raise WeightsError(msg)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        msg = f"{to} is no empty folder"
        raise ValueError(msg)
    for folder in ("configs", "docs", "models", "scripts"):
        (to / folder).mkdir(parents=True)
    _write_configs(weights, to / "configs")
    _write_documents(weights.card, to)
    torch.save(weights.network.state_dict(), to / "models" / "model.pt")
    for script in SCRIPTS:
        shutil.copyfile(HERE / script, to / "scripts" / script)
    (to / "scripts" / "__init__.py").write_text('"""The network of this bundle."""\n', "utf-8")


def _write_configs(weights: Weights, folder: Path) -> None:
    _write_json(folder / "metadata.json", metadata(weights.card))
    _write_json(folder / "inference.json", inference(weights.card))
    shutil.copyfile(FILES / "schema.json", folder / "schema.json")
    text = yaml.safe_dump(weights.card["training"], sort_keys=False)
    (folder / "train.yaml").write_text(text, encoding="utf-8")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def metadata(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what configs/metadata.json says (MONAI's bundle specification)."""
    released = version(PROJECT)
    return {
        "schema": SCHEMA_URL,
        "version": released,
        "changelog": {released: f"weights {card['name']}, sha256 {card['sha256']}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {
            "pillow": version("pillow"),
            "fire": "0.7.1",
            "jsonschema": "4.26.0",
        },
        "name": card["name"],
        "task": "Bone age, and sex as a check, from one hand radiograph",
        "description": "TJ-Net: 77 classes of 3 months, decoded as their expectation, and the sex",
        "authors": f"the authors of {PROJECT}",
        "copyright": f"code: Apache-2.0; weights: {card['terms']}",
        "intended_use": INTENDED_USE,
        "data_source": card["data"]["name"],
        "data_type": "png",
        "eval_metrics": {name: card["measured"].get(name) for name in FIGURES},
        "references": ["Tang W., Wu G., Shen G., 2020, doi:10.3233/ATDE200080"],
        "network_data_format": _data_format(card["network"]["input_size_px"]),
    }


def _data_format(size_px: int) -> dict[str, Any]:
    """Return the two inputs and the output."""
    ages = [f"logit of {MONTHS_PER_CLASS * index:.0f} months" for index in range(AGE_CLASSES)]
    sexes = [f"logit of sex {sex}" for sex in SEX_INPUTS[:SEX_CLASSES]]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "CR, DX",
        "num_channels": 1,
        "spatial_shape": [size_px, size_px],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "hand, squashed to a square, bone bright"},
    }
    sex = {
        "type": "tuples",
        "format": "classes",
        "num_channels": 1,
        "spatial_shape": [],
        "dtype": "int64",
        "value_range": [0, len(SEX_INPUTS) - 1],
        "is_patch_data": False,
        "channel_def": {"0": "recorded sex: 0 male, 1 female, 2 unknown; unknown if left out"},
    }
    pred = {
        "type": "probabilities",
        "format": "classes",
        "num_channels": AGE_CLASSES + SEX_CLASSES,
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(index): text for index, text in enumerate([*ages, *sexes])},
    }
    return {"inputs": {"image": image, "sex": sex}, "outputs": {"pred": pred}}


def inference(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what configs/inference.json says: the network, and one picture through it."""
    config = {"_target_": "scripts.network.TJNetConfig", **card["network"]}
    return {
        "imports": ["$import torch", "$from scripts.portable import predict"],
        "bundle_root": ".",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "picture": "hand.png",
        "sex": "unknown",
        "checkpoint": "$@bundle_root + '/models/model.pt'",
        "network_def": {"_target_": "scripts.portable.PortableTJNet", "config": config},
        "network": "$@network_def.to(@device)",
        "run": ["$print(predict(@network, @checkpoint, @picture, @sex))"],
    }


def _write_documents(card: Mapping[str, Any], to: Path) -> None:
    data = f"{card['data']['name']}; {card['data']['n_train']} images to train on."
    text = Template((FILES / "README.md").read_text(encoding="utf-8")).substitute(
        name=card["name"],
        measured=_measured(card["measured"]),
        size_px=card["network"]["input_size_px"],
        data=data,
    )
    (to / "docs" / "README.md").write_text(text, encoding="utf-8")
    terms = f"{card['name']} was made from: {data}\nTerms: {card['terms']}\n"
    (to / "docs" / "data_license.txt").write_text(terms, encoding="utf-8")
    (to / "LICENSE").write_text(_licence(), encoding="utf-8")


def _licence() -> str:
    """Return the project's licence: from its checkout, else as it was installed."""
    checkout = Path(__file__).parents[2] / "LICENSE"
    if checkout.exists():
        return checkout.read_text(encoding="utf-8")
    installed = distribution(PROJECT).read_text("licenses/LICENSE")
    if installed is None:
        msg = f"{PROJECT} is installed without its LICENSE"
        raise FileNotFoundError(msg)
    return installed


def _measured(measured: Mapping[str, Any]) -> str:
    """Return the card's figures as a table, for all images, each sex and each age band."""
    groups = {"all": measured, **measured["by_sex"], **measured["by_age_months"]}
    lines = [f"On {measured['on']}.", "", f"| group | {' | '.join(FIGURES)} |"]
    lines.append("|---" * (len(FIGURES) + 1) + "|")
    for name, group in groups.items():
        lines.append(f"| {name} | {' | '.join(str(group.get(key, '-')) for key in FIGURES)} |")
    return "\n".join(lines)
