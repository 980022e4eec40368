"""Headers as they come: damaged, strange, and in every character set."""

from __future__ import annotations

import errno
import random
import warnings
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_node.config import Config
from dicom_node.errors import UnreadableError
from dicom_node.header import KEPT, kept, read_header, text
from dicom_node.intake import verdict
from tests.builders import cr_header, items, write_dicom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def as_in_the_node() -> Iterator[None]:
    """Let pydicom warn of what it reads, as `dicom_node.log.configure` does."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"pydicom(\..*)?")
        yield


def raw(keyword: str, vr: str, value: bytes) -> RawDataElement:
    """Return an element as a file holds it, whatever its VR allows."""
    return RawDataElement(
        Tag(keyword),
        vr,
        len(value),
        value,
        0,
        is_implicit_VR=False,
        is_little_endian=True,
    )


def header_with(*elements: RawDataElement) -> Dataset:
    header = cr_header()
    for element in elements:
        header._dict[element.tag] = element  # past the checks of Dataset's own
    return header


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("BodyPartExamined", "HAND", "HAND"),
        ("BodyPartExamined", None, ""),
        ("BodyPartExamined", "", ""),
        ("ImageType", ["ORIGINAL", "PRIMARY"], "ORIGINAL\\PRIMARY"),
        ("PixelSpacing", [0.1, 0.2], "0.1\\0.2"),
        ("PatientName", "Doe^Jane", "Doe^Jane"),
        ("OtherPatientNames", ["A^B", "C^D"], "A^B\\C^D"),
        ("Rows", 512, "512"),
        ("NumberOfFrames", "01", "01"),
    ],
)
def test_text_of(keyword: str, value: object, expected: str) -> None:
    header = Dataset()
    setattr(header, keyword, value)
    assert text(header, keyword) == expected


def test_text_of_what_is_not_there() -> None:
    assert text(Dataset(), "BodyPartExamined") == ""
    assert text(Dataset(), "NoSuchKeyword") == ""


@pytest.mark.usefixtures("as_in_the_node")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b" HAND ", "HAND"),
        (b"HAND\0", "HAND"),
        (b"HA\0ND", "HA ND"),
        (b"HAND\r\nFOOT", "HAND  FOOT"),
        (b"\x1b[2JHAND", "[2JHAND"),
        (b"HAND\x7f", "HAND"),
        (b"HAND\\\0FOOT", "HAND\\FOOT"),
    ],
)
def test_text_is_one_line_without_controls(value: bytes, expected: str) -> None:
    header = header_with(raw("BodyPartExamined", "CS", value))
    assert text(header, "BodyPartExamined") == expected


@pytest.mark.usefixtures("as_in_the_node")
@pytest.mark.parametrize(
    "element",
    [
        raw("Rows", "US", b"\x00\x02\x00"),
        raw("NumberOfFrames", "IS", b"1E999"),
        raw("Rows", "ZZ", b"\x00\x02"),
    ],
    ids=lambda element: f"{element.VR} {element.value!r}",
)
def test_what_cannot_be_read_is_no_text(element: RawDataElement) -> None:
    assert text(header_with(element), pydicom.datadict.keyword_for_tag(element.tag)) == ""


def test_names_in_other_scripts(tmp_path: Path) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    header = cr_header(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name)
    found = read_header(write_dicom(tmp_path / "f.dcm", header))
    assert text(found, "PatientName") == name
    assert kept(found)["PatientName"] == name


def test_what_is_kept() -> None:
    values = kept(cr_header(AccessionNumber="", StationName=None, PatientComments="private"))
    assert set(values) <= set(KEPT)
    assert {"AccessionNumber", "StationName"}.isdisjoint(values)
    assert values["PatientBirthDate"] == "20130601"
    assert all(type(value) is str for value in values.values())


@pytest.mark.usefixtures("as_in_the_node")
def test_a_damaged_sequence_is_no_reason_to_fail() -> None:
    for keyword in ("ContributingEquipmentSequence", "ViewCodeSequence"):
        for vr in ("SQ", "UN", "LO"):
            header = header_with(raw(keyword, vr, b"\xfe\xff\x00\xe0\x10\x00\x00\x00cut short"))
            assert verdict(Config(), "MODALITY", header) is None


# --- files -------------------------------------------------------------------------------------


def test_the_pixels_are_not_read(tmp_path: Path) -> None:
    header = cr_header(PixelData=bytes(512 * 512 * 2), BitsAllocated=16)
    found = read_header(write_dicom(tmp_path / "f.dcm", header))
    assert "PixelData" not in found
    assert found.Rows == 512


@pytest.mark.parametrize("content", [b"", b"no DICOM", b"\0" * 128 + b"DICM"])
def test_no_dicom_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "f.dcm"
    file.write_bytes(content)
    if content.endswith(b"DICM"):  # a preamble and nothing else is an empty data set
        assert len(read_header(file)) == 0
        return
    with pytest.raises(UnreadableError, match="the header cannot be parsed"):
        read_header(file)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="the file is missing"):
        read_header(tmp_path / "absent.dcm")


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
def test_a_failing_disk_is_not_the_senders_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """0xC210 would end it; 0xA700, which an OSError leads to, lets the sender try again."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, "the disk fails")

    file = write_dicom(tmp_path / "f.dcm", cr_header())
    monkeypatch.setattr(pydicom, "dcmread", fail)
    with pytest.raises(OSError, match="the disk fails") as caught:
        read_header(file)
    assert caught.value.errno == number


def test_a_deflated_data_set_that_is_damaged(tmp_path: Path) -> None:
    header = cr_header()
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = write_dicom(tmp_path / "f.dcm", header)
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(UnreadableError):
        read_header(file)


def test_a_deflate_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = cr_header(TextValue="0" * 3_000_000)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = write_dicom(tmp_path / "f.dcm", header)
    assert file.stat().st_size < 30_000
    assert text(read_header(file), "Modality") == "CR"
    monkeypatch.setattr("dicom_node.header.INFLATED_LIMIT_BYTES", 2_000_000)
    with pytest.raises(UnreadableError):
        read_header(file)


def test_the_padding_of_a_deflated_data_set_is_not_read_for_ever(tmp_path: Path) -> None:
    """PS3.5 A.5 pads with NUL; zlib leaves what follows its stream, whoever asks again."""
    header = cr_header(TextValue="0" * 3_000_000)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = write_dicom(tmp_path / "f.dcm", header)
    for padding in (b"", b"\0", b"\0\0"):
        file.write_bytes(file.read_bytes() + padding)
        assert text(read_header(file), "Modality") == "CR"


def test_what_the_database_keeps_is_short() -> None:
    assert len(kept(cr_header(StudyDescription="x" * 5000))["StudyDescription"]) == 1024


def test_one_damaged_element_does_not_make_a_file_unreadable(tmp_path: Path) -> None:
    file = write_dicom(tmp_path / "f.dcm", cr_header(InstitutionName="Jane Doe^^"))
    content = file.read_bytes()
    assert b"LO\x0a\x00Jane" in content
    file.write_bytes(content.replace(b"LO\x0a\x00Jane", b"FD\x0a\x00Jane"))
    header = read_header(file)
    assert text(header, "InstitutionName") == ""
    assert text(header, "Modality") == "CR"


def test_an_error_tells_nothing_of_the_header(tmp_path: Path) -> None:
    file = tmp_path / "f.dcm"
    file.write_bytes(b"Jane Doe" * 100)
    with pytest.raises(UnreadableError) as caught:
        read_header(file)
    assert "Jane" not in str(caught.value)


@pytest.mark.usefixtures("as_in_the_node")
def test_any_damage_ends_in_a_verdict_or_an_unreadable_error(tmp_path: Path) -> None:
    """Bytes of a header are changed, left out and put in; nothing else may be raised."""
    header = cr_header(
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        NumberOfFrames="1",
        PatientAge="010Y",
        PixelSpacing=[0.1, 0.1],
        AnatomicRegionSequence=items(CodeMeaning="Hand"),
        ContributingEquipmentSequence=items(Manufacturer="X"),
        RequestAttributesSequence=items(ScheduledProcedureStepDescription="hand"),
    )
    file, config, chance = tmp_path / "f.dcm", Config(), random.Random(20240607)
    whole = write_dicom(file, header).read_bytes()
    ends = set()
    for _ in range(200):
        file.write_bytes(damaged(whole, chance))
        try:
            found = read_header(file)
        except UnreadableError:
            ends.add("unreadable")
            continue
        kept(found)
        ends.add("assessed" if verdict(config, "MODALITY", found) is None else "rejected")
    assert ends == {"unreadable", "assessed", "rejected"}


def damaged(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice([1, 2, 5])):
        at, size = chance.randrange(132, len(changed) - 8), chance.randrange(1, 9)
        changed[at : at + chance.choice([0, size, 1])] = chance.randbytes(chance.choice([0, size]))
    return bytes(changed)
