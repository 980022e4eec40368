"""The gate's card: how it was made, and how often it was wrong on what it had not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import torch

from models.gate.evaluate import measure_hands, measure_made, measure_others, opinion_of
from models.gate.network import HAND, GateNetwork
from models.gate.weights import Thresholds
from models.tjnet.card import code_version
from models.tjnet.preprocess import DESCRIPTION, LEVELS
from models.tjnet.weights import rounded_state

if TYPE_CHECKING:
    from torch import Tensor

    from models.gate.material import Others
    from models.gate.train import GateTraining

SURE_HAND, SURE_TURN, SURE_INVERTED = 0.5, 0.95, 0.5
"""An upright hand that leans by 40 degrees must not be turned: that asks for the most certainty."""

MOST_REFUSED_SHARE = 0.003
"""Of the val split: the threshold on the hand's probability is lowered until no more are."""

FITTED = (
    f"hand: {SURE_HAND}, or lower so that at most {MOST_REFUSED_SHARE:.1%} of the val split are "
    "refused; the others are fixed"
)
HELD_OUT = (
    "a rehearsal that saw neither the val split, nor half of the common pictures without a hand "
    "(by a hash of the name), nor any of the rare ones, which alone are counted; its threshold on "
    "the hand's probability was fitted on the val split; the check of the size is left out"
)
SHIPPED_ON = (
    "the shipped gate, the rehearsal trained on with all pictures without a hand, but not with the "
    "val split"
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What the gate is measured on, none of it learnt from by the rehearsal.

    Attributes
    ----------
    large, small : Tensor
        (N, S, S) bytes: the val split at the side to learn from and at the network's.
    others : Others
        Pictures without a hand.
    """

    large: Tensor
    small: Tensor
    others: Others


def as_stored(network: GateNetwork) -> GateNetwork:
    """Return a network as it will be read back, in evaluation mode."""
    stored = GateNetwork(network.config)
    stored.load_state_dict(rounded_state(network.state_dict()))
    return stored.eval()


def fit_thresholds(network: GateNetwork, small: Tensor) -> Thresholds:
    """Return how sure the network must be, see `FITTED`.

    Parameters
    ----------
    network : GateNetwork
        The gate's network.
    small : Tensor
        (N, S, S) bytes: the val split.
    """
    hand = opinion_of(network, small[:, None].float() / LEVELS).kind[:, HAND]
    lowest = hand.sort().values[int(MOST_REFUSED_SHARE * len(hand))].item()
    return Thresholds(hand=min(SURE_HAND, lowest), turn=SURE_TURN, inverted=SURE_INVERTED)


def measure(
    network: GateNetwork, thresholds: Thresholds, proof: Proof, rows: Tensor
) -> dict[str, Any]:
    """Return all figures of one network.

    Parameters
    ----------
    network, thresholds
        The gate.
    proof : Proof
        What it is measured on.
    rows : Tensor
        (M,) which of the pictures without a hand are meant.
    """
    names = [name for name, is_meant in zip(proof.others.names, rows, strict=True) if is_meant]
    return {
        "hands": measure_hands(network, thresholds, proof.small),
        "made_from_hands": measure_made(network, thresholds, proof.large),
        "others": measure_others(network, thresholds, names, proof.others.small[rows]),
    }


def make_gate_card(
    name: str,
    config: GateTraining,
    gate: tuple[GateNetwork, Thresholds],
    rehearsal: GateNetwork,
    proof: Proof,
) -> dict[str, Any]:
    """Return the card of the gate, measured; data and terms are the caller's to add.

    Parameters
    ----------
    name : str
        Of the weights.
    config : GateTraining
        How both networks were trained.
    gate : tuple
        The network that ships, as it is stored, with its thresholds.
    rehearsal : GateNetwork
        The training without what is held out.
    proof : Proof
        What both are measured on.
    """
    held_out = proof.others.is_held_out
    everything = torch.ones_like(held_out)
    return {
        "name": name,
        "network": config.network.to_dict(),
        "preprocessing": DESCRIPTION,
        "thresholds": asdict(gate[1]),
        "thresholds_fitted": FITTED,
        "measured": {
            "held_out": {
                "on": HELD_OUT,
                **measure(rehearsal, fit_thresholds(rehearsal, proof.small), proof, held_out),
            },
            "shipped": {"on": SHIPPED_ON, **measure(*gate, proof, everything)},
        },
        "training": asdict(config),
        "seed": config.seed,
        "code": code_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
