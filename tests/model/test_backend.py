"""The prepared network says what the trained one says, and leaves it alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest
import torch
from torch import nn

from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.backend import batched_logits, prepare
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator
from models.tjnet.network import SEX_INPUTS, TJNet, expected_months
from models.tjnet.preprocess import to_input
from models.tjnet.weights import load_weights
from tests.model.conftest import TINY, draw_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    Picture: TypeAlias = npt.NDArray[np.generic]

CPU = torch.device("cpu")
AGREED_MONTHS = 0.1


def used(network: TJNet) -> TJNet:
    """Return the network with batch statistics that are not those of a new one."""
    network.train()
    with torch.no_grad():
        for seed in range(3):
            generator = torch.Generator().manual_seed(seed)
            network(torch.rand(4, 1, 32, 32, generator=generator), torch.tensor([0, 1, 2, 0]))
    return network.eval()


def bone_ages(network: TJNet, pictures: Sequence[Picture]) -> torch.Tensor:
    """Return (N, 3) months: each picture under each recorded sex."""
    size_px = network.config.input_size_px
    inputs = torch.from_numpy(np.stack([to_input(picture, size_px) for picture in pictures]))
    answers = [
        expected_months(batched_logits(network, inputs, torch.full((len(inputs),), sex)))[0]
        for sex in range(len(SEX_INPUTS))
    ]
    return torch.stack(answers, dim=1)


@pytest.mark.parametrize(("cbam", "shortcuts"), list(product([True, False], repeat=2)))
def test_the_prepared_network_computes_the_same(cbam: bool, shortcuts: bool) -> None:
    torch.manual_seed(3)
    network = used(TJNet(replace(TINY, cbam=cbam, shortcuts=shortcuts)))
    x, sex = torch.rand(2, 1, 32, 32), torch.tensor([1, 2])
    prepared = prepare(network, CPU)
    with torch.no_grad():
        assert torch.allclose(prepared.maps(x), network.maps(x), atol=1e-5)
        assert torch.allclose(prepared(x, sex), network(x, sex), atol=1e-5)


def test_no_batch_norm_is_left_and_the_trained_network_keeps_its_own() -> None:
    network = used(TJNet(TINY))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    prepared = prepare(network, CPU)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in prepared.parameters())


def test_the_shipped_weights_say_the_same_of_phantoms() -> None:
    network = load_weights().network
    pictures = [
        draw_phantom(sex, months, height_px=400, width_px=320) / HIGHEST_VALUE
        for sex, months in (("M", 30), ("F", 90), ("M", 150), ("F", 200))
    ]
    trained, prepared = bone_ages(network, pictures), bone_ages(prepare(network, CPU), pictures)
    assert trained.std() > 10  # the pictures differ, and so do the answers
    assert (trained - prepared).abs().max() < AGREED_MONTHS


def test_the_shipped_weights_say_the_same_of_radiographs(shared_data: Path) -> None:
    network = load_weights().network
    paths = sorted((shared_data / "radiographs").glob("*.png"))[::4]
    pictures = [decode_picture(path) for path in paths]
    trained, prepared = bone_ages(network, pictures), bone_ages(prepare(network, CPU), pictures)
    assert trained.std() > 10
    assert (trained - prepared).abs().max() < AGREED_MONTHS


def test_a_batch_says_what_the_estimator_says(tiny_weights: Path) -> None:
    estimator = Estimator(tiny_weights, "cpu", gate=None)
    pictures = [draw_picture(months, seed=months) for months in (30, 90, 150, 200, 220)]
    inputs = torch.from_numpy(np.stack([to_input(picture, 32) for picture in pictures]))
    sex = torch.tensor([0, 1, 2, 1, 0])
    logits = batched_logits(estimator.network, inputs, sex, batch_size=2)
    assert logits.shape == (5, 79)
    for months, index, picture in zip(
        expected_months(logits)[0].tolist(), sex.tolist(), pictures, strict=True
    ):
        estimate = estimator.estimate(picture, SEX_INPUTS[index])
        assert months == pytest.approx(estimate.bone_age_months, abs=1e-2)
