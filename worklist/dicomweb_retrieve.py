"""WADO-RS: instances and their headers, sent while they are read (PS3.18 10.4).

A file is sent as it lies on the disk where the client takes its transfer syntax, and is otherwise
decoded to Explicit VR Little Endian, the default of PS3.18 8.7.3.5. One instance at a time is in
memory, never a study.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np
import pydicom
import structlog
from fastapi.responses import Response, StreamingResponse
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicom_node.errors import PixelsError, UnreadableError
from dicom_node.header import UNREADABLE, check_inflated, read_header
from dicom_node.transfer_syntaxes import NATIVE, decode
from worklist.dicomweb_json import MEDIA_TYPE, Json, model
from worklist.dicomweb_store import DicomWebError
from worklist.multipart import Part, Range, not_acceptable, related

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from worklist.dicomweb_store import Address

log = structlog.get_logger()

DICOM: Final = "application/dicom"
BLOCK_BYTES: Final = 1 << 20
PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
NO_HEADER: Final = "The header of this instance cannot be read."
OFFERS: Final = (
    f'multipart/related; type="{DICOM}" in Explicit VR Little Endian or, with transfer-syntax=*, '
    f"as stored; {DICOM} for one instance"
)


@dataclass(frozen=True, slots=True)
class File:
    """An instance whose file is there.

    Attributes
    ----------
    address : Address
        Its three UIDs.
    path : Path
        Where it lies.
    transfer_syntax : str
        As its file meta information has it.
    """

    address: Address
    path: Path
    transfer_syntax: str

    @classmethod
    def of(cls, address: Address, path: Path) -> File:
        """Look a file up.

        Raises
        ------
        DicomWebError
            404 where it is missing, or is no DICOM file any more.
        """
        try:
            meta = read_file_meta_info(path)
            return cls(address, path, str(meta.TransferSyntaxUID))
        except UNREADABLE as error:
            text = "The file of an instance is missing or cannot be read; the node still knows it."
            raise DicomWebError(HTTPStatus.NOT_FOUND, text) from error

    def read(self) -> Dataset:
        """Return the whole instance.

        Raises
        ------
        DicomWebError
            404 where it cannot be read.
        """
        try:
            check_inflated(self.path)
            return pydicom.dcmread(self.path)
        except UNREADABLE as error:
            text = "The file of this instance cannot be read."
            raise DicomWebError(HTTPStatus.NOT_FOUND, text) from error


# --- whole instances ---------------------------------------------------------------------------


def send_instances(files: list[File], ranges: list[Range], root: str, *, is_one: bool) -> Response:
    """Answer with instances.

    Parameters
    ----------
    files : list of File
        At least one.
    ranges : list of Range
        What is accepted.
    root : str
        The URL of the service.
    is_one : bool
        Whether the address names one instance, which may then come without ``multipart``.

    Raises
    ------
    DicomWebError
        406 where they cannot be had in what is accepted.
    """
    for wanted in ranges:
        if not wanted.covers(DICOM):
            continue
        syntax = wanted.transfer_syntax or str(ExplicitVRLittleEndian)
        if not all(_can_be_had(file, syntax) for file in files):
            continue
        if is_one and not wanted.is_multipart and wanted.media_type == DICOM:
            return _one_instance(files[0], syntax)
        if wanted.is_multipart or wanted.media_type != DICOM:
            # The first is made before anything is sent: of one instance, a failure has its status.
            first = _instance_part(files[0], syntax, root)
            others = (_instance_part(file, syntax, root) for file in files[1:])
            return related(chain([first], others), DICOM)
    raise not_acceptable(OFFERS)


def _can_be_had(file: File, syntax: str) -> bool:
    return syntax in {"*", file.transfer_syntax, ExplicitVRLittleEndian}


def _is_as_stored(file: File, syntax: str) -> bool:
    return syntax in {"*", file.transfer_syntax}


def _one_instance(file: File, syntax: str) -> Response:
    name = {"Content-Disposition": f'attachment; filename="{file.address.instance}.dcm"'}
    if not _is_as_stored(file, syntax):
        kind = f"{DICOM}; transfer-syntax={ExplicitVRLittleEndian}"
        return Response(explicit(file), media_type=kind, headers=name)
    kind = f"{DICOM}; transfer-syntax={file.transfer_syntax}"
    return StreamingResponse(blocks(file.path), media_type=kind, headers=name)


def _instance_part(file: File, syntax: str, root: str) -> Part:
    location = f"{root}{file.address.path}"
    if _is_as_stored(file, syntax):
        kind = f"{DICOM}; transfer-syntax={file.transfer_syntax}"
        return Part(kind, location, blocks(file.path))
    return Part(f"{DICOM}; transfer-syntax={ExplicitVRLittleEndian}", location, [explicit(file)])


def blocks(path: Path) -> Iterator[bytes]:
    """Yield the content of a file, block by block."""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def explicit(file: File) -> bytes:
    """Return an instance as a file in Explicit VR Little Endian, its pixels decoded.

    Raises
    ------
    DicomWebError
        406 where that cannot be made; it can be had as stored.
    """
    dataset = file.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            syntax = dataset.file_meta.TransferSyntaxUID
            if syntax not in NATIVE:
                _decompress(dataset)
            elif syntax == ExplicitVRBigEndian:
                _swap_words(dataset)
            return _written(dataset)
    except (PixelsError, *UNREADABLE) as error:
        text = "It cannot be decoded to Explicit VR Little Endian. Ask for transfer-syntax=*."
        raise DicomWebError(HTTPStatus.NOT_ACCEPTABLE, text) from error


def _decompress(dataset: Dataset) -> None:
    """Put decoded pixels in the place of encapsulated ones (PS3.5 A.4, PS3.3 C.7.6.3)."""
    pixels, photometric = decode(dataset)
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    if dataset.SamplesPerPixel > 1:
        dataset.PlanarConfiguration = 0
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _swap_words(dataset: Dataset) -> None:
    """Turn the words of OW, which pydicom leaves as they were stored; all else it knows itself."""
    for element in dataset.iterall():
        if element.VR == "OW" and isinstance(element.value, bytes):
            words = np.frombuffer(element.value[: len(element.value) // 2 * 2], ">u2")
            element.value = words.astype("<u2").tobytes()


def _written(dataset: Dataset) -> bytes:
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()


# --- headers -----------------------------------------------------------------------------------


def send_metadata(
    files: list[File], ranges: list[Range], root: str, *, is_private: bool
) -> Response:
    """Answer with the headers as JSON, one read after the other.

    Raises
    ------
    DicomWebError
        406 where no JSON is accepted; 404 where the one instance asked for cannot be read.
    """
    check_json(ranges)
    if len(files) == 1:
        header = metadata(files[0], root, is_private=is_private)
        return Response(json.dumps([header], allow_nan=False), media_type=MEDIA_TYPE)
    return StreamingResponse(_headers(files, root, is_private=is_private), media_type=MEDIA_TYPE)


def check_json(ranges: list[Range]) -> None:
    """Raise 406 where no JSON is accepted."""
    good = {MEDIA_TYPE, "application/json"}
    if not any(not one.is_multipart and any(map(one.covers, good)) for one in ranges):
        raise not_acceptable(MEDIA_TYPE)


def _headers(files: list[File], root: str, *, is_private: bool) -> Iterator[str]:
    """Yield an array of headers; one that cannot be read is left out, the others are shown."""
    sign = "["
    for file in files:
        try:
            header = metadata(file, root, is_private=is_private)
            text = json.dumps(header, allow_nan=False)
        except (DicomWebError, RecursionError, ValueError):
            log.warning("left out of the metadata, because it cannot be read")
            continue
        yield sign + text
        sign = ","
    yield "]" if sign == "," else "[]"


def metadata(file: File, root: str, *, is_private: bool) -> Json:
    """Return the header of one instance, its pixels and whatever is large by URI.

    Raises
    ------
    DicomWebError
        404 where it cannot be read.
    """
    bulk_uri = f"{root}{file.address.path}/bulkdata"
    header = header_of(file)
    try:
        made = model(header, bulk_uri, is_private=is_private)
    except RecursionError as error:
        raise DicomWebError(HTTPStatus.NOT_FOUND, NO_HEADER) from error
    made["00083002"] = {"vr": "UI", "Value": [file.transfer_syntax]}
    if "Rows" in header:
        made["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{bulk_uri}/7FE00010"}
    return made


def header_of(file: File) -> Dataset:
    """Return the header of an instance.

    Raises
    ------
    DicomWebError
        404 where it cannot be read.
    """
    try:
        return read_header(file.path)
    except (UnreadableError, OSError) as error:
        raise DicomWebError(HTTPStatus.NOT_FOUND, NO_HEADER) from error
