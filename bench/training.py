"""How fast a training runs on a device, stage by stage, and how many epochs fit into a time.

`python -m bench.training --config models/tjnet/configs/gpu.yaml --data RSNA --seconds 500` steps
through some batches of every stage, scores val once, and prints a row for each; with ``--seconds``
also by what factor all epochs of the config would fill that time.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from models.tjnet.estimator import choose_device
from models.tjnet.train import (
    Split,
    TrainConfig,
    Training,
    Variant,
    draw_order,
    load_split,
    predict_split,
)

WARM_STEPS = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """What one size costs.

    Attributes
    ----------
    size_px : int
        Side of the frames.
    load_seconds : float
        To decode all pictures at this size, or to read the cache.
    warm_seconds : float
        The first steps: choosing kernels, compiling.
    images_per_second : float
        Augmented, forward, backward, step.
    epoch_seconds : float
        One epoch and the scoring of val.
    """

    size_px: int
    load_seconds: float
    warm_seconds: float
    images_per_second: float
    epoch_seconds: float


def main() -> None:
    """Measure and print."""
    args = _parser().parse_args()
    config = TrainConfig.read(args.config)
    device = choose_device(args.device)
    torch.backends.cudnn.benchmark = True
    paces = [
        measure(args, config, size_px, device)
        for size_px in dict.fromkeys(stage.size_px for stage in config.stages)
    ]
    for pace in paces:
        print(json.dumps(asdict(pace)), flush=True)
    if args.seconds:
        print(json.dumps({"factor": round(factor(config, paces, args.seconds), 3)}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--images", type=int, help="of an epoch (default: those of the data)")
    parser.add_argument("--seconds", type=float)
    return parser


def measure(
    args: argparse.Namespace, config: TrainConfig, size_px: int, device: torch.device
) -> Pace:
    """Measure one size."""
    began = time.perf_counter()
    labels = args.labels or args.data / "labels.csv"
    split, val = (
        load_split(args.data, labels, name, size_px, args.cache).to(device)
        for name in ("train", "val")
    )
    loaded = time.perf_counter()
    with TemporaryDirectory() as folder:
        run = Training(config, Path(folder), device, Variant(compiled=args.compile))
        _steps(run, split, WARM_STEPS)
        predict_split(run.averaged(), val)
        warm = _moment(device)
        _steps(run, split, args.steps)
        stepped = _moment(device)
        predict_split(run.averaged(), val)
        scored = _moment(device)
    rate = args.steps * config.batch_size / (stepped - warm)
    epoch_seconds = (args.images or len(split)) / rate + scored - stepped
    return Pace(
        size_px,
        round(loaded - began, 2),
        round(warm - loaded, 2),
        round(rate, 1),
        round(epoch_seconds, 2),
    )


def _steps(run: Training, split: Split, count: int) -> None:
    """Make steps on batches as an epoch draws them."""
    size = run.config.batch_size
    order = (
        draw_order(split, run.config, run.step)
        .to(run.device)
        .repeat(1 + count * size // len(split))
    )
    for batch in range(count):
        run.train_step(split, order[batch * size : (batch + 1) * size], 100_000)


def _moment(device: torch.device) -> float:
    """Return the clock once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def factor(config: TrainConfig, paces: list[Pace], seconds: float) -> float:
    """Return by what the epochs of every stage may be multiplied to fill a time."""
    cost = {pace.size_px: pace.epoch_seconds for pace in paces}
    fixed = sum(pace.load_seconds + pace.warm_seconds for pace in paces)
    return (seconds - fixed) / sum(stage.epochs * cost[stage.size_px] for stage in config.stages)


if __name__ == "__main__":
    main()
