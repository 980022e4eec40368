"""The gate: what a picture shows, how it lies, and why it must not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from models.gate.checks import refusal_of
from models.gate.network import CUT_OFF, HAND, OTHER, TWO_HANDS, opinion
from models.gate.weights import SHIPPED, GateWeights, Thresholds, load_gate_weights
from models.tjnet.preprocess import to_input

if TYPE_CHECKING:
    from pathlib import Path

    from models.gate.network import Opinion

REFUSALS = {
    OTHER: "the image shows no hand",
    TWO_HANDS: "the image shows two hands",
    CUT_OFF: "fingers or a part of the hand are cut off",
}
QUARTER_DEG = 90


@dataclass(frozen=True, slots=True)
class Look:
    """What the gate sees in a picture.

    Attributes
    ----------
    refusal : str or None
        Why it must not be read, in words for a person; None where it may be.
    turned_deg : int
        By how much it must be turned counter-clockwise to stand upright: 0, 90, 180 or 270.
    inverted : bool
        Whether black and white must be turned round: bone is dark.
    hand_probability : float
        That the picture shows one whole hand.
    """

    refusal: str | None
    turned_deg: int
    inverted: bool
    hand_probability: float

    def righted(self, picture: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return the picture upright, bone bright; the same array where nothing is to be done."""
        upright = np.rot90(picture, self.turned_deg // QUARTER_DEG) if self.turned_deg else picture
        if not self.inverted:
            return upright
        bright = np.asarray(upright, dtype=np.float32)
        turned_round: npt.NDArray[np.float32] = bright.max() + bright.min() - bright
        return turned_round

    def laid_back(self, heatmap: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return a map over the righted picture as one over the picture as it came."""
        return np.ascontiguousarray(np.rot90(heatmap, -self.turned_deg // QUARTER_DEG))


class Gate:
    """The checks and the network, ready to look; small, and always on the CPU.

    Parameters
    ----------
    weights : Path
        A safetensors file with its card; the shipped one unless told otherwise.

    Raises
    ------
    WeightsError
        If the weights cannot be loaded.
    """

    def __init__(self, weights: Path = SHIPPED) -> None:
        self.weights: GateWeights = load_gate_weights(weights)
        for parameter in self.weights.network.parameters():
            parameter.requires_grad = False

    def look(self, picture: npt.NDArray[np.generic]) -> Look:
        """Look at a picture.

        Parameters
        ----------
        picture : ndarray
            (H, W), any real type and range.

        Raises
        ------
        ValueError
            If the picture is not two-dimensional, is empty, or is not finite.
        """
        network = self.weights.network
        levels = to_input(picture, network.config.input_size_px)
        with torch.no_grad():
            seen = opinion(network(torch.from_numpy(levels)[None, None].float() / 255))
        return judge(seen, 0, self.weights.thresholds, refusal_of(picture, levels))


def judge(seen: Opinion, row: int, thresholds: Thresholds, refusal: str | None = None) -> Look:
    """Return what one row of the network's opinion comes to.

    Parameters
    ----------
    seen : Opinion
        Of a batch.
    row : int
        Which of it.
    thresholds : Thresholds
        How sure the network must be.
    refusal : str, optional
        Why the picture is refused whatever the network says.
    """
    hand = seen.kind[row, HAND].item()
    if refusal is None and hand < thresholds.hand:
        refusal = REFUSALS[int(seen.kind[row, 1:].argmax()) + 1]
    # An upright hand turned by mistake costs more than a turned one left as it is.
    quarters = int(seen.turn[row].argmax())
    is_turned = quarters != 0 and seen.turn[row, quarters].item() >= thresholds.turn
    return Look(
        refusal=refusal,
        turned_deg=QUARTER_DEG * quarters if is_turned else 0,
        inverted=seen.inverted[row].item() >= thresholds.inverted,
        hand_probability=hand,
    )


def look_plainly(picture: npt.NDArray[np.generic], levels: npt.NDArray[np.uint8]) -> Look:
    """Return what the plain checks say, where there is no network to look."""
    return Look(refusal_of(picture, levels), 0, inverted=False, hand_probability=float("nan"))
