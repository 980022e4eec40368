"""WADO-RS: frames, rendered pictures, and bulk data (PS3.18 10.4.1.1.6, 10.4.1.1.2, 10.4.1.1.5)."""

from __future__ import annotations

import io
import re
import warnings
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from fastapi.responses import Response
from PIL import Image
from pydicom.encaps import encapsulate, get_frame
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicom_node import pixels
from dicom_node.errors import PixelsError
from dicom_node.header import UNREADABLE, items, text
from dicom_node.transfer_syntaxes import NATIVE, decode
from worklist.dicomweb_json import is_identifying
from worklist.dicomweb_retrieve import PIXELS, File
from worklist.dicomweb_store import DicomWebError
from worklist.multipart import ANY, Part, Range, not_acceptable, related

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from starlette.datastructures import QueryParams

OCTETS: Final = "application/octet-stream"
MEDIA_TYPES: Final = {
    "image/jpeg": ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/jls": ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    "image/jp2": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "image/jphc": ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203"),
}
"""The media type of each compressed syntax, its default first (PS3.18 table 8.7.3-5)."""

MOST_FRAMES: Final = 100
FRAMES: Final = re.compile(r"[0-9]{1,9}(,[0-9]{1,9})*")

LARGEST_SIDE_PX: Final = 4096
QUALITY: Final = 90
RENDERED: Final = {"image/jpeg": "JPEG", "image/png": "PNG"}
FUNCTIONS: Final = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
PDF: Final = "application/pdf"
_NUMBER: Final = r"-?[0-9]{1,6}(?:\.[0-9]{1,6})?"
_WINDOW: Final = re.compile(rf"({_NUMBER}),({_NUMBER}),([a-z-]+)")

COLOURS: Final = 3
BITS_OF_A_BYTE: Final = 8


def _bad(text: str) -> DicomWebError:
    return DicomWebError(HTTPStatus.BAD_REQUEST, text)


# --- frames ------------------------------------------------------------------------------------


def frame_numbers(given: str) -> list[int]:
    """Return the frames of an address, counted from 1.

    Raises
    ------
    DicomWebError
        400 where they are no numbers from 1, or too many.
    """
    numbers = [int(word) for word in given.split(",")] if FRAMES.fullmatch(given) else []
    if not numbers or min(numbers) < 1 or len(numbers) > MOST_FRAMES:
        msg = f"Frames are numbers from 1, by commas, at most {MOST_FRAMES}."
        raise _bad(msg)
    return numbers


def send_frames(file: File, numbers: list[int], ranges: list[Range], root: str) -> Response:
    """Answer with frames, as stored where that is accepted, else decoded.

    Raises
    ------
    DicomWebError
        404 where there are no such frames; 406 where they cannot be had as accepted.
    """
    media_type, syntax = _negotiated(file.transfer_syntax, ranges)
    dataset = file.read()
    count = _frame_count(dataset)
    if max(numbers) > count:
        msg = f"It has {count} frames." if count else "It has no frames."
        raise DicomWebError(HTTPStatus.NOT_FOUND, msg)
    label = f"{media_type}; transfer-syntax={syntax}"
    is_decoded = syntax != file.transfer_syntax and file.transfer_syntax not in NATIVE
    try:
        frames = [_frame(dataset, number - 1, count, is_decoded=is_decoded) for number in numbers]
    except (PixelsError, *UNREADABLE, RuntimeError) as error:
        msg = "Its pixel data are damaged, or cannot be decoded here. Ask for transfer-syntax=*."
        raise DicomWebError(HTTPStatus.NOT_ACCEPTABLE, msg) from error
    parts = [
        Part(label, f"{root}{file.address.path}/frames/{number}", [frame])
        for number, frame in zip(numbers, frames, strict=True)
    ]
    return related(parts, media_type)


def _negotiated(stored: str, ranges: list[Range]) -> tuple[str, str]:
    """Return media type and transfer syntax of frames.

    Native pixels are the same bytes in every little endian syntax. A client that takes octets in
    any syntax gets compressed frames as octets, as all archives answer it.
    """
    is_native = UID(stored) in NATIVE
    own = next((kind for kind, uids in MEDIA_TYPES.items() if stored in uids), OCTETS)
    decoded = str(ExplicitVRLittleEndian)
    plain = {"", decoded}
    if is_native:
        plain |= {"*", stored} - {str(ExplicitVRBigEndian)}
    for wanted in ranges:
        if not (wanted.is_multipart or wanted.media_type == ANY):
            continue
        syntax = wanted.transfer_syntax
        if wanted.covers(OCTETS) and syntax in plain:
            return OCTETS, decoded
        if not is_native and syntax in {"", "*", stored}:
            if wanted.media_type == OCTETS and syntax:
                return OCTETS, stored
            if own != OCTETS and wanted.covers(own):
                return own, stored
    offers = f"{OCTETS}, decoded or with transfer-syntax=*, in multipart/related"
    raise not_acceptable(offers if own == OCTETS else f"{offers}, or {own}")


def _frame_count(dataset: Dataset) -> int:
    if not any(keyword in dataset for keyword in PIXELS):
        return 0
    number = text(dataset, "NumberOfFrames")
    return max(1, int(number)) if number.isascii() and number.isdigit() else 1


def _frame(dataset: Dataset, index: int, count: int, *, is_decoded: bool) -> bytes:
    """Return the bytes of one frame, native ones little endian."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        return _native_frame(dataset, index, count)
    frame = get_frame(dataset.PixelData, index, number_of_frames=count)
    if not is_decoded:
        return frame
    dataset.PixelData = encapsulate([frame])
    dataset.NumberOfFrames = 1
    try:
        decoded, _ = decode(dataset)
    finally:
        dataset.NumberOfFrames = count
    return decoded.astype(decoded.dtype.newbyteorder("<")).tobytes()


def _native_frame(dataset: Dataset, index: int, count: int) -> bytes:
    keyword = next(name for name in PIXELS if name in dataset)
    bits = {"PixelData": dataset.get("BitsAllocated"), "FloatPixelData": 32}.get(keyword, 64)
    bits_of_frame = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * bits
    if bits_of_frame % BITS_OF_A_BYTE or bits not in {8, 16, 32, 64}:
        msg = "its frames do not begin at a byte"
        raise PixelsError(msg)
    size = bits_of_frame // BITS_OF_A_BYTE
    data: bytes = dataset[keyword].value
    if len(data) < size * count:
        msg = "its pixel data are cut short"
        raise PixelsError(msg)
    frame = data[index * size : (index + 1) * size]
    if dataset.file_meta.TransferSyntaxUID != ExplicitVRBigEndian:
        return frame
    # Cells of 8 bits lie in words (PS3.5 8.1.1) unless they were written as OB.
    width = 1 if dataset[keyword].VR == "OB" else max(bits // 8, 2)
    return np.frombuffer(frame, f">u{width}").astype(f"<u{width}").tobytes()


# --- rendered ----------------------------------------------------------------------------------


def send_rendered(file: File, ranges: list[Range], query: QueryParams) -> Response:
    """Answer with a picture for eyes: JPEG or PNG, through the window that is asked for.

    An encapsulated PDF is its own rendering.

    Raises
    ------
    DicomWebError
        400 where a parameter is none; 406 where there is no picture in it, or none accepted.
    """
    dataset = file.read()
    if "EncapsulatedDocument" in dataset:
        if not any(one.covers(PDF) for one in ranges):
            raise not_acceptable(PDF)
        return Response(bytes(dataset.EncapsulatedDocument), media_type=PDF)
    kinds = (kind for one in ranges for kind in RENDERED if one.covers(kind))
    media_type = next(kinds, None)
    if media_type is None:
        raise not_acceptable(" or ".join(RENDERED))
    _apply_window(dataset, query.get("window", ""))
    size, quality = _viewport(query.get("viewport", "")), _quality(query.get("quality", ""))
    picture = _picture(dataset)
    if size is not None:
        picture.thumbnail(size)
    out = io.BytesIO()
    picture.save(out, RENDERED[media_type], quality=quality)
    return Response(out.getvalue(), media_type=media_type)


def _apply_window(dataset: Dataset, given: str) -> None:
    """Put ``center,width,function`` in the place of the header's own (PS3.18 8.3.5.1.4)."""
    if not given:
        return
    found = _WINDOW.fullmatch(given.lower())
    if found is None or float(found[2]) <= 0 or found[3] not in FUNCTIONS:
        msg = "window is center,width,function; the function linear, linear-exact or sigmoid."
        raise _bad(msg)
    center, width, function = float(found[1]), float(found[2]), FUNCTIONS[found[3]]
    dataset.pop("VOILUTSequence", None)
    dataset.WindowCenter, dataset.WindowWidth = center, width
    dataset.VOILUTFunction = function


def _viewport(given: str) -> tuple[int, int] | None:
    if not given:
        return None
    found = re.fullmatch(r"([0-9]{1,4}),([0-9]{1,4})", given)
    size = tuple(map(int, found.groups())) if found else ()
    if not size or not all(0 < side <= LARGEST_SIDE_PX for side in size):
        msg = f"viewport is width,height in pixels, each from 1 to {LARGEST_SIDE_PX}."
        raise _bad(msg)
    return size[0], size[1]


def _quality(given: str) -> int:
    if not given:
        return QUALITY
    if not re.fullmatch("[0-9]{1,3}", given) or not 1 <= int(given) <= 100:  # noqa: PLR2004
        msg = "quality is a number from 1 to 100."
        raise _bad(msg)
    return int(given)


def _picture(dataset: Dataset) -> Image.Image:
    """Return the picture, colours as colours."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if dataset.get("SamplesPerPixel") == COLOURS:
                stored, _ = decode(dataset)
                shift = max(0, int(dataset.BitsStored) - BITS_OF_A_BYTE)
                return Image.fromarray((stored >> shift).astype(np.uint8))
        shown = pixels.read_picture_pixels(dataset)
        return Image.fromarray(np.rint(shown * 255).astype(np.uint8))
    except (PixelsError, *UNREADABLE) as error:
        msg = "There is no picture in this instance, or it cannot be shown."
        raise DicomWebError(HTTPStatus.NOT_ACCEPTABLE, msg) from error


# --- bulk data ---------------------------------------------------------------------------------


def send_bulk(file: File, path: str, ranges: list[Range], *, is_private: bool) -> Response:
    """Answer with one large value of a header, as octets; the path is as `metadata` gave it.

    Raises
    ------
    DicomWebError
        404 where there is no such value; 406 where octets are not accepted.
    """
    dataset = file.read()
    value = _bulk_value(dataset, path, is_private=is_private)
    if value is None:
        raise DicomWebError(HTTPStatus.NOT_FOUND, "There is no such value in this instance.")
    is_pdf = path == "00420011" and text(dataset, "MIMETypeOfEncapsulatedDocument") == PDF
    for wanted in ranges:
        if is_pdf and wanted.media_type == PDF and not wanted.is_multipart:
            return Response(value, media_type=PDF)
        if wanted.covers(OCTETS):
            if wanted.is_multipart or wanted.media_type == ANY:
                return related(
                    [Part(OCTETS, f"{file.address.path}/bulkdata/{path}", [value])], OCTETS
                )
            return Response(value, media_type=OCTETS)
    offers = f"{OCTETS}, alone or in multipart/related"
    raise not_acceptable(offers)


def _bulk_value(dataset: Dataset, path: str, *, is_private: bool) -> bytes | None:
    """Follow ``TAG`` or ``TAG/ITEM/…/TAG`` to a value of bytes."""
    if not re.fullmatch(r"[0-9A-Fa-f]{8}(/[0-9]{1,5}/[0-9A-Fa-f]{8}){0,16}", path):
        return None
    tags = [Tag(int(word, 16)) for word in path.split("/")[::2]]
    if is_private and any(is_identifying(tag, "") for tag in tags):
        return None
    try:
        for tag, number in zip(tags, path.split("/")[1::2], strict=False):
            dataset = items(dataset, tag)[int(number)]
        value: Any = dataset[tags[-1]].value
    except UNREADABLE:
        return None
    return value if isinstance(value, bytes) else None
