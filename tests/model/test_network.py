"""TJ-Net's shapes, its switches, and the decoding of its answer."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from models.tjnet.network import (
    AGE_CLASSES,
    SEX_INPUTS,
    TJNet,
    TJNetConfig,
    argmax_months,
    expected_months,
)
from tests.model.conftest import TINY


def build(config: TJNetConfig = TINY) -> TJNet:
    torch.manual_seed(0)
    return TJNet(config).eval()


def picture(batch: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(batch, 1, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("batch", "size"), [(1, 32), (3, 48), (2, 128)])
def test_one_row_of_79_logits_an_image(batch: int, size: int) -> None:
    sex = torch.arange(batch) % len(SEX_INPUTS)
    logits = build()(picture(batch, size), sex)
    assert logits.shape == (batch, 79)
    assert logits.isfinite().all()


def test_block_4_has_a_sixteenth_of_the_side() -> None:
    # 512 channels at a tenth of the width, in steps of eight.
    assert build().maps(picture(2, 128)).shape == (2, 48, 8, 8)


@pytest.mark.parametrize(("cbam", "shortcuts", "sex_task"), list(product([True, False], repeat=3)))
def test_every_ablation_has_the_same_answer_form(
    cbam: bool, shortcuts: bool, sex_task: bool
) -> None:
    config = replace(TINY, cbam=cbam, shortcuts=shortcuts, sex_task=sex_task)
    assert build(config)(picture(), torch.tensor([0, 2])).shape == (2, 79)


def test_without_cbam_only_the_gates_are_gone() -> None:
    with_cbam, without = build(), build(replace(TINY, cbam=False))
    gone = with_cbam.state_dict().keys() - without.state_dict().keys()
    assert without.state_dict().keys() < with_cbam.state_dict().keys()
    assert {name.rsplit(".", 2)[0] for name in gone} == {
        "block1.4",
        "block1.4.mlp",
        "block2.3",
        "block2.3.mlp",
        "block3.2",
        "block3.2.mlp",
    }


def test_shortcuts_add_nothing_to_learn_but_change_the_answer() -> None:
    with_shortcuts, without = build(), build(replace(TINY, shortcuts=False))
    without.load_state_dict(with_shortcuts.state_dict())
    x = picture()
    assert not torch.allclose(with_shortcuts.maps(x), without.maps(x))


def test_a_gate_only_dampens() -> None:
    gate = build().block1[4]
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(2))
    gated = gate(x)
    assert gated.shape == x.shape
    assert (gated.abs() <= x.abs()).all()
    assert (gated.sign() * x.sign() >= 0).all()


def test_heads_of_maps_are_the_forward_pass() -> None:
    network, x, sex = build(), picture(3), torch.tensor([0, 1, 2])
    assert torch.equal(network.heads(network.maps(x), sex), network(x, sex))


def test_recorded_sex_conditions_age_and_never_the_sex_seen() -> None:
    network, x = build(), picture(1).expand(3, -1, -1, -1)
    logits = network(x, torch.tensor([0, 1, 2]))
    ages, sexes = logits[:, :AGE_CLASSES], logits[:, AGE_CLASSES:]
    assert not torch.allclose(ages[0], ages[1])
    assert not torch.allclose(ages[1], ages[2])
    assert torch.allclose(sexes[0], sexes[1])
    assert torch.allclose(sexes[0], sexes[2])


def test_each_image_is_answered_by_itself() -> None:
    network, x, sex = build(), picture(4), torch.tensor([0, 1, 2, 0])
    alone = torch.cat([network(x[i : i + 1], sex[i : i + 1]) for i in range(4)])
    assert torch.allclose(network(x, sex), alone, atol=1e-5)


@pytest.mark.parametrize("age_class", [0, 1, 38, 76])
def test_expectation_of_certainty_is_the_class_itself(age_class: int) -> None:
    logits = torch.zeros(1, 79)
    logits[0, age_class] = 1e4
    logits[0, AGE_CLASSES:] = 1e5
    mean, deviation = expected_months(logits)
    assert mean.item() == 3 * age_class
    assert deviation.item() == 0
    assert argmax_months(logits).item() == 3 * age_class


def test_expectation_of_two_classes_lies_between_them() -> None:
    logits = torch.full((1, AGE_CLASSES), -1e4)
    logits[0, [40, 44]] = 0.0
    mean, deviation = expected_months(logits)
    assert mean.item() == pytest.approx(126)
    assert deviation.item() == pytest.approx(6)


def test_the_config_survives_the_card() -> None:
    config = TJNetConfig(input_size_px=64, width=0.3, cbam=False)
    assert TJNetConfig(**config.to_dict()) == config
