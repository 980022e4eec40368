"""The gate's network: what a frame shows, how it lies, and whether black and white are swapped."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.tjnet.network import conv

HAND, OTHER, TWO_HANDS, CUT_OFF = range(4)
KINDS = ("hand", "other", "two hands", "cut off")
"""What a frame can show."""

TURNS = 4
"""Quarter turns counter-clockwise that make a hand upright."""

INVERTED = len(KINDS) + TURNS
"""Column of the logit of inverted grey levels, the last."""


@dataclass(frozen=True, slots=True)
class GateConfig:
    """What the shape of the gate's network depends on; it is stored with the weights.

    Attributes
    ----------
    input_size_px : int
        Side of the square input.
    widths : tuple of int
        Channels of the stages; each halves the side.
    hidden : int
        Width of the layer that sees all places at once.
    """

    input_size_px: int = 64
    widths: tuple[int, ...] = (16, 32, 56, 80)
    hidden: int = 64

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for the weights card."""
        return {**asdict(self), "widths": list(self.widths)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GateConfig:
        """Return the config that a card holds.

        Raises
        ------
        TypeError
            If a key is unknown.
        """
        return cls(**{**values, "widths": tuple(values["widths"])})


class GateNetwork(nn.Module):
    """``forward(x)`` takes (B, 1, S, S) pixels in [0, 1] and returns (B, 9) logits.

    Four kinds, four quarter turns, and one for inverted grey levels. Places are kept to the end:
    whether fingers are cut off depends on where the hand lies.
    """

    def __init__(self, config: GateConfig) -> None:
        super().__init__()
        self.config = config
        stages, channels, side = [], 1, config.input_size_px
        for width in config.widths:
            stages += [conv(channels, width, stride=2), conv(width, width)]
            channels, side = width, (side + 1) // 2
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(channels * side * side, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, INVERTED + 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 9) logits."""
        out: Tensor = self.head(self.features(x))
        return out


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the network says of a batch.

    Attributes
    ----------
    kind : Tensor
        (B, 4) probabilities of `KINDS`.
    turn : Tensor
        (B, 4) probabilities of quarter turns counter-clockwise that make the hand upright.
    inverted : Tensor
        (B,) probability that bone is dark.
    """

    kind: Tensor
    turn: Tensor
    inverted: Tensor


def opinion(logits: Tensor) -> Opinion:
    """Return (B, 9) logits as probabilities."""
    kind = logits[:, : len(KINDS)].softmax(dim=1)
    turn = logits[:, len(KINDS) : INVERTED].softmax(dim=1)
    return Opinion(kind, turn, torch.sigmoid(logits[:, INVERTED]))
