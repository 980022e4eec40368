"""What the heatmaps cost, in forward passes, on one picture and one thread.

Run from the checkout: ``.venv/bin/python -m bench.heatmap [--weights NAME] [--count 20]``. CPU time
is counted, not the clock's, and the three take turns, so that a busy machine matters little.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import TYPE_CHECKING

import torch

from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.heatmap import fine, gradcam
from models.tjnet.preprocess import to_input
from models.tjnet.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from models.tjnet.network import TJNet

WARM_UP = 3


def variants(network: TJNet, x: Tensor) -> dict[str, Callable[[], object]]:
    """Return what is timed: the estimate alone, and with each of the heatmaps."""
    sex = torch.tensor([1])

    @torch.no_grad()
    def early() -> Tensor:
        return network.early(x)

    @torch.no_grad()
    def maps() -> Tensor:
        return network.maps(x)

    @torch.no_grad()
    def forward() -> Tensor:
        return network.heads(maps(), sex)

    return {
        "estimate": forward,
        "estimate and gradcam": lambda: gradcam(network, maps(), sex),
        "estimate and fine": lambda: fine(network, early(), sex),
    }


def measure(timed: dict[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each, after a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(WARM_UP + count):
        for name, function in timed.items():
            began = time.process_time()
            function()
            if turn >= WARM_UP:
                seconds[name].append(time.process_time() - began)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="default", help="a shipped name or a .safetensors")
    parser.add_argument("--count", type=int, default=20, help="turns")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = load_weights(args.weights).network
    for parameter in network.parameters():
        parameter.requires_grad = False
    size_px = network.config.input_size_px
    levels = to_input(draw_phantom("F", 126) / HIGHEST_VALUE, size_px)
    x = torch.from_numpy(levels)[None, None].float() / 255.0
    seconds = measure(variants(network, x), args.count)
    print(f"{size_px} px, width {network.config.width}, one thread")
    base = seconds["estimate"]
    for name, found in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(found, base, strict=True))
        median_ms = statistics.median(found) * 1000
        print(f"{name}: {median_ms:.1f} ms of CPU time, {ratio:.2f} forward passes")


if __name__ == "__main__":
    main()
