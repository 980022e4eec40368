"""`export`: weights and card from a run's folder, finished or interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.commands.source import Source, write_weights
from models.tjnet.estimator import choose_device

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Make weights and card from a run's folder."""
    more = {"note": args.note} if args.note else {}
    device = choose_device(args.device)
    return write_weights(args.run, Source.of(args), args.name, args.to, device, more=more)
