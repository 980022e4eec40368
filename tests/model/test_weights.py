"""Weights survive the disk, and nothing else passes for them."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from models.commands.source import LARGEST_SHIPPED_BYTES
from models.tjnet.network import TJNet
from models.tjnet.weights import (
    SHIPPED,
    WeightsError,
    load_weights,
    resolve,
    rounded,
    save_weights,
)
from tests.model.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def weights(tiny_weights: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may spoil."""
    path = tmp_path / "copy.safetensors"
    shutil.copy(tiny_weights, path)
    shutil.copy(tiny_weights.with_suffix(".json"), path.with_suffix(".json"))
    return path


def edit_card(weights: Path, **changes: object) -> None:
    path = weights.with_suffix(".json")
    card = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps(card), encoding="utf-8")


def test_round_trip(tmp_path: Path) -> None:
    network = TJNet(TINY)
    network(torch.rand(4, 1, 32, 32), torch.tensor([0, 1, 2, 0]))  # moves the batch statistics
    path = tmp_path / "deep" / "new.safetensors"
    save_weights(path, network.state_dict(), {"name": "new", "network": TINY.to_dict()})
    loaded = load_weights(path)
    expected = network.state_dict()
    found = loaded.network.state_dict()
    assert found.keys() == expected.keys()
    # Kernels and matrices are stored in half precision, the rest as it is; counters are not.
    assert all(
        torch.equal(found[name], rounded(t).to(t.dtype))
        for name, t in expected.items()
        if not name.endswith("num_batches_tracked")
    )
    kernels = [t for t in load_file(path).values() if t.ndim > 1]
    assert kernels
    assert all(t.dtype == torch.float16 for t in kernels)
    assert found["block1.0.adn.N.running_var"].dtype == torch.float32
    assert torch.equal(found["block1.0.adn.N.running_var"], expected["block1.0.adn.N.running_var"])
    assert not loaded.network.training
    assert loaded.version == f"new-{loaded.sha256[:12]}"
    assert loaded.card["sha256"] == loaded.sha256


def test_channels_last_weights_are_written_in_order(tmp_path: Path) -> None:
    network = TJNet(TINY)
    save_weights(tmp_path / "a.safetensors", network.state_dict(), {"name": "a"})
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    save_weights(tmp_path / "b.safetensors", network.state_dict(), {"name": "b"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_file_is_readable_as_the_card_is(tiny_weights: Path) -> None:
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in (tiny_weights, tiny_weights.with_suffix(".json"))
    }
    assert len(modes) == 1


def test_a_changed_file_is_refused(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(WeightsError, match="other weights"):
        load_weights(weights)


def test_a_card_with_another_hash_is_refused(weights: Path) -> None:
    edit_card(weights, sha256="0" * 64)
    with pytest.raises(WeightsError, match="other weights"):
        load_weights(weights)


def test_a_missing_card_is_refused(weights: Path) -> None:
    weights.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match="FileNotFoundError"):
        load_weights(weights)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"network": TINY.to_dict() | {"width": 0.2}},
        {"network": TINY.to_dict() | {"depth": 3}},
        {"network": None},
    ],
)
def test_a_card_of_another_network_is_refused(weights: Path, changes: dict[str, object]) -> None:
    edit_card(weights, **changes)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_weights(weights)


def test_a_card_that_is_no_json_is_refused(weights: Path) -> None:
    weights.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        load_weights(weights)


def test_names_and_paths() -> None:
    assert resolve("default") == SHIPPED / "tjnet-gpu.safetensors"
    assert resolve("tjnet-other") == SHIPPED / "tjnet-other.safetensors"
    assert str(resolve("somewhere/mine.safetensors")) == "somewhere/mine.safetensors"


@pytest.mark.parametrize("name", ["tjnet-gpu", "tjnet-cpu"])
def test_what_ships_is_whole_and_as_wide_as_its_documents_say(name: str) -> None:
    weights = load_weights(name)
    assert weights.name == name
    assert (weights.network.config.width, weights.network.config.input_size_px) == {
        "tjnet-gpu": (1.0, 299),
        "tjnet-cpu": (0.75, 224),
    }[name]
    assert (SHIPPED / f"{name}.safetensors").stat().st_size <= LARGEST_SHIPPED_BYTES
