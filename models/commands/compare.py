"""`compare`: train and score TJ-Net, its ablations and other networks at an equal budget."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from models.baselines import MissingPackageError
from models.commands.output import DONE, say, tell, write_json
from models.commands.source import Source
from models.commands.train import epoch_line
from models.tjnet.boxes import read_boxes
from models.tjnet.card import code_version
from models.tjnet.compare import CONTENDERS, Boxed, Contender, Result, choose, finished, score
from models.tjnet.compare_report import rows, table
from models.tjnet.dataset import load_inputs, read_labels
from models.tjnet.estimator import choose_device
from models.tjnet.train import Split, TrainConfig, Variant, train

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

SECONDS_A_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Plan:
    """What all contenders share: config, splits, folder, pictures with boxes, and the end."""

    config: TrainConfig
    splits: tuple[Split, Split]
    out: Path
    boxed: list[Boxed]
    until: float

    def out_of_time(self) -> bool:
        """Return whether the minutes given are over."""
        return time.monotonic() > self.until


def run(args: argparse.Namespace) -> int:
    """Train what time allows, score all that is trained, write the figures and the table."""
    chosen = choose(args.only)
    plan = _plan(args)
    results: dict[str, Result] = {}
    why_not: dict[str, str] = {}

    def write() -> None:
        comparison = _comparison(plan, rows(results, why_not))
        write_json(args.json, comparison)
        args.report.parent.mkdir(parents=True, exist_ok=True)
        args.report.write_text(table(comparison), encoding="utf-8")

    for contender in CONTENDERS:
        reason = _train(contender, plan) if contender in chosen else "not asked for"
        if finished(plan.out / contender.name, contender.config(plan.config)):
            results[contender.name] = _scored(contender, plan)
        else:
            why_not[contender.name] = contender.why_not or reason
            tell(f"{contender.name}: not run: {why_not[contender.name]}")
        write()  # after each: whatever ends the command, the finished ones are kept
    return DONE


def _plan(args: argparse.Namespace) -> Plan:
    """Read what all contenders share."""
    config = TrainConfig.read(args.config)
    if len(config.stages) > 1:
        msg = f"{args.config}: compare trains on frames of one size: one stage"
        raise ValueError(msg)
    if config.threads:
        torch.set_num_threads(config.threads)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    minutes = math.inf if args.minutes is None else args.minutes
    until = time.monotonic() + minutes * SECONDS_A_MINUTE
    device, source = choose_device(args.device), Source.of(args)
    size_px = config.network.input_size_px
    splits = source.split("train", size_px, device), source.split("val", size_px, device)
    boxed = _boxed(args.rois, source, size_px) if args.rois else []
    say(f"{len(splits[0])} images to train on, {len(splits[1])} to validate, on {device}")
    return Plan(config, splits, args.out, boxed, until)


def _boxed(rois: Path, source: Source, size_px: int) -> list[Boxed]:
    """Return the pictures with boxes as the network takes them.

    Raises
    ------
    ValueError
        If a picture with boxes is not in the data.
    """
    boxes = read_boxes(rois)
    index, inputs = load_inputs(source.data, size_px, source.cache)
    sexes = {label.id: label.sex for label in read_labels(source.labels)}
    absent = sorted(set(boxes) - set(index))
    if absent:
        msg = f"{rois}: {len(absent)} of {len(boxes)} pictures are absent, {absent[0]} among them"
        raise ValueError(msg)
    return [
        Boxed(torch.from_numpy(inputs[index[name]]), sexes.get(name, "unknown"), found)
        for name, found in boxes.items()
    ]


def _train(contender: Contender, plan: Plan) -> str:
    """Train a contender or go on with it; return why it may not be finished, or nothing."""
    if contender.make_network is None:
        return contender.why_not
    folder = plan.out / contender.name
    if plan.out_of_time():
        return "no time was left"

    def load(_: int) -> tuple[Split, Split]:
        return plan.splits

    config, variant = contender.config(plan.config), Variant(make_network=contender.make_network)
    try:
        steps = train(config, load, folder, resume=True, variant=variant)
        for step in steps:
            line = step if isinstance(step, str) else epoch_line(step)
            say(f"{contender.name}: {line}")
            if plan.out_of_time():  # what is yielded is saved: the next call goes on from there
                return "no time was left to finish it"
    except MissingPackageError as error:
        return str(error)
    return ""


def _scored(contender: Contender, plan: Plan) -> Result:
    """Score a trained contender and say how it did."""
    result = score(contender, plan.out / contender.name, plan.splits[1], plan.boxed)
    low, high = result.summary["confidence_95"]["mad_months"]
    say(
        f"{contender.name}: MAD {result.summary['mad_months']:.2f} months "
        f"(95 % interval {low:.2f} to {high:.2f})"
    )
    return result


def _comparison(plan: Plan, contenders: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the JSON holds."""
    return {
        "config": asdict(plan.config),
        "n_train": len(plan.splits[0]),
        "n_val": len(plan.splits[1]),
        "pictures_with_boxes": len(plan.boxed),
        "code": code_version(),
        "contenders": contenders,
    }
