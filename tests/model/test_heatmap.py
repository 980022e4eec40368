"""The heatmaps against their definitions, worked out another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from models.tjnet.heatmap import as_picture, estimate_score, fine, gradcam
from models.tjnet.network import TJNet, expected_months
from models.tjnet.preprocess import to_input
from models.tjnet.weights import load_weights
from tests.model.conftest import draw_picture

if TYPE_CHECKING:
    from pathlib import Path

SEX = torch.tensor([1, 0, 2])


@pytest.fixture(scope="module")
def network(tiny_weights: Path) -> TJNet:
    """Return a small random network."""
    return load_weights(tiny_weights).network


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Return three pictures as network input."""
    levels = np.stack([to_input(draw_picture(months, months), 32) for months in (40, 100, 180)])
    return torch.from_numpy(levels)[:, None].float() / 255.0


def test_gradcam_is_the_gradient_of_the_estimates_score(
    network: TJNet, pictures: torch.Tensor
) -> None:
    """By finite differences: a channel's weight is what a common step of all its places does."""
    with torch.no_grad():
        maps = network.maps(pictures[:1]).double()
    exact = network.double()
    logits, heat = gradcam(exact, maps, SEX[:1])
    nearest = round(expected_months(logits)[0].item() / 3)
    step, places = 1e-6, maps[0, 0].numel()
    with torch.no_grad():
        weights = []
        for channel in range(maps.shape[1]):
            nudge = torch.zeros_like(maps)
            nudge[:, channel] = step
            scores = [
                exact.heads(maps + sign * nudge, SEX[:1])[0, nearest].item() for sign in (1, -1)
            ]
            weights.append(torch.tensor((scores[0] - scores[1]) / (2 * step * places)))
        weight = torch.stack(weights)[:, None, None]
        expected = torch.relu((weight * maps[0]).sum(dim=0))
    network.float()
    assert logits.shape == (1, 79)
    assert heat.max() > 0
    assert torch.allclose(heat[0], expected, rtol=1e-3, atol=1e-6)


def test_pictures_of_a_batch_do_not_mix(network: TJNet, pictures: torch.Tensor) -> None:
    maps = network.maps(pictures)
    logits, heats = gradcam(network, maps, SEX)
    early = network.early(pictures)
    fine_logits, fines = fine(network, early, SEX)
    assert torch.allclose(fine_logits, logits, atol=1e-4)
    for row in range(len(pictures)):
        one = slice(row, row + 1)
        alone = gradcam(network, maps[one], SEX[one])
        assert torch.allclose(logits[one], alone[0], atol=1e-4)
        assert torch.allclose(heats[one], alone[1], rtol=1e-3, atol=1e-6)
        assert torch.allclose(fines[one], fine(network, early[one], SEX[one])[1], rtol=1e-3)


def test_the_finer_one_is_block_4s_times_that_of_block_2(
    network: TJNet, pictures: torch.Tensor
) -> None:
    _, coarse = gradcam(network, network.maps(pictures), SEX)
    early = network.block2(network.block1(pictures)).detach().requires_grad_()
    estimate_score(network.heads(network.late(early), SEX)).sum().backward()  # type: ignore[no-untyped-call]
    assert early.grad is not None
    structures = (early.grad.clamp(min=0) * early.detach()).sum(dim=1)
    upsampled = nn.Upsample(size=(4, 4), mode="bilinear")(coarse[:, None])[:, 0]
    _, found = fine(network, network.early(pictures), SEX)
    assert found.shape == (3, 4, 4)
    assert torch.allclose(found, upsampled * structures, rtol=1e-4, atol=1e-7)
    assert found.amax() > 0


def test_the_heatmaps_follow_the_weights(network: TJNet, pictures: torch.Tensor) -> None:
    """What shows the same edges for other weights would be no explanation (Adebayo 2018)."""
    torch.manual_seed(11)
    other = TJNet(network.config)
    other.load_state_dict(network.state_dict())
    other.eval()
    for layer in other.block6:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.3)
    maps = network.maps(pictures)
    pairs = (gradcam(network, maps, SEX)[1], gradcam(other, maps, SEX)[1])
    early = network.early(pictures)
    fines = (fine(network, early, SEX)[1], fine(other, early, SEX)[1])
    for one, two in (pairs, fines):
        assert not np.allclose(as_picture(one[0]), as_picture(two[0]), atol=0.05)


def test_parameters_gather_no_gradient(network: TJNet, pictures: torch.Tensor) -> None:
    network.zero_grad()
    gradcam(network, network.maps(pictures), SEX)
    fine(network, network.early(pictures), SEX)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_picture_of_heat_has_a_peak_of_1_or_is_empty() -> None:
    heat = torch.tensor([[0.0, 2.0], [1.0, 0.5]])
    assert as_picture(heat).tolist() == [[0.0, 1.0], [0.5, 0.25]]
    assert as_picture(torch.zeros(2, 2)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
