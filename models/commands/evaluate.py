"""`evaluate`: score every labelled picture and write the errors, and on demand a report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.commands.estimator import estimator_of
from models.commands.output import DONE, say, tell, with_progress, write_json
from models.tjnet.card import code_version, name_data
from models.tjnet.dataset import data_hash, read_labels
from models.tjnet.evaluation.coverage import coverage_curve
from models.tjnet.evaluation.measures import summarise
from models.tjnet.evaluation.scores import score_pictures
from models.tjnet.evaluation.stress import sample_labels, stress_pictures, summarise_stress
from models.tjnet.evaluation.transforms import TRANSFORMS
from models.tjnet.evaluation.view_costs import compare_views, summarise_views
from models.tjnet.views import VIEWS

if TYPE_CHECKING:
    import argparse

    from models.tjnet.dataset import Label
    from models.tjnet.estimator import Estimator

STRESS_PROGRESS_EVERY = 10
"""A picture of the stress test is scored some thirty times."""


def run(args: argparse.Namespace) -> int:
    """Score every labelled picture; write the errors, the report last."""
    _check_counts(args)
    labels = read_labels(args.labels, args.split)
    if not labels:
        msg = f"{args.labels}: no row" + (f" of split {args.split!r}" if args.split else "")
        raise ValueError(msg)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    estimator = estimator_of(args)
    found = score_pictures(estimator, args.data, labels, hide_sex=args.hide_sex)
    scores = list(with_progress(found, len(labels)))
    summary = {**summarise(scores), "coverage": coverage_curve(scores), **_about(args, estimator)}
    write_json(args.json, summary)  # what follows may take an hour
    if args.stress:
        summary["stress"] = _stress(args, estimator, labels)
    if args.compare_views:
        summary["compared_views"] = _compare_views(args, labels)
    write_json(args.json, summary)
    _say_errors(summary)
    if args.report:
        # Only a report needs matplotlib.
        from models.tjnet.evaluation.report import write_report  # noqa: PLC0415

        say(f"report: {write_report(args.report, summary, scores)}")
    return DONE


def _check_counts(args: argparse.Namespace) -> None:
    """Refuse a count of something that is not asked for.

    Raises
    ------
    ValueError
        If there is one.
    """
    for count, option in (("stress", "stress"), ("views", "compare_views")):
        if getattr(args, f"{count}_count") and not getattr(args, option):
            msg = f"--{count}-count needs --{option.replace('_', '-')}"
            raise ValueError(msg)


def _about(args: argparse.Namespace, estimator: Estimator) -> dict[str, Any]:
    """Return what was measured on what, by which command and code."""
    return {
        "weights": estimator.weights.version,
        "data": name_data(data_hash(args.data, args.labels), args.data_name).name,
        "calibration": estimator.calibration.version if estimator.calibration else None,
        "split": args.split,
        "sex_hidden": args.hide_sex,
        "views": args.views,
        "device": str(estimator.device),
        "command": _command(args),
        "code": code_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def _command(args: argparse.Namespace) -> str:
    """Return the command without folders, so that a report tells nothing of the machine."""
    words = ["python -m models evaluate"]
    for option in ("data", "labels", "json", "report", "calibration"):
        path = getattr(args, option)
        words += [f"--{option} {path.resolve().name}"] if path else []
    words += [f"--weights {Path(args.weights).name}"] if args.weights != "default" else []
    words += [f"--views {args.views}"] if args.views != 1 else []
    plain = ("split", "hide_sex", "no_gate", "stress", "stress_count", "compare_views")
    for option in (*plain, "views_count"):
        value = getattr(args, option)
        word = f"--{option.replace('_', '-')}"
        words += [word if value is True else f"{word} {value}"] if value else []
    return " ".join(words)


def _stress(args: argparse.Namespace, estimator: Estimator, labels: list[Label]) -> dict[str, Any]:
    """Return the measures under each transform."""
    sample = sample_labels(labels, args.stress_count)
    tell(f"stress test: {len(sample)} pictures, {len(TRANSFORMS)} transforms each")
    found = stress_pictures(estimator, args.data, sample, hide_sex=args.hide_sex)
    return summarise_stress(list(with_progress(found, len(sample), STRESS_PROGRESS_EVERY)))


def _compare_views(args: argparse.Namespace, labels: list[Label]) -> list[dict[str, Any]]:
    """Return error and cost of each number of views."""
    sample = sample_labels(labels, args.views_count)
    tell(f"views: {len(sample)} pictures under {', '.join(map(str, VIEWS))} views")
    estimators = [estimator_of(args, views=count) for count in VIEWS]
    found = compare_views(estimators, args.data, sample, hide_sex=args.hide_sex)
    return summarise_views(VIEWS, list(with_progress(found, len(sample))))


def _say_errors(summary: dict[str, Any]) -> None:
    """Print the errors in a line or two."""
    low, high = summary["confidence_95"]["mad_months"]
    say(
        f"{summary['n']} pictures, {summary['n_refused']} of them refused: "
        f"MAD {summary['mad_months']:.2f} months (95 % interval {low:.2f} to {high:.2f}), "
        f"bias {summary['bias_months']:+.2f}"
    )
    if "stress" in summary:
        worst = max(summary["stress"]["transforms"], key=lambda row: row["mad_difference_months"])
        say(
            f"stress test: MAD rises most under {worst['kind']} ({worst['strength']}), "
            f"by {worst['mad_difference_months']:.2f} months"
        )
