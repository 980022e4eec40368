"""Small networks and small synthetic pictures: no real radiograph is needed here."""

from __future__ import annotations

import csv
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from models.tjnet.augment import AugmentConfig
from models.tjnet.network import TJNet, TJNetConfig
from models.tjnet.preprocess import to_input
from models.tjnet.spread import Band, Spread
from models.tjnet.train import Split, Stage, TrainConfig, load_split, read_checkpoint, train
from models.tjnet.weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

TINY = TJNetConfig(input_size_px=32, width=0.1, dropout=0.1)
TRAIN_COUNT, VAL_COUNT = 32, 20


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Compute on one thread: as the tests' budget wants it, and the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def draw_picture(months: float, seed: int, side: int = 160) -> npt.NDArray[np.uint8]:
    """Return a picture of five bars whose width grows with the age, with some noise."""
    noise = np.random.default_rng(seed).normal(0, 8, (side, side))
    phase = np.arange(side) / side * 5 % 1
    bars = np.where(phase < 0.15 + 0.7 * months / 228, 180.0, 40.0)
    return np.clip(bars + noise, 0, 255).astype(np.uint8)


def one_band(sd_factor: float, interval_factor: float) -> dict[str, Any]:
    """Return the spread of a card with the same factors at every estimate."""
    band = Band(0.0, 228.0, 114.0, 100, sd_factor, interval_factor)
    return Spread((band,)).to_dict()


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures with labels.csv: 32 to train on, 20 to validate."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number in range(TRAIN_COUNT + VAL_COUNT):
        months = 12 + number * 37 % 204
        Image.fromarray(draw_picture(months, number)).save(folder / f"{number}.png")
        split = "train" if number < TRAIN_COUNT else "val"
        rows.append((number, "MF"[number % 2], months, split))
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "sex", "bone_age_months", "split"), *rows])
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a training config: 2 epochs of 8 steps, a checkpoint after each step."""
    path = tmp_path_factory.mktemp("config") / "tiny.yaml"
    values = {
        "network": {"input_size_px": 32, "width": 0.1, "dropout": 0.1},
        "batch_size": 4,
        "stages": [{"size_px": 32, "epochs": 2}],
        "learning_rate": 3.0e-3,
        "threads": 1,
        "checkpoint_every_seconds": 0,
        "seed": 7,
    }
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def config(tiny_config: Path) -> TrainConfig:
    """Return two epochs of 4 steps, a checkpoint after each step."""
    return replace(TrainConfig.read(tiny_config), batch_size=8)


@pytest.fixture(scope="session")
def splits(tiny_data: Path) -> tuple[Split, Split]:
    """Return the train and the val split at 32 pixels."""
    labels = tiny_data / "labels.csv"
    return load_split(tiny_data, labels, "train", 32), load_split(tiny_data, labels, "val", 32)


def _wake(network: TJNet) -> None:
    """Make a random network react: a fresh one says 114 months to every picture and sex."""
    levels = np.stack([to_input(draw_picture(m, m), 32) for m in range(12, 228, 12)])
    x = torch.from_numpy(levels)[:, None].float() / 255.0
    network.train()
    with torch.no_grad():
        for _ in range(30):  # moves the batch statistics to those of such pictures
            network(x, torch.arange(len(x)) % 3)
        for layer in (*network.block5, *network.block6, *network.sex_embedding):
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(4)
                layer.bias.zero_()


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the safetensors file of a small network with random weights, and its card."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(7)  # a network whose heatmaps are not empty
    network = TJNet(TINY)
    _wake(network)
    card = {
        "name": "tiny",
        "network": TINY.to_dict(),
        "spread": {**one_band(0.5, 0.25), "unknown_sex": one_band(0.75, 0.5)},
    }
    save_weights(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="session")
def learnt_weights(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights that have learnt the pictures of ``tiny_data`` by heart, more or less."""
    labels = tiny_data / "labels.csv"
    halves = [load_split(tiny_data, labels, name, 32) for name in ("train", "val")]
    inputs, sex, months = (
        torch.cat([getattr(half, field) for half in halves])
        for field in ("inputs", "sex", "months")
    )
    everything = Split(inputs, sex, months)
    plain = AugmentConfig(**{f.name: 0.0 for f in fields(AugmentConfig)} | {"frame_aspect": 1.0})
    config = TrainConfig(
        network=TINY,
        stages=(Stage(32, 10),),
        augment=plain,
        batch_size=8,
        learning_rate=3e-3,
        seed=7,
    )
    out = tmp_path_factory.mktemp("learnt")
    list(train(config, lambda _: (everything, everything), out, resume=False))
    card = {
        "name": "learnt",
        "network": TINY.to_dict(),
        "spread": {**one_band(1.0, 1.6), "unknown_sex": one_band(1.0, 1.6)},
        "data": {"name": "bars"},
        "terms": "bars are free",
    }
    path = out / "learnt.safetensors"
    save_weights(path, read_checkpoint(out / "best.pt", torch.device("cpu")), card)
    return path
