"""`bundle`: a MONAI bundle from weights and their card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.commands.output import DONE, say
from models.tjnet.bundle import write_bundle
from models.tjnet.weights import load_weights

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Write the bundle's folder."""
    weights = load_weights(args.weights)
    write_bundle(weights, args.to)
    say(f"{args.to}: a MONAI bundle of {weights.version}")
    return DONE
