"""`train`: train, then write weights and card into the run's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from models.commands.progress import Progress
from models.commands.source import Source, write_weights
from models.tjnet.estimator import choose_device
from models.tjnet.train import EpochResult, Split, TrainConfig, Variant, train
from models.tjnet.weights import load_weights

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Train, then write weights and card into the run's folder."""
    config = TrainConfig.read(args.config)
    out = args.out or Path("var") / f"train-{args.config.stem}"
    if (out / "checkpoint.pt").exists() and not args.resume:
        msg = f"{out} holds a run: --resume goes on with it, or choose another --out"
        raise ValueError(msg)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.benchmark = True  # every batch has the form of the one before
    progress = Progress()
    device, source = choose_device(args.device), Source.of(args)
    start = load_weights(args.start) if args.start else None

    def load(size_px: int) -> tuple[Split, Split]:
        splits = source.split("train", size_px, device), source.split("val", size_px, device)
        progress.keep(splits_line(*splits, size_px, device))
        return splits

    steps = train(
        config,
        load,
        out,
        resume=args.resume,
        variant=Variant(start.network.state_dict() if start else None, compiled=args.compile),
        on_step=progress.advance,
    )
    for step in steps:
        show(step, progress)
    name = args.name or f"tjnet-{args.config.stem}"
    more = {"started_from": {"weights": start.version, "sha256": start.sha256}} if start else {}
    return write_weights(out, source, name, out, device, more=more)


def show(step: EpochResult | str, progress: Progress) -> None:
    """Show an epoch's result for good, another line in passing."""
    if isinstance(step, EpochResult):
        progress.keep(epoch_line(step))
    else:
        progress.pass_by(step)


def splits_line(to_train: Split, to_validate: Split, size_px: int, device: torch.device) -> str:
    """Return what a stage trains on, in words."""
    return (
        f"{len(to_train)} images to train on, {len(to_validate)} to validate, {size_px} px, "
        f"on {device}"
    )


def epoch_line(result: EpochResult) -> str:
    """Return an epoch's result in words."""
    return (
        f"epoch {result.epoch} done in {result.seconds:.0f} s: loss {result.loss:.3f}, "
        f"val MAD {result.val_mad_months:.2f} months, sex accuracy {result.val_sex_accuracy:.3f}"
    )
