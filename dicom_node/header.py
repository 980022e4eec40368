"""The header of a file: read without its pixels, and what of it the database keeps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError

from dicom_node.errors import UnreadableError

if TYPE_CHECKING:
    from pathlib import Path

KEPT = (
    "Modality",
    "StudyDate",
    "StudyTime",
    "AcquisitionDate",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientAge",
    "PatientSex",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "Manufacturer",
    "InstitutionName",
    "StationName",
    "Rows",
    "Columns",
)
"""Keywords that the worklist shows or filters by; they stay in the database, never in a log."""

UNREADABLE = (
    InvalidDicomError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    IndexError,
    NotImplementedError,
    LookupError,
    RecursionError,
    struct.error,
)
"""What pydicom raises on damaged files."""


def read_header(path: Path) -> Dataset:
    """Read a file up to its pixel data.

    Raises
    ------
    UnreadableError
        If it is no DICOM file or its header is damaged.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        header.decode()
    except UNREADABLE as error:
        msg = f"the header cannot be parsed ({type(error).__name__})"
        raise UnreadableError(msg) from error
    return header


def text(header: Dataset, keyword: str) -> str:
    """Return an attribute as one line of text, empty where it is missing or cannot be read."""
    try:
        value = header.get(keyword)
    except UNREADABLE:
        return ""
    if value is None:
        return ""
    if isinstance(value, pydicom.multival.MultiValue):
        return "\\".join(str(part) for part in value)
    return str(value).strip()


def kept(header: Dataset) -> dict[str, Any]:
    """Return what the database keeps of a header, as text; without NUL, which none takes."""
    values = {keyword: text(header, keyword).replace("\x00", "") for keyword in KEPT}
    return {keyword: value for keyword, value in values.items() if value}
