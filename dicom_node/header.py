"""The header of a file: read without its pixels, and what of it the database keeps."""

from __future__ import annotations

import errno
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

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
    BytesLengthException,
    ArithmeticError,
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
    zlib.error,
)
"""What pydicom raises on damaged files."""

CONTROLS = dict.fromkeys((*range(0x20), 0x7F), " ")
"""PostgreSQL takes no NUL, a terminal obeys an ESC, and a line of a log ends at a line feed."""


def read_header(path: Path) -> Dataset:
    """Read a file up to its pixel data.

    Raises
    ------
    UnreadableError
        If it is no DICOM file, its header is damaged, or it is not there.
    OSError
        If the disk fails or files run out: that says nothing about the file.
    """
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except UNREADABLE as error:
        # pydicom's own OSError, on a damaged sequence, carries no number.
        if isinstance(error, OSError) and error.errno not in {None, errno.ENOENT}:
            raise
        msg = f"the header cannot be parsed ({type(error).__name__})"
        raise UnreadableError(msg) from error
    return header


def text(header: Dataset, keyword: str) -> str:
    """Return an attribute as one line of text, empty where it is missing or cannot be read."""
    try:
        value = header.get(keyword)
        if value is None:
            return ""
        parts = value if isinstance(value, pydicom.multival.MultiValue) else [value]
        return "\\".join(str(part).translate(CONTROLS).strip() for part in parts)
    except UNREADABLE:
        return ""


def kept(header: Dataset) -> dict[str, Any]:
    """Return what the database keeps of a header, as text."""
    values = {keyword: text(header, keyword) for keyword in KEPT}
    return {keyword: value for keyword, value in values.items() if value}
