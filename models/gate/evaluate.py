"""How often the gate is wrong: on hands as they are, turned and inverted, and on what is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.gate import scenes
from models.gate.checks import refusal_of
from models.gate.examples import stretch, turned
from models.gate.look import QUARTER_DEG, Look, judge
from models.gate.network import TURNS, GateNetwork, Opinion, opinion
from models.gate.scenes import Dice
from models.tjnet.preprocess import LEVELS
from models.tjnet.views import turned_about

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.gate.weights import Thresholds

BATCH = 256
SEED = 1
ROTATIONS_DEG = (-40, -20, 20, 40)


@torch.no_grad()
def opinion_of(network: GateNetwork, x: Tensor) -> Opinion:
    """Return the network's opinion of (N, 1, S, S) frames in [0, 1]."""
    return opinion(
        torch.cat([network(x[start : start + BATCH]) for start in range(0, len(x), BATCH)])
    )


def looks_at(network: GateNetwork, thresholds: Thresholds, x: Tensor) -> list[Look]:
    """Return the gate's looks at (N, 1, S, S) frames in [0, 1].

    The check of the size is left out: frames come squashed.
    """
    seen = opinion_of(network, x)
    levels = (x[:, 0] * LEVELS).round().byte().numpy()
    looks = []
    for row, frame in enumerate(levels):
        plain = refusal_of(frame.repeat(2, axis=0).repeat(2, axis=1), frame)
        looks.append(judge(seen, row, thresholds, plain))
    return looks


def measure_hands(
    network: GateNetwork, thresholds: Thresholds, inputs: Tensor
) -> dict[str, dict[str, Any]]:
    """Return what the gate says of whole upright hands, as they are and changed.

    Parameters
    ----------
    network, thresholds
        The gate.
    inputs : Tensor
        (N, S, S) bytes.
    """
    x = inputs[:, None].float() / LEVELS
    quarters = {
        f"turned_{QUARTER_DEG * k}_deg": (turned(x, torch.full((len(x),), -k)), k, False)
        for k in range(1, TURNS)
    }
    leaning = {
        f"rotated_{angle:+d}_deg": (stretch(turned_about(x, angle)), 0, False)
        for angle in ROTATIONS_DEG
    }
    cases: dict[str, tuple[Tensor, int, bool]] = {
        "as_they_are": (x, 0, False),
        "inverted": (1 - x, 0, True),
        **quarters,
        "turned_90_deg_inverted": (1 - turned(x, torch.full((len(x),), -1)), 1, True),
        "mirrored": (x.flip(3), 0, False),
        **leaning,
    }
    return {
        name: _rates(looks_at(network, thresholds, frames), quarter * QUARTER_DEG, inverted)
        for name, (frames, quarter, inverted) in cases.items()
    }


def _rates(looks: Sequence[Look], turned_deg: int, inverted: bool) -> dict[str, Any]:
    """Return how often the looks are right."""
    count = len(looks)
    return {
        **_refusals(looks),
        "share_turn_right": _share(sum(look.turned_deg == turned_deg for look in looks), count),
        "share_greys_right": _share(sum(look.inverted == inverted for look in looks), count),
    }


def measure_others(
    network: GateNetwork, thresholds: Thresholds, names: Sequence[str], inputs: Tensor
) -> dict[str, Any]:
    """Return how many pictures without a hand are refused, and which are not.

    Parameters
    ----------
    network, thresholds
        The gate.
    names : sequence of str
        Of the pictures.
    inputs : Tensor
        (M, S, S) bytes.
    """
    looks = looks_at(network, thresholds, inputs[:, None].float() / LEVELS) if names else []
    accepted = [name for name, look in zip(names, looks, strict=True) if look.refusal is None]
    return {
        "n": len(names),
        "n_refused": len(names) - len(accepted),
        "accepted": accepted,
        "largest_hand_probability": max((look.hand_probability for look in looks), default=None),
    }


def measure_made(
    network: GateNetwork, thresholds: Thresholds, large: Tensor
) -> dict[str, dict[str, Any]]:
    """Return how many frames made from hands, which must be refused, are refused.

    Parameters
    ----------
    network, thresholds
        The gate.
    large : Tensor
        (N, 2 S, 2 S) bytes: whole hands.
    """
    size_px = network.config.input_size_px
    dice = Dice(len(large), torch.Generator().manual_seed(SEED))
    x, extents = large[:, None].float() / LEVELS, scenes.find_extents(large)
    made = {
        "two_hands": scenes.two_hands(x, size_px, dice),
        "cut_off": scenes.cut_off(x, extents, size_px, dice),
        "patches": scenes.patches(x, size_px, dice),
        "tiles": scenes.tiles(x, size_px, dice),
    }
    return {
        name: _refusals(looks_at(network, thresholds, stretch(frames)))
        for name, frames in made.items()
    }


def _refusals(looks: Sequence[Look]) -> dict[str, Any]:
    """Return how many looks refuse."""
    refused = sum(look.refusal is not None for look in looks)
    return {
        "n": len(looks),
        "n_refused": refused,
        "share_refused": _share(refused, len(looks)),
    }


def _share(count: int, of: int) -> float:
    return round(count / max(of, 1), 4)
