"""The header of a file: read without its pixels, and what of it the database keeps."""

from __future__ import annotations

import errno
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pydicom
from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator
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

INFLATED_LIMIT_BYTES = 512 << 20
BLOCK_BYTES = 1 << 20
META_START = 144
"""Preamble, prefix and group length: what the group length does not count (PS3.10 7.1)."""

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

KEPT_LENGTH = 1024
"""Of each value: a header's text may be of any length."""

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
        check_inflated(path)
        header = pydicom.dcmread(path, stop_before_pixels=True)
    except UNREADABLE as error:
        # pydicom's own OSError, on a damaged sequence, carries no number.
        if isinstance(error, OSError) and error.errno not in {None, errno.ENOENT}:
            raise
        msg = f"the header cannot be parsed ({type(error).__name__})"
        raise UnreadableError(msg) from error
    return header


def check_inflated(path: Path) -> None:
    """Refuse a deflated data set that would fill the memory: pydicom inflates it in one piece.

    Raises
    ------
    ValueError
        If it is larger than `INFLATED_LIMIT_BYTES` or does not inflate.
    """
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        file.seek(META_START + int(meta.FileMetaInformationGroupLength))
        while block := file.read(BLOCK_BYTES):
            # Past the end of the stream the padding (PS3.5 A.5) is never consumed.
            while block and not inflate.eof:
                total += len(inflate.decompress(block, BLOCK_BYTES))
                block = inflate.unconsumed_tail
                if total > INFLATED_LIMIT_BYTES:
                    msg = "the deflated data set is too large"
                    raise ValueError(msg)


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


def items(header: Dataset, keyword: str) -> list[Dataset]:
    """Return a sequence's items, none where it is missing or damaged."""
    try:
        return list(header.get(keyword) or [])
    except UNREADABLE:
        return []


def meanings(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield the code meanings of a sequence."""
    for item in items(header, keyword):
        if meaning := text(item, "CodeMeaning"):
            yield meaning


def kept(header: Dataset) -> dict[str, Any]:
    """Return what the database keeps of a header, as text."""
    values = {keyword: text(header, keyword)[:KEPT_LENGTH] for keyword in KEPT}
    return {keyword: value for keyword, value in values.items() if value}
