"""Milliseconds of each part of an estimate on this machine's CPU, and of other ways to compute it.

Run from the checkout: ``.venv/bin/python -m bench.inference [--weights W] [--threads 1]``. Without
weights it measures a random network of ``--width`` and ``--size``, which takes as long as a
trained one; agreement in months is told of trained weights only. All parts take turns, one run
each, so that whatever else the machine does falls on all of them: compare the figures of one
call. ``cpu`` is the median of the processor time, which other processes disturb least; the others
are wall time. ``--against W`` lets the parts of other weights take their turns too. About half a
minute on a quiet core.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.candidates import CHOSEN, candidates
from dicom_node.pixels import read_picture_pixels
from dicom_node.radiograph import wrap_radiograph
from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.backend import batched_logits
from models.tjnet.dataset import decode_picture
from models.tjnet.estimator import Estimator
from models.tjnet.heatmap import gradcam
from models.tjnet.network import SEX_INPUTS, TJNet, TJNetConfig, expected_months
from models.tjnet.preprocess import to_input
from models.tjnet.spread import Band, Spread
from models.tjnet.weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

HEIGHT_PX, WIDTH_PX = 2500, 2000
WARM_UP = 3
COLUMNS = {
    "cpu": "cpu_ms",
    "least": "least_ms",
    "p50": "p50_ms",
    "p95": "p95_ms",
    "images/s": "images_per_second",
}
SEX = "F"


def random_weights(folder: Path, width: float, size_px: int) -> Path:
    """Write weights that chance made, and a card that goes with them."""
    torch.manual_seed(0)
    config = TJNetConfig(input_size_px=size_px, width=width)
    bands = Spread((Band(0.0, 228.0, 114.0, 1, sd_factor=1.0, interval_factor=1.0),)).to_dict()
    spread = {**bands, "unknown_sex": bands}
    path = folder / "random.safetensors"
    card = {"name": "random", "network": config.to_dict(), "spread": spread}
    save_weights(path, TJNet(config).state_dict(), card)
    return path


def encoded(picture: npt.NDArray[np.float64], kind: str) -> bytes:
    """Return a picture of [0, 1] as an 8-bit file."""
    file = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(file, kind, lossless=True)
    return file.getvalue()


def parts(estimator: Estimator, picture: npt.NDArray[np.float64]) -> dict[str, Callable[[], Any]]:
    """Return the parts of an estimate, each ready to run."""
    size_px = estimator.network.config.input_size_px
    dataset = wrap_radiograph(picture, sex=SEX, age_months=126)
    shown = read_picture_pixels(dataset)
    png, webp = encoded(picture, "PNG"), encoded(picture, "WEBP")
    x = torch.from_numpy(to_input(shown, size_px))[None, None].float() / 255.0
    sex = torch.tensor([SEX_INPUTS.index(SEX)])
    with torch.no_grad():
        maps = estimator.network.maps(x)

    def forward() -> Tensor:
        with torch.no_grad():
            return estimator.network(x, sex)

    def whole() -> object:
        return estimator.assess(read_picture_pixels(dataset), SEX)

    return {
        "decode PNG": lambda: decode_picture(png),
        "decode WebP, lossless": lambda: decode_picture(webp),
        "decode DICOM, not compressed": lambda: read_picture_pixels(dataset),
        "preprocess": lambda: to_input(shown, size_px),
        "forward": forward,
        "heads with heatmap": lambda: gradcam(estimator.network, maps, sex),
        "estimate from the DICOM file": whole,
        "estimate, sex unknown": lambda: estimator.assess(shown, "unknown"),
    }


def take_turns(
    things: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor milliseconds of each thing in each round after the first few."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in things}
    for turn in range(WARM_UP + repeats):
        for name, run in things.items():
            began, began_cpu = time.perf_counter(), time.process_time()
            run()
            cpu, wall = time.process_time() - began_cpu, time.perf_counter() - began
            if turn >= WARM_UP:
                taken[name].append((wall * 1000, cpu * 1000))
    return taken


def summarise(milliseconds: list[tuple[float, float]]) -> dict[str, float]:
    """Return processor time, then least, median and 95th percentile of wall time, and the pace."""
    wall, cpu = zip(*milliseconds, strict=True)
    median = statistics.median(wall)
    return {
        "cpu_ms": round(statistics.median(cpu), 1),
        "least_ms": round(min(wall), 1),
        "p50_ms": round(median, 1),
        "p95_ms": round(float(np.percentile(wall, 95)), 1),
        "images_per_second": round(1000 / median, 1),
    }


def pictures(data: Path | None) -> list[npt.NDArray[np.generic]]:
    """Return what the agreement is measured on: phantoms, and every picture of a folder."""
    drawn: list[npt.NDArray[np.generic]] = [
        draw_phantom(sex, months, height_px=600, width_px=480) / HIGHEST_VALUE
        for sex in ("M", "F")
        for months in range(24, 217, 24)
    ]
    paths = sorted(data.glob("*.png")) + sorted(data.glob("*.webp")) if data else []
    return [*drawn, *(decode_picture(path) for path in paths)]


@torch.no_grad()
def agreement(
    network: TJNet, ways: dict[str, Any], seen: list[npt.NDArray[np.generic]]
) -> dict[str, float]:
    """Return by how many months at most each way differs from the network as trained."""
    size_px = network.config.input_size_px
    inputs = torch.from_numpy(np.stack([to_input(picture, size_px) for picture in seen]))
    sex = torch.arange(len(inputs)) % len(SEX_INPUTS)
    trained = expected_months(batched_logits(network, inputs, sex))[0]
    worst = {}
    for name, maps in ways.items():
        rows = zip(inputs[:, None, None].float() / 255.0, sex[:, None], strict=True)
        months = [expected_months(network.heads(maps(x), one))[0] for x, one in rows]
        worst[name] = (torch.cat(months) - trained).abs().max().item()
    return worst


def compare(args: argparse.Namespace, weights: Path | str, threads: int) -> dict[str, Any]:
    """Return the figures for a number of threads."""
    torch.set_num_threads(threads)
    estimator = Estimator(weights, "cpu")
    trained = estimator.weights.network.requires_grad_(requires_grad=False)
    picture = draw_phantom(SEX, 126, height_px=HEIGHT_PX, width_px=WIDTH_PX) / HIGHEST_VALUE
    size_px = trained.config.input_size_px
    x = torch.from_numpy(to_input(picture, size_px))[None, None].float() / 255.0
    ways = candidates(trained, x, threads)
    with torch.no_grad():
        taken = take_turns({name: lambda m=maps: m(x) for name, maps in ways.items()}, args.repeats)
    maps_figures: dict[str, Any] = {name: summarise(ms) for name, ms in taken.items()}
    if args.weights is not None:
        for name, months in agreement(trained, ways, pictures(args.data)).items():
            maps_figures[name]["differs_months"] = round(months, 4)
    things = parts(estimator, picture)
    if args.against:
        others = parts(Estimator(args.against, "cpu"), picture).items()
        things |= {f"{name}, {args.against}": run for name, run in others if "decode" not in name}
    whole = take_turns(things, args.repeats)
    return {"maps": maps_figures, "parts": {name: summarise(ms) for name, ms in whole.items()}}


def markdown(result: dict[str, Any]) -> str:
    """Return the figures as tables."""
    lines = [
        f"{result['machine']}, torch {result['torch']}; {result['weights']}",
        f"Phantom of {HEIGHT_PX} x {WIDTH_PX}; milliseconds for one image",
    ]
    for threads, figures in result["threads"].items():
        for title, rows in (("Part", figures["parts"]), ("Maps of block 4", figures["maps"])):
            lines += ["", f"| {title}, {threads} thread(s) | {' | '.join(COLUMNS)} | months |"]
            lines += ["|---" * (len(COLUMNS) + 2) + "|"]
            for name, row in rows.items():
                shown = f"**{name}**" if name == CHOSEN else name
                shown += "".join(f" | {row[key]}" for key in COLUMNS.values())
                lines.append(f"| {shown} | {row.get('differs_months', '-')} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", help="a shipped name or a .safetensors (default: random)")
    parser.add_argument("--against", help="other weights, whose parts are timed beside")
    parser.add_argument("--width", type=float, default=0.75, help="of the random network")
    parser.add_argument("--size", type=int, default=224, help="of its input, in pixels")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="one run for each")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--data", type=Path, help="PNG or WebP radiographs for the agreement")
    parser.add_argument("--json", type=Path, metavar="OUT")
    parser.add_argument("--markdown", type=Path, metavar="OUT")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights or random_weights(Path(folder), args.width, args.size)
        result = {
            "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
            "torch": torch.__version__,
            "weights": args.weights or f"random weights, width {args.width}, {args.size} px",
            "repeats": args.repeats,
            "threads": {str(n): compare(args, weights, n) for n in args.threads},
        }
    text = markdown(result)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if args.markdown:
        args.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
