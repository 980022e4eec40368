"""Headers as careless modalities write them: hypothesis draws them, byte by byte.

Nothing here uses pydicom's writer or its character sets: what is tested reads with those.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hypothesis.strategies import DrawFn

LONG_LENGTH: Final = frozenset({"OB", "OW", "SQ", "UC", "UN", "UR", "UT"})
UNDEFINED: Final = 0xFFFFFFFF

Element = tuple[int, str, bytes]


@dataclass(frozen=True, slots=True)
class Script:
    """A way to write text: what SpecificCharacterSet says, and what the bytes really are.

    Attributes
    ----------
    name : str
        For a person who reads a failed test.
    declared : bytes or None
        SpecificCharacterSet; None where it is missing.
    encode : callable
        Text of one name component to bytes.
    letters : tuple of str
        What the alphabetic, the ideographic and the phonetic group are made of.
    """

    name: str
    declared: bytes | None
    encode: Callable[[str], bytes]
    letters: tuple[str, ...]


def _codec(name: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(name)


def _escaped(escape: bytes, codec: str, back: bytes = b"") -> Callable[[str], bytes]:
    """Return an encoder that sets an escape sequence before what is not ASCII."""
    return lambda text: text.encode() if text.isascii() else escape + text.encode(codec) + back


def _japanese(text: str) -> bytes:
    """Write kanji and kana by ISO-IR 87, the rest by ISO-IR 14 (PS3.5 H.3.2)."""
    if text.isascii():
        return text.encode()
    if "ｱ" <= text[0] <= "ﾟ":
        return text.encode("shift_jis")
    return text.encode("iso2022_jp").replace(b"\x1b(B", b"\x1b(J")


LATIN, CYRILLIC, GREEK = "ÄÖÜßàéîñøç", "БДЖЙЦЯавб", "ΔΣΩαβγ"
KANJI, KANA, HALF = "山田太郎東京", "やまだたろう", "ﾔﾏﾀﾞﾀﾛｳ"
HANGUL, HANJA, HAN = "김희중홍길동", "金喜中洪吉洞", "王小东李张"
ASCII: Final = "ABCDEFGabcdefg0123-. '"

SCRIPTS: Final = (
    Script("ASCII", None, _codec("ascii"), (ASCII,)),
    Script("ASCII, empty set", b"", _codec("ascii"), (ASCII,)),
    Script("Latin-1", b"ISO_IR 100", _codec("latin-1"), (LATIN,)),
    Script("Latin-2", b"ISO_IR 101", _codec("iso8859-2"), ("ŁŚŻąęčř",)),
    Script("Cyrillic", b"ISO_IR 144", _codec("iso8859-5"), (CYRILLIC,)),
    Script("Arabic", b"ISO_IR 127", _codec("iso8859-6"), ("قبانيلزر",)),
    Script("Greek", b"ISO_IR 126", _codec("iso8859-7"), (GREEK,)),
    Script("Hebrew", b"ISO_IR 138", _codec("iso8859-8"), ("שרוןדבה",)),
    Script("Turkish", b"ISO_IR 148", _codec("iso8859-9"), ("ğışİŞ",)),
    Script("Thai", b"ISO_IR 166", _codec("iso8859-11"), ("กขคงจ",)),
    Script("Katakana", b"ISO_IR 13", _codec("shift_jis"), (HALF,)),
    Script("UTF-8", b"ISO_IR 192", _codec("utf-8"), (LATIN + CYRILLIC, KANJI + HAN, KANA + HANGUL)),
    Script("GB18030", b"GB18030", _codec("gb18030"), (ASCII, HAN + "乗乘", LATIN)),
    Script("GBK", b"GBK", _codec("gbk"), (ASCII, HAN)),
    Script(
        "Japanese",
        b"\\ISO 2022 IR 87",
        _escaped(b"\x1b$B", "iso2022_jp"),
        (ASCII, KANJI, KANA),
    ),
    Script("Japanese, half width", b"ISO 2022 IR 13\\ISO 2022 IR 87", _japanese, (HALF, KANJI)),
    Script(
        "Korean",
        b"\\ISO 2022 IR 149",
        _escaped(b"\x1b$)C", "euc_kr"),
        (ASCII, HANJA, HANGUL),
    ),
    Script("Chinese", b"\\ISO 2022 IR 58", _escaped(b"\x1b$)A", "gb2312"), (ASCII, HAN)),
    Script(
        "Greek by extension",
        b"ISO 2022 IR 6\\ISO 2022 IR 126",
        _escaped(b"\x1b-F", "iso8859-7"),
        (GREEK,),
    ),
    # What follows is against the standard, and comes all the same.
    Script("Latin-1, undeclared", None, _codec("latin-1"), (LATIN,)),
    Script("Latin-1, said to be UTF-8", b"ISO_IR 192", _codec("latin-1"), (LATIN,)),
    Script("UTF-8, undeclared", None, _codec("utf-8"), (LATIN, KANJI, HANGUL)),
    Script("UTF-8, said to be ASCII", b"ISO_IR 6", _codec("utf-8"), (LATIN, HAN)),
    Script("UTF-8, an unknown set", b"ISO_IR 999", _codec("utf-8"), (CYRILLIC,)),
    Script("UTF-8, misspelt", b"ISO-IR 192", _codec("utf-8"), (GREEK,)),
    Script("UTF-8, a codec of Python", b"utf-16", _codec("utf-8"), (LATIN,)),
    Script("Japanese, undeclared", None, _escaped(b"", "iso2022_jp"), (ASCII, KANJI)),
    Script("Korean, undeclared", b"", _escaped(b"\x1b$)C", "euc_kr"), (ASCII, HANJA)),
    Script("Korean, no escape", b"\\ISO 2022 IR 149", _codec("euc_kr"), (ASCII, HANJA, HANGUL)),
    Script("Korean, one value", b"ISO 2022 IR 149", _codec("euc_kr"), (ASCII, HANJA, HANGUL)),
    Script("Chinese, no escape", b"\\ISO 2022 IR 58", _codec("gb2312"), (ASCII, HAN)),
)

ODD: Final[dict[str, tuple[str, list[bytes]]]] = {
    "PatientSex": ("CS", [b"M", b"F", b"m", b"f ", b"O", b"U", b"", b"Female", b"F\\M", b"\xff"]),
    "StudyTime": ("TM", [b"101112", b"10:11:12", b"noon", b"", b"101112.123456", b"240000"]),
    "AccessionNumber": ("SH", [b"A1", b"", b"A" * 20, b"A\\B", b" A2 "]),
    "StudyID": ("SH", [b"S1", b"", b"S" * 40]),
    "TimezoneOffsetFromUTC": (
        "SH",
        [b"+0900", b"-0330", b"+9", b"", b"-0000", b"+1500", b"+09:00", b"CET", b" +0100"],
    ),
    "PatientOrientation": (
        "CS",
        [b"L\\F", b"", b"L\\", b"left\\foot", b"L\\F\\H", b"L", b"\\", b"L\\F" * 20],
    ),
    "ImagerPixelSpacing": (
        "DS",
        [b"0.15\\0.15", b"0\\0", b"-1\\-1", b"1e400\\1e400", b"nan\\nan", b"0.15", b"", b"wide"],
    ),
    "PixelSpacing": ("DS", [b"0.2\\0.2", b"0.123456789012345678\\0.1", b"0.15\\", b"0.1\\0"]),
    "Modality": ("CS", [b"CR", b"", b"DX", b"cr"]),
    "SoftwareVersions": ("LO", [b"1\\2", b"x" * 100, b""]),
    "StationName": ("SH", [b"ROOM1", b"A\\B", b"S" * 30]),
    "BurnedInAnnotation": ("CS", [b"YES", b"NO", b"yes", b"MAYBE", b""]),
    "LossyImageCompression": ("CS", [b"00", b"01", b"1", b""]),
    "LossyImageCompressionRatio": ("DS", [b"10", b"abc", b"", b"10\\20"]),
    "LossyImageCompressionMethod": ("CS", [b"ISO_10918_1", b"jpeg", b""]),
    "PatientSize": ("DS", [b"1.4", b"1,4", b"1.4\\1.5", b""]),
    "PatientWeight": ("DS", [b"40", b"40kg", b"1E999"]),
    "ImageLaterality": ("CS", [b"L", b"R", b"B", b"", b"left", b"L\\R"]),
    "ViewPosition": ("CS", [b"PA", b"AP", b""]),
    "OtherPatientNames": ("PN", [b"A^B\\C^D", b"", b"x" * 200]),
    "PatientBirthTime": ("TM", [b"0101", b"1:1", b""]),
    "ImageComments": ("LT", [b"a\r\nb", b"\x1b[2J", b"x" * 3000]),
    # Retired attributes.
    "OtherPatientIDs": ("LO", [b"X", b""]),
    "StudyComments": ("LT", [b"old", b""]),
    "AcquisitionDateTime": ("DT", [b"", b"yesterday"]),
    "ContentDate": ("DA", [b"", b"20261399"]),
}
"""Attributes with what is written into them, right and wrong."""

UIDS: Final = (b"1.2.3.4", b"1.2.3.4\0", b" 1.2.3.4 ", b"1.2.840.010.1")
NO_UIDS: Final = (b"", b"1.2\\1.3", b"abc", b"1..2", b"1." * 40 + b"1", b"1.2.3.")

AGES: Final = {
    b"009Y": 108.0,
    b"012Y ": 144.0,
    b"10Y": 120.0,
    b"10 y": 120.0,
    b"126M": 126.0,
    b"": None,
    b"ten": None,
    b"Y": None,
}
"""PatientAge, with the months that it says."""

NO_BIRTHS: Final = (
    None,
    b"",
    b"0000",
    b"unknown",
    b"18991230",
    b"19000101",
    b"29990101",
    b"20161301",
)

CODES: Final[tuple[dict[str, bytes], ...]] = (
    {"CodeValue": b"1", "CodingSchemeDesignator": b"99HERE", "CodeMeaning": b"Hand"},
    {"CodeValue": b"24724-7", "CodingSchemeDesignator": b"LN", "CodeMeaning": b"XR Hand"},
    {"LongCodeValue": b"L" * 20, "CodingSchemeDesignator": b"99HERE", "CodeMeaning": b"Hand"},
    {"URNCodeValue": b"urn:oid:1.2.3.4.5.6.7", "CodeMeaning": b"Hand"},
    {"CodeValue": b"1", "CodingSchemeDesignator": b"99HERE", "CodeMeaning": b"h" * 80},
    {"CodeValue": b"C" * 20, "CodingSchemeDesignator": b"99HERE", "CodeMeaning": b"Hand"},
    {"CodeValue": b"1\\2", "CodingSchemeDesignator": b"A\\B", "CodeMeaning": b"Hand"},
    {"CodingSchemeDesignator": b"99HERE", "CodeMeaning": b"Hand"},
    {"CodeValue": b"1"},
    {"CodeValue": b"", "CodingSchemeDesignator": b"", "CodeMeaning": b""},
    {},
)
ORDERS: Final[tuple[dict[str, bytes], ...]] = (
    {"RequestedProcedureID": b"R1", "AccessionNumber": b"A1"},
    {"RequestedProcedureID": b"R" * 40, "RequestedProcedureDescription": b"Hand"},
    {"ScheduledProcedureStepDescription": b"hand"},
    {},
)
OTHER_IDS: Final[tuple[dict[str, bytes], ...]] = (
    {"PatientID": b"X1", "TypeOfPatientID": b"TEXT"},
    {"PatientID": b"X2"},
    {},
)
SCHEMES: Final[tuple[dict[str, bytes], ...]] = (
    {"CodingSchemeDesignator": b"99HERE", "CodingSchemeName": b"Ours"},
    {"CodingSchemeDesignator": b"A\\B"},
    {"CodingSchemeName": b"nothing else"},
)
ITEMS: Final[dict[str, Sequence[dict[str, bytes]]]] = {
    "ProcedureCodeSequence": CODES,
    "RequestAttributesSequence": ORDERS,
    "OtherPatientIDsSequence": OTHER_IDS,
    "CodingSchemeIdentificationSequence": SCHEMES,
    "ReferencedStudySequence": ({"ReferencedSOPClassUID": b"1.2"}, {}),
}
VRS: Final = {
    "LongCodeValue": "UC",
    "URNCodeValue": "UR",
    "CodeMeaning": "LO",
    "PatientID": "LO",
    "TypeOfPatientID": "CS",
    "RequestedProcedureDescription": "LO",
    "ScheduledProcedureStepDescription": "LO",
    "CodingSchemeName": "ST",
    "ReferencedSOPClassUID": "UI",
}
"""Of the attributes of items that are not SH."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A file, and what must come of it.

    Attributes
    ----------
    script : str
        How its text is written.
    content : bytes
        The Part 10 file.
    texts : dict
        Keyword to the text that a result must have.
    age_months : float or None
        At the acquisition, to within a month and a bit where it is of two dates.
    is_eligible : bool
        Whether nothing speaks against it.
    """

    script: str
    content: bytes
    texts: dict[str, str]
    age_months: float | None
    is_eligible: bool


def written_element(element: Element, *, implicit: bool) -> bytes:
    """Return a data element in Little Endian, padded to an even length (PS3.5 7.1)."""
    tag, vr, value = element
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    length = len(value) + len(value) % 2
    value = value.ljust(length, b"\0" if vr in {"UI", "OB", "UN"} else b" ")
    if implicit:
        return head + struct.pack("<L", length) + value
    if vr in LONG_LENGTH:
        return head + vr.encode() + struct.pack("<HL", 0, length) + value
    return head + vr.encode() + struct.pack("<H", length) + value


def written_items(
    keyword: str, items: Sequence[Sequence[Element]], *, implicit: bool, undefined: bool
) -> bytes:
    """Return a sequence, of defined or of undefined length (PS3.5 7.5)."""
    body = b""
    for item in items:
        content = b"".join(written_element(one, implicit=implicit) for one in sorted(item))
        length = UNDEFINED if undefined else len(content)
        body += b"\xfe\xff\x00\xe0" + struct.pack("<L", length) + content
        body += b"\xfe\xff\x0d\xe0\0\0\0\0" if undefined else b""
    tag = _tag(keyword)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + (b"" if implicit else b"SQ\0\0")
    if undefined:
        return head + struct.pack("<L", UNDEFINED) + body + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return head + struct.pack("<L", len(body)) + body


def part_10(body: dict[int, bytes], *, implicit: bool) -> bytes:
    """Return a file of elements by tag, in the order of their tags."""
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta = written_element((0x00020010, "UI", str(syntax).encode()), implicit=False)
    length = written_element((0x00020000, "UL", struct.pack("<L", len(meta))), implicit=False)
    return bytes(128) + b"DICM" + length + meta + b"".join(body[tag] for tag in sorted(body))


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


@st.composite
def headers(draw: DrawFn, *, sound: bool = False) -> Drawn:
    """Draw a header; a sound one keeps to its VRs, whatever its script and its gaps."""
    script = draw(st.sampled_from(SCRIPTS))
    implicit = draw(st.booleans())
    elements = dict(_fixed())
    if script.declared is not None:
        elements["SpecificCharacterSet"] = ("CS", script.declared)
    texts = _draw_texts(draw, script, elements, sound=sound)
    age_months = _draw_age(draw, elements, sound=sound)
    usable = True if sound else _draw_damage(draw, elements)
    for keyword, (vr, values) in ODD.items():
        if draw(st.integers(0, 2)):
            elements[keyword] = (vr, values[0] if sound else draw(st.sampled_from(values)))
    body = {
        _tag(keyword): written_element((_tag(keyword), vr, value), implicit=implicit)
        for keyword, (vr, value) in elements.items()
    }
    for keyword, choices in ITEMS.items():
        items = draw(st.lists(st.sampled_from(choices[:1] if sound else choices), max_size=2))
        if sound or not draw(st.booleans()):
            continue
        body[_tag(keyword)] = written_items(
            keyword,
            [
                [(_tag(word), VRS.get(word, "SH"), value) for word, value in i.items()]
                for i in items
            ],
            implicit=implicit,
            undefined=draw(st.booleans()),
        )
    if draw(st.booleans()):
        body.update(_private(implicit=implicit))
    eligible = usable and (age_months is None or age_months <= 20 * 12)
    return Drawn(script.name, part_10(body, implicit=implicit), texts, age_months, eligible)


def _fixed() -> Iterator[tuple[str, tuple[str, bytes]]]:
    """Yield what makes it a radiograph of a hand."""
    yield "SOPClassUID", ("UI", str(ComputedRadiographyImageStorage).encode())
    yield "SOPInstanceUID", ("UI", b"1.2.3.4.5.6")
    yield "SeriesInstanceUID", ("UI", b"1.2.3.4.5")
    yield "StudyInstanceUID", ("UI", b"1.2.3.4")
    yield "BodyPartExamined", ("CS", b"HAND")
    yield "Rows", ("US", struct.pack("<H", 512))
    yield "Columns", ("US", struct.pack("<H", 400))


def _draw_texts(
    draw: DrawFn, script: Script, elements: dict[str, tuple[str, bytes]], *, sound: bool
) -> dict[str, str]:
    """Draw the texts that must arrive, and write them; some are missing, some too long."""
    texts = {}
    for keyword, vr in (
        ("PatientName", "PN"),
        ("PatientID", "LO"),
        ("StudyDescription", "LO"),
        ("ReferringPhysicianName", "PN"),
        ("Manufacturer", "LO"),
    ):
        form = draw(st.sampled_from(["words", "words", "words", "empty", "none", "long"]))
        if form == "none":
            continue
        # dciodvfy holds a name's bytes in UTF-8 to 64, where PS3.5 6.2 speaks of characters.
        longest = 2 if sound else 8
        groups = [] if form == "empty" else _groups(draw, script, longest, is_name=vr == "PN")
        groups = [["x" * 100]] if form == "long" and not sound else groups
        if keyword != "Manufacturer":
            texts[keyword] = "=".join(map("^".join, groups)).rstrip("= ")
        elements[keyword] = (
            vr,
            b"=".join(b"^".join(map(script.encode, parts)) for parts in groups),
        )
    return texts


def _groups(draw: DrawFn, script: Script, longest: int, *, is_name: bool) -> list[list[str]]:
    """Draw the components of up to three groups; of plain text there is one of each."""

    def word(letters: str) -> str:
        return draw(st.text(letters, min_size=1, max_size=longest)).strip() or "A"

    if not is_name:
        return [[word(script.letters[-1])]]
    count = draw(st.integers(1, len(script.letters)))
    return [
        [word(letters) for _ in range(draw(st.integers(2, 3)))]
        for letters in script.letters[:count]
    ]


def _draw_age(draw: DrawFn, elements: dict[str, tuple[str, bytes]], *, sound: bool) -> float | None:
    """Draw dates and PatientAge; returns the age that they say."""
    seen = draw(st.dates(date(2005, 1, 1), date(2040, 1, 1)))
    dates = draw(st.sampled_from(["AcquisitionDate", "SeriesDate", "StudyDate"]))
    elements[dates] = ("DA", f"{seen:%Y%m%d}".encode())
    if not sound and dates != "AcquisitionDate" and draw(st.booleans()):
        # The clock of the modality was set back: no child is seen before it was born.
        elements["AcquisitionDate"] = ("DA", draw(st.sampled_from([b"19700101", b"", b"today"])))
    age = draw(st.sampled_from([b"009Y", b"126M"] if sound else [*AGES, None]))
    if age is not None:
        elements["PatientAge"] = ("AS", age)
    if draw(st.booleans()):
        days = draw(st.integers(0, 25 * 365))
        born = seen - timedelta(days=days)
        form = "%Y%m%d" if sound else draw(st.sampled_from(["%Y%m%d", "%Y.%m.%d"]))
        elements["PatientBirthDate"] = ("DA", born.strftime(form).encode())
        return days / 30.436875
    born_bytes = draw(st.sampled_from(NO_BIRTHS[:2] if sound else NO_BIRTHS))
    if born_bytes is not None:
        elements["PatientBirthDate"] = ("DA", born_bytes)
    return AGES.get(age) if age is not None else None


def _draw_damage(draw: DrawFn, elements: dict[str, tuple[str, Any]]) -> bool:
    """Draw what is wrong with UIDs, size and VRs; returns whether it can still be assessed."""
    usable = True
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uid = draw(st.sampled_from([*UIDS * 40, *NO_UIDS]))
        usable = usable and uid in UIDS
        elements[keyword] = ("UI", uid)
    if not draw(st.integers(0, 19)):
        del elements["Rows"]
        usable = False
    for keyword in ("PatientName", "PatientID", "StudyDescription"):
        if keyword in elements and not draw(st.integers(0, 9)):
            vr = draw(st.sampled_from(["UN", "UT", "SH"]))
            elements[keyword] = (vr, elements[keyword][1])
    return usable


def _private(*, implicit: bool) -> dict[int, bytes]:
    """Return private elements of an unknown VR, of text in no character set, and of items."""
    creator = (0x00110010, "LO", b"MAKER")
    return {
        element[0]: written_element(element, implicit=implicit)
        for element in (
            creator,
            (0x00111001, "ZZ", b"\1\2\3\4"),
            (0x00111002, "LO", b"\xff\xfe\x80"),
            (0x00111003, "UN", b"\xfe\xff\x00\xe0\0\0\0\0"),
            (0x00111004, "SQ", b""),
        )
    }
