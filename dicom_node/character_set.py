"""Bytes of a header to Unicode, whatever their character set is and whatever it is said to be.

The rule, for each element (PS3.3 C.12.1.1.2, PS3.5 6.1):

1. What SpecificCharacterSet declares holds if the bytes decode by it without loss. Where nothing
   is declared that is ISO-IR 6, in which a byte above 7F means nothing.
2. Escape sequences of ISO 2022 name their set themselves, declared or not.
3. A declared code extension is also tried without its escape sequence, which some modalities
   leave out.
4. UTF-8, where the bytes are strictly that: text in another set hardly ever is.
5. Latin-1. It gives every byte a character and loses none, so the bytes can be got back; but it
   is a guess.

pydicom alone puts replacement characters into what does not decode, and leaves the escape
sequences of ISO 2022 IR 58 in the text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pydicom.charset import CODES_TO_ENCODINGS, ESC, default_encoding, python_encoding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LATIN_1: Final = "Latin-1, which is a guess"
UTF_8: Final = "UTF-8"
ESCAPED: Final = "ISO 2022 by its escape sequences"
EXTENSION: Final = "ISO 2022 without its escape sequences"
"""The names of what was read by another set than the declared one."""

ESCAPE: Final = re.compile(b"(%s)" % b"|".join(re.escape(code) for code in CODES_TO_ENCODINGS))
"""The escape sequences of PS3.3 tables C.12-3 and C.12-4."""

KNOW_THEIR_ESCAPES: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Codecs of Python that want the escape sequence; the others do not know it."""

DELIMITERS: Final = re.compile(rb"[\\\r\n\f\t]")
NAME_DELIMITERS: Final = re.compile(rb"[\\^=]")
"""Behind these the first set holds again (PS3.5 6.1.2.5.3)."""


def known_codecs(codecs: str | Sequence[str]) -> list[str]:
    """Return those of pydicom's codecs that belong to a term of DICOM; ISO-IR 6 where none does.

    pydicom takes the name of any codec of Python for a character set, ``utf-16`` and ``hex`` too.
    """
    listed = [codecs] if isinstance(codecs, str) else codecs
    known = {*python_encoding.values()}
    return [codec for codec in listed if codec in known] or [default_encoding]


def decode(value: bytes, codecs: list[str], *, is_name: bool = False) -> tuple[str, str]:
    """Return the text, and the name of the set if it is not the declared one, else "".

    Parameters
    ----------
    value : bytes
        What the element holds, one value or more.
    codecs : list of str
        Of `known_codecs`: the declared sets, the first one first.
    is_name : bool
        Whether it is a person name, whose components each begin in the first set.
    """
    for name, attempt in _attempts(value, codecs):
        try:
            return _decoded(value, attempt, is_name=is_name), name
        except UnicodeError:
            continue
    return value.decode("latin-1"), LATIN_1


def _attempts(value: bytes, codecs: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the codecs to try, with what a text is called that was read by them."""
    yield "", codecs
    if ESC in value:
        yield ESCAPED, [*codecs, *CODES_TO_ENCODINGS.values()]
    for codec in codecs[1:]:
        yield EXTENSION, [codec, *codecs]
    yield UTF_8, ["UTF8"]


def _decoded(value: bytes, codecs: list[str], *, is_name: bool) -> str:
    """Decode without loss or raise UnicodeError."""
    head, *escaped = ESCAPE.split(value)
    text = _strict(head, codecs[0])
    for escape, part in zip(escaped[::2], escaped[1::2], strict=True):
        codec = CODES_TO_ENCODINGS[escape]
        if codec not in {*codecs, default_encoding}:
            msg = "an escape sequence of a set that is not declared"
            raise UnicodeError(msg)
        if codec in KNOW_THEIR_ESCAPES:
            text += _strict(escape + part, codec)
        else:
            text += _extended(part, codec, codecs[0], is_name=is_name)
    return text


def _extended(part: bytes, codec: str, first: str, *, is_name: bool) -> str:
    """Decode what follows an escape sequence; behind a delimiter the first set is back.

    Where the first set cannot be meant, being too small, the sequence was not repeated.
    """
    end = (NAME_DELIMITERS if is_name else DELIMITERS).search(part)
    at = end.start() if end else len(part)
    try:
        return _strict(part[:at], codec) + _strict(part[at:], first)
    except UnicodeError:
        return _strict(part, codec)


def _strict(part: bytes, codec: str) -> str:
    """Decode with one codec; ISO-IR 6 is ASCII, though pydicom reads it as Latin-1."""
    text = part.decode("ascii" if codec == default_encoding else codec)
    if chr(ESC[0]) in text:
        msg = "an escape sequence that nobody knows"
        raise UnicodeError(msg)
    return text
