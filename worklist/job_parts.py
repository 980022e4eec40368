"""What every part of a job's page begins with: the job, its file, and who may see its patient."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from sqlalchemy import select

from dicom_node import jobs
from dicom_node.db import InstanceRow, JobFileRow, OutputRow
from dicom_node.errors import NoSuchJobError
from dicom_node.node import Node
from worklist.identity_view import Veil, veil_of
from worklist.web import message, page


@dataclass(frozen=True, slots=True)
class Source:
    """The radiograph of a job.

    Attributes
    ----------
    path : Path
        Its file, which may be gone.
    instance : InstanceRow
        Its row.
    """

    path: Path
    instance: InstanceRow

    def veil(self, request: Request) -> Veil:
        """Return what the privacy switch hides."""
        return veil_of(request, self.instance.header)


def source_of(node: Node, job_id: int) -> Source:
    """Return the radiograph of a job.

    Raises
    ------
    NoSuchJobError
        If there is no such job.
    """
    with node.database.read() as session:
        instance = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
    return Source(node.storage.absolute(instance.path), instance)


def outputs_of(node: Node, job_id: int) -> list[OutputRow]:
    """Return the result objects of a job, none where there is no such job."""
    query = select(OutputRow).where(OutputRow.job_id == job_id).order_by(OutputRow.id)
    with node.database.read() as session:
        return list(session.scalars(query))


def job_file(node: Node, job_id: int, kind: str) -> JobFileRow | None:
    """Return the newest file of this kind that a job keeps for itself."""
    query = select(JobFileRow).where(JobFileRow.job_id == job_id, JobFileRow.kind == kind)
    with node.database.read() as session:
        return session.scalars(query.order_by(JobFileRow.id.desc()).limit(1)).first()


def veiled(job: dict[str, Any], veil: Veil) -> dict[str, Any]:
    """Return a job's record, its texts without what names the patient where that is hidden."""
    if not veil.is_drawn:
        return job
    hidden: dict[str, Any] = {
        "reason": _hidden(job["reason"], veil),
        "events": [{**event, "reason": _hidden(event["reason"], veil)} for event in job["events"]],
        "destinations": [
            {**entry, "reason": _hidden(entry["reason"], veil)} for entry in job["destinations"]
        ],
    }
    if job["finding"]:
        report = veil.text(job["finding"].get("report", ""))
        hidden["finding"] = {**job["finding"], "report": report}
    return {**job, **hidden}


def _hidden(words: str | None, veil: Veil) -> str | None:
    return None if words is None else veil.text(words)


def part_page(
    request: Request, part: str, title: str, job_id: int, context: dict[str, Any]
) -> Response:
    """Render a part of the page: alone where htmx asks, else on its own page."""
    given = {"job_id": job_id, "part": part, "part_title": title, **context}
    is_fragment = request.headers.get("HX-Request") == "true"
    return page(request, part if is_fragment else "job_part.html", given)


def no_such_job(request: Request, error: NoSuchJobError, job_id: int) -> Response:
    """Answer that there is none."""
    del error
    return message(request, HTTPStatus.NOT_FOUND, f"There is no job {job_id}.")
