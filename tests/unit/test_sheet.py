"""A written sheet: how lines break, and where they come to stand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dicom_node.sheet import FAINT, FLAG, INK, MARGIN, PAPER, Colour, Sheet, Type, broken, width_of

BODY = Type(14, INK)


def ink(sheet: Sheet, unit_px: float = 2) -> tuple[int, int, int, int]:
    """Return the box around all that is drawn, in pixels."""
    size_px = round(sheet.width * unit_px), round(sheet.height * unit_px)
    drawn = np.asarray(sheet.drawn(unit_px, size_px)) != np.asarray(PAPER)
    rows, columns = (np.flatnonzero(drawn.any(axis=2).any(axis=axis)) for axis in (1, 0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("at 5 y 10 m", ["at", "5 y 10 m"]),
        ("of 90 %, then", ["of 90 %,", "then"]),
        ("", [""]),
    ],
)
def test_lines_break_at_blanks_but_not_between_a_number_and_its_unit(
    text: str, lines: list[str]
) -> None:
    assert broken(text, BODY, 66) == lines


def test_lines_break_between_characters_of_han_but_not_before_punctuation() -> None:
    lines = broken("骨の年齢は、十歳です。", BODY, 4.2 * 14)

    assert lines == ["骨の年齢", "は、十歳", "です。"]


def test_what_is_wider_than_a_line_is_broken_and_nothing_is_lost() -> None:
    word = "tjnet-gpu-db3a7ef4926b" * 5

    lines = broken(f"by {word} then", BODY, 90)

    assert "".join(lines).replace(" ", "") == f"by{word}then"
    assert max(width_of(line, BODY) for line in lines) <= 90


@pytest.mark.parametrize("unit_px", [1, 1.37, 2])
def test_text_stays_between_the_margins_at_any_scale(unit_px: float) -> None:
    sheet = Sheet(200)
    sheet.line("The growth velocity is 1.32 years of bone age a year since 2023-04-15", BODY)

    left, top, right, bottom = ink(sheet, unit_px)

    assert left >= (MARGIN - 1) * unit_px
    assert top >= MARGIN * unit_px
    assert right <= (200 - MARGIN + 2) * unit_px
    assert bottom <= (sheet.y + 1) * unit_px


def test_parts_that_fit_stand_on_one_line_and_others_on_the_next() -> None:
    heights = []
    for width in (400, 200):
        sheet = Sheet(width)
        sheet.flow([("10 y 4 m", Type(38, INK)), ("124 months", Type(19, INK))], gap=14)
        heights.append(sheet.height)

    assert heights[0] == pytest.approx(2 * MARGIN + 1.4 * 38)
    assert heights[1] > heights[0] + 1.4 * 19 - 1


def test_a_row_is_as_high_as_the_longer_of_its_two_sides() -> None:
    once, label, text = Sheet(200), Sheet(200), Sheet(200)
    once.row(("a", BODY), ("b", BODY), 90)
    label.row(("a a a a a a a a a a", BODY), ("b", BODY), 60)
    text.row(("a", BODY), ("b b b b b b b b b b b b b b b b b b", BODY), 90)

    assert label.y > once.y
    assert text.y > once.y


def test_a_picture_is_painted_from_margin_to_margin() -> None:
    asked = []

    def paint(size_px: tuple[int, int], unit_px: float) -> Image.Image:
        asked.append((size_px, unit_px))
        return Image.new("RGB", size_px, "white")

    sheet = Sheet(100)
    sheet.picture(30, paint)

    assert ink(sheet) == (2 * MARGIN, 2 * MARGIN, 2 * (100 - MARGIN), 2 * (MARGIN + 30))
    assert asked == [((120, 60), 2)]


def test_what_is_written_from_right_to_left_is_drawn() -> None:
    sheet = Sheet(300)
    sheet.line("قباني، لنزار · כהן דוד", BODY)

    assert ink(sheet)[2] > 200


@pytest.mark.parametrize("colour", [INK, FAINT, FLAG])
def test_text_stands_out_from_the_paper(colour: Colour) -> None:
    """WCAG 2.2 asks for a contrast of 4.5 (AA); a reading room is dark: more."""
    assert (luminance(colour) + 0.05) / (luminance(PAPER) + 0.05) >= 7


def luminance(colour: Colour) -> float:
    """Return the relative luminance of an sRGB colour, as WCAG defines it."""
    levels = [level / 255 for level in colour]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in levels]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
