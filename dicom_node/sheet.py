"""A written sheet: lines, rows, rules and pictures from the top down, in units, drawn at any scale.

A sheet is laid out before its scale is known; text is always measured at one scale, so that lines
break alike in small and in large.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

from dicom_node.fonts import REGULAR, clusters, font, is_han, runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Colour = tuple[int, int, int]
Painter = Callable[[tuple[int, int], float], Image.Image]
"""Draws a picture of a width and a height, and at a number of pixels to a unit."""

PAPER: Final[Colour] = (15, 17, 21)
INK: Final[Colour] = (232, 234, 237)
FAINT: Final[Colour] = (160, 166, 176)
RULE: Final[Colour] = (56, 60, 68)
FLAG: Final[Colour] = (255, 183, 77)

MARGIN: Final = 20.0
"""Around a sheet, in units."""

ROW_GAP: Final = 1.5
"""Between rows, in units: the lines of one row are closer."""

LEADING: Final = 1.4
ASCENT: Final = 1.07
"""From one line to the next, and from the top of a line to where its letters stand, in heights."""

UNIT_LETTERS: Final = 2
"""A word so short that follows a number is its unit."""

MEASURED_PX: Final = 4.0
"""Pixels of a unit where text is measured."""


@dataclass(frozen=True, slots=True)
class Type:
    """How letters look: their height in units, their colour, their weight."""

    size: float
    colour: Colour
    weight: int = REGULAR


@dataclass(frozen=True, slots=True)
class _Letters:
    """Text on one line; ``y`` is where the letters stand."""

    x: float
    y: float
    text: str
    type: Type

    def draw(self, image: Image.Image, unit_px: float) -> None:
        pen, x = ImageDraw.Draw(image), self.x * unit_px
        for run in runs(self.text):
            face = font(run.face, self.type.size * unit_px, self.type.weight)
            place, way = (x, self.y * unit_px), run.direction
            pen.text(place, run.text, self.type.colour, face, anchor="ls", direction=way)
            x += face.getlength(run.text, direction=way)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A thin line across."""

    left: float
    right: float
    y: float

    def draw(self, image: Image.Image, unit_px: float) -> None:
        ends = [(x * unit_px, self.y * unit_px) for x in (self.left, self.right)]
        ImageDraw.Draw(image).line(ends, RULE, max(1, round(unit_px)))


@dataclass(frozen=True, slots=True)
class _Picture:
    """What something else draws in a box: left, top, right, bottom."""

    box: tuple[float, float, float, float]
    paint: Painter

    def draw(self, image: Image.Image, unit_px: float) -> None:
        left, top, right, bottom = (round(side * unit_px) for side in self.box)
        image.paste(self.paint((right - left, bottom - top), unit_px), (left, top))


class Sheet:
    """Written downwards; ``y`` is where the next line begins, in units."""

    def __init__(self, width: float) -> None:
        self.width = width
        self.y = MARGIN
        self._marks: list[_Letters | _Rule | _Picture] = []

    @property
    def height(self) -> float:
        """Return how high the sheet is, with its margins."""
        return self.y + MARGIN

    @property
    def right(self) -> float:
        """Return where the right margin begins."""
        return self.width - MARGIN

    def line(
        self, text: str, style: Type, left: float = MARGIN, right: float | None = None
    ) -> None:
        """Write a text between two sides, on as many lines as it needs."""
        for part in broken(text, style, (self.right if right is None else right) - left):
            self._marks.append(_Letters(left, self.y + ASCENT * style.size, part, style))
            self.y += LEADING * style.size

    def flush_right(self, text: str, style: Type) -> None:
        """Write a short text up to the right margin, on a line of its own."""
        self.line(text, style, max(MARGIN, self.right - width_of(text, style)))

    def ends(self, first: str, last: str, style: Type) -> None:
        """Write two short texts on one line, at the left margin and at the right one."""
        top = self.y
        self.line(first, style)
        self.y = top
        self.flush_right(last, style)

    def item(self, sign: tuple[str, Type], text: tuple[str, Type]) -> None:
        """Write a sign, and beside it what it means."""
        self.row(sign, text, MARGIN + 22)

    def row(self, label: tuple[str, Type], text: tuple[str, Type], left: float) -> None:
        """Write a label, and beside it, from ``left`` on, what is said of it."""
        top = self.y
        self.line(*label, right=left - 8)
        bottom, self.y = self.y, top
        self.line(*text, left=left)
        self.y = max(self.y, bottom) + ROW_GAP

    def flow(self, parts: Sequence[tuple[str, Type]], gap: float) -> None:
        """Write parts side by side while they fit, standing on one line; else on the next one."""
        for row in self._rows(parts, gap):
            largest = max(style.size for _, style in row)
            x, stand = MARGIN, self.y + ASCENT * largest
            if len(row) == 1:
                self.line(*row[0])
                continue
            for text, style in row:
                self._marks.append(_Letters(x, stand, text, style))
                x += width_of(text, style) + gap
            self.y += LEADING * largest

    def _rows(
        self, parts: Sequence[tuple[str, Type]], gap: float
    ) -> Iterator[list[tuple[str, Type]]]:
        """Yield the parts that stand on one line."""
        row: list[tuple[str, Type]] = []
        for part in parts:
            used = sum(width_of(*other) + gap for other in row)
            if row and used + width_of(*part) > self.right - MARGIN:
                yield row
                row = []
            row.append(part)
        if row:
            yield row

    def rule(self) -> None:
        """Draw a thin line across, with space around it."""
        self.y += 8
        self._marks.append(_Rule(MARGIN, self.right, self.y))
        self.y += 8

    def picture(self, height: float, paint: Painter) -> None:
        """Leave space, from margin to margin, for what is painted there."""
        self._marks.append(_Picture((MARGIN, self.y, self.right, self.y + height), paint))
        self.y += height

    def drawn(self, unit_px: float, size_px: tuple[int, int]) -> Image.Image:
        """Return the sheet as an image, (width, height) large."""
        image = Image.new("RGB", size_px, PAPER)
        for mark in self._marks:
            mark.draw(image, unit_px)
        return image


def width_of(text: str, style: Type) -> float:
    """Return how wide a text is on one line, in units."""
    size_px = style.size * MEASURED_PX
    return (
        sum(
            font(run.face, size_px, style.weight).getlength(run.text, direction=run.direction)
            for run in runs(text)
        )
        / MEASURED_PX
    )


def broken(text: str, style: Type, width: float) -> list[str]:
    """Return a text in lines no wider than this.

    Broken at blanks, but not between a number and its unit; between characters of Han or Kana; and
    inside what is wider by itself.
    """
    lines = [""]
    for word in _bound(text.split()):
        glue = " "
        parts = list(clusters(word))
        if width_of(word, style) <= width:
            parts = list(_joined(parts))
        for part in parts:
            longer = f"{lines[-1]}{glue}{part}" if lines[-1] else part
            if lines[-1] and width_of(longer, style) > width:
                lines.append(part)
            else:
                lines[-1] = longer
            glue = ""
    return lines


def _bound(words: list[str]) -> list[str]:
    """Return words with each number bound to the unit after it, as in "10 y 4 m"."""
    bound: list[str] = []
    for word in words:
        last = bound[-1] if bound else ""
        is_unit = last[-1:].isdigit() and len(word) <= UNIT_LETTERS
        goes_on = word[0].isdigit() and " " in last and len(last.split()[-1]) <= UNIT_LETTERS
        if is_unit or goes_on:
            bound[-1] = f"{last} {word}"
        else:
            bound.append(word)
    return bound


def _joined(parts: list[str]) -> Iterator[str]:
    """Yield a word in pieces: each character of Han with the punctuation after it, else all."""
    piece = parts[0]
    for before, part in pairwise(parts):
        if is_han(part) or (is_han(before) and part.isalnum()):
            yield piece
            piece = part
        else:
            piece += part
    yield piece
