"""The dashboard: what happens, how long it takes, who works, what waits, whether results move."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from dicom_node.drift import (
    FEWEST_RECENT,
    FEWEST_REFERENCE,
    RECENT_WEEKS,
    REFERENCE_WEEKS,
    Drift,
    Spread,
    week_words,
)
from dicom_node.node import Node
from worklist import plots
from worklist.access import Viewer
from worklist.statistics import OUTCOMES, Activity, Dashboard, SpanName, look
from worklist.web import READ, NodeOfApp, page

SPANS: Final = {"hour": "the last 24 hours", "day": "the last 30 days"}
TITLES: Final = {
    "received": "Received",
    "assessed": "Assessed",
    "sent": "Sent to every destination",
    "rejected": "Rejected",
    "failed": "Failed",
}

router = APIRouter()


@router.api_route("/dashboard", methods=READ)
def show_dashboard(
    request: Request, node: NodeOfApp, _user: Viewer, span: SpanName = "hour"
) -> Response:
    """Show the dashboard; its content is fetched anew every 10 s."""
    return page(request, "dashboard.html", _context(node, span))


@router.api_route("/dashboard/live", methods=READ)
def show_live(
    request: Request, node: NodeOfApp, _user: Viewer, span: SpanName = "hour"
) -> Response:
    """Show what of the dashboard changes."""
    return page(request, "dashboard_live.html", _context(node, span))


@router.get("/api/dashboard")
def read_dashboard(node: NodeOfApp, _user: Viewer, span: SpanName = "hour") -> Dashboard:
    """Return all that the dashboard shows: counts and latency by hour or day, and how it stands."""
    return look(node, span)


def _context(node: Node, span: SpanName) -> dict[str, Any]:
    found = look(node, span)
    return {
        "span": span,
        "spans": SPANS,
        "found": found,
        "labels": _labels(found.activity),
        "titles": TITLES,
        "counts": {word: _count_plot(found.activity, word) for word in OUTCOMES},
        "latency_plot": _latency_plot(found.activity),
        "drift_plot": _drift_plot(found.drift),
        "drift_verdict": drift_words(found.drift),
        "week": week_words,
        "seconds": plots.seconds_words,
        "reach_tones": {"ok": "good", "down": "bad", "unknown": "wait"},
        "disk_tone": _disk_tone(found),
    }


def _labels(activity: Activity) -> list[str]:
    form = "%H:%M" if activity.span == "hour" else "%d %b"
    return [f"{period.start:{form}}" for period in activity.periods]


def _count_plot(activity: Activity, word: str) -> Markup:
    values = [period.counts[word] for period in activity.periods]
    summary = (
        f"{TITLES[word]} per {activity.span}, {SPANS[activity.span]}: "
        f"{sum(values)} in all, at most {max(values)}"
    )
    return plots.bar_plot(summary, word, plots.Bars(_labels(activity), values))


def _latency_plot(activity: Activity) -> Markup:
    latencies = [period.latency for period in activity.periods]
    lines = [
        plots.Line("half within", [latency.p50_seconds for latency in latencies]),
        plots.Line("95 % within", [latency.p95_seconds for latency in latencies]),
    ]
    all_of_it = activity.latency
    summary = f"Time from reception to acceptance per {activity.span}, {SPANS[activity.span]}: "
    if all_of_it.p50_seconds is None or all_of_it.p95_seconds is None:
        summary += "nothing was taken"
    else:
        summary += (
            f"half within {plots.seconds_words(all_of_it.p50_seconds)}, "
            f"95 % within {plots.seconds_words(all_of_it.p95_seconds)}"
        )
    return plots.latency_plot(summary, _labels(activity), lines)


def _drift_plot(drift: Drift) -> Markup:
    split = len(drift.weeks) - RECENT_WEEKS
    boxes = [
        plots.Box(
            week.spread.lower_months,
            week.spread.median_months,
            week.spread.upper_months,
            f"{week_words(week.start)}: {spread_words(week.spread)}",
        )
        for week in drift.weeks
    ]
    levels = [
        ("level before", drift.reference.median_months, 0, split),
        ("level recent", drift.recent.median_months, split, len(drift.weeks)),
    ]
    labels = [f"{week.start:%d %b}" for week in drift.weeks]
    summary = f"Bone age minus chronological age by week, in months. {drift_words(drift)}"
    return plots.box_plot(summary, labels, boxes, levels)


def spread_words(spread: Spread) -> str:
    """Return a median with its quartiles, as "+1.5 (-8.0 to +10.2), 41 children"."""
    if spread.median_months is None:
        return "nobody"
    return (
        f"{spread.median_months:+.1f} ({spread.lower_months:+.1f} to {spread.upper_months:+.1f}), "
        f"{spread.count} children"
    )


def drift_words(drift: Drift) -> str:
    """Return in one sentence whether results have moved."""
    if drift.chance is None:
        return (
            f"Too few children to say: {drift.recent.count} in the last {RECENT_WEEKS} weeks "
            f"({FEWEST_RECENT} are needed), {drift.reference.count} in the {REFERENCE_WEEKS} weeks "
            f"before ({FEWEST_REFERENCE})."
        )
    moved = f"{drift.shift_months:+.1f} months from the {REFERENCE_WEEKS} weeks before"
    last = f"The median of the last {RECENT_WEEKS} weeks"
    chance = "less than 1 in 1000" if drift.chance < 0.001 else f"{drift.chance:.2g}"  # noqa: PLR2004
    if drift.alert:
        return f"{last} has moved by {moved} (by chance: {chance}). Look for the cause."
    return f"{last} lies {moved}: no alert (by chance: {chance})."


def _disk_tone(found: Dashboard) -> str:
    free, reserve = found.disk.free_bytes, found.disk.reserve_bytes
    if free is None or free < reserve:
        return "bad"
    return "stop" if free < 2 * reserve else "good"
