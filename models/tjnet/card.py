"""The weights card: what a finished or interrupted run is, on what, and how good on val."""

from __future__ import annotations

import math
import platform
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from models.atlas import HIGHEST_MONTHS, LOWEST_MONTHS
from models.tjnet.dataset import Label
from models.tjnet.evaluation.measures import summarise
from models.tjnet.evaluation.scores import Score
from models.tjnet.network import AGE_CLASSES, SEX_INPUTS, TJNet, TJNetConfig, expected_months
from models.tjnet.preprocess import DESCRIPTION
from models.tjnet.spread import (
    BAND_IMAGES,
    FOLDS,
    NOMINAL_COVERAGE,
    Spread,
    cross_fitted_factors,
    fit_spread,
)
from models.tjnet.train import Split, predict_split, read_checkpoint
from models.tjnet.weights import rounded_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from torch import Tensor, nn

UNKNOWN = len(SEX_INPUTS) - 1
SPLIT_RULE = "column split of the labels file: a fixed division by a hash of the id"
SPREAD_FIT = (
    f"on the val split, by itself for the unknown sex, in bands of the estimate merged until each "
    f"has {BAND_IMAGES} images: interval_factor is the split-conformal {NOMINAL_COVERAGE:.0%} "
    f"quantile of |error| / softmax SD with the finite-sample correction, sd_factor the root mean "
    f"square of error / softmax SD; both hold at the band's centre_months and are interpolated "
    f"between centres"
)
MOST_DOUBTFUL_SHARE = 0.003
"""Of the val split, that the gate after the network may refuse."""

GATE_FIT = (
    f"on the val split: at most {MOST_DOUBTFUL_SHARE:.1%} of it have a larger softmax SD, with the "
    "recorded sex or without; an estimate with a larger one is refused"
)
MEASURED_ON = (
    "val split, no test-time augmentation; the epoch was chosen on the same split, so the "
    f"errors are slightly optimistic; interval_* cross-fitted in {FOLDS} folds; one reader an image"
)


@dataclass(frozen=True, slots=True)
class DataTerms:
    """What a set of pictures is called and under which terms its weights stand."""

    name: str
    terms: str


RSNA = DataTerms(
    name="RSNA 2017 Pediatric Bone Age Challenge, training images, 299 px squashed",
    terms=(
        "non-commercial research and education only, under the terms of the RSNA data; no attempt "
        "to identify anyone; cite Halabi et al., Radiology 2018;290:498-503"
    ),
)
KNOWN_DATA = {"4f803f05215a061c404eeae6e84a9d309c521c0276b454c89cd49ac6a73ec3a3": RSNA}
"""Data by `models.tjnet.dataset.data_hash`: no other data may pass under their name."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run's folder holds.

    Attributes
    ----------
    config : dict
        The training config as the checkpoint stores it.
    curve : list of dict
        One row an epoch.
    state : dict of Tensor
        The averaged weights of the best epoch.
    """

    config: dict[str, Any]
    curve: list[dict[str, Any]]
    state: dict[str, Tensor]

    @property
    def network_config(self) -> TJNetConfig:
        """Return the network's shape."""
        return TJNetConfig(**self.config["network"])

    def network(self, device: torch.device) -> TJNet:
        """Return the network of the best epoch as it is stored, in evaluation mode."""
        network = TJNet(self.network_config)
        network.load_state_dict(rounded_state(self.state))
        return network.to(device).eval()


def read_run(folder: Path) -> Run:
    """Return a run from checkpoint.pt and best.pt, finished or not.

    Raises
    ------
    FileNotFoundError
        If a file is missing: no epoch has ended yet.
    ValueError
        If a file is damaged.
    """
    cpu = torch.device("cpu")
    checkpoint = read_checkpoint(folder / "checkpoint.pt", cpu)
    best = read_checkpoint(folder / "best.pt", cpu)
    return Run(config=checkpoint["config"], curve=checkpoint["curve"], state=best)


def best_row(curve: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the row of the epoch whose weights a run keeps: the best of its last stage."""
    last = curve[-1]["size_px"]
    stage = [row for row in curve if row["size_px"] == last]
    return min(stage, key=lambda row: float(row["val_mad_months"]))


@dataclass(frozen=True, slots=True)
class Origin:
    """What the weights were made from.

    Attributes
    ----------
    sha256 : str
        `models.tjnet.dataset.data_hash` of pictures and labels.
    n_train, n_val : int
        Images of the two splits.
    terms : DataTerms
        Name and terms of the data.
    split : str
        How train and val were divided.
    """

    sha256: str
    n_train: int
    n_val: int
    terms: DataTerms
    split: str = SPLIT_RULE


def name_data(sha256: str, name: str | None) -> DataTerms:
    """Return the data's name and terms: known by hash, else as the caller calls them."""
    other = DataTerms(name=name or "unnamed", terms="those of the data they were made from")
    return KNOWN_DATA.get(sha256, other)


def make_card(name: str, run: Run, origin: Origin, val_split: Split) -> dict[str, Any]:
    """Return the card of a run's best weights, measured on val.

    Raises
    ------
    ValueError
        If val is too small to fit the spread.
    """
    measured, spread, gate = measure(run.network(val_split.inputs.device), val_split)
    best = best_row(run.curve)
    return {
        "name": name,
        "network": run.network_config.to_dict(),
        "preprocessing": DESCRIPTION,
        "spread": {**spread, "fitted": SPREAD_FIT},
        "gate": {**gate, "fitted": GATE_FIT},
        "measured": measured,
        "data": {
            "name": origin.terms.name,
            "sha256": origin.sha256,
            "n_train": origin.n_train,
            "n_val": origin.n_val,
            "split": origin.split,
        },
        "terms": origin.terms.terms,
        "training": run.config,
        "seed": run.config["seed"],
        "epochs_done": len(run.curve),
        "best_epoch": best["epoch"],
        "curve": run.curve,
        "code": code_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def measure(
    network: nn.Module, split: Split
) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Return the errors on a split, the spread fitted on it, and the gate after the network.

    Both are given for the recorded sex and, as ``unknown_sex``, for the "unknown" input, whose
    errors are larger than its softmax admits. The intervals that are measured are cross-fitted;
    the factors that ship are fitted on the whole split.
    """
    hidden = Split(split.inputs, torch.full_like(split.sex, UNKNOWN), split.months)
    by_input = [predict_split(network, given) for given in (split, hidden)]
    measured, spread = _measure(split, by_input[0])
    unknown, unknown_spread = _measure(split, by_input[1])
    limit = max(largest_softmax_sd_months(logits) for logits in by_input)
    return (
        {"on": MEASURED_ON, **measured, "unknown_sex": unknown},
        {**spread.to_dict(), "unknown_sex": unknown_spread.to_dict()},
        {"largest_softmax_sd_months": limit},
    )


def largest_softmax_sd_months(logits: Tensor) -> float:
    """Return the SD of the softmax that at most `MOST_DOUBTFUL_SHARE` of some images exceed.

    It is rounded up to a hundredth: the batched path and a picture alone differ in the last bits.
    """
    deviation = expected_months(logits)[1].double().sort().values
    spared = int(MOST_DOUBTFUL_SHARE * len(deviation))
    return math.ceil(100 * deviation[len(deviation) - 1 - spared].item()) / 100


def _measure(split: Split, logits: Tensor) -> tuple[dict[str, Any], Spread]:
    """Return the errors of a split's logits and the spread fitted on them."""
    mean, deviation = (value.double().cpu().numpy() for value in expected_months(logits))
    seen = logits[:, AGE_CLASSES:].argmax(dim=1).tolist()
    error = mean - split.months.cpu().numpy()
    half_width = deviation * cross_fitted_factors(mean, error, deviation)
    spread = fit_spread(mean, error, deviation)
    scores = _scores(split, mean, half_width, seen)
    summary = summarise(scores)
    # The batched path has no gate: nothing is refused, and nothing is claimed of it.
    del summary["n_refused"], summary["accepted"]
    return {**summary, "by_estimate_months": _by_band(scores, spread, mean)}, spread


def _by_band(
    scores: list[Score], spread: Spread, mean: npt.NDArray[np.float64]
) -> dict[str, dict[str, Any]]:
    """Return what the cross-fitted intervals hold in each band of the estimate."""
    within = spread.band_of(mean)
    covered = np.array([score.covered for score in scores])
    width = np.array([high - low for low, high in (score.interval_months for score in scores)])
    return {
        f"{band.from_months:g}-{band.to_months:g}": {
            "n": band.n,
            "interval_coverage": round(float(covered[within == index].mean()), 4),
            "interval_width_months": round(float(width[within == index].mean()), 4),
        }
        for index, band in enumerate(spread.bands)
    }


def _scores(
    split: Split,
    mean: npt.NDArray[np.float64],
    half_width: npt.NDArray[np.float64],
    seen: list[int],
) -> list[Score]:
    """Return the scores of a split's images."""
    sexes, readings = split.sex.tolist(), split.months.tolist()
    low = np.maximum(LOWEST_MONTHS, mean - half_width).tolist()
    high = np.minimum(HIGHEST_MONTHS, mean + half_width).tolist()
    rows = zip(sexes, readings, mean.tolist(), low, high, seen, strict=True)
    return [
        Score(
            label=Label(str(index), SEX_INPUTS[sex], reading, ""),
            bone_age_months=estimate,
            interval_months=(lower, upper),
            sex_seen=SEX_INPUTS[looks],
        )
        for index, (sex, reading, estimate, lower, upper, looks) in enumerate(rows)
    ]


def code_version() -> dict[str, str | None]:
    """Return the git commit, None outside a repository, and the versions of what computes."""
    libraries = {name: version(name) for name in ("torch", "monai", "numpy", "pillow")}
    return {"git_commit": _git_commit(), "python": platform.python_version(), **libraries}


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    root = Path(__file__).parent
    command = [git, "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None
