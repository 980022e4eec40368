"""Radiographs as hospitals send them: headers, sizes, depths, syntaxes and character sets.

`variants` counts through lists of different lengths, so that any few dozen of them have met every
header, depth, encoding and character set there is, each time in other company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dicom_node.radiograph import wrap_radiograph
from dicom_node.vocabulary import code_item
from tests.builders import items
from tests.encodings import ENCODINGS, LOSSY, Encoding, encode
from tests.samples import TYPE_2

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers import Dcmtk

HEADERS: Final[dict[str, dict[str, Any]]] = {
    "ordinary": {},
    "orders and codes": {
        "AccessionNumber": "A-2026-1",
        "ReferringPhysicianName": "Refer^Ring",
        "RequestAttributesSequence": items(
            RequestedProcedureID="RP1", RequestedProcedureDescription="Bone age"
        ),
        "ProcedureCodeSequence": [code_item(codes.SCT.ImagingProcedure)],
    },
    "type 2 absent": dict.fromkeys(TYPE_2),
    "type 2 empty": dict.fromkeys(TYPE_2, ""),
    "sex U": {"PatientSex": "U"},
    "sex O": {"PatientSex": "O"},
    "sex in small letters": {"PatientSex": "m"},
    "age without a birth date": {"PatientBirthDate": None, "PatientAge": "009Y"},
    "age in weeks": {"PatientBirthDate": "", "PatientAge": "040W"},
    "no age": {"PatientBirthDate": "", "PatientAge": None},
    "born after the study": {"PatientBirthDate": "20990101", "PatientAge": None},
    "older than the table": {"PatientBirthDate": "19990101", "PatientAge": None},
    "long strings": {
        "PatientID": "0123456789ABCDEF" * 4,
        "AccessionNumber": "A" * 16,
        "StudyDescription": "H" * 64,
        "StationName": "S" * 16,
        "InstitutionName": "I" * 64,
    },
    "east of Greenwich": {"TimezoneOffsetFromUTC": "+0530"},
    "west of Greenwich": {"TimezoneOffsetFromUTC": "-0330"},
    "dates of ACR-NEMA": {"StudyDate": "2025.06.01", "StudyTime": "10:11:12"},
    "right hand": {"Laterality": "R", "ImageLaterality": "R"},
    "no side": {"Laterality": None, "ImageLaterality": None},
    "de-identified": {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "by a tool",
        "PatientBirthDate": "",
        "PatientAge": "012Y",
    },
    "burnt-in text, once lossy": {
        "BurnedInAnnotation": "YES",
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    },
    "neither spacing nor orientation": dict.fromkeys(
        ("ImagerPixelSpacing", "PixelSpacing", "PatientOrientation", "ViewPosition")
    ),
    "size and weight": {"PatientSize": "1.42", "PatientWeight": "35.5", "AdmissionID": "AD1"},
}
"""What goes over a whole header, by name; None removes an attribute."""

REWRITTEN: Final = {
    "type 2 absent",
    "age without a birth date",
    "sex U",
    "sex in small letters",
    "dates of ACR-NEMA",
}
"""Headers that a result cannot repeat: the standard wants an attribute, or another value."""

NAMES: Final[tuple[tuple[str | list[str], str], ...]] = (
    ("ISO_IR 192", "Doe^Jane"),
    ("", "Doe^Jane^^Dr^III"),
    ("ISO_IR 100", "Müller-Lüdenscheidt^Jörg"),
    ("ISO_IR 101", "Wałęsa^Łucja"),
    ("ISO_IR 144", "Люксембург^Роза"),
    ("ISO_IR 126", "Διονυσίου^Άννα"),
    ("ISO_IR 127", "قباني^لنزار"),
    ("ISO_IR 138", "שרון^דבורה"),
    ("ISO_IR 148", "Çavuşoğlu^Gülşah"),
    ("ISO_IR 166", "สมชาย^ใจดี"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ("ISO_IR 192", "Zhang^XiaoDong=张^小东"),  # pydicom cannot write ISO 2022 IR 58
    ("GB18030", "Wang^XiaoDong=王^小东"),
    ("GBK", "Li^Wei=李^伟"),
    ("ISO_IR 192", "Nguyễn^Thị=阮^氏"),
)
"""Specific Character Set and Patient's Name; PS3.5 annexes H to K have most of them."""

SIDES_PX: Final = (192, 224, 256, 333, 400, 512, 641, 800, 1024)
DEPTHS: Final = (8, 10, 12, 14, 16)
KINDS: Final[tuple[dict[str, Any], ...]] = (
    {"modality": "DX"},
    {"modality": "CR"},
    {"modality": "DX", "presentation": "FOR PROCESSING"},
    {"modality": "CR", "voi": "none"},
    {"modality": "DX", "voi": "lut"},
    {"modality": "CR", "rescale": (2.0, -100.0)},
    {"modality": "CR", "modality_lut": True},
    {"modality": "CR", "voi": "lut"},
    {"modality": "DX", "photometric": "MONOCHROME1"},
    {"modality": "CR", "photometric": "MONOCHROME1"},
    {"modality": "DX", "presentation": "FOR PROCESSING", "photometric": "MONOCHROME1"},
    {"modality": "DX", "voi": "lut", "photometric": "MONOCHROME1"},
    {"modality": "CR", "rescale": (0.5, 10.0), "photometric": "MONOCHROME1"},
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One source.

    Attributes
    ----------
    number : int
        From 0; all else follows from it.
    picture : Path
        The radiograph.
    side_px : int
        Length of its longer side.
    bits : int
        Bits stored.
    kind : dict
        More of `wrap_radiograph`'s options.
    header : str
        One of `HEADERS`.
    character_set, name : str or list of str, str
        One of `NAMES`.
    encoding : Encoding
        Its transfer syntax.
    """

    number: int
    picture: Path
    side_px: int
    bits: int
    kind: dict[str, Any]
    header: str
    character_set: str | list[str]
    name: str
    encoding: Encoding

    @property
    def keeps_identity(self) -> bool:
        """Tell whether a result repeats patient and study byte for byte."""
        return self.header not in REWRITTEN and self.character_set in ("ISO_IR 192", "")

    def write(self, folder: Path, dcmtk: Dcmtk) -> Path:
        """Write the source and return its path."""
        with Image.open(self.picture) as image:
            image.thumbnail((self.side_px, self.side_px))
            pixels = np.asarray(image.convert("L"))
        dataset = wrap_radiograph(
            pixels,
            bits_stored=self.bits,
            sex="MF"[self.number % 2],
            age_months=24 + 7 * self.number % 190,
            **self.kind,
        )
        dataset.SpecificCharacterSet = self.character_set
        self._write_header(dataset)
        path = folder / f"{self.number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return encode(self.encoding, path, dcmtk)

    def _write_header(self, dataset: Dataset) -> None:
        """Put the name and the header's oddities over a whole header, allowed or not."""
        with disable_value_validation():
            for keyword, value in {"PatientName": self.name, **HEADERS[self.header]}.items():
                is_other_side = keyword.endswith("Laterality") and keyword not in dataset
                if keyword in dataset:
                    delattr(dataset, keyword)
                if value is not None and not is_other_side:
                    setattr(dataset, keyword, value)
        block = dataset.private_block(0x0019, "A MAKER'S OWN", create=True)
        block.add_new(0x10, "LO", "a private value")


def variants(pictures: list[Path], count: int) -> list[Variant]:
    """Return that many sources, no two of them alike."""
    headers = list(HEADERS)
    return [
        Variant(
            number=number,
            picture=pictures[number % len(pictures)],
            side_px=SIDES_PX[number % len(SIDES_PX)],
            bits=DEPTHS[number % len(DEPTHS)],
            kind=_kind(number, ENCODINGS[number % len(ENCODINGS)]),
            header=headers[number % len(headers)],
            character_set=NAMES[number % len(NAMES)][0],
            name=NAMES[number % len(NAMES)][1],
            encoding=ENCODINGS[number % len(ENCODINGS)],
        )
        for number in range(count)
    ]


def _kind(number: int, encoding: Encoding) -> dict[str, Any]:
    """Return a kind that the encoding leaves as it is.

    DCMTK's lossy encoders stretch the values and correct the window, but not a LUT.
    """
    kind = KINDS[number % len(KINDS)]
    has_lut = kind.get("voi") == "lut" or "modality_lut" in kind
    return {"modality": kind["modality"]} if has_lut and encoding in LOSSY else kind
