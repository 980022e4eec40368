"""A radiograph's grey values before any window, small enough for a browser that sets its own.

`dicom_node.pixels` ends in what a display shows; a person who changes the window needs what lies
before it. The two agree: these values through `GreyValues.window`, turned round where `is_inverse`,
are the picture that `dicom_node.pixels.render` shows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_node.errors import PixelsError
from dicom_node.pixels import (
    Levels,
    Window,
    brightness_of,
    header_window,
    is_inverse,
    look_up_table,
    modality_values,
    read_levels,
    windowed,
)
from dicom_node.transfer_syntaxes import decode

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.pixels import Doubles

TOP: Final = 0xFFFF
"""Full scale of the values, 16 bits."""


@dataclass(frozen=True, slots=True)
class GreyValues:
    """A radiograph whose window is still to be chosen.

    Attributes
    ----------
    scaled : ndarray of uint16
        (H, W): 0 is ``low`` and 65,535 ``high``, linear between them.
    low, high : float
        The least and the greatest value, after the modality LUT, and after a VOI LUT where the
        header has one that shows anything.
    window : Window
        As the header has it; the whole range where it has none to use. In the values' unit.
    is_inverse : bool
        Whether the least value is white.
    notes : tuple of str
        What of the header could not be followed, and what was done instead.
    """

    scaled: npt.NDArray[np.uint16]
    low: float
    high: float
    window: Window
    is_inverse: bool = False
    notes: tuple[str, ...] = ()

    def shown(self) -> npt.NDArray[np.uint8]:
        """Return the picture through its window, (H, W), 8 bits deep."""
        values = np.linspace(self.low, self.high, TOP + 1, dtype=np.float64)
        shown = windowed(values, self.window)
        if self.is_inverse:
            shown = 1 - shown
        levels: npt.NDArray[np.uint8] = np.rint(shown * 255).astype(np.uint8)
        return levels[self.scaled]


def read_grey_values(dataset: Dataset, long_side_px: int) -> GreyValues:
    """Return a radiograph's grey values, none of its sides longer than so many pixels.

    Parameters
    ----------
    dataset : Dataset
        With its file meta information and pixel data, in any decodable transfer syntax.
    long_side_px : int
        A larger image is made smaller by the mean over the pixels that become one.

    Raises
    ------
    PixelsError
        If the pixel data cannot be read as one picture; see `dicom_node.pixels.render`.
    """
    # pydicom's warnings repeat the values that they warn of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixels, photometric = decode(dataset)
        if pixels.ndim == 3 and photometric == "RGB":  # noqa: PLR2004 - colours
            brightness = brightness_of(pixels, dataset.BitsStored)
            return _scaled(brightness, 0.0, 1.0, Window(0.5, 1.0), long_side_px)
        if pixels.ndim == 2 and photometric in {"MONOCHROME1", "MONOCHROME2"}:  # noqa: PLR2004
            return _read_grey(pixels, dataset, long_side_px)
    msg = "its photometric interpretation is not supported"
    raise PixelsError(msg)


def _read_grey(pixels: npt.NDArray[Any], dataset: Dataset, long_side_px: int) -> GreyValues:
    """Return the values of a grey image, padding black."""
    levels, index = read_levels(pixels, dataset)
    notes: list[str] = []
    values, window = _values_and_window(levels, dataset, notes)
    low, high = levels.span(values)
    inverse = is_inverse(dataset, notes)
    values = np.clip(values, low, high)
    values[levels.padding] = high if inverse else low
    picture = values.astype(np.float32)[index]
    return _scaled(picture, low, high, window, long_side_px, inverse, tuple(notes))


def _values_and_window(
    levels: Levels, dataset: Dataset, notes: list[str]
) -> tuple[Doubles, Window]:
    """Return what each level is worth, and the first VOI transformation that shows something."""
    values = modality_values(levels, dataset, notes)
    table = look_up_table(dataset, "VOILUTSequence", notes)
    if table is not None:
        looked_up = table.look_up(values)
        if levels.are_seen(looked_up / table.top):
            return looked_up, Window(table.top / 2, table.top)
        notes.append("the VOI LUT shows next to nothing: passed over")
    window = header_window(dataset, notes)
    if window is not None:
        if levels.are_seen(windowed(values, window)):
            return values, window
        notes.append("the window shows next to nothing: passed over")
    low, high = levels.span(values)
    return values, Window((low + high) / 2, high - low)


def _scaled(  # noqa: PLR0913, PLR0917 - the parts of one value
    picture: npt.NDArray[np.float32],
    low: float,
    high: float,
    window: Window,
    long_side_px: int,
    inverse: bool = False,
    notes: tuple[str, ...] = (),
) -> GreyValues:
    """Return values made small and brought to 16 bits."""
    small = _reduced(picture, long_side_px).astype(np.float64)
    scaled = np.rint(np.clip((small - low) / (high - low), 0, 1) * TOP).astype(np.uint16)
    return GreyValues(scaled, low, high, window, inverse, notes)


def _reduced(picture: npt.NDArray[np.float32], long_side_px: int) -> npt.NDArray[np.float32]:
    """Return a picture with its long side as long as is allowed, at most."""
    rows, columns = picture.shape
    share = long_side_px / max(rows, columns)
    if share >= 1:
        return picture
    size = max(1, round(columns * share)), max(1, round(rows * share))
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize(size, Image.Resampling.BOX))
