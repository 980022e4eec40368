"""The header of a job's radiograph, every element of it, read without its pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pydicom
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_node.errors import NoSuchJobError, UnreadableError
from dicom_node.header import CONTROLS, UNREADABLE, read_header
from worklist.access import Viewer
from worklist.identity_view import HIDDEN, Veil
from worklist.job_parts import no_such_job, part_page, source_of
from worklist.web import READ, NodeOfApp

MOST_ELEMENTS: Final = 5000
DEEPEST: Final = 16
PIXEL_HEAD: Final = 12
"""Bytes before the pixel data themselves, in explicit VR."""

LONGEST_VALUE: Final = 300
"""Characters of a value that are shown."""

PATIENT_GROUP: Final = 0x0010
SHOWN_OF_PATIENT: Final = frozenset(
    {"PatientSex", "PatientAge", "PatientSize", "PatientWeight", "PregnancyStatus"}
)
"""What of the patient's group names nobody."""

NAMING: Final = frozenset(
    {"AccessionNumber", "AdmissionID", "StudyID", "ImageComments", "RequestingService"}
)
"""Elsewhere, beside every person's name, what the privacy switch hides."""

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a header.

    Attributes
    ----------
    depth : int
        In how many sequences it lies.
    tag, keyword, vr, value : str
        For a reader; an item of a sequence has none but its number as the value.
    is_private : bool
        Whether its group is a vendor's own.
    """

    depth: int
    tag: str
    keyword: str
    vr: str
    value: str
    is_private: bool = False


def read_elements(path: Path, veil: Veil) -> list[Element]:
    """Return every element of a file's header, with the file meta information.

    Raises
    ------
    UnreadableError
        If the file is missing, or its header is damaged.
    """
    # pydicom's warnings repeat the values that they warn of.
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        header = read_header(path)
        found = []
        for dataset in (header.file_meta, header):
            for element in _elements(dataset, veil, 0):
                found.append(element)
                if len(found) == MOST_ELEMENTS:
                    return [*found, Element(0, "", "and more", "", "the rest is not shown")]
    if (size := _pixel_size(path)) is not None:
        found.append(Element(0, "(7FE0,0010)", "PixelData", "", size))
    return found


def _elements(dataset: Dataset, veil: Veil, depth: int) -> Iterator[Element]:
    """Yield the elements of a data set, and of its sequences."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
        except UNREADABLE:
            yield Element(
                depth, _tag_words(tag), _keyword(tag), "", "cannot be read", tag.is_private
            )
            continue
        if element.VR != "SQ":
            yield _element(element, veil, depth)
            continue
        items = list(element.value)
        count = f"{len(items)} item{'' if len(items) == 1 else 's'}"
        yield Element(depth, _tag_words(tag), _keyword(tag), "SQ", count, tag.is_private)
        for number, item in enumerate(items, 1):
            yield Element(depth + 1, "", "", "", f"item {number}", tag.is_private)
            if depth < DEEPEST:
                yield from _elements(item, veil, depth + 2)


def _element(element: DataElement, veil: Veil, depth: int) -> Element:
    """Return an element that is no sequence."""
    tag = element.tag
    keyword = _keyword(tag)
    value = HIDDEN if veil.is_drawn and _names_someone(element, keyword) else _value(element)
    return Element(depth, _tag_words(tag), keyword, element.VR, veil.text(value), tag.is_private)


def _names_someone(element: DataElement, keyword: str) -> bool:
    """Tell whether the privacy switch hides a value whatever it is."""
    of_patient = element.tag.group == PATIENT_GROUP and keyword not in SHOWN_OF_PATIENT
    return of_patient or element.VR == "PN" or element.tag.is_private or keyword in NAMING


def _value(element: DataElement) -> str:
    """Return a value as one line, cut where it is long; bytes as their number."""
    try:
        value: Any = element.value
        if isinstance(value, bytes | bytearray):
            return f"{len(value):,} bytes"
        parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
        words = "\\".join(_words(part) for part in parts)
    except UNREADABLE:
        return "cannot be read"
    if len(words) > LONGEST_VALUE:
        return f"{words[:LONGEST_VALUE]}… ({len(words):,} characters)"
    return words


def _words(part: object) -> str:
    """Return one of a value's parts; a UID that the standard names with that name."""
    if part is None:
        return ""
    if isinstance(part, UID) and part.name != part:
        return f"{part} ({part.name})"
    if isinstance(part, BaseTag):
        return _tag_words(part)
    return str(part).translate(CONTROLS).strip()


def _keyword(tag: BaseTag) -> str:
    """Return a tag's keyword; of a private one, that it is private."""
    return "private" if tag.is_private else keyword_for_tag(tag) or "unknown"


def _tag_words(tag: BaseTag) -> str:
    """Return a tag as the standard writes it."""
    return f"({tag.group:04X},{tag.element:04X})"


def _pixel_size(path: Path) -> str | None:
    """Return how large the pixel data are in the file, None where there are none."""
    try:
        with path.open("rb") as file:
            meta = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[]).file_meta
            if meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian:
                return "deflated with the rest"
            begin = file.tell()
            head = file.read(PIXEL_HEAD)
    except UNREADABLE:
        return None
    # Tag, VR and length, but for implicit VR tag and length (PS3.5 7.1).
    size = path.stat().st_size - begin - (PIXEL_HEAD if head[4:6].isalpha() else PIXEL_HEAD - 4)
    return f"{size:,} bytes" if size > 0 else None


@router.api_route("/jobs/{job_id:int}/header", methods=READ)
def show_header(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> Response:
    """Show every element of a radiograph's header."""
    try:
        source = source_of(node, job_id)
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    context: dict[str, Any] = {"elements": [], "why": None}
    try:
        context["elements"] = read_elements(source.path, source.veil(request))
    except (UnreadableError, OSError) as error:
        gone = "the received file is missing"
        context["why"] = str(error) if source.path.is_file() else gone
    return part_page(request, "job_header.html", "Header", job_id, context)
