"""Bytes to Unicode: as declared, else by the stated rule, and never with a loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.character_set import ESCAPED, EXTENSION, LATIN_1, UTF_8, decode, known_codecs

DEFAULT = ["iso8859"]
KOREAN = ["iso8859", "euc_kr"]


@pytest.mark.parametrize(
    ("value", "codecs", "text", "read_as"),
    [
        (b"Doe^Jane", DEFAULT, "Doe^Jane", ""),
        ("Jörg".encode("latin-1"), ["latin_1"], "Jörg", ""),
        ("Jörg".encode("latin-1"), DEFAULT, "Jörg", LATIN_1),
        ("Jörg".encode(), DEFAULT, "Jörg", UTF_8),
        ("Jörg".encode(), ["latin_1"], "JÃ¶rg", ""),
        ("洪".encode("euc_kr"), KOREAN, "洪", EXTENSION),
        (b"\x1b$)C" + "洪".encode("euc_kr"), KOREAN, "洪", ""),
        (b"\x1b$)C" + "洪".encode("euc_kr"), DEFAULT, "洪", ESCAPED),
        (b"\x1b$)A" + "王".encode("gb2312"), ["iso8859", "iso_ir_58"], "王", ""),
        (b"a\x1b[2Jb", DEFAULT, "a\x1b[2Jb", LATIN_1),
        ("乗^太郎".encode("gb18030"), ["GB18030"], "乗^太郎", ""),
    ],
)
def test_a_value_is_read_as_declared_or_by_the_rule(
    value: bytes, codecs: list[str], text: str, read_as: str
) -> None:
    assert decode(value, codecs, is_name=True) == (text, read_as)


def test_behind_a_delimiter_of_a_name_the_first_set_is_back() -> None:
    value = b"\x1b-F" + "Δ".encode("iso8859-7") + b"^" + "ö".encode("latin-1")

    assert decode(value, ["latin_1", "iso_ir_126"], is_name=True) == ("Δ^ö", "")


def test_an_escape_sequence_that_is_not_repeated_holds_on_where_nothing_else_can_be_meant() -> None:
    value = b"\x1b$)C" + "洪^吉洞".encode("euc_kr")

    assert decode(value, KOREAN, is_name=True) == ("洪^吉洞", "")


def test_only_codecs_of_dicom_are_character_sets() -> None:
    assert known_codecs(["utf-16", "hex"]) == DEFAULT
    assert known_codecs("iso8859") == DEFAULT
    assert known_codecs(["iso8859", "euc_kr"]) == KOREAN


@given(st.binary(max_size=40), st.sampled_from([DEFAULT, KOREAN, ["UTF8"], ["GB18030"]]))
def test_any_bytes_give_text_without_replacement(value: bytes, codecs: list[str]) -> None:
    text, read_as = decode(value, codecs)

    assert "\ufffd" not in text or "\ufffd".encode() in value or codecs == ["GB18030"]
    if read_as == LATIN_1:
        assert text.encode("latin-1") == value
