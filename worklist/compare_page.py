"""A re-run beside its predecessor: what both found, and what differs."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dicom_node import records
from dicom_node.errors import NoSuchJobError
from dicom_node.heatmap_file import KIND
from worklist.access import Viewer
from worklist.job_parts import job_file
from worklist.web import READ, NodeOfApp, message, page
from worklist.words import age_words

if TYPE_CHECKING:
    from collections.abc import Callable

router = APIRouter()

CORRECTED = {
    "PatientSex": "sex",
    "PatientBirthDate": "birth date",
    "ImageLaterality": "side",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison.

    Attributes
    ----------
    label, old, new : str
        What is compared, and what either job says of it.
    """

    label: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        """Return whether the two say different things."""
        return self.old != self.new


@router.api_route("/compare/{old_id:int}/{new_id:int}", methods=READ)
def compare(request: Request, node: NodeOfApp, _user: Viewer, old_id: int, new_id: int) -> Response:
    """Show two jobs of one radiograph side by side."""
    try:
        with node.database.read() as session:
            old, new = (records.show_job(session, one) for one in (old_id, new_id))
    except NoSuchJobError as error:
        return message(request, HTTPStatus.NOT_FOUND, f"There is {error}.")
    if old["sop_instance_uid"] != new["sop_instance_uid"]:
        text = f"Jobs {old_id} and {new_id} are not of one radiograph, so they are not compared."
        return message(request, HTTPStatus.CONFLICT, text)
    context = {
        "old": old,
        "new": new,
        "rows": rows_of(old, new),
        "pictured": [one for one in (old_id, new_id) if job_file(node, one, KIND) is not None],
    }
    return page(request, "compare.html", context)


def rows_of(old: dict[str, Any], new: dict[str, Any]) -> list[Row]:
    """Return the lines of a comparison."""
    lines: dict[str, Callable[[dict[str, Any]], str]] = {
        "State": lambda job: job["state"],
        "Bone age": lambda job: _age(_found(job, "bone_age_months")),
        "90 % interval": lambda job: _interval(_found(job, "interval_months")),
        "Determination": lambda job: _found(job, "determination") or "none",
        "Z-score": lambda job: _number(_found(job, "z_score")),
        "Chronological age": lambda job: _age(_found(job, "chronological_age_months")),
        "Sex": lambda job: _found(job, "sex") or "none",
        "Side": lambda job: _found(job, "laterality") or "none",
        "Corrections": _corrections,
        "Accepted": _accepted,
        "Weights / software": lambda job: job["weights_version"] or job["weights"] or "none",
        "Reason": lambda job: job["reason"] or "none",
    }
    return [Row(label, say(old), say(new)) for label, say in lines.items()]


def _found(job: dict[str, Any], key: str) -> Any:  # noqa: ANN401 - a value of JSON
    return (job["finding"] or {}).get(key)


def _age(months: float | None) -> str:
    return "none" if months is None else f"{age_words(months)} ({months:.1f} months)"


def _interval(months: list[float] | None) -> str:
    return "none" if not months else f"{months[0]:.0f} to {months[1]:.0f} months"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.2f}"


def _corrections(job: dict[str, Any]) -> str:
    """Return what was corrected by whom; a birth date's value is not repeated."""
    said = []
    for item in job["corrections"]:
        value = "" if item["value"] is None else f" {item['value']}"
        said.append(f"{CORRECTED.get(item['keyword'], item['keyword'])}{value} by {item['actor']}")
    return ", ".join(said) or "none"


def _accepted(job: dict[str, Any]) -> str:
    if job["accepted"] is None:
        return "no"
    rules = "header and image" if job["accepted"]["overrule_gate"] else "the header"
    return f"by {job['accepted']['actor']}, who overruled the rules for {rules}"
