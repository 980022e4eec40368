"""`evaluate`: score every labelled picture and write the errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.commands.output import DONE, say, with_progress, write_json
from models.tjnet.dataset import read_labels
from models.tjnet.estimator import Estimator
from models.tjnet.evaluate import score_pictures, summarise

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Score every labelled picture and write the errors."""
    labels = read_labels(args.labels, args.split)
    if not labels:
        msg = f"{args.labels}: no row" + (f" of split {args.split!r}" if args.split else "")
        raise ValueError(msg)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    estimator = Estimator(args.weights, args.device, gate=None if args.no_gate else "shipped")
    found = score_pictures(estimator, args.data, labels, hide_sex=args.hide_sex)
    summary = summarise(list(with_progress(found, len(labels))))
    about = {
        "weights": estimator.weights.version,
        "split": args.split,
        "sex_hidden": args.hide_sex,
    }
    write_json(args.json, {**summary, **about})
    low, high = summary["confidence_95"]["mad_months"]
    say(
        f"{summary['n']} pictures, {summary['n_refused']} of them refused: "
        f"MAD {summary['mad_months']:.2f} months (95 % interval {low:.2f} to {high:.2f}), "
        f"bias {summary['bias_months']:+.2f}"
    )
    return DONE
