"""The radiograph and the heatmap over it as PNG images, for the page and its script."""

from __future__ import annotations

import io
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final, Literal

import pydicom
from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse, Response
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dicom_node import __version__
from dicom_node.errors import NodeError, NoSuchJobError, PixelsError
from dicom_node.grey_values import GreyValues, read_grey_values
from dicom_node.header import UNREADABLE
from dicom_node.heatmap_file import KIND, read_heatmap
from dicom_node.overlay import draw_heat
from worklist.access import Viewer
from worklist.job_parts import Source, job_file, source_of
from worklist.web import READ, NodeOfApp

LONG_SIDE_PX: Final = 1600
KEPT_PICTURES: Final = 8
"""In memory, of each server: at the default size about 4 MB each. None is kept on the disk, where
it would outlive its radiograph."""

FAST: Final = 1
"""PNG's compression: the least; the network is near."""

Size = Annotated[int, Query(ge=64, le=4096, description="The long side, in pixels, at most.")]

router = APIRouter()


class Pictures:
    """The radiographs that were looked at last, decoded.

    They are decoded one at a time: a large one may need some hundred megabytes for a moment.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, int], GreyValues] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, sha256: str, long_side_px: int) -> GreyValues:
        """Return a radiograph, decoded now or before.

        Raises
        ------
        PixelsError
            If it cannot be decoded.
        FileNotFoundError
            If its file is gone.
        """
        key = sha256, long_side_px
        with self._lock:
            if key not in self._kept:
                # The file first: what is kept of one that has been removed is not shown.
                self._kept[key] = _decoded(path, long_side_px)
            elif not path.is_file():
                del self._kept[key]
                raise FileNotFoundError
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_PICTURES:
                self._kept.popitem(last=False)
            return self._kept[key]


def _decoded(path: Path, long_side_px: int) -> GreyValues:
    """Read and decode a file."""
    try:
        dataset = pydicom.dcmread(path)
        return read_grey_values(dataset, long_side_px)
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        msg = f"the file cannot be read ({type(error).__name__})"
        raise PixelsError(msg) from error


class _NoPictureError(NodeError):
    """There is no picture; the text says why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status

    def answer(self) -> Response:
        """Return what the script shows in the picture's place."""
        return PlainTextResponse(f"{self}\n", self.status)


def _grey_values(request: Request, source: Source, long_side_px: int) -> GreyValues:
    """Return a radiograph, or say why there is none.

    Raises
    ------
    _NoPictureError
        If its file is gone, cannot be decoded, or would fill the memory.
    """
    largest = request.app.state.node.config.eligibility.largest_side_px
    sides = [source.instance.header.get(keyword, "") for keyword in ("Rows", "Columns")]
    if any(str(side).isdigit() and int(side) > largest for side in sides):
        why = f"The radiograph is too large to be shown: a side is over {largest} pixels long."
        raise _NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, why)
    pictures: Pictures = request.app.state.pictures
    try:
        return pictures.get(source.path, source.instance.sha256, long_side_px)
    except FileNotFoundError as error:
        why = "The received file is missing."
        raise _NoPictureError(HTTPStatus.NOT_FOUND, why) from error
    except PixelsError as error:
        why = f"The radiograph cannot be shown: {error}."
        raise _NoPictureError(HTTPStatus.UNPROCESSABLE_ENTITY, why) from error


@router.api_route("/jobs/{job_id:int}/radiograph.png", methods=READ)
def show_radiograph(
    request: Request,
    node: NodeOfApp,
    _user: Viewer,
    job_id: int,
    size: Size = LONG_SIDE_PX,
    bits: Literal["8", "16"] = "8",
) -> Response:
    """Show a job's radiograph in grey.

    With 8 bits as its header's window has it; with 16 bits before any window, and with a text
    chunk ``GreyValues`` of JSON: ``low`` and ``high``, the values at 0 and 65,535; ``center``,
    ``width`` and ``is_sigmoid`` of the header's window; ``is_inverse``; ``notes``.
    """
    try:
        source = source_of(node, job_id)
    except NoSuchJobError:
        return PlainTextResponse(f"There is no job {job_id}.\n", HTTPStatus.NOT_FOUND)
    try:
        grey = _grey_values(request, source, size)
    except _NoPictureError as error:
        return error.answer()
    tag = f'"{source.instance.sha256[:32]}-{size}-{bits}-{__version__}"'
    return _png(request, tag, lambda: _encoded(grey, bits))


@router.api_route("/jobs/{job_id:int}/heatmap.png", methods=READ)
def show_heatmap(
    request: Request, node: NodeOfApp, _user: Viewer, job_id: int, size: Size = LONG_SIDE_PX
) -> Response:
    """Show where a job's bone age comes from, as RGBA that fits over its radiograph."""
    row = job_file(node, job_id, KIND)
    heatmap = None if row is None else read_heatmap(node.storage.absolute(row.path))
    if row is None or heatmap is None:
        why = "missing or damaged" if row else "not kept: there is no bone age, or it is an old one"
        return PlainTextResponse(f"The heatmap is {why}.\n", HTTPStatus.NOT_FOUND)
    try:
        rows, columns = _grey_values(request, source_of(node, job_id), size).scaled.shape
    except _NoPictureError as error:
        return error.answer()
    tag = f'"{row.sha256[:32]}-{size}-{__version__}"'
    return _png(request, tag, lambda: _bytes_of(draw_heat(heatmap, (columns, rows))))


def _png(request: Request, tag: str, encode: Callable[[], bytes]) -> Response:
    """Answer with a PNG, or that the one that the caller has is still the same."""
    if request.headers.get("If-None-Match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return Response(encode(), media_type="image/png", headers={"ETag": tag})


def _encoded(grey: GreyValues, bits: str) -> bytes:
    """Return a radiograph as a PNG."""
    if bits == "8":
        return _bytes_of(Image.fromarray(grey.shown()))
    chunk = PngInfo()
    chunk.add_text("GreyValues", json.dumps(_values(grey)))
    return _bytes_of(Image.fromarray(grey.scaled), chunk)


def _values(grey: GreyValues) -> dict[str, object]:
    """Return what the script must know of the values."""
    return {
        "low": grey.low,
        "high": grey.high,
        **asdict(grey.window),
        "is_inverse": grey.is_inverse,
        "notes": grey.notes,
    }


def _bytes_of(image: Image.Image, chunk: PngInfo | None = None) -> bytes:
    """Return an image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=FAST, pnginfo=chunk)
    return file.getvalue()
