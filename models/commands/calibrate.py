"""`calibrate`: a site's linear correction of the estimates, from as few as 50 images."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.commands.estimator import estimator_of
from models.commands.output import DONE, say, tell, with_progress, write_json
from models.tjnet.calibration import check_name
from models.tjnet.calibration_fit import FEWEST_IMAGES, SEX_IMAGES, Sample
from models.tjnet.calibration_worth import fit_calibration
from models.tjnet.dataset import read_labels, read_pictures

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from models.estimate import Estimate
    from models.tjnet.dataset import Label
    from models.tjnet.estimator import Estimator


def run(args: argparse.Namespace) -> int:
    """Fit a correction on a site's images and write it for these weights."""
    name = check_name(args.name or args.to.stem)
    labels = _labels(args.labels, args.split)
    estimator = estimator_of(args)
    args.to.parent.mkdir(parents=True, exist_ok=True)
    answers = list(with_progress(_assess(estimator, args.data, labels), len(labels)))
    used = [answer for answer in answers if answer is not None]
    _check_count(len(used), f"{len(answers) - len(used)} pictures are refused")
    recorded, unknown = (
        _sample(estimator, [(label, pair[place]) for label, pair in used]) for place in (0, 1)
    )
    values = {
        "name": name,
        "weights": estimator.weights.version,
        **fit_calibration(recorded, unknown),
        "n_refused": len(answers) - len(used),
        "data": {
            "name": args.data_name or "unnamed",
            "split": args.split,
            "labels_sha256": hashlib.sha256(args.labels.read_bytes()).hexdigest(),
        },
        "date": datetime.now(UTC).date().isoformat(),
    }
    write_json(args.to, values)
    _tell_result(args.to, values)
    return DONE


def _labels(path: Path, split: str | None) -> list[Label]:
    """Return the rows of recorded sex, one an image; others cannot be fitted."""
    rows = read_labels(path, split)
    labels = [label for label in rows if label.sex != "unknown"]
    if len({label.id for label in labels}) < len(labels):
        msg = f"{path}: an id stands in several rows; give the mean of its readings"
        raise ValueError(msg)
    _check_count(len(labels), f"{len(rows) - len(labels)} rows of unknown sex are not used")
    return labels


def _check_count(count: int, reason: str) -> None:
    if count < FEWEST_IMAGES:
        msg = f"{count} images are too few: a calibration needs {FEWEST_IMAGES} ({reason})"
        raise ValueError(msg)


def _assess(
    estimator: Estimator, data: Path, labels: list[Label]
) -> Iterator[tuple[Label, tuple[Estimate, Estimate]] | None]:
    """Yield each label with its estimates, of the recorded and of unknown sex; None if refused."""
    by_id = {label.id: label for label in labels}
    for name, pixels in read_pictures(data, by_id):
        estimate, refusal = estimator.assess(pixels, by_id[name].sex, explain=False)
        if refusal is not None:
            yield None
        else:
            hidden, _ = estimator.assess(pixels, "unknown", explain=False)
            yield by_id[name], (estimate, hidden)


def _sample(estimator: Estimator, rows: list[tuple[Label, Estimate]]) -> Sample:
    """Return labels and estimates as columns."""
    return Sample(
        sex=np.array([estimate.sex for _, estimate in rows]),
        reading_months=np.array([label.bone_age_months for label, _ in rows]),
        estimate_months=np.array([estimate.bone_age_months for _, estimate in rows]),
        sd_months=np.array([estimate.sd_months for _, estimate in rows]),
        half_width_months=np.array([estimator.half_width_months(e) for _, e in rows]),
    )


def _tell_result(path: Path, values: dict[str, Any]) -> None:
    """Print the lines and what they are worth."""
    lines, measured = values["lines"], values["measured"]
    if lines["M"]["common"]:
        tell(f"fewer than {SEX_IMAGES} images of one sex: one common line for both")
    for sex, line in lines.items():
        (a_low, a_high), (b_low, b_high) = (line["confidence_95"][key] for key in ("a_months", "b"))
        say(
            f"{sex}: reading = {line['a_months']:.2f} ({a_low:.2f} to {a_high:.2f}) months + "
            f"{line['b']:.3f} ({b_low:.3f} to {b_high:.3f}) x estimate, n = {line['n']}"
        )
    before, after = measured["before"], measured["after"]
    say(
        f"{path}: {values['n']} images, cross-validated: "
        f"MAD {before['mad_months']:.2f} -> {after['mad_months']:.2f} months, "
        f"bias {before['bias_months']:+.2f} -> {after['bias_months']:+.2f}, 90 % interval holds "
        f"{before['interval_coverage']:.1%} -> {after['interval_coverage']:.1%}"
    )
