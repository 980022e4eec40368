"""The command line: the words of each command; `models.commands` does the work.

Exit codes: 0 done, 2 bad input (with one line that says what), 3 a picture was refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

DATA = "a folder of pictures, a tar of them, or a folder of train-*.tar"
ROIS = "CSV of id, x0, y0, x1, y1 in fractions of the frame and, for figures by kind, roi"
LABELS = "CSV of id, sex, bone_age_months and, for some commands, split"


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the words, run one command, return its exit code."""
    args = build_parser().parse_args(argv)
    from models import commands  # noqa: PLC0415 - --help answers without loading torch

    return commands.run(args)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="python -m models",
        description="TJ-Net: train, measure and use the bone-age network. No DICOM in it.",
        epilog="Exit codes: 0 done, 2 bad input, 3 a picture was refused.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (
        _add_train,
        _add_finetune,
        _add_export,
        _add_calibrate,
        _add_predict,
        _add_evaluate,
        _add_explain,
        _add_compare,
        _add_bundle,
        _add_train_gate,
        _add_evaluate_gate,
    ):
        add(commands)
    return parser


def _add(commands: Commands, name: str, does: str) -> argparse.ArgumentParser:
    """Add a command; every one may name its device."""
    parser = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
    parser.add_argument("--device", default="auto", help="auto (default), cpu or cuda[:N]")
    return parser


def _add_train(commands: Commands) -> None:
    does = "train a network and write its weights and card"
    parser = _add(commands, "train", does)
    parser.add_argument("--config", type=Path, required=True, help="YAML, see models/tjnet/configs")
    _add_source(parser)
    parser.add_argument("--out", type=Path, help="the run's folder (default var/train-CONFIG)")
    parser.add_argument("--name", help="name of the weights (default tjnet-CONFIG)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--start", help="weights to start from: a shipped name or a .safetensors")
    parser.add_argument(
        "--compile", action="store_true", help="compile the network (torch.compile)"
    )


def _add_finetune(commands: Commands) -> None:
    does = "train weights on with another site's images, some of their blocks frozen"
    parser = _add(commands, "finetune", does)
    _add_weights(parser)
    _add_source(parser)
    parser.add_argument("--terms", help="terms of the site's data; the card joins both")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--name", help="name of the weights (default: that of the folder)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument(
        "--freeze",
        default="1,2,3",
        metavar="BLOCKS",
        help="blocks that stay as they are, of 1 to 4, or none (default 1,2,3 as in the paper)",
    )
    parser.add_argument(
        "--patience",
        type=int,
        default=5,
        help="stop after so many epochs without a better val MAD (default 5)",
    )
    parser.add_argument(
        "--val-share",
        type=float,
        default=0.2,
        help="of the patients, to validate, where the labels have no split (default 0.2)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        help="YAML as for train, its network that of the weights; instead of what follows",
    )
    parser.add_argument("--epochs", type=int, help="at most so many (default 20)")
    parser.add_argument("--batch-size", type=int, help="images a step (default 16)")
    parser.add_argument("--learning-rate", type=float, help="at its peak (default 3e-4)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="(default float32)")
    parser.add_argument("--threads", type=int, help="of the processor (default 0: torch decides)")
    parser.add_argument("--seed", type=int, help="of all chance (default 0)")


def _add_export(commands: Commands) -> None:
    does = "make weights and card from a run's folder, finished or interrupted"
    parser = _add(commands, "export", does)
    parser.add_argument(
        "--run", type=Path, required=True, help="folder with checkpoint.pt, best.pt"
    )
    _add_source(parser)
    parser.add_argument("--name", required=True, help="name of the weights")
    parser.add_argument("--to", type=Path, required=True, help="folder for NAME.safetensors, .json")
    parser.add_argument("--note", help="what the card is to say of the run besides")


def _add_source(parser: argparse.ArgumentParser) -> None:
    """Add what names training data."""
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument(
        "--labels", type=Path, help=f"{LABELS} (default labels.csv beside the data)"
    )
    parser.add_argument(
        "--cache", type=Path, default=Path("var/cache"), help="for decoded pictures"
    )
    parser.add_argument("--data-name", help="what the card calls data that are not the RSNA's")


def _add_calibrate(commands: Commands) -> None:
    does = "fit a site's linear correction of the estimates on 50 images or more"
    parser = _add(commands, "calibrate", does)
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument("--labels", type=Path, required=True, help=LABELS)
    parser.add_argument("--split", help="only the rows of this split")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE.json", help="written here")
    parser.add_argument("--name", help="what reports call it (default: that of the file)")
    parser.add_argument("--data-name", help="what the file calls the images")
    _add_weights(parser)
    _add_gate(parser)


def _add_predict(commands: Commands) -> None:
    parser = _add(commands, "predict", "estimate the bone age on pictures, one line each")
    parser.add_argument("pictures", nargs="+", metavar="PICTURE", help="PNG, JPEG, WebP or TIFF")
    parser.add_argument(
        "--sex", choices=("M", "F", "unknown"), required=True, help="recorded sex of all of them"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    _add_views(parser)
    _add_weights(parser)
    _add_gate(parser)
    _add_calibration(parser)


def _add_evaluate(commands: Commands) -> None:
    parser = _add(commands, "evaluate", "score every labelled picture and write the errors")
    _add_scored(parser)
    parser.add_argument("--report", type=Path, metavar="DIR", help="report.md and its plots")
    parser.add_argument("--data-name", help="what the report calls data that are not the RSNA's")
    _add_views(parser)
    parser.add_argument(
        "--stress", action="store_true", help="score each picture changed in seven ways too"
    )
    parser.add_argument(
        "--stress-count",
        type=_count,
        metavar="N",
        help="a fixed sample of N pictures (default all)",
    )
    parser.add_argument(
        "--compare-views", action="store_true", help="measure cost and gain of more views"
    )
    parser.add_argument(
        "--views-count", type=_count, metavar="N", help="a fixed sample of N pictures (default all)"
    )
    _add_weights(parser)
    _add_gate(parser)
    _add_calibration(parser)


def _add_scored(parser: argparse.ArgumentParser) -> None:
    """Add what is scored, and where to."""
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument("--labels", type=Path, required=True, help=LABELS)
    parser.add_argument("--split", help="only the rows of this split")
    parser.add_argument("--hide-sex", action="store_true", help="give the network no recorded sex")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="written here")


def _add_explain(commands: Commands) -> None:
    does = "measure how much of the heatmap falls into boxes of bones and joints"
    parser = _add(commands, "explain", does)
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument("--rois", type=Path, required=True, help=ROIS)
    parser.add_argument("--labels", type=Path, help=f"{LABELS}; without, every sex is unknown")
    method = "gradcam: block 4's heatmap alone; fine (default): the finer one's figures beside it"
    parser.add_argument("--method", choices=("gradcam", "fine"), default="fine", help=method)
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="written here")
    _add_weights(parser)
    _add_gate(parser)


def _add_compare(commands: Commands) -> None:
    does = "train and score TJ-Net, its ablations and other networks at an equal budget"
    parser = _add(commands, "compare", does)
    config = Path("models/tjnet/configs/compare.yaml")
    parser.add_argument(
        "--config", type=Path, default=config, help=f"the budget (default {config})"
    )
    _add_source(parser)
    parser.add_argument("--out", type=Path, required=True, help="the runs; a second call goes on")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these contenders (default all)")
    parser.add_argument("--minutes", type=float, help="stop training after so long (default never)")
    parser.add_argument("--rois", type=Path, help=f"measure heatmaps as explain does: {ROIS}")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="written here")
    parser.add_argument("--report", type=Path, required=True, help="the table, as Markdown")


def _add_bundle(commands: Commands) -> None:
    does = "make a MONAI bundle from weights and their card"
    parser = commands.add_parser("bundle", help=does, description=f"{does[0].upper()}{does[1:]}.")
    parser.add_argument("--to", type=Path, required=True, help="the bundle's folder, new or empty")
    _add_weights(parser)


def _count(word: str) -> int:
    """Return a number of pictures: one at least."""
    count = int(word)
    if count < 1:
        raise ValueError
    return count


def _add_views(parser: argparse.ArgumentParser) -> None:
    does = "views of each picture that are averaged: 1 (default), 2 with its mirror image, or 10"
    parser.add_argument("--views", type=int, choices=(1, 2, 10), default=1, help=does)


def _add_train_gate(commands: Commands) -> None:
    does = "train the gate that looks at a picture before the network, and measure it"
    parser = _add(commands, "train-gate", does)
    _add_source(parser)
    _add_others(parser)
    parser.add_argument(
        "--rare", type=Path, nargs="+", default=[], help="the same, few of a kind: all held out"
    )
    parser.add_argument("--steps", type=int, default=3000, help="without what is held out (3000)")
    parser.add_argument("--more-steps", type=int, default=500, help="then with everything (500)")
    parser.add_argument("--seed", type=int, default=0, help="decides everything (0)")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (1)")
    parser.add_argument("--name", default="gate", help="name of the weights (gate)")
    parser.add_argument("--to", type=Path, required=True, help="folder for NAME.safetensors, .json")


def _add_evaluate_gate(commands: Commands) -> None:
    does = "measure how often the gate refuses hands, and lets other pictures pass"
    parser = _add(commands, "evaluate-gate", does)
    parser.add_argument("--data", type=Path, required=True, help=DATA)
    parser.add_argument("--labels", type=Path, required=True, help=LABELS)
    parser.add_argument("--split", help="only the rows of this split")
    parser.add_argument("--cache", type=Path, help="for decoded pictures")
    _add_others(parser)
    parser.add_argument("--weights", type=Path, help="a gate's .safetensors file, not the shipped")
    parser.add_argument("--json", type=Path, required=True, metavar="OUT", help="written here")


def _add_others(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--others", type=Path, nargs="+", default=[], help="folders or tars of no hands"
    )


def _add_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", default="default", help="a shipped name or a .safetensors file"
    )


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-gate",
        action="store_true",
        help="let no gate look first: plain checks only, no picture is turned or inverted",
    )


def _add_calibration(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="a correction made by calibrate"
    )
