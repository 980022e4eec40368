"""`finetune`: weights trained on with another site's images, some of their blocks frozen."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from models.commands.output import say, tell, write_json
from models.commands.progress import Progress
from models.commands.source import Source, write_weights
from models.commands.train import show, splits_line
from models.tjnet.card import best_row, name_data, read_run
from models.tjnet.cohort import read_cohort
from models.tjnet.dataset import data_hash
from models.tjnet.estimator import choose_device
from models.tjnet.network import expected_months
from models.tjnet.train import Split, Stage, TrainConfig, Variant, predict_split, train
from models.tjnet.weights import Weights, load_weights

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from models.tjnet.cohort import Cohort

FEWEST_VAL = 12
"""The interval is fitted on val, and cross-fitted on four fifths of it, which must be nine."""

DEFAULTS = {
    "epochs": 20,
    "batch_size": 16,
    "learning_rate": 3e-4,
    "precision": "float32",
    "threads": 0,
    "seed": 0,
}
FREEZABLE = {"1", "2", "3", "4"}


def run(args: argparse.Namespace) -> int:
    """Train weights on, then write the new ones and their card into the run's folder."""
    frozen = _frozen_blocks(args.freeze)
    source, weights = Source.of(args), load_weights(args.weights)
    config = _config(args, weights)
    cohort = read_cohort(source.labels, args.val_share)
    about = {
        "weights": weights.version,
        "frozen_blocks": frozen,
        "patience_epochs": args.patience,
    }
    _begin(args.out, about, cohort, resume=args.resume)
    if config.threads:
        torch.set_num_threads(config.threads)
    device = choose_device(args.device)
    source = replace(
        source,
        labels=args.out / "labels.csv",
        terms=_terms(args.terms, source, weights),
        split_rule=cohort.rule,
    )
    before = _val_mad(weights, source, device)
    say(f"{weights.version} has a val MAD of {before:.2f} months")
    _train(config, source, weights, args, device)
    best = best_row(read_run(args.out).curve)["val_mad_months"]
    if best >= before:
        tell(f"no epoch is better on val than {weights.version}, {before:.2f} months: keep that")
    started_from = {
        **about,
        "sha256": weights.sha256,
        "data": weights.card.get("data", {}).get("name"),
        "val_mad_months": round(before, 4),
    }
    name = args.name or args.out.name
    return write_weights(
        args.out, source, name, args.out, device, more={"started_from": started_from}
    )


def _train(
    config: TrainConfig,
    source: Source,
    weights: Weights,
    args: argparse.Namespace,
    device: torch.device,
) -> None:
    """Run or go on with the training, and show its progress."""
    progress = Progress()

    def load(size_px: int) -> tuple[Split, Split]:
        splits = source.split("train", size_px, device), source.split("val", size_px, device)
        progress.keep(splits_line(*splits, size_px, device))
        return splits

    for step in train(
        config,
        load,
        args.out,
        resume=args.resume,
        variant=Variant(
            start=weights.network.state_dict(),
            frozen_blocks=_frozen_blocks(args.freeze),
            patience_epochs=args.patience,
        ),
        on_step=progress.advance,
    ):
        show(step, progress)


def _frozen_blocks(words: str) -> list[int]:
    """Return the numbers in a list like ``1,2,3``; ``none`` is the empty one."""
    parts = [] if words == "none" else [part.strip() for part in words.split(",")]
    if not set(parts) <= FREEZABLE or len(set(parts)) < len(parts):
        msg = f"--freeze takes block numbers from 1 to 4, each once, or none, not {words!r}"
        raise ValueError(msg)
    return sorted(int(part) for part in parts)


def _config(args: argparse.Namespace, weights: Weights) -> TrainConfig:
    """Return the run's config: that of the file, or one made from the options."""
    if args.patience < 1:
        msg = f"--patience must be one epoch at least, not {args.patience}"
        raise ValueError(msg)
    network = weights.network.config
    given = {key: getattr(args, key) for key in DEFAULTS if getattr(args, key) is not None}
    if args.config is not None:
        if given:
            msg = f"--{next(iter(given)).replace('_', '-')} is not taken beside --config"
            raise ValueError(msg)
        config = TrainConfig.read(args.config)
        if config.network != network:
            msg = f"{args.config}: its network is not that of the weights, {network}"
            raise ValueError(msg)
        return config
    values: dict[str, Any] = DEFAULTS | given
    for key in ("epochs", "batch_size", "learning_rate"):
        if values[key] <= 0:
            msg = f"--{key.replace('_', '-')} must be above zero, not {values[key]}"
            raise ValueError(msg)
    stage = Stage(network.input_size_px, values.pop("epochs"))
    return TrainConfig(network=network, stages=(stage,), **values)


def _begin(out: Path, about: dict[str, Any], cohort: Cohort, *, resume: bool) -> None:
    """Write what the run is beside its checkpoint, or compare it with what it was.

    Raises
    ------
    ValueError
        If the folder holds a run that is not to be resumed, or another one.
    """
    stored, labels = out / "finetune.json", out / "labels.csv"
    if (out / "checkpoint.pt").exists():
        if not resume:
            msg = f"{out} holds a run: --resume goes on with it, or choose another --out"
            raise ValueError(msg)
        same = json.loads(stored.read_text(encoding="utf-8")) == about
        if not same or labels.read_text(encoding="utf-8") != cohort.to_csv():
            msg = f"{out} was begun with other weights, frozen blocks, patience or labels"
            raise ValueError(msg)
        return
    out.mkdir(parents=True, exist_ok=True)
    labels.write_text(cohort.to_csv(), encoding="utf-8")
    write_json(stored, about)


def _terms(terms: str | None, source: Source, weights: Weights) -> str:
    """Return the terms of both data: those of the weights bind what is made from them."""
    site = terms or name_data(data_hash(source.data, source.labels), source.data_name).terms
    ours = weights.card.get("terms", "those of the weights it started from")
    return site if site == ours else f"{site}; and, from {weights.version}: {ours}"


def _val_mad(weights: Weights, source: Source, device: torch.device) -> float:
    """Return the val MAD, in months, of the weights to start from.

    Raises
    ------
    ValueError
        If val is too small to fit the interval on, which would be found only at the end.
    """
    split = source.split("val", weights.network.config.input_size_px, device)
    if len(split) < FEWEST_VAL:
        msg = f"{len(split)} images of val are too few: {FEWEST_VAL} are needed"
        raise ValueError(msg)
    months = expected_months(predict_split(weights.network.to(device), split))[0]
    return (months - split.months).abs().mean().item()
