"""What each command of `models.cli` does."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from models.tjnet.boxes import measure_heatmaps, read_boxes, summarise_overlaps
from models.tjnet.card import Origin, make_card, name_data, read_run
from models.tjnet.dataset import data_hash, decode_picture, read_labels
from models.tjnet.estimator import Estimator, choose_device
from models.tjnet.evaluate import score_pictures, summarise
from models.tjnet.train import EpochResult, Split, TrainConfig, load_split, train
from models.tjnet.weights import WeightsError, save_weights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from models.estimate import Estimate

T = TypeVar("T")
DONE, BAD_INPUT, REFUSED, INTERRUPTED = 0, 2, 3, 130
PROGRESS_EVERY = 100
LARGEST_SHIPPED_BYTES = 16 * 1024 * 1024


def run(args: argparse.Namespace) -> int:
    """Run a parsed command; bad input becomes one line on stderr and exit code 2."""
    try:
        return COMMANDS[args.command](args)
    except (OSError, ValueError, WeightsError) as error:
        _tell(f"{args.command}: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        _tell(f"{args.command}: interrupted")
        return INTERRUPTED


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True, slots=True)
class Source:
    """Training data as the options name them."""

    data: Path
    labels: Path
    cache: Path
    data_name: str | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Source:
        """Return the source; the labels lie beside the data unless said otherwise."""
        folder = args.data if args.data.is_dir() else args.data.parent
        return cls(args.data, args.labels or folder / "labels.csv", args.cache, args.data_name)

    def split(self, name: str, size_px: int, device: torch.device) -> Split:
        """Return one split on a device."""
        return load_split(self.data, self.labels, name, size_px, self.cache).to(device)


def train_command(args: argparse.Namespace) -> int:
    """Train, then write weights and card into the run's folder."""
    config = TrainConfig.read(args.config)
    out = args.out or Path("var") / f"train-{args.config.stem}"
    if (out / "checkpoint.pt").exists() and not args.resume:
        msg = f"{out} holds a run: --resume goes on with it, or choose another --out"
        raise ValueError(msg)
    if config.threads:
        torch.set_num_threads(config.threads)
    device, source = choose_device(args.device), Source.of(args)
    size_px = config.network.input_size_px
    train_split = source.split("train", size_px, device)
    val_split = source.split("val", size_px, device)
    _say(f"{len(train_split)} images to train on, {len(val_split)} to validate, on {device}")
    for step in train(config, train_split, val_split, out, resume=args.resume):
        _say(_epoch_line(step) if isinstance(step, EpochResult) else step)
    name = args.name or f"tjnet-{args.config.stem}"
    return _export(out, source, name, out, device)


def _epoch_line(result: EpochResult) -> str:
    return (
        f"epoch {result.epoch} done in {result.seconds:.0f} s: loss {result.loss:.3f}, "
        f"val MAD {result.val_mad_months:.2f} months, sex accuracy {result.val_sex_accuracy:.3f}"
    )


def export_command(args: argparse.Namespace) -> int:
    """Make weights and card from a run's folder."""
    return _export(args.run, Source.of(args), args.name, args.to, choose_device(args.device))


def _export(folder: Path, source: Source, name: str, to: Path, device: torch.device) -> int:
    """Measure a run's best weights on val and write them with their card."""
    run_ = read_run(folder)
    size_px = run_.network_config.input_size_px
    val_split = source.split("val", size_px, device)
    digest = data_hash(source.data, source.labels)
    origin = Origin(
        sha256=digest,
        n_train=len(source.split("train", size_px, torch.device("cpu"))),
        n_val=len(val_split),
        terms=name_data(digest, source.data_name),
    )
    card = make_card(name, run_, origin, val_split)
    path = to / f"{name}.safetensors"
    save_weights(path, run_.state, card)
    measured = card["measured"]
    _say(
        f"{path}: val MAD {measured['mad_months']:.2f} months, "
        f"{measured['interval_coverage']:.1%} in the 90 % interval, epoch {card['best_epoch']} "
        f"of {card['epochs_done']}"
    )
    if path.stat().st_size > LARGEST_SHIPPED_BYTES:
        _tell(f"{path}: larger than 16 MiB, too large to ship")
    return DONE


def predict_command(args: argparse.Namespace) -> int:
    """Print a line for each picture; unreadable ones do not keep back the others."""
    estimator = Estimator(args.weights, args.device)
    codes = set()
    for picture in args.pictures:
        answer, code = _answer(estimator, picture, args.sex)
        codes.add(code)
        _say(json.dumps(answer) if args.json else _answer_line(answer, args.sex))
    return next(code for code in (BAD_INPUT, REFUSED, DONE) if code in codes)


def _answer(estimator: Estimator, picture: str, sex: str) -> tuple[dict[str, Any], int]:
    """Return the object of one picture and its exit code."""
    try:
        estimate, refusal = estimator.assess(decode_picture(Path(picture)), sex)
    except ValueError as error:
        return _object(picture, f"cannot be read: {error}", None), BAD_INPUT
    if refusal is not None:
        return _object(picture, refusal, None), REFUSED
    return _object(picture, None, estimate), DONE


def _object(picture: str, reason: str | None, estimate: Estimate | None) -> dict[str, Any]:
    """Return what ``--json`` prints; null where not answered."""
    keys = ("bone_age_months", "sd_months", "interval_months", "by_sex", "sex_seen")
    given = {key: getattr(estimate, key, None) for key in (*keys, "sex_probability")}
    return {"file": picture, "accepted": estimate is not None, "reason": reason, **given}


def _answer_line(answer: dict[str, Any], sex: str) -> str:
    """Return an object as a line for a person."""
    if not answer["accepted"]:
        return f"{answer['file']}: no estimate: {answer['reason']}"
    low, high = answer["interval_months"]
    years, months = divmod(round(answer["bone_age_months"]), 12)
    by_sex = answer["by_sex"]
    other = f" (as M {by_sex['M']:.1f}, as F {by_sex['F']:.1f})" if by_sex else ""
    return (
        f"{answer['file']}: bone age {years} y {months} m, {answer['bone_age_months']:.1f} months"
        f"{other}, 90 % interval {low:.1f} to {high:.1f}; recorded sex {sex}, "
        f"looks {answer['sex_seen']} ({answer['sex_probability']:.2f})"
    )


def evaluate_command(args: argparse.Namespace) -> int:
    """Score every labelled picture and write the errors."""
    labels = read_labels(args.labels, args.split)
    if not labels:
        msg = f"{args.labels}: no row" + (f" of split {args.split!r}" if args.split else "")
        raise ValueError(msg)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    estimator = Estimator(args.weights, args.device)
    found = score_pictures(estimator, args.data, labels, hide_sex=args.hide_sex)
    summary = summarise(list(_with_progress(found, len(labels))))
    about = {
        "weights": estimator.weights.version,
        "split": args.split,
        "sex_hidden": args.hide_sex,
    }
    _write_json(args.json, {**summary, **about})
    low, high = summary["confidence_95"]["mad_months"]
    _say(
        f"{summary['n']} pictures, {summary['n_refused']} of them refused: "
        f"MAD {summary['mad_months']:.2f} months (95 % interval {low:.2f} to {high:.2f}), "
        f"bias {summary['bias_months']:+.2f}"
    )
    return DONE


def explain_command(args: argparse.Namespace) -> int:
    """Write how much of the heatmaps falls into boxes."""
    boxes = read_boxes(args.rois)
    sexes = {label.id: label.sex for label in read_labels(args.labels)} if args.labels else {}
    args.json.parent.mkdir(parents=True, exist_ok=True)
    estimator = Estimator(args.weights, args.device)
    found = measure_heatmaps(estimator, args.data, boxes, sexes)
    summary = summarise_overlaps(list(_with_progress(found, len(boxes))))
    _write_json(args.json, {**summary, "weights": estimator.weights.version})
    _say(
        f"{summary['n']} pictures: {summary['share_in_boxes']} of the heatmap in the boxes, "
        f"which are {summary['boxes_share_of_frame']} of the frame"
    )
    return DONE


def _with_progress(items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items, telling now and then how many there have been."""
    for count, item in enumerate(items, start=1):
        if count % PROGRESS_EVERY == 0 or count == total:
            _tell(f"{count}/{total}")
        yield item


def _write_json(path: Path, value: dict[str, Any]) -> None:
    """Write in one rename, so that a reader finds all or nothing."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


COMMANDS = {
    "train": train_command,
    "export": export_command,
    "predict": predict_command,
    "evaluate": evaluate_command,
    "explain": explain_command,
}
