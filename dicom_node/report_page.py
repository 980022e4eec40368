"""The page of the secondary capture: the radiograph, the heatmap over it, the report beside it.

No DICOM here. Nothing that names a person is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from dicom_node.report_text import (
    at_least,
    interval_words,
    report_lines,
    title,
    years_and_months,
)
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from dicom_node.finding import Finding
    from dicom_node.words import Words

Colour = tuple[int, int, int]

LONG_SIDE_PX: Final = (1024, 2048)
"""A page's long side lies between these: text stays legible, and the object small."""

LONG_SIDE: Final = 1024
"""A page is laid out in units, this many along its long side."""
PANEL: Final = 404
MARGIN: Final = 24
LABELS: Final = 152
"""Widths of the panel, its margin and its column of labels, in units."""

BODY, SMALL, HEADING, ANSWER = 16.5, 13.5, 21.0, 40.0
"""Heights of type, in units: on a page shown 1024 pixels long, in pixels."""

LEADING: Final = 1.45
"""From one line of type to the next, as a multiple of its height."""

PAPER: Final[Colour] = (15, 17, 21)
INK: Final[Colour] = (232, 234, 237)
FAINT: Final[Colour] = (154, 160, 170)
RULE: Final[Colour] = (56, 60, 68)
FLAG: Final[Colour] = (255, 183, 77)

RAMP: Final = ((0.0, (94, 60, 153)), (0.5, (214, 93, 70)), (1.0, (253, 208, 98)))
"""Colours of the heatmap, from little to much; lightness grows along it."""
OPACITY: Final = 0.5
"""Of the heatmap where it is strongest, so that the bone stays visible through it."""
PERCENTILES: Final = (0.5, 99.5)
"""The radiograph is shown between these percentiles, as the network sees it."""


def draw_page(
    picture: npt.NDArray[np.floating], finding: Finding, words: Words = ENGLISH
) -> npt.NDArray[np.uint8]:
    """Return the page as an RGB image.

    Parameters
    ----------
    picture : ndarray of float
        (H, W) in [0, 1], bone bright, on the source's own pixel grid. It keeps that grid unless
        the page's long side would be under 1024 or over 2048 pixels.
    finding : Finding
        What is written beside it; the estimate's heatmap covers the whole picture.
    words : Words
        The language.

    Returns
    -------
    ndarray of uint8
        (rows, columns, 3).

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, or is empty.
    """
    if picture.ndim != 2 or 0 in picture.shape:  # noqa: PLR2004 - rows and columns
        msg = f"a picture has rows and columns, not the shape {picture.shape}"
        raise ValueError(msg)
    unit_px, size_px = _layout(picture.shape)
    panel = _panel(finding, words, unit_px, height_px=size_px[1])
    page = Image.new("RGB", (size_px[0] + panel.width, panel.height), PAPER)
    radiograph = _overlaid(picture, finding.estimate.heatmap, size_px)
    page.paste(radiograph, (0, (page.height - radiograph.height) // 2))
    page.paste(panel, (size_px[0], 0))
    return np.asarray(page)


def draw_refusal(
    picture: npt.NDArray[np.floating], reason: str, words: Words = ENGLISH
) -> npt.NDArray[np.uint8]:
    """Return the page of a radiograph without an answer, see `draw_page`."""
    unit_px, size_px = _layout(picture.shape)
    pen = _Pen(unit_px, height_px=size_px[1])
    pen.line(words("refused", reason=reason), HEADING, FLAG)
    pen.rule()
    pen.line(words("research_use"), BODY, FLAG)
    page = Image.new("RGB", (size_px[0] + pen.image.width, size_px[1]), PAPER)
    page.paste(_overlaid(picture, np.zeros((2, 2), dtype=np.float32), size_px), (0, 0))
    page.paste(pen.image, (size_px[0], 0))
    return np.asarray(page)


def _layout(shape: tuple[int, ...]) -> tuple[float, tuple[int, int]]:
    """Return the pixels of a unit, and the width and height of the radiograph in pixels."""
    rows, columns = shape
    # The largest height, in units, that leaves the panel its width.
    height = min(LONG_SIDE, (LONG_SIDE - PANEL) * rows / columns)
    least, most = (side / LONG_SIDE for side in LONG_SIDE_PX)
    unit_px = min(max(rows / height, least), most)
    width_px = max(1, round(height * columns / rows * unit_px))
    return unit_px, (width_px, max(1, round(height * unit_px)))


def _overlaid(
    picture: npt.NDArray[np.floating], heatmap: npt.NDArray[np.floating], size_px: tuple[int, int]
) -> Image.Image:
    """Return the radiograph in gray with the heatmap blended over it, (width, height) large."""
    resized = _resized(picture, size_px)
    low, high = np.percentile(resized, PERCENTILES)
    gray = (resized - low) / max(high - low, np.finfo(np.float32).tiny)
    return _blended(_as_bytes(gray), _as_bytes(_resized(heatmap, size_px)))


def _resized(values: npt.NDArray[np.floating], size_px: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a field smoothly resized to (width, height)."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    if image.size != size_px:
        image = image.resize(size_px, Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def _as_bytes(values: npt.NDArray[np.floating]) -> Image.Image:
    """Return a field in [0, 1] as an 8-bit image; bicubic values beyond are cut."""
    return Image.fromarray(np.rint(np.clip(values, 0.0, 1.0) * 255).astype(np.uint8))


def _blended(gray: Image.Image, heat: Image.Image) -> Image.Image:
    """Return the colours of the heat over the gray, the denser the more heat there is."""
    tinted = heat.copy()
    tinted.putpalette(_palette().tobytes())
    density = heat.point([round(OPACITY * level) for level in range(256)])
    return Image.composite(tinted.convert("RGB"), gray.convert("RGB"), density)


def _palette() -> npt.NDArray[np.uint8]:
    """Return the colour of each of 256 levels of heat, (256, 3)."""
    levels = np.linspace(0.0, 1.0, 256)
    stops = [stop for stop, _ in RAMP]
    colours = np.asarray([colour for _, colour in RAMP], dtype=np.float64)
    channels = [np.interp(levels, stops, colours[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def _panel(finding: Finding, words: Words, unit_px: float, *, height_px: int) -> Image.Image:
    """Return the written part of the page: as high as the radiograph, or higher if it must be."""
    draft = _Pen(unit_px, height_px=1)
    _write(draft, finding, words)
    pen = _Pen(unit_px, height_px=max(height_px, round(draft.y + MARGIN * unit_px)))
    _write(pen, finding, words)
    return pen.image


def _write(pen: _Pen, finding: Finding, words: Words) -> None:
    """Write the report, the legend and the marking from the top down."""
    estimate = finding.estimate
    age_months = estimate.bone_age_months
    pen.line(title(finding, words), HEADING, FAINT)
    for age, size in (
        (years_and_months(age_months, words), ANSWER),
        (words("months", months=round(age_months)), HEADING),
    ):
        pen.line(at_least(age, age_months, estimate.sex, words), size, INK)
    pen.line(words("interval_label", interval=interval_words(estimate, words)), HEADING, INK)
    pen.rule()
    for line in report_lines(finding, words):
        pen.row(line.label, line.text, FLAG if line.is_flag else INK)
    pen.rule()
    pen.legend(words)
    pen.rule()
    pen.line(words("research_use"), BODY, FLAG)


class _Pen:
    """Writes downwards on a panel; ``y`` is where the next line begins, in pixels."""

    def __init__(self, unit_px: float, *, height_px: int) -> None:
        self.unit_px = unit_px
        self.image = Image.new("RGB", (round(PANEL * unit_px), height_px), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.y = MARGIN * unit_px

    def line(self, words: str, size: float, colour: Colour) -> None:
        """Write words over the whole width, on as many lines as they need."""
        self._write(words, size, colour, MARGIN)

    def row(self, label: str, text: str, colour: Colour) -> None:
        """Write a label, and beside it what is said of it."""
        font = self._font(BODY)
        self.draw.text((MARGIN * self.unit_px, self.y), label, FAINT, font)
        self._write(text, BODY, colour, MARGIN + LABELS)

    def rule(self) -> None:
        """Draw a thin line across, with space around it."""
        self.y += 7 * self.unit_px
        left, right = MARGIN * self.unit_px, (PANEL - MARGIN) * self.unit_px
        self.draw.line((left, self.y, right, self.y), RULE, max(1, round(self.unit_px)))
        self.y += 11 * self.unit_px

    def legend(self, words: Words) -> None:
        """Draw the colours of the heatmap as they look over mid-gray bone."""
        self._write(words("heatmap"), BODY, FAINT, MARGIN)
        width, height = (round(side * self.unit_px) for side in (PANEL - 2 * MARGIN, 12))
        heat = Image.linear_gradient("L").rotate(90).resize((width, max(1, height)))
        bar = _blended(Image.new("L", heat.size, 128), heat)
        self.image.paste(bar, (round(MARGIN * self.unit_px), round(self.y)))
        self.y += 16 * self.unit_px
        font, right = self._font(SMALL), (PANEL - MARGIN) * self.unit_px
        self.draw.text((MARGIN * self.unit_px, self.y), words("little"), FAINT, font)
        self.draw.text((right, self.y), words("much"), FAINT, font, anchor="ra")
        self.y += LEADING * SMALL * self.unit_px

    def _font(self, size: float) -> ImageFont.FreeTypeFont:
        """Return Pillow's own scalable font; it has Latin letters only.

        Raises
        ------
        TypeError
            If this Pillow was built without FreeType.
        """
        font = ImageFont.load_default(size * self.unit_px)
        if not isinstance(font, ImageFont.FreeTypeFont):
            msg = "Pillow has no FreeType support: text cannot be drawn to size"
            raise TypeError(msg)
        return font

    def _write(self, words: str, size: float, colour: Colour, left: float) -> None:
        """Write words from ``left`` units to the margin, broken between words."""
        font = self._font(size)
        width_px = (PANEL - MARGIN - left) * self.unit_px
        for part in _broken(words, font, width_px):
            self.draw.text((left * self.unit_px, self.y), part, colour, font)
            self.y += LEADING * size * self.unit_px


def _broken(words: str, font: ImageFont.FreeTypeFont, width_px: float) -> list[str]:
    """Return the words in lines that are no wider than this, unless one word alone is."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
