"""`evaluate-gate`: how often the gate is wrong on hands and on pictures without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from models.commands.output import DONE, say, write_json
from models.gate.card import Proof, measure
from models.gate.material import OVERSAMPLED, load_others
from models.gate.weights import SHIPPED, load_gate_weights
from models.tjnet.train import load_split

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Measure the gate and write the figures."""
    weights = load_gate_weights(args.weights or SHIPPED)
    side = weights.network.config.input_size_px
    large, small = (
        load_split(args.data, args.labels, args.split, size_px, args.cache).inputs
        for size_px in (OVERSAMPLED * side, side)
    )
    others = load_others(args.others, (), side)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    everything = torch.ones(len(others.names), dtype=torch.bool)
    found = measure(weights.network, weights.thresholds, Proof(large, small, others), everything)
    write_json(args.json, {**found, "split": args.split, "weights": weights.card["sha256"]})
    hands = found["hands"]["as_they_are"]
    say(
        f"refused: {hands['n_refused']} of {hands['n']} hands, "
        f"{found['others']['n_refused']} of {found['others']['n']} pictures without one; "
        f"inverted greys recognised: {found['hands']['inverted']['share_greys_right']:.2%}"
    )
    return DONE
