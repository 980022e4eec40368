"""`train-gate`: train the gate before the network, and its rehearsal, and write both's figures."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from models.commands.output import DONE, say, tell
from models.commands.source import Source
from models.gate.card import Proof, as_stored, fit_thresholds, make_gate_card
from models.gate.examples import Sources
from models.gate.material import OVERSAMPLED, load_others
from models.gate.train import GateTraining, train_gate
from models.tjnet.card import name_data
from models.tjnet.dataset import data_hash
from models.tjnet.weights import save_weights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

PROGRESS_EVERY = 50


def run(args: argparse.Namespace) -> int:
    """Train on all but the held out, then on all, and write the gate with its card."""
    torch.set_num_threads(args.threads)
    source = Source.of(args)
    config = GateTraining(steps=args.steps, more_steps=args.more_steps, seed=args.seed)
    side = config.network.input_size_px
    others = load_others(args.others, args.rare, side)
    cpu = torch.device("cpu")
    hands = source.split("train", OVERSAMPLED * side, cpu)
    large, small = (source.split("val", px, cpu).inputs for px in (OVERSAMPLED * side, side))
    proof = Proof(large, small, others)
    say(
        f"{len(hands)} hands and {len(others.names)} pictures without one to learn from; "
        f"{len(proof.small)} hands and {int(others.is_held_out.sum())} others held out"
    )
    sources = Sources.of(hands.inputs, others.large[~others.is_held_out], hands.months)
    rehearsal = train_gate(config, sources, _teller("rehearsal", config.steps))
    everything = replace(sources, others=others.large)
    trained = train_gate(config, everything, _teller("gate", config.more_steps), rehearsal)
    network = as_stored(trained)
    thresholds = fit_thresholds(network, proof.small)
    card = make_gate_card(args.name, config, (network, thresholds), rehearsal, proof)
    digest = data_hash(source.data, source.labels)
    named = name_data(digest, source.data_name)
    card["data"] = {
        "name": named.name,
        "sha256": digest,
        "n_train": len(hands),
        "n_val": len(proof.small),
        "others": sorted({name.split("/")[0] for name in others.names}),
        "n_others": len(others.names),
    }
    card["terms"] = f"{named.terms}; the other pictures: those they were published under"
    path = args.to / f"{args.name}.safetensors"
    save_weights(path, network.state_dict(), card)
    held_out, shipped = (card["measured"][key] for key in ("held_out", "shipped"))
    say(
        f"{path}: refuses {shipped['hands']['as_they_are']['share_refused']:.2%} of val and "
        f"{held_out['others']['n_refused']} of {held_out['others']['n']} held out others"
    )
    return DONE


def _teller(name: str, steps: int) -> Callable[[int, float], None]:
    began, losses = time.monotonic(), [0.0]

    def tell_step(step: int, loss: float) -> None:
        losses.append(loss)
        if step % PROGRESS_EVERY == 0 or step == steps:
            mean = sum(losses[-PROGRESS_EVERY:]) / len(losses[-PROGRESS_EVERY:])
            tell(f"{name} {step}/{steps} loss {mean:.3f}, {time.monotonic() - began:.0f} s")

    return tell_step
