"""A structured report as a tree that can be read: concepts, values, units, relationships."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.errors import NoSuchJobError
from dicom_node.header import UNREADABLE, items, settle_text, text
from worklist.access import Viewer
from worklist.identity_view import HIDDEN, Veil
from worklist.job_parts import no_such_job, outputs_of, part_page, source_of
from worklist.web import READ, NodeOfApp

DEEPEST: Final = 16
REPORT_KINDS: Final = ("sr", "sr-2d")
"""The better one first."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Item:
    """One content item of a report (PS3.3 C.17.3).

    Attributes
    ----------
    relationship : str
        To the item that it stands in; empty for the root.
    concept, concept_code : str
        What it speaks of, by its meaning and its code.
    kind : str
        Its value type.
    value, code : str
        What it says, and the code of that, or of its unit.
    children : tuple of Item
        What stands in it.
    """

    relationship: str
    concept: str
    concept_code: str
    kind: str
    value: str
    code: str
    children: tuple[Item, ...]


def read_tree(path: Path, veil: Veil) -> Item:
    """Return a report's tree.

    Raises
    ------
    OSError, ValueError and what else pydicom raises (`dicom_node.header.UNREADABLE`)
        If the file is missing or damaged.
    """
    # pydicom's warnings repeat the values that they warn of.
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        report = pydicom.dcmread(path)
        settle_text(report)
        return _item(report, veil, 0)


def _item(item: Dataset, veil: Veil, depth: int) -> Item:
    """Return a content item and what stands in it."""
    concept, concept_code = _coded(item, "ConceptNameCodeSequence")
    value, code = _value(item)
    hidden = veil.is_drawn and text(item, "ValueType") == "PNAME"
    inner = items(item, "ContentSequence") if depth < DEEPEST else []
    return Item(
        relationship=text(item, "RelationshipType").lower(),
        concept=concept,
        concept_code=concept_code,
        kind=text(item, "ValueType"),
        value=HIDDEN if hidden else veil.text(value),
        code=code,
        children=tuple(_item(child, veil, depth + 1) for child in inner),
    )


def _coded(item: Dataset, keyword: str) -> tuple[str, str]:
    """Return meaning and code of a sequence's first code."""
    for code in items(item, keyword):
        value = text(code, "CodeValue") or text(code, "LongCodeValue") or text(code, "URNCodeValue")
        scheme = text(code, "CodingSchemeDesignator")
        return text(code, "CodeMeaning"), ", ".join(part for part in (value, scheme) if part)
    return "", ""


def _value(item: Dataset) -> tuple[str, str]:
    """Return what an item says, and the code of it or of its unit, by its value type."""
    kind = text(item, "ValueType")
    if kind == "NUM":
        for measured in items(item, "MeasuredValueSequence"):
            unit, code = _coded(measured, "MeasurementUnitsCodeSequence")
            return f"{text(measured, 'NumericValue')} {unit}".strip(), code
        return _coded(item, "NumericValueQualifierCodeSequence")
    if kind == "CODE":
        return _coded(item, "ConceptCodeSequence")
    if kind in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        return _reference(item), ""
    if kind in {"SCOORD", "SCOORD3D"}:
        return f"{text(item, 'GraphicType')} {text(item, 'GraphicData')}".strip(), ""
    keywords = {
        "TEXT": "TextValue",
        "UIDREF": "UID",
        "PNAME": "PersonName",
        "DATE": "Date",
        "TIME": "Time",
        "DATETIME": "DateTime",
    }
    return text(item, keywords.get(kind, "")) if kind in keywords else "", ""


def _reference(item: Dataset) -> str:
    """Return which object an item refers to."""
    for reference in items(item, "ReferencedSOPSequence"):
        name = UID(text(reference, "ReferencedSOPClassUID")).name
        return f"{name}, {text(reference, 'ReferencedSOPInstanceUID')}"
    return ""


@router.api_route("/jobs/{job_id:int}/report-tree", methods=READ)
def show_tree(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> Response:
    """Show a job's structured report as a tree."""
    try:
        source = source_of(node, job_id)
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    made = {output.kind: output for output in outputs_of(node, job_id)}
    report = next((made[kind] for kind in REPORT_KINDS if kind in made), None)
    context: dict[str, Any] = {"root": None, "why": "this job has no structured report"}
    if report is not None:
        try:
            path = node.storage.absolute(report.path)
            context = {"root": read_tree(path, source.veil(request)), "why": None}
        except UNREADABLE:
            context["why"] = "the report's file is missing or damaged"
    return part_page(request, "job_tree.html", "Structured report", job_id, context)
