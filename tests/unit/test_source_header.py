"""What is read from source headers, and the sound copy that results are made from."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.config import disable_value_validation
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_node.header import read_header
from dicom_node.source_header import (
    TYPE_2,
    chronological_age_months,
    complete_header,
    identity_of,
    laterality,
    local_time,
    recorded_sex,
    text_notes,
    without_identity,
)
from tests.samples import STUDY, a_dx_source, a_source, read_back, written

if TYPE_CHECKING:
    from pathlib import Path

DATES = ("AcquisitionDate", "StudyDate")


def raw(keyword: str, vr: str, value: object) -> DataElement:
    """Return an element that pydicom would refuse or warn of."""
    with disable_value_validation():
        return DataElement(keyword, vr, value)


def with_raw(keyword: str, vr: str, value: object) -> Dataset:
    """Return a whole header with one element as a careless modality writes it."""
    source = a_source()
    source[keyword] = raw(keyword, vr, value)
    return source


# --- age -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("born", "seen", "months"),
    [
        ("20160101", "20260101", 120.0),
        ("20160101", "20260116", 120 + 15 / 31),
        ("20160229", "20170228", 12.0),
        ("20160131", "20160229", 1.0),
        ("20160131", "20160301", 1 + 1 / 31),
        ("20260101", "20260101", 0.0),
        ("19100101", "20260101", 1392.0),
        ("2016.01.01", "20260101", 120.0),
    ],
)
def test_age_is_counted_in_calendar_months_at_the_acquisition(
    born: str, seen: str, months: float
) -> None:
    source = with_raw("PatientBirthDate", "DA", born)
    source.AcquisitionDate = seen

    assert chronological_age_months(source) == pytest.approx(months)


@pytest.mark.parametrize(
    ("born", "seen", "age"),
    [
        ("20160101", "99991231", ""),
        ("99991201", "99991231", ""),
        ("20160101", "29991231", ""),
        ("", "20260101", "999Y"),
    ],
)
def test_what_nobody_can_be_is_no_age(born: str, seen: str, age: str) -> None:
    source = with_raw("PatientBirthDate", "DA", born)
    source.AcquisitionDate = source.ContentDate = source.SeriesDate = source.StudyDate = seen
    source.PatientAge = age

    assert chronological_age_months(source) is None


@given(
    born=st.dates(date(1990, 1, 1), date(2026, 1, 1)),
    days=st.integers(0, 8000),
)
def test_age_grows_with_every_day(born: date, days: int) -> None:
    def age(later: int) -> float:
        source = Dataset()
        source.PatientBirthDate = born.strftime("%Y%m%d")
        source.AcquisitionDate = (born + timedelta(days=later)).strftime("%Y%m%d")
        months = chronological_age_months(source)
        assert months is not None
        return months

    assert age(days) < age(days + 1)
    assert age(days) == pytest.approx(days / 30.436875, abs=1.1)


@pytest.mark.parametrize(
    ("dates", "months"),
    [
        ({"AcquisitionDateTime": "20250101120000.000000+0100"}, 108.0),
        ({"AcquisitionDate": "20250101", "StudyDate": "20260101"}, 108.0),
        ({"ContentDate": "20250101", "StudyDate": "20260101"}, 108.0),
        ({"SeriesDate": "20250101", "StudyDate": "20260101"}, 108.0),
        ({"StudyDate": "20250101"}, 108.0),
        ({"AcquisitionDate": "", "StudyDate": "20250101"}, 108.0),
    ],
)
def test_the_date_nearest_to_the_exposure_counts(dates: dict[str, str], months: float) -> None:
    source = a_source(leave_out=("AcquisitionDate", "StudyDate", "PatientAge"))
    source.PatientBirthDate = "20160101"
    for keyword, day in dates.items():
        setattr(source, keyword, day)

    assert chronological_age_months(source) == months


@pytest.mark.parametrize(
    ("age", "months"),
    [
        ("010Y", 120.0),
        ("126M", 126.0),
        ("052W", pytest.approx(11.96, abs=0.01)),
        ("045D", pytest.approx(1.478, abs=0.001)),
        ("10y", 120.0),
        ("000D", 0.0),
        ("", None),
        ("ten", None),
        ("10", None),
        ("-10Y", None),
        ("1000Y", None),
        ("012Y ", 144.0),
        ("10 y", 120.0),
    ],
)
def test_without_a_birth_date_the_recorded_age_counts(age: str, months: object) -> None:
    source = with_raw("PatientAge", "AS", age)
    del source.PatientBirthDate

    assert chronological_age_months(source) == months


@pytest.mark.parametrize("born", ["", "20261301", "20160230", "unknown", "20270101"])
def test_an_impossible_birth_date_gives_way_to_the_recorded_age(born: str) -> None:
    source = with_raw("PatientBirthDate", "DA", born)

    assert chronological_age_months(source) == 108.0


def test_without_any_date_or_age_there_is_no_age() -> None:
    source = a_source(leave_out=(*DATES, "PatientBirthDate", "PatientAge"))

    assert chronological_age_months(source) is None
    assert chronological_age_months(Dataset()) is None


def test_a_birth_after_the_acquisition_is_no_age() -> None:
    source = a_source(leave_out=("PatientAge",), PatientBirthDate="20270101")

    assert chronological_age_months(source) is None


@pytest.mark.parametrize("clock", ["19700101", "20000101", "19800000"])
def test_a_date_before_the_birth_gives_way_to_the_next(clock: str) -> None:
    """The clock of a modality whose battery is empty."""
    source = a_source(leave_out=("PatientAge",), PatientBirthDate="20160101", StudyDate="20260101")
    source["AcquisitionDate"] = raw("AcquisitionDate", "DA", clock)

    assert chronological_age_months(source) == 120.0


@pytest.mark.parametrize("born", ["18991230", "19000101", "00010101", "0000"])
def test_a_placeholder_is_no_birth_date(born: str) -> None:
    assert chronological_age_months(with_raw("PatientBirthDate", "DA", born)) == 108.0


def test_an_age_after_the_table_is_still_an_age() -> None:
    assert chronological_age_months(a_source(PatientBirthDate="20060101")) == 240.0


# --- sex and side --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "sex"),
    [
        ("M", "M"),
        ("F", "F"),
        ("m", "M"),
        ("f ", "F"),
        ("O", "unknown"),
        ("U", "unknown"),
        ("", "unknown"),
        ("Male", "unknown"),
        (None, "unknown"),
    ],
)
def test_only_m_and_f_are_a_recorded_sex(recorded: str | None, sex: str) -> None:
    assert recorded_sex(with_raw("PatientSex", "CS", recorded)) == sex


def test_a_missing_sex_is_unknown() -> None:
    assert recorded_sex(a_source(leave_out=("PatientSex",))) == "unknown"


@pytest.mark.parametrize(
    ("elements", "side"),
    [
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "R"}, "R"),
        ({"Laterality": "L", "ImageLaterality": "R"}, "R"),
        ({"Laterality": "r"}, "R"),
        ({"Laterality": "L", "ImageLaterality": ""}, "L"),
        ({"ImageLaterality": "B", "Laterality": "L"}, None),
        ({"ImageLaterality": "U"}, None),
        ({}, None),
    ],
)
def test_the_side_is_that_of_the_image(elements: dict[str, str], side: str | None) -> None:
    source = Dataset()
    for keyword, value in elements.items():
        source[keyword] = raw(keyword, "CS", value)

    assert laterality(source) == side


def test_the_side_of_a_multi_frame_image_lies_in_its_shared_groups() -> None:
    anatomy, shared, source = Dataset(), Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    shared.FrameAnatomySequence = [anatomy]
    source.SharedFunctionalGroupsSequence = [shared]

    assert laterality(source) == "R"


# --- the copy ------------------------------------------------------------------------------


@pytest.mark.parametrize("keyword", TYPE_2)
def test_a_missing_type_2_attribute_is_there_and_empty(keyword: str) -> None:
    header = complete_header(a_source(leave_out=(keyword,)))

    assert keyword in header
    assert not header[keyword].value


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_missing_uid_is_refused(keyword: str) -> None:
    with pytest.raises(AttributeError, match=keyword):
        complete_header(a_source(leave_out=(keyword,)))


@pytest.mark.parametrize(
    ("recorded", "copied"),
    [("M", "M"), ("m", "M"), ("O", "O"), ("o", "O"), ("U", ""), ("Male", ""), ("", "")],
)
def test_the_sex_is_one_that_dicom_has(recorded: str, copied: str) -> None:
    assert complete_header(with_raw("PatientSex", "CS", recorded)).PatientSex == copied


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "copied"),
    [
        ("PatientBirthDate", "DA", "2016.01.15", "20160115"),
        ("PatientBirthDate", "DA", "15.01.2016", ""),
        ("PatientBirthDate", "DA", "20160231", ""),
        ("PatientBirthDate", "DA", "20160101-20170101", ""),
        ("StudyTime", "TM", "10:11:12", "101112"),
        ("StudyTime", "TM", "noon", ""),
        ("StudyDate", "DA", "today", ""),
        ("StudyDate", "DA", ["20260101", "20260102"], ""),
        ("PatientAge", "AS", "10Y", "010Y"),
        ("PatientAge", "AS", " 9 y", "009Y"),
    ],
)
def test_a_date_is_rewritten_or_emptied(keyword: str, vr: str, value: object, copied: str) -> None:
    assert complete_header(with_raw(keyword, vr, value)).get(keyword) == copied


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("PatientAge", "AS", "9 years"),
        ("PatientOrientation", "CS", ["left", "foot!"]),
        ("TimezoneOffsetFromUTC", "SH", "CET"),
        ("TimezoneOffsetFromUTC", "SH", "+9900"),
        ("TimezoneOffsetFromUTC", "SH", "+9"),
        ("TimezoneOffsetFromUTC", "SH", "-0000"),
        ("TimezoneOffsetFromUTC", "SH", "+1430"),
        ("TimezoneOffsetFromUTC", "SH", "-1300"),
        ("PatientOrientation", "CS", ["L", "F", "H"]),
        ("ImagerPixelSpacing", "DS", "0.15"),
        ("ImagerPixelSpacing", "LO", ["1e400", "1e400"]),
        ("PatientSize", "LO", ["1.4", "1.5"]),
        ("PatientAge", "AS", ["009Y", "010Y"]),
        ("StationName", "SH", "a name that is too long"),
        ("StationName", "SH", ["A", "B"]),
        ("Rows", "LO", "512"),
        ("ImagerPixelSpacing", "LO", "wide"),
        ("PatientWeight", "LO", "heavy"),
        ("ProcedureCodeSequence", "SQ", []),
    ],
)
def test_what_its_vr_forbids_is_left_out(keyword: str, vr: str, value: object) -> None:
    assert keyword not in complete_header(with_raw(keyword, vr, value))


@pytest.mark.parametrize(
    ("keyword", "vr"),
    [("PatientID", "LO"), ("AccessionNumber", "SH"), ("StudyDescription", "LO"), ("StudyID", "SH")],
)
def test_text_is_kept_word_for_word_even_when_too_long(keyword: str, vr: str) -> None:
    words = "0123456789" * 8

    assert complete_header(with_raw(keyword, vr, words))[keyword].value == words


@pytest.mark.parametrize(
    ("keyword", "vr", "words", "copied"),
    [
        ("PatientName", "PN", "A\x01B^C\t", "A B^C "),
        ("StudyDescription", "LO", "hand\r\nleft\x1b[2J", "hand  left [2J"),
        ("PatientID", "LO", "1\0002", "1 2"),
    ],
)
def test_control_characters_are_no_text(keyword: str, vr: str, words: str, copied: str) -> None:
    assert str(complete_header(with_raw(keyword, vr, words))[keyword].value) == copied


def test_blanks_about_a_uid_are_no_part_of_it() -> None:
    assert (
        complete_header(with_raw("StudyInstanceUID", "UI", " 1.2.3 ")).StudyInstanceUID == "1.2.3"
    )


@pytest.mark.parametrize(("keyword", "vr"), [("ProcedureCodeSequence", "LO"), ("PatientID", "SQ")])
def test_a_sequence_is_no_text_and_text_no_sequence(keyword: str, vr: str) -> None:
    source = a_source()
    source[keyword] = raw(keyword, vr, "text" if vr == "LO" else [Dataset()])

    assert not complete_header(source).get(keyword)


def test_a_damaged_element_is_left_out(tmp_path: Path) -> None:
    path = written(a_source(), tmp_path / "source.dcm")
    damaged = path.read_bytes().replace(b"0.15\\0.15", b"a.bc\\d.ef")
    source = pydicom.dcmread(BytesIO(damaged))

    assert "ImagerPixelSpacing" not in complete_header(source)


@pytest.mark.parametrize(
    "keyword", ["PatientAge", "PatientSex", "SharedFunctionalGroupsSequence", "StudyDescription"]
)
def test_an_element_that_cannot_be_read_says_nothing(keyword: str) -> None:
    tag = Tag(keyword)
    source = a_source(leave_out=("PatientBirthDate", "Laterality", keyword))
    source[tag] = RawDataElement(
        tag, "XX", 2, b"??", 0, is_implicit_VR=False, is_little_endian=True
    )

    assert chronological_age_months(source) == (None if keyword == "PatientAge" else 108.0)
    assert recorded_sex(source) == ("unknown" if keyword == "PatientSex" else "F")
    assert laterality(source) is None
    assert not complete_header(source).get(keyword)


def test_text_that_is_bytes_is_left_out() -> None:
    assert "StudyDescription" not in complete_header(with_raw("StudyDescription", "OB", b"\1\2"))


def test_an_incomplete_code_is_left_out() -> None:
    whole, half = Dataset(), Dataset()
    whole.CodeValue, whole.CodingSchemeDesignator, whole.CodeMeaning = "1", "99HERE", "Hand"
    half.CodeValue = "2"

    header = complete_header(a_source(ProcedureCodeSequence=[half, whole]))

    assert [item.CodeValue for item in header.ProcedureCodeSequence] == ["1"]


@pytest.mark.parametrize(
    ("values", "is_kept"),
    [
        ({"LongCodeValue": "L" * 20, "CodingSchemeDesignator": "99HERE"}, True),
        ({"URNCodeValue": "urn:oid:1.2.3"}, True),
        ({"CodingSchemeDesignator": "99HERE"}, False),
        ({"CodeValue": "1"}, False),
        ({"CodeValue": "1", "CodingSchemeDesignator": ["A", "B"]}, False),
        ({"CodeValue": "C" * 20, "CodingSchemeDesignator": "99HERE"}, False),
        (
            {"CodeValue": "1", "CodingSchemeDesignator": "99HERE", "CodeMeaning": "h" * 80},
            False,
        ),
    ],
)
def test_a_code_has_a_value_a_scheme_and_a_meaning(values: dict[str, str], is_kept: bool) -> None:
    item = Dataset()
    for keyword, value in {"CodeMeaning": "Hand", **values}.items():
        item[keyword] = raw(keyword, dictionary_VR(keyword), value)

    assert ("ProcedureCodeSequence" in complete_header(a_source(ProcedureCodeSequence=[item]))) == (
        is_kept
    )


def test_what_no_code_has_is_not_copied_with_it() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99HERE", "Hand"
    item["SmallestImagePixelValue"] = raw("SmallestImagePixelValue", "US or SS", b"\0\0")
    item["PixelData"] = raw("PixelData", "OW", b"\0\0")

    (copied,) = complete_header(a_source(ProcedureCodeSequence=[item])).ProcedureCodeSequence

    assert len(copied) == 3


def test_the_copy_is_a_copy() -> None:
    source = a_source()
    before = source.to_json()

    header = complete_header(source)
    header.PatientName = "Other"
    header.ImagerPixelSpacing = [1, 1]

    assert source.to_json() == before


def test_pixels_and_private_elements_are_not_copied() -> None:
    source = a_source(PixelData=b"\0\0")
    source.private_block(0x0011, "MAKER", create=True).add_new(1, "LO", "secret")

    header = complete_header(source)

    assert "PixelData" not in header
    assert not any(element.tag.is_private for element in header)


def test_invalid_values_are_quoted_in_no_warning(tmp_path: Path) -> None:
    source = with_raw("PatientBirthDate", "DA", "15.01.2016")
    source["PatientID"] = raw("PatientID", "LO", "0123456789" * 8)
    source = read_back(source, tmp_path / "source.dcm")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        complete_header(source)
        chronological_age_months(source)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小东"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("GB18030", "乗^太郎"),  # its second byte is a backslash
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_arrive_in_unicode(charset: str | list[str], name: str, tmp_path: Path) -> None:
    source = a_source(SpecificCharacterSet=charset, PatientName=name, StudyDescription="Hand")

    header = complete_header(read_back(source, tmp_path / "source.dcm"))

    assert str(header.PatientName) == name
    assert "SpecificCharacterSet" not in header


@pytest.mark.parametrize(
    ("charset", "content", "name", "read_as"),
    [
        (None, "Müller^Jörg".encode("latin-1"), "Müller^Jörg", "Latin-1"),
        (None, "Müller^Jörg".encode(), "Müller^Jörg", "UTF-8"),
        ("ISO_IR 192", "Müller^Jörg".encode("latin-1"), "Müller^Jörg", "Latin-1"),
        ("ISO_IR 999", "Иванов^Пётр".encode(), "Иванов^Пётр", "UTF-8"),
        ("ISO 2022 IR 149", "홍^길동".encode("euc_kr"), "홍^길동", ""),
        (["", "ISO 2022 IR 149"], "洪^吉洞".encode("euc_kr"), "洪^吉洞", "without its escape"),
        (["", "ISO 2022 IR 149"], b"\x1b$)C" + "洪^吉洞".encode("euc_kr"), "洪^吉洞", ""),
        (None, "山田".encode("iso2022_jp"), "山田", "by its escape"),
        (["", "ISO 2022 IR 58"], b"A=\x1b$)A" + "王".encode("gb2312"), "A=王", ""),
    ],
)
def test_a_name_in_another_set_than_the_declared_one_is_read_and_that_is_said(
    charset: str | list[str] | None, content: bytes, name: str, read_as: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.dcm"
    left_out = ("SpecificCharacterSet",) if charset is None else ()
    placeholder = b"N" * (len(content) + len(content) % 2)
    source = a_source(leave_out=left_out, PatientName=placeholder.decode())
    if charset is not None:
        source["SpecificCharacterSet"] = raw("SpecificCharacterSet", "CS", charset)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
        bare = written(source, path).read_bytes()
        path.write_bytes(bare.replace(placeholder, content.ljust(len(placeholder))))
        header = read_header(path)

    assert str(complete_header(header).PatientName) == name
    assert str(header.PatientName) == name
    (note,) = text_notes(header) or [""]
    assert read_as in note
    assert bool(read_as) == bool(note)
    assert name not in note


def test_text_in_sequences_is_decoded_with_the_set_of_its_item(tmp_path: Path) -> None:
    item = Dataset()
    item.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99HERE", "手部"
    source = a_source(ProcedureCodeSequence=[item])

    (copied,) = complete_header(read_back(source, tmp_path / "s.dcm")).ProcedureCodeSequence

    assert copied.CodeMeaning == "手部"
    assert "SpecificCharacterSet" not in copied


def test_identity_is_what_a_result_inherits_and_nothing_else() -> None:
    header = complete_header(a_dx_source())

    identity = identity_of(header)

    assert identity.PatientName == "Doe^Jane"
    assert identity.StudyInstanceUID == STUDY
    assert "Modality" not in identity
    assert "SeriesInstanceUID" not in identity
    assert "Manufacturer" not in identity


def test_without_identity_nobody_is_named() -> None:
    blank = without_identity(complete_header(a_source(PatientSize=1.4)))

    assert {keyword for keyword in TYPE_2 if blank[keyword].value} == set()
    assert "PatientSize" not in blank
    assert "PatientAge" not in blank
    assert blank.StudyInstanceUID == STUDY


# --- time zone -----------------------------------------------------------------------------


@pytest.mark.parametrize(("offset", "hour", "minute"), [("+0530", 10, 36), ("-0800", 21, 6)])
def test_the_time_zone_is_that_of_the_source(offset: str, hour: int, minute: int) -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    there = local_time(a_source(TimezoneOffsetFromUTC=offset), moment)

    assert (there.hour, there.minute) == (hour, minute)
    assert there == moment


def test_without_a_time_zone_it_is_that_of_this_machine() -> None:
    moment = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)

    here = local_time(a_source(), moment)

    assert here == moment
    assert here.utcoffset() == moment.astimezone().utcoffset()


def test_every_inherited_keyword_is_one_of_dicom() -> None:
    assert all(tag_for_keyword(keyword) for keyword in TYPE_2)
