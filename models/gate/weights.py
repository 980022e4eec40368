"""The gate's weights on disk: safetensors, and a JSON card beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from models.gate.network import GateConfig, GateNetwork
from models.tjnet.weights import WeightsError

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
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if card["sha256"] != digest:
            msg = f"{path}: the card speaks of other weights (sha256 {card['sha256'][:12]}…)"
            raise WeightsError(msg)
        network = GateNetwork(GateConfig.from_dict(card["network"]))
        network.load_state_dict(load_file(path))
        thresholds = Thresholds(**card["thresholds"])
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        msg = f"{path}: cannot be loaded: {type(error).__name__}: {error}"
        raise WeightsError(msg) from error
    return GateWeights(network.eval(), thresholds, card)
