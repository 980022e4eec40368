"""Fonts: each part of a text gets one that has its glyphs."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import features

from dicom_node.fonts import CHINESE, JAPANESE, KOREAN, clusters, faces, font, runs
from dicom_node.words import words_of

LATIN = faces()[0]

TEXTS = {
    "German": "Überprüfen: männlich, ±2 SD",
    "French": "Âge osseux d'après la main gauche",
    "Korean": "골연령 10세 4개월 (124개월)",
    "Japanese": "Yamada, Tarou · 山田 太郎 · やまだ たろう",
    "Chinese": "王 小東",
    "Arabic": "قباني، لنزار",
    "Hebrew": "כהן דוד",
    "Thai": "สมชาย ใจดี",
    "Hindi": "नमस्ते",
    "Greek": "Διονυσιος",
    "Russian": "Юлия Щёлкина",
    "legend": "●○━┅",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_in_any_script_has_all_its_glyphs(text: str) -> None:
    boxes = missing(text)

    assert boxes == set()
    assert {c for run in runs(text) for c in run.text} == set(" ".join(text.split()))


@pytest.mark.parametrize(
    "language",
    [path.name.removesuffix(".yaml") for path in (files("dicom_node") / "languages").iterdir()],
)
def test_every_text_of_a_report_has_all_its_glyphs(language: str) -> None:
    assert missing(" ".join(words_of(language).texts.values())) == set()


def missing(text: str) -> set[str]:
    """Return the characters that are drawn as the box of their font."""
    found = set()
    for run in runs(text):
        face = font(run.face, 40)
        box = face.getmask("\U0010fffd")
        for part in clusters(run.text):
            mask = face.getmask(part)
            if part.strip() and mask.size == box.size and bytes(mask) == bytes(box):
                found.add(part)
    return found


def test_what_no_font_has_is_a_visible_box() -> None:
    (run,) = runs("A\U00013000")

    assert run.face == LATIN
    assert run.text == "A\U00013000"
    assert font(LATIN, 40).getmask("\U00013000").getbbox() is not None
    assert missing("A\U00013000") == {"\U00013000"}


def test_a_control_character_is_not_dropped_and_a_line_break_is_a_blank() -> None:
    assert list(clusters("a\x1bb\n c")) == ["a", "\ufffd", "b", " ", "c"]


def test_marks_stay_with_their_letter() -> None:
    assert list(clusters("e\u0301x")) == ["\u00e9", "x"]
    assert list(clusters("q\u0301x")) == ["q\u0301", "x"]
    assert list(clusters("ก็ข")) == ["ก็", "ข"]
    assert list(clusters("")) == []


@pytest.mark.parametrize(
    ("text", "han"),
    [("金 김", KOREAN), ("山田 やまだ", JAPANESE), ("山田 ヤマダ", JAPANESE), ("王", CHINESE)],
)
def test_han_takes_the_forms_of_the_country_whose_letters_stand_beside_it(
    text: str, han: int
) -> None:
    assert {run.face.index for run in runs(text) if run.face != LATIN} == {han}


def test_what_is_written_from_right_to_left_has_its_parts_in_that_order() -> None:
    parts = runs("Ali עלי 12 محمد x")

    assert [run.text.strip() for run in parts] == ["Ali", "محمد", "12", "עלי", "x"]
    assert [run.is_leftward for run in parts] == [False, True, True, True, False]


def test_a_bracket_closes_in_the_direction_in_which_it_was_opened() -> None:
    assert [(run.text, run.is_leftward) for run in runs("דוד (אב) x")] == [
        (")", True),
        ("אב", True),
        ("(", True),
        ("דוד ", True),
        (" x", False),
    ]
    assert [run.is_leftward for run in runs("x (אב)")] == [False, True, False]
    assert [run.is_leftward for run in runs("x) אב")] == [False, True]


def test_a_direction_is_named_where_pillow_can_follow_it() -> None:
    directions = [run.direction for run in runs("Ali עלי")]

    assert directions == (["ltr", "rtl"] if features.check("raqm") else [None, None])


def test_a_variable_font_has_weights() -> None:
    regular, bold = (font(LATIN, 40, weight).getmask("H") for weight in (400, 600))

    assert sum(bytes(bold)) > sum(bytes(regular))


def test_fonts_are_files_and_their_packages_are_not_imported() -> None:
    assert all(Path(face.path).is_file() for face in faces())
    assert sys.modules.keys().isdisjoint({"manimgx_fonts", "noto_cjk_sans_otc"})
