"""The gate's weights on disk: safetensors, and a JSON card beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.gate.network import GateConfig, GateNetwork
from models.tjnet.weights import read_with_card

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).parent / "weights" / "gate.safetensors"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How sure the network must be.

    Attributes
    ----------
    hand : float
        A frame whose probability of one whole hand is below this is refused.
    turn : float
        A frame is turned where the probability of another quarter turn is at least this.
    inverted : float
        Black and white are turned round where the probability is at least this.
    """

    hand: float
    turn: float
    inverted: float


@dataclass(frozen=True, slots=True)
class GateWeights:
    """The gate's network with its card.

    Attributes
    ----------
    network : GateNetwork
        In evaluation mode, on the CPU.
    thresholds : Thresholds
        From the card.
    card : dict
        What the JSON beside the weights holds.
    """

    network: GateNetwork
    thresholds: Thresholds
    card: dict[str, Any]


def load_gate_weights(path: Path = SHIPPED) -> GateWeights:
    """Load the gate's network; the shipped one unless told otherwise.

    Raises
    ------
    WeightsError
        If the file or its card is missing, unreadable, or the hash in the card differs.
    """

    def make(card: dict[str, Any], state: dict[str, Tensor]) -> GateWeights:
        network = GateNetwork(GateConfig.from_dict(card["network"]))
        network.load_state_dict(state)
        return GateWeights(network.eval(), Thresholds(**card["thresholds"]), card)

    return read_with_card(path, make)
