"""From a data set to the picture that a viewer would show, as plain numbers.

The grey scale transformations of PS3.4 N.2 (modality LUT, VOI LUT, presentation LUT shape) depend
on a pixel's value alone. They are computed once for each value that a pixel can have, and the
picture is looked up: a 5-megapixel image costs 65,536 evaluations, in double precision.

pydicom's ``apply_modality_lut``, ``apply_voi`` and ``apply_windowing`` are not used: they copy the
image as doubles, cut a look-up table's index to the depth of its entries, scale to BitsStored
instead of to [0, 1], and raise on a window that is merely useless.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.multival import MultiValue

from dicom_node.errors import PixelsError
from dicom_node.header import UNREADABLE, text
from dicom_node.transfer_syntaxes import decode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.uid import UID

Doubles = npt.NDArray[np.float64]

LEAST_GREY_SHARE: Final = 0.01
"""A VOI LUT or window that leaves fewer pixels between black and white is taken as broken.

Measured: at least 0.15 of the pixels are grey in each of 3,155 radiographs of the RSNA challenge
as they were displayed (every fourth of the training set).
"""

LEVEL: Final = 1 / 255
"""One step of a display of 8 bits."""

LUMA: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Brightness of red, green and blue (ITU-R BT.601, as PS3.3 C.7.6.3.1.2 has it for YBR_FULL)."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A radiograph as displayed.

    Attributes
    ----------
    pixels : ndarray of float32
        (H, W) in [0, 1], bone bright.
    notes : tuple of str
        What of the header could not be followed, and what was done instead.
    """

    pixels: npt.NDArray[np.float32]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Levels:
    """The values that pixels can have, and how many pixels that belong to the image have each.

    Attributes
    ----------
    stored : ndarray of float64
        (N,) stored values.
    counts : ndarray of int
        (N,) pixels of each value, padding left out.
    padding : ndarray of bool
        (N,) whether the value is padding.
    """

    stored: Doubles
    counts: npt.NDArray[np.intp]
    padding: npt.NDArray[np.bool_]

    def span(self, values: Doubles) -> tuple[float, float]:
        """Return the least and the greatest of what the image's stored values became."""
        present = values[self.counts > 0]
        return float(present.min()), float(present.max())

    def are_seen(self, shown: Doubles) -> bool:
        """Tell whether a display of 8 bits would show a picture in grey."""
        low, high = self.span(shown)
        grey = (shown > 0.5 * LEVEL) & (shown < 1 - 0.5 * LEVEL)
        share = self.counts[grey].sum() / self.counts.sum()
        return high - low >= LEVEL and bool(share >= LEAST_GREY_SHARE)


@dataclass(frozen=True, slots=True)
class Window:
    """What part of the values is shown between black and white.

    Attributes
    ----------
    center, width : float
        In the values' own unit; black lies half the width below the centre, exactly (as
        LINEAR_EXACT has it).
    is_sigmoid : bool
        By the curve of SIGMOID instead of the straight line.
    """

    center: float
    width: float
    is_sigmoid: bool = False


@dataclass(frozen=True, slots=True)
class LookUpTable:
    """A look-up table of PS3.3 C.11.1 or C.11.2: first value mapped, entries, full scale."""

    first: int
    entries: Doubles
    top: float

    def look_up(self, values: Doubles) -> Doubles:
        """Return the entries of values; what lies outside gets the first or the last."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        entries: Doubles = self.entries[index.astype(np.intp)]
        return entries


def read_picture_pixels(dataset: Dataset) -> npt.NDArray[np.float32]:
    """Return a radiograph as displayed.

    Parameters
    ----------
    dataset : Dataset
        With its file meta information and pixel data, in any decodable transfer syntax.

    Returns
    -------
    ndarray of float32
        (H, W) in [0, 1], bone bright, padding black.

    Raises
    ------
    PixelsError
        If the pixel data cannot be read as one picture.
    """
    return render(dataset).pixels


def render(dataset: Dataset) -> Rendering:
    """Return a radiograph as displayed, and what of its header could not be followed.

    The first VOI LUT is preferred to the first window, and either to the full range of the values
    that occur. One that would show an almost blank picture is passed over: less than
    `LEAST_GREY_SHARE` of the pixels in grey, or all of them within one `LEVEL`.

    Raises
    ------
    PixelsError
        If the pixel data are missing or damaged, hold several frames, are neither grey nor RGB
        nor YBR, are in a transfer syntax without a codec here, or have no contrast.
    """
    # pydicom's warnings repeat the values that they warn of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels, photometric = decode(dataset)
        if pixels.ndim == 3 and photometric == "RGB":  # noqa: PLR2004 - colours
            return Rendering(brightness_of(pixels, dataset.BitsStored), ())
        if pixels.ndim == 2 and photometric in {"MONOCHROME1", "MONOCHROME2"}:  # noqa: PLR2004
            return _render_grey(pixels, dataset)
    msg = "its photometric interpretation is not supported"
    raise PixelsError(msg)


def brightness_of(pixels: npt.NDArray[Any], bits_stored: int) -> npt.NDArray[np.float32]:
    """Return the brightness of an RGB image."""
    brightness = pixels.astype(np.float32) @ LUMA
    brightness /= np.float32(2**bits_stored - 1)
    if brightness.min() == brightness.max():
        _refuse_without_contrast()
    return np.clip(brightness, 0, 1, out=brightness)


# --- grey scale transformations ----------------------------------------------------------------


def _render_grey(pixels: npt.NDArray[Any], dataset: Dataset) -> Rendering:
    """Send the values of a grey image through the transformations of PS3.4 N.2."""
    levels, index = read_levels(pixels, dataset)
    notes: list[str] = []
    shown = _display(modality_values(levels, dataset, notes), levels, dataset, notes)
    if is_inverse(dataset, notes):
        shown = 1 - shown
    shown[levels.padding] = 0
    return Rendering(shown.astype(np.float32)[index], tuple(notes))


def read_levels(pixels: npt.NDArray[Any], dataset: Dataset) -> tuple[Levels, npt.NDArray[Any]]:
    """Return the image's levels and the picture as indices into them."""
    if pixels.dtype.itemsize <= 2:  # noqa: PLR2004 - 16 bits
        kind = pixels.dtype.newbyteorder("=")
        index = pixels.astype(kind, copy=False).view(f"u{kind.itemsize}")
        values = np.arange(1 << 8 * kind.itemsize, dtype=index.dtype).view(kind)
        counts = np.bincount(index.ravel(), minlength=values.size)
    else:
        values, index, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    padding = _padding(values, dataset)
    counts[padding] = 0
    if not counts.any():
        msg = "every pixel is padding"
        raise PixelsError(msg)
    levels = Levels(values.astype(np.float64), counts, padding)
    low, high = levels.span(levels.stored)
    if low == high:
        _refuse_without_contrast()
    return levels, index


def _refuse_without_contrast() -> None:
    msg = "the image has no contrast: all its pixels have one value"
    raise PixelsError(msg)


def _padding(values: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.bool_]:
    """Return which stored values are padding (PS3.3 C.7.5.1.1.2)."""
    first = header_number(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, dtype=np.bool_)
    limit = header_number(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, values.dtype) for end in (first, first if limit is None else limit)]
    padding: npt.NDArray[np.bool_] = (values >= min(ends)) & (values <= max(ends))
    return padding


def _as_stored(value: float, kind: np.dtype[Any]) -> float:
    """Return a value that was written unsigned where signed is meant, or the other way round."""
    span = 1 << 8 * kind.itemsize
    if kind.kind == "u":
        return value + span if value < 0 else value
    return value - span if value >= span // 2 else value


def modality_values(levels: Levels, dataset: Dataset, notes: list[str]) -> Doubles:
    """Return the levels after the modality LUT or the rescaling (PS3.3 C.11.1)."""
    table = look_up_table(dataset, "ModalityLUTSequence", notes)
    slope, intercept = (
        header_number(dataset, "RescaleSlope"),
        header_number(dataset, "RescaleIntercept"),
    )
    if table is not None:
        values, name = table.look_up(levels.stored), "modality LUT"
    else:
        values = levels.stored * (1 if slope is None else slope) + (intercept or 0)
        name = "rescale slope"
    low, high = levels.span(values)
    if 0 < high - low < math.inf:
        return values
    notes.append(f"the {name} leaves no contrast: the stored values are shown")
    return levels.stored


def _display(values: Doubles, levels: Levels, dataset: Dataset, notes: list[str]) -> Doubles:
    """Return modality values as brightness in [0, 1]: by VOI LUT, by window, or by their range."""
    for name, shown in _voi(values, dataset, notes):
        if levels.are_seen(shown):
            return shown
        notes.append(f"the {name} shows next to nothing: passed over")
    low, high = levels.span(values)
    return np.clip((values - low) / (high - low), 0, 1)


def _voi(values: Doubles, dataset: Dataset, notes: list[str]) -> Iterator[tuple[str, Doubles]]:
    """Yield name and effect of each VOI transformation of the header (PS3.3 C.11.2)."""
    table = look_up_table(dataset, "VOILUTSequence", notes)
    if table is not None:
        yield "VOI LUT", table.look_up(values) / table.top
    window = header_window(dataset, notes)
    if window is not None:
        yield "window", windowed(values, window)


def header_window(dataset: Dataset, notes: list[str]) -> Window | None:
    """Return the header's first window (PS3.3 C.11.2.1.2), None where it has none to use."""
    center, width = header_number(dataset, "WindowCenter"), header_number(dataset, "WindowWidth")
    if center is None or width is None:
        return None
    function = text(dataset, "VOILUTFunction").upper() or "LINEAR"
    if function not in {"LINEAR", "LINEAR_EXACT", "SIGMOID"}:
        notes.append("the VOI LUT function is unknown: taken as linear")
        function = "LINEAR"
    if function == "LINEAR":
        # Its window holds whole values and begins half a value lower (PS3.3 C.11.2.1.2.1).
        center, width = center - 0.5, width - 1
    if width > 0:
        return Window(center, width, is_sigmoid=function == "SIGMOID")
    notes.append("the window has no width: passed over")
    return None


def windowed(values: Doubles, window: Window) -> Doubles:
    """Return values through a window, in [0, 1] (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    shown: Doubles = (values - window.center) / window.width
    if window.is_sigmoid:
        return 1 / (1 + np.exp(-4 * shown))
    return np.clip(shown + 0.5, 0, 1)


def is_inverse(dataset: Dataset, notes: list[str]) -> bool:
    """Tell whether the smallest value is white.

    PresentationLUTShape and PhotometricInterpretation say the same thing (PS3.3 C.8.11.3): the
    image is inverted once. Where they disagree the former holds, as in DCMTK's renderer.
    """
    shape = text(dataset, "PresentationLUTShape").upper()
    inverse = text(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1"
    if shape not in {"IDENTITY", "INVERSE"}:
        return inverse
    if inverse != (shape == "INVERSE"):
        notes.append("the presentation LUT shape contradicts the photometric interpretation")
    return shape == "INVERSE"


# --- the header --------------------------------------------------------------------------------


def header_number(dataset: Dataset, keyword: str) -> float | None:
    """Return an attribute's first value, None where it is missing or is no finite number."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            value = value[0]
        number = float(value)
    except UNREADABLE:
        return None
    return number if math.isfinite(number) else None


def look_up_table(dataset: Dataset, keyword: str, notes: list[str]) -> LookUpTable | None:
    """Return the first look-up table of a sequence, None where there is none to use."""
    try:
        items = dataset.get(keyword)
        if not items:
            return None
        descriptor, data = items[0].LUTDescriptor, items[0].LUTData
        # The number of entries is unsigned even where the other values are not; 0 is 65,536.
        count = int(descriptor[0]) & 0xFFFF or 1 << 16
        first, bits = int(descriptor[1]), int(descriptor[2])
        entries = _entries(data, count, dataset.file_meta.TransferSyntaxUID)
        top = max(float(2 ** min(bits, 16) - 1), float(entries.max()))
    except UNREADABLE:
        notes.append("a look-up table cannot be read: passed over")
        return None
    return LookUpTable(first, entries, top)


def _entries(data: Any, count: int, uid: UID) -> Doubles:  # noqa: ANN401 - US or OW
    """Return a table's entries, whether numbers, words, or bytes packed in words."""
    if not isinstance(data, bytes):
        numbers = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
        return numbers[:count].astype(np.float64)
    words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if uid.is_little_endian else ">u2")
    if words.size < count <= 2 * words.size:
        words = words.astype("<u2").view(np.uint8)
    return words[:count].astype(np.float64)
