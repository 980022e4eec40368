"""What `compare` writes: each contender's figures, as JSON and as a table; the absent are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.tjnet.compare import CONTENDERS, REFERENCE
from models.tjnet.evaluation.bootstrap import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from models.tjnet.compare import Contender, Result

HEAD = (
    "| network | | MAD, months | against TJ-Net | sex accuracy | heatmap in boxes | parameters | "
    "training |"
)
RULE = "|---|---|---|---|---|---|---|---|"


def rows(results: Mapping[str, Result], why_not: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return one object a contender, in the table's order.

    Parameters
    ----------
    results : mapping of Result
        Those that have been trained, by name.
    why_not : mapping of str
        Why another one has no result, by name.
    """
    return [_row(contender, results, why_not) for contender in CONTENDERS]


def _row(
    contender: Contender, results: Mapping[str, Result], why_not: Mapping[str, str]
) -> dict[str, Any]:
    about = {"name": contender.name, "what": contender.what}
    result = results.get(contender.name)
    if result is None:
        reason = contender.why_not or why_not.get(contender.name, "not asked for")
        return {**about, "state": "not run", "reason": reason}
    reference = results.get(REFERENCE)
    paired = reference is not None and contender.name != REFERENCE
    return {
        **about,
        "state": "run",
        **result.summary,
        "against_reference": _difference(result, reference) if paired and reference else None,
    }


def _difference(result: Result, reference: Result) -> dict[str, Any]:
    """Return by how much the MAD is larger, and its bootstrap interval over the same images."""
    found: npt.NDArray[np.float64] = result.error_months - reference.error_months
    return {
        "mad_months": round(float(found.mean()), 4),
        "confidence_95": mean_interval(found),
    }


def table(comparison: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown."""
    lines = [_table_row(row) for row in comparison["contenders"]]
    config = comparison["config"]
    epochs = sum(stage["epochs"] for stage in config["stages"])
    network = config["network"]
    text = (
        "# TJ-Net beside its ablations and other networks\n\n"
        f"Equal budget: {epochs} epochs of the same {comparison['n_train']} images at "
        f"{network['input_size_px']} px, TJ-Net at {network['width']} of its width, one seed. "
        f"Scored on {comparison['n_val']} validation images, with 95 % bootstrap intervals over "
        "the images; the epoch was chosen on the same images. *Against TJ-Net*: MAD less that of "
        "TJ-Net on the same images. *Heatmap in boxes*: share of block 4's Grad-CAM in the boxes "
        "of bones and joints, over the boxes' share of the frame. So small a budget ranks the "
        "networks at this budget only: one seed says nothing of the spread between seeds.\n"
    )
    return "\n".join([text, HEAD, RULE, *lines]) + "\n"


def _table_row(row: Mapping[str, Any]) -> str:
    name = f"| {row['name']} | {row['what']} |"
    if row["state"] != "run":
        return f"{name} not run: {row['reason']} | | | | | |"
    errors = row["confidence_95"]
    accuracy = _with(row["sex_accuracy"], errors["sex_accuracy"], 3)
    difference = row["against_reference"]
    against = (
        _with(difference["mad_months"], difference["confidence_95"], 2, "+") if difference else ""
    )
    cells = (
        _with(row["mad_months"], errors["mad_months"], 2),
        against,
        accuracy,
        _boxes(row["explain"]),
        f"{row['parameters'] / 1e6:.1f} M",
        f"{row['epochs']} epochs, {row['train_seconds'] / 60:.1f} min",
    )
    return f"{name} {' | '.join(cells)} |"


def _boxes(explained: Mapping[str, Any] | None) -> str:
    if explained is None or explained["share_in_boxes"] is None:
        return ""
    return _with(explained["times_even"], explained["confidence_95"]["times_even"], 2)


def _with(
    value: float | None, interval: tuple[float, float] | None, digits: int, sign: str = ""
) -> str:
    """Return a figure and its interval; nothing where it was not measured."""
    if value is None or interval is None:
        return ""
    shape = f"{sign}.{digits}f"
    low, high = interval
    return f"{value:{shape}} ({low:{shape}} to {high:{shape}})"
