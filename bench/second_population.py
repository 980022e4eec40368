"""What calibrate and finetune are worth at another site. The site is SIMULATED.

Run from the checkout: ``.venv/bin/python -m bench.second_population --data DIR --report FILE.md``.
Pictures are those of the val split alone, never of train, as another detector and its processing
would show them: another frame, a softer focus, another grey-scale curve, a window that saturates,
noise. Readings are those of the labels as another reader would give them: shifted with sex and
age, with noise of his own. The images are divided once: a part to fit on, and a part that takes
no part in any fit, on which everything is measured.

The weights' interval and their best epoch were chosen on val too. Before the correction this
flatters them; the shift is by far the larger.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from models.cli import main as models_main
from models.tjnet.dataset import Label, read_labels, read_pictures
from models.tjnet.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

CALIBRATED_ON = (60, 100, 200)
"""The least that `calibrate` takes is 50 that are not refused."""
READER_SD_MONTHS = 4.0
SHIFT_MONTHS = {"M": 9.0, "F": 5.0}
SHIFT_SLOPE = -0.05
"""Of the reading, about 120 months: this reader sees the young older than the old."""

DESCRIPTION = f"""\
**This site is simulated**: pictures and readings are those of the RSNA val split, changed.
Detector and processing: a border of 6 % cropped at left and right and a black one of 8 % added
above and below; blur of 1.2 px at 299 px; grey levels to the power of 0.6 and then through an S
curve; the brightest 3 % saturated; noise of 3 %. Reader: {SHIFT_MONTHS["M"]:+g} months for boys,
{SHIFT_MONTHS["F"]:+g} for girls, {SHIFT_SLOPE:+g} months for each month above 120, and noise with
an SD of {READER_SD_MONTHS:g} months. The errors are those of images that nothing was fitted on."""


@dataclass(frozen=True, slots=True)
class Site:
    """The second population on disk.

    Attributes
    ----------
    pictures : Path
        Folder of all its pictures.
    fitting, test : list of Label
        With the readings of its reader.
    """

    pictures: Path
    fitting: list[Label]
    test: list[Label]

    def write_labels(self, name: str, labels: Sequence[Label]) -> Path:
        """Write a labels file beside the pictures' folder; every image is its own patient."""
        path = self.pictures.parent / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(("id", "sex", "bone_age_months", "patient"))
            writer.writerows((one.id, one.sex, one.bone_age_months, one.id) for one in labels)
        return path


def generator_of(name: str) -> np.random.Generator:
    """Return an image's own source of chance, the same in every run."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()[:8]))


def other_detector(
    pixels: npt.NDArray[np.float32], generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Return a picture in [0, 1] as the simulated detector and its processing show it."""
    rows, columns = pixels.shape
    side, border = round(0.06 * columns), round(0.08 * rows)
    framed = np.pad(pixels[:, side : columns - side], ((border, border), (0, 0)))
    soft = Image.fromarray(np.rint(framed * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(1.2 * columns / 299)
    )
    grey = (np.asarray(soft, dtype=np.float64) / 255) ** 0.6
    curve = grey**2 * (3 - 2 * grey)
    windowed = curve / max(float(np.quantile(curve, 0.97)), 1e-6)
    noisy = windowed + generator.normal(0, 0.03, windowed.shape)
    return np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def other_reader(label: Label, generator: np.random.Generator) -> float:
    """Return the reading of the simulated reader, in months on the scale of the atlas."""
    months = label.bone_age_months
    shift = SHIFT_MONTHS[label.sex] + SHIFT_SLOPE * (months - 120)
    reading = months + shift + generator.normal(0, READER_SD_MONTHS)
    return round(float(np.clip(reading, 0, 228)), 1)


def make_site(folder: Path, data: Path, labels: Path, n_fit: int, n_test: int) -> Site:
    """Make the second population of the val split, and divide it once by a hash of the id.

    Raises
    ------
    ValueError
        If val has too few images.
    """
    val = sorted(
        (label for label in read_labels(labels, "val") if label.sex != "unknown"),
        key=lambda one: hashlib.sha256(f"second population {one.id}".encode()).digest(),
    )
    if len(val) < n_fit + n_test:
        msg = f"{labels}: val has {len(val)} images, not {n_fit + n_test}"
        raise ValueError(msg)
    chosen = {label.id: label for label in val[: n_fit + n_test]}
    pictures = folder / "pictures"
    pictures.mkdir()
    read = {}
    for name, pixels in read_pictures(data, chosen):
        generator = generator_of(name)
        Image.fromarray(other_detector(pixels, generator)).save(pictures / f"{name}.png")
        one = chosen[name]
        read[name] = Label(name, one.sex, other_reader(one, generator), "")
    site = [read[name] for name in chosen]
    return Site(pictures, site[:n_fit], site[n_fit:])


def run_models(*words: str | Path) -> None:
    """Run a command of ``python -m models``; end where it fails."""
    code = models_main([str(word) for word in words])
    if code:
        raise SystemExit(code)


def evaluate(site: Site, weights: str | Path, *options: str | Path) -> dict[str, Any]:
    """Return the errors on the test part."""
    out = site.pictures.parent / "errors.json"
    labels = site.write_labels("test.csv", site.test)
    words = ("--data", site.pictures, "--labels", labels, "--weights", weights, "--json", out)
    run_models("evaluate", *words, *options)
    errors: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return errors


def calibrated(site: Site, weights: str, count: int) -> dict[str, Any]:
    """Return the errors after a calibration on some images of the fitting part."""
    labels = site.write_labels("calibrate.csv", site.fitting[:count])
    path = site.pictures.parent / f"calibration-{count}.json"
    words = ("--data", site.pictures, "--labels", labels, "--weights", weights, "--to", path)
    run_models("calibrate", *words)
    return evaluate(site, weights, "--calibration", path)


def finetuned(site: Site, weights: str, epochs: int, precision: str) -> dict[str, Any]:
    """Return the errors of weights that were trained on with the whole fitting part."""
    labels, out = site.write_labels("finetune.csv", site.fitting), site.pictures.parent / "finetune"
    run_models(
        *("finetune", "--data", site.pictures, "--labels", labels, "--weights", weights),
        *("--out", out, "--cache", site.pictures.parent / "cache", "--threads", "1"),
        *("--epochs", str(epochs), "--patience", "2", "--precision", precision),
        *("--data-name", "simulated second population", "--val-share", "0.25"),
    )
    return evaluate(site, out / "finetune.safetensors")


def row(name: str, errors: dict[str, Any]) -> str:
    """Return one line of the table."""
    sure = errors["confidence_95"]
    mad, bias, coverage = (
        errors[key] for key in ("mad_months", "bias_months", "interval_coverage")
    )
    mad_sure, bias_sure, coverage_sure = (
        sure[key] for key in ("mad_months", "bias_months", "interval_coverage")
    )
    return (
        f"| {name} | {mad:.2f} ({mad_sure[0]:.2f} to {mad_sure[1]:.2f}) "
        f"| {bias:+.2f} ({bias_sure[0]:+.2f} to {bias_sure[1]:+.2f}) "
        f"| {coverage:.1%} ({coverage_sure[0]:.1%} to {coverage_sure[1]:.1%}) "
        f"| {errors['interval_width_months']:.1f} | {errors['n_refused']} |"
    )


def report(rows: Sequence[str], weights: str, site: Site, command: str, seconds: float) -> str:
    """Return the report as Markdown."""
    first = "{}, {} and {}".format(*CALIBRATED_ON)
    made = (
        f"Weights: {weights}. {len(site.fitting)} images to fit on, {len(site.test)} to measure "
        f"on, none in both; calibrations use the first {first} of the former. In brackets "
        f"bootstrap 95 % intervals over the images. Made by `{command}` in "
        f"{seconds / 60:.0f} minutes on one thread."
    )
    columns = ("", "MAD, months", "bias, months", "readings in the 90 % interval")
    columns += ("its width, months", "refused")
    title = "# Calibration and fine-tuning at a simulated second site"
    table = (f"| {' | '.join(columns)} |", "|---" * len(columns) + "|")
    head = [title, "", DESCRIPTION, "", made, "", *table]
    return "\n".join([*head, *rows]) + "\n"


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of train-*.tar")
    parser.add_argument("--labels", type=Path, help="default: labels.csv beside the data")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--fit", type=int, default=500, help="images to fit on, 200 at least")
    parser.add_argument("--test", type=int, default=400, help="images to measure on")
    parser.add_argument("--epochs", type=int, default=6, help="of the fine-tuning, at most")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--report", type=Path, required=True, help="Markdown, written here")
    args = parser.parse_args()
    if args.fit < CALIBRATED_ON[-1] or args.test < 1:
        parser.error(f"--fit must be {CALIBRATED_ON[-1]} at least, --test 1")
    return args


def main() -> None:
    """Make the site, correct for it in two ways, measure, and write the report."""
    args = parse()
    torch.set_num_threads(1)
    began = time.monotonic()
    labels = args.labels or args.data / "labels.csv"
    weights = load_weights(args.weights).version
    with tempfile.TemporaryDirectory() as folder:
        site = make_site(Path(folder), args.data, labels, args.fit, args.test)
        rows = [row("as shipped", evaluate(site, args.weights))]
        for count in CALIBRATED_ON:
            name = f"calibrated on {count} images"
            rows.append(row(name, calibrated(site, args.weights, count)))
        name = f"fine-tuned on {args.fit} images, blocks 1 to 3 frozen"
        rows.append(row(name, finetuned(site, args.weights, args.epochs, args.precision)))
        command = (
            f"python -m bench.second_population --data RSNA --fit {args.fit} --test {args.test} "
            f"--epochs {args.epochs} --precision {args.precision}"
        )
        text = report(rows, weights, site, command, time.monotonic() - began)
    args.report.parent.mkdir(parents=True, exist_ok=True)
    args.report.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
