"""The header of a file: read without its pixels, its text decoded, and what the database keeps."""

from __future__ import annotations

import errno
import struct
import zlib
from typing import TYPE_CHECKING, Any, cast

import pydicom
from pydicom import Dataset
from pydicom.charset import ESC
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.valuerep import STR_VR

from dicom_node.character_set import decode, known_codecs
from dicom_node.errors import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydicom.tag import BaseTag

KEPT = (
    "Modality",
    "StudyDate",
    "StudyTime",
    "AcquisitionDate",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientAge",
    "PatientSex",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
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
"""Keywords that the worklist and DICOMweb show or filter by; they stay in the database, never in
a log."""

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

TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""The VRs that SpecificCharacterSet speaks of (PS3.5 6.1.2.2)."""

ONE_VALUE = frozenset({"LT", "ST", "UT"})
"""Text in which a backslash is a character and ends no value."""

ASSUMED = "assumed_character_sets"
"""The attribute of a data set that `settle_text` leaves for `assumed_character_sets`."""

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
        settle_text(header)
    except UNREADABLE as error:
        # pydicom's own OSError, on a damaged sequence, carries no number.
        if isinstance(error, OSError) and error.errno not in {None, errno.ENOENT}:
            raise
        is_there = not isinstance(error, FileNotFoundError)
        why = f"the header cannot be parsed ({type(error).__name__})"
        msg = why if is_there else "the file is missing"
        raise UnreadableError(msg) from error
    return header


def settle_text(dataset: Dataset) -> None:
    """Decode the text of a data set just read, and of its sequences, as `character_set` rules.

    pydicom decodes an element when it is first looked at, and keeps no bytes: so this comes
    before anything else. What is damaged, and what is private, stays as it is.
    """
    assumed: dict[BaseTag, set[str]] = {}
    codecs = known_codecs(dataset.original_character_set)
    is_implicit_vr, is_little_endian = dataset.original_encoding
    dataset.set_original_encoding(is_implicit_vr, is_little_endian, codecs)
    for tag in list(dataset.keys()):
        names = {*_settle(dataset, tag)} - {""}
        if names:
            assumed[tag] = names
    setattr(dataset, ASSUMED, assumed)


def assumed_character_sets(dataset: Dataset, tags: Iterable[int]) -> list[str]:
    """Return in which sets, other than the declared one, the text of these elements was read."""
    assumed: dict[BaseTag, set[str]] = getattr(dataset, ASSUMED, {})
    return sorted(set().union(*(assumed.get(tag, set()) for tag in map(Tag, tags))))


def _settle(dataset: Dataset, tag: BaseTag) -> Iterator[str]:
    """Decode one element; yields the sets that were assumed in it."""
    element = cast("DataElement | RawDataElement", dataset.get_item(tag))
    vr = _known_vr(tag)
    if vr == "SQ":
        for item in items(dataset, tag):
            settle_text(item)
            yield from assumed_character_sets(item, item.keys())
    elif vr in TEXT_VRS and isinstance(element, RawDataElement) and _is_string(element):
        yield _settle_element(dataset, element, vr)


def _known_vr(tag: BaseTag) -> str:
    """Return the VR that the dictionary gives a tag, "" for a private or an unknown one."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else ""


def _is_string(element: RawDataElement) -> bool:
    """Return whether the value holds characters that are not plain ASCII."""
    value = element.value
    if element.VR not in {None, "UN", *STR_VR} or not isinstance(value, bytes):
        return False
    return not value.isascii() or ESC in value


def _settle_element(dataset: Dataset, element: RawDataElement, vr: str) -> str:
    """Put the decoded element in the place of the raw one; returns the set that was assumed."""
    codecs = list(dataset.original_character_set)
    words, name = decode(element.value or b"", codecs, is_name=vr == "PN")
    values = [words] if vr in ONE_VALUE else words.split("\\")
    values = [value.rstrip("\0 ") for value in values]
    with disable_value_validation():
        dataset[element.tag] = DataElement(
            element.tag, vr, values if len(values) > 1 else values[0]
        )
    return name


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


def items(dataset: Dataset, name: str | BaseTag) -> list[Dataset]:
    """Return a sequence's items, none where it is missing, damaged or no sequence."""
    try:
        value = dataset[name].value
    except UNREADABLE:
        return []
    return list(value) if isinstance(value, Sequence) else []


def meanings(header: Dataset, keyword: str) -> Iterator[str]:
    """Yield the code meanings of a sequence."""
    for item in items(header, keyword):
        if meaning := text(item, "CodeMeaning"):
            yield meaning


def kept(header: Dataset) -> dict[str, Any]:
    """Return what the database keeps of a header, as text."""
    values = {keyword: text(header, keyword)[:KEPT_LENGTH] for keyword in KEPT}
    return {keyword: value for keyword, value in values.items() if value}
