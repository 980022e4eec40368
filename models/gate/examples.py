"""A batch to learn from: hands and what is none, varied, turned, inverted, and stretched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.gate import drawings, scenes
from models.gate.network import CUT_OFF, HAND, OTHER, TURNS, TWO_HANDS
from models.gate.scenes import Dice, Extents, find_extents
from models.tjnet.augment import AugmentConfig, augment
from models.tjnet.preprocess import LEVELS, PERCENTILES

HANDS_VARIED = AugmentConfig(rotation_deg=42, shift=0.06, zoom=0.14, invert=0.0)
OTHERS_VARIED = AugmentConfig(rotation_deg=15, shift=0.03, zoom=0.08, invert=0.0)
"""What is cut off must stay so, and its edge at the frame's."""

SHARES = {HAND: 0.42, TWO_HANDS: 0.12, CUT_OFF: 0.17}
"""Of a batch; the rest shows something else."""

REAL, PATCHES, TILES, FIRST_DRAWN = (0, 1, 2), 3, 4, 5
"""Eighths of the frames without a hand; the last three are drawn, the first of them as limbs."""

DRAWINGS = (drawings.limbs, drawings.bodies, drawings.textures, drawings.fields)

INFANT_MONTHS, SMALL_MONTHS, INFANT_WEIGHT = 24, 60, 6


@dataclass(frozen=True, slots=True)
class Sources:
    """What examples are made from.

    Attributes
    ----------
    hands : Tensor
        (N, S, S) bytes: whole upright hands, twice the network's input a side.
    others : Tensor
        (M, S, S) bytes: pictures without a hand.
    extents : Extents
        Where the hands lie.
    weight : Tensor
        (N,) how often each hand is drawn, against 1 for a child of school age.
    """

    hands: Tensor
    others: Tensor
    extents: Extents
    weight: Tensor

    @classmethod
    def of(cls, hands: Tensor, others: Tensor, months: Tensor) -> Sources:
        """Return the sources of some frames, the hands with their bone age.

        The hands of infants are few, small and often fists: without more weight they are refused.
        """
        young = INFANT_WEIGHT * (months < INFANT_MONTHS) + (months < SMALL_MONTHS)
        return cls(hands, others, find_extents(hands), 1.0 + young)


@dataclass(frozen=True, slots=True)
class Examples:
    """A batch.

    Attributes
    ----------
    x : Tensor
        (B, 1, S, S) in [0, 1], stretched as `models.tjnet.preprocess.to_input` does.
    kind, turn : Tensor
        (B,) whole numbers: index into `KINDS`, quarter turns that make it upright.
    inverted : Tensor
        (B,) 0 or 1.
    """

    x: Tensor
    kind: Tensor
    turn: Tensor
    inverted: Tensor


def draw_examples(
    sources: Sources, rows: Tensor, size_px: int, generator: torch.Generator
) -> Examples:
    """Return a batch made from the hands ``rows``, one example each.

    Parameters
    ----------
    sources : Sources
        Hands and what is none.
    rows : Tensor
        (B,) rows of the hands.
    size_px : int
        Side of the frames.
    generator : torch.Generator
        Decides everything that is left to chance.
    """
    kind = _kinds(len(rows))
    shares = [rows[kind == k] for k in (HAND, TWO_HANDS, CUT_OFF, OTHER)]
    shown = [
        augment(_hands(sources, shares[0], size_px, generator), HANDS_VARIED, generator),
        _two_hands(sources, shares[1], size_px, generator),
        _cut_off(sources, shares[2], size_px, generator),
        _others(sources, shares[3], size_px, generator),
    ]
    shown[1:] = [augment(x, OTHERS_VARIED, generator) for x in shown[1:]]
    x = torch.cat(shown)
    kind = torch.cat([kind[kind == k] for k in (HAND, TWO_HANDS, CUT_OFF, OTHER)])
    dice = Dice(len(x), generator)
    turn, inverted = dice.below(TURNS), dice.below(2)
    x = torch.where(inverted.bool()[:, None, None, None], 1 - x, x)
    # A fill of 0 in an inverted frame, as where it was turned or framed afterwards.
    framed = torch.where(dice.chance(0.1)[:, None, None, None], _framed(x, dice), x)
    return Examples(stretch(turned(framed, -turn)), kind, turn, inverted)


def _kinds(count: int) -> Tensor:
    """Return (B,) kinds in fixed shares."""
    kind = torch.full((count,), OTHER)
    start = 0
    for index, share in SHARES.items():
        stop = start + round(share * count)
        kind[start:stop] = index
        start = stop
    return kind


def _of(inputs: Tensor, rows: Tensor) -> Tensor:
    return inputs[rows, None].float() / LEVELS


def _hands(sources: Sources, rows: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    dice = Dice(len(rows), generator)
    return scenes.whole(_of(sources.hands, rows), sources.extents.at(rows), size_px, dice)


def _two_hands(sources: Sources, rows: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    return scenes.two_hands(_of(sources.hands, rows), size_px, Dice(len(rows), generator))


def _cut_off(sources: Sources, rows: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    dice = Dice(len(rows), generator)
    return scenes.cut_off(_of(sources.hands, rows), sources.extents.at(rows), size_px, dice)


def _others(sources: Sources, rows: Tensor, size_px: int, generator: torch.Generator) -> Tensor:
    """Return frames without a hand: three in eight real ones where there are any."""
    shares = rows.tensor_split(8)
    parts = []
    for number, share in enumerate(shares):
        if not len(share):
            continue
        dice = Dice(len(share), generator)
        hands = _of(sources.hands, share)
        if number in REAL and len(sources.others):
            real = _of(sources.others, dice.below(len(sources.others)))
            parts.append(scenes.whole_frame(real, size_px, dice))
        elif number == PATCHES:
            parts.append(scenes.patches(hands, size_px, dice))
        elif number == TILES:
            parts.append(scenes.tiles(hands, size_px, dice))
        else:
            draw = DRAWINGS if number > FIRST_DRAWN else DRAWINGS[:1]
            parts.append(draw[int(dice.below(len(draw))[0])](size_px, dice))
    return torch.cat(parts)


def _framed(x: Tensor, dice: Dice) -> Tensor:
    """Return frames made smaller, on black."""
    low_x, low_y = dice.even(-0.2, 0.0), dice.even(-0.2, 0.0)
    box = (low_x, low_y, dice.even(1.0, 1.2), dice.even(1.0, 1.2))
    return scenes.window(x, box, x.shape[-1])


def turned(x: Tensor, turns: Tensor) -> Tensor:
    """Return each frame turned counter-clockwise by its own number of quarters."""
    out = x.clone()
    for quarters in range(1, TURNS):
        some = turns % TURNS == quarters
        out[some] = torch.rot90(x[some], quarters, dims=(2, 3))
    return out


def stretch(x: Tensor) -> Tensor:
    """Return frames stretched between their percentiles, in 256 levels.

    This is the last step of `models.tjnet.preprocess.to_input`, for a batch, nearly.
    """
    # Every third pixel tells the percentiles well enough, and is sorted in a third of the time.
    ordered = x.flatten(1)[:, ::3].sort(dim=1).values
    last = ordered.shape[1] - 1
    low, high = (ordered[:, round(share / 100 * last)] for share in PERCENTILES)
    low, high = low[:, None, None, None], high[:, None, None, None]
    out = ((x - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return torch.where(high > low, (out * LEVELS).round() / LEVELS, torch.zeros_like(out))
