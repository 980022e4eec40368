"""The tables of a report, in Markdown; a value is followed by its bootstrap 95 % interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MONTHS, SIGNED, PERCENT = "{:.2f}", "{:+.2f}", "{:.1%}"
"""How a value is written."""

MEASURES = {
    "mad_months": ("MAD, months", MONTHS),
    "argmax_mad_months": ("MAD of the paper's decoding (most probable class), months", MONTHS),
    "rmse_months": ("RMSE, months", MONTHS),
    "bias_months": ("bias (estimate minus reading), months", SIGNED),
    "lower_limit_months": ("lower limit of agreement, months", SIGNED),
    "upper_limit_months": ("upper limit of agreement, months", SIGNED),
    "within_6_months": ("within 6 months", PERCENT),
    "within_12_months": ("within 12 months", PERCENT),
    "within_24_months": ("within 24 months", PERCENT),
    "significant_errors": ("clinically significant errors", PERCENT),
    "sex_accuracy": ("sex seen as recorded", PERCENT),
    "interval_coverage": ("readings in the 90 % interval", PERCENT),
    "interval_width_months": ("width of the 90 % interval, months", MONTHS),
}
GROUP_MEASURES = (
    ("mad_months", "bias_months", "rmse_months", "argmax_mad_months"),
    ("lower_limit_months", "upper_limit_months", "within_6_months", "within_12_months"),
    ("within_24_months", "significant_errors", "sex_accuracy"),
    ("interval_coverage", "interval_width_months"),
)
"""Columns of the tables by group: more in one table cannot be read."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(row: Mapping[str, Any], name: str, form: str) -> str:
    """Return a measure with its interval; a dash where it is not defined."""
    value, interval = row.get(name), row["confidence_95"].get(name)
    if value is None:
        return "-"
    if interval is None:
        return form.format(value)
    low, high = (form.format(bound) for bound in interval)
    return f"{form.format(value)} ({low} to {high})"


def measures_table(summary: Mapping[str, Any]) -> str:
    """Return every measure over all pictures and over those that the gate accepts."""
    accepted = summary["accepted"]
    groups = [summary, *([accepted] if accepted["n"] else [])]
    names = [f"all {summary['n']}", f"{accepted['n']} not refused"][: len(groups)]
    rows = [
        [words, *(cell(group, name, form) for group in groups)]
        for name, (words, form) in MEASURES.items()
    ]
    return table(["measure", *names], rows)


def groups_tables(groups: Mapping[str, Mapping[str, Any]], what: str) -> str:
    """Return the measures by group, in tables of a few columns each."""
    tables = []
    for names in GROUP_MEASURES:
        head = [what, "n", *(MEASURES[name][0] for name in names)]
        rows = [
            [key, str(group["n"]), *(cell(group, name, MEASURES[name][1]) for name in names)]
            for key, group in groups.items()
        ]
        tables.append(table(head, rows))
    return "\n\n".join(tables)


def coverage_table(curve: Sequence[Mapping[str, Any]]) -> str:
    """Return nominal and observed coverage."""
    head = ["nominal", "estimate ± quantile x predictive SD", "between quantiles of the softmax"]
    rows = [
        [
            f"{row['nominal']:.0%}",
            cell(row, "scaled_sd", PERCENT),
            cell(row, "softmax", PERCENT),
        ]
        for row in curve
    ]
    return table(head, rows)


def stress_table(stress: Mapping[str, Any]) -> str:
    """Return what each transform does."""
    head = [
        "transform",
        "MAD, months",
        "change of MAD, months",
        "significant errors",
        "change of significant errors",
        "refused",
        "MAD of those not refused",
    ]
    named = [("plain", stress["plain"])]
    named += [(f"{row['kind']}: {row['strength']}", row) for row in stress["transforms"]]
    rows = [
        [
            name,
            cell(row, "mad_months", MONTHS),
            cell(row, "mad_difference_months", SIGNED),
            cell(row, "significant_errors", PERCENT),
            cell(row, "significant_difference", "{:+.1%}"),
            f"{row['refused']:.1%}",
            "-" if row["accepted_mad_months"] is None else f"{row['accepted_mad_months']:.2f}",
        ]
        for name, row in named
    ]
    return table(head, rows)


def kinds_table(stress: Mapping[str, Any]) -> str:
    """Return of each kind of transform the strength under which MAD rises most."""
    head = ["kind", "rises most under", "change of MAD, months", "largest share refused"]
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in stress["transforms"]:
        kinds.setdefault(row["kind"], []).append(row)
    rows = []
    for kind, of_kind in kinds.items():
        worst = max(of_kind, key=lambda row: row["mad_difference_months"])
        change = cell(worst, "mad_difference_months", SIGNED)
        refused = max(row["refused"] for row in of_kind)
        rows.append([kind, worst["strength"], change, f"{refused:.1%}"])
    return table(head, rows)


def views_table(views: Sequence[Mapping[str, Any]]) -> str:
    """Return error and cost by number of views."""
    head = ["views", "n", "MAD, months", "change of MAD, months", "median ms a picture"]
    rows = [
        [
            str(row["views"]),
            str(row["n"]),
            cell(row, "mad_months", MONTHS),
            cell(row, "mad_difference_months", SIGNED),
            f"{row['median_milliseconds']:.0f}",
        ]
        for row in views
    ]
    return table(head, rows)
