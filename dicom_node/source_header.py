"""What a source header says, and a sound copy of it for the results to be made from.

Headers of computed radiography are often incomplete: type 2 attributes are missing, dates are
malformed, the sex is ``U``. highdicom raises on those, so results are made from `complete_header`
only. Values are read without pydicom's validation, whose warnings quote what is invalid: it may
be a birth date.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from pydicom.config import RAISE, disable_value_validation
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import validate_value

from dicom_node.header import (
    CONTROLS,
    ONE_VALUE,
    TEXT_VRS,
    UNREADABLE,
    assumed_character_sets,
    items,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dicom_node.finding import Laterality

AGE_DATES: Final = (
    "AcquisitionDateTime",
    "AcquisitionDate",
    "ContentDate",
    "SeriesDate",
    "StudyDate",
)
"""Where the day of the acquisition is looked for, best first."""

MONTHS_IN: Final = {"D": 12 / 365.2425, "W": 12 * 7 / 365.2425, "M": 1.0, "Y": 12.0}
"""Months in each unit of an age string (VR AS), by the mean Gregorian year."""

AGE: Final = re.compile(r"(\d{1,3}) *([DWMY])")
"""An age string; modalities leave out its leading zeros, and blanks are no other age."""

FIRST_BIRTH: Final = date(1901, 1, 1)
"""An earlier birth date is a placeholder, such as 18991230 or 19000101."""
LAST_YEAR: Final = 9998
"""A later date is a placeholder too; no calendar goes on behind it."""

MOST_YEARS: Final = 150
"""Nobody is older: one of the dates is wrong."""

OFFSET: Final = re.compile(r"(?!-0000)[+-](\d\d)([0-5]\d)")
OFFSET_RANGE: Final = (timedelta(hours=-12), timedelta(hours=14))
"""A time zone (PS3.3 C.12.1.1.8)."""

TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
"""Patient and study attributes that a result has even where the source has not."""

TYPE_3: Final = (
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "QualityControlSubject",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "StudyInstanceUID",
    "StudyDescription",
    "ProcedureCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "ReferencedStudySequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "AdmissionID",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)
"""Patient and study attributes that a result has where the source has them (PS3.3 C.7.1, C.7.2)."""

IMAGE: Final = (
    "TimezoneOffsetFromUTC",
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PatientOrientation",
    "ImagerPixelSpacing",
    "PixelSpacing",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "RequestAttributesSequence",
    "CodingSchemeIdentificationSequence",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)
"""Attributes of the image and its equipment that a result speaks of, but does not inherit."""

WORD_FOR_WORD: Final = frozenset({*TYPE_2, *TYPE_3})
"""Their text is kept even when too long: cut short or empty it would be another patient's."""

OTHER_VRS: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR", "US"})
"""VRs without free text that anything kept here has; whatever else a damaged item holds is not."""

PARAGRAPH_CONTROLS: Final = {code: " " for code in CONTROLS if chr(code) not in "\t\n\f\r"}
"""Control characters that no text may hold (PS3.5 6.1.3), not even a paragraph."""

NEEDED_IN_ITEM: Final = {
    "ProcedureCodeSequence": ("CodeMeaning",),
    "DeidentificationMethodCodeSequence": ("CodeMeaning",),
    "RequestedProcedureCodeSequence": ("CodeMeaning",),
    "ReferencedStudySequence": ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID"),
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "CodingSchemeIdentificationSequence": ("CodingSchemeDesignator",),
}
"""An item without these (type 1) is left out."""


def complete_header(source: Dataset) -> Dataset:
    """Return a sound copy of what a result needs of a source header, in Unicode.

    Every type 2 attribute of patient and study is there, empty where the source is silent. Text
    of patient and study is decoded and kept word for word, but for control characters, which
    become blanks; dates and times in the ACR-NEMA forms are rewritten; any other value that its
    VR or its multiplicity does not allow is left out. The source is not changed.

    Parameters
    ----------
    source : Dataset
        With or without pixel data, whatever its character sets.

    Raises
    ------
    AttributeError
        If SOPClassUID, SOPInstanceUID, StudyInstanceUID or SeriesInstanceUID is missing.
    """
    header = _copy(source, (*TYPE_2, *TYPE_3), word_for_word=True)
    header.update(_copy(source, IMAGE))
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not header.get(keyword):
            msg = f"the source has no {keyword}"
            raise AttributeError(msg)
    for keyword in TYPE_2:
        if keyword not in header:
            header.add(_element(keyword, ""))
    if _offset(header) is None:
        header.pop("TimezoneOffsetFromUTC", None)
    sex = recorded_sex(source)
    header.PatientSex = sex if sex in {"M", "F"} else _other_sex(source)
    return header


def identity_of(header: Dataset) -> Dataset:
    """Return the patient and study attributes of a completed header: all that a result inherits."""
    tags = {tag_for_keyword(keyword) for keyword in (*TYPE_2, *TYPE_3)}
    return Dataset({element.tag: element for element in header if element.tag in tags})


def without_identity(header: Dataset) -> Dataset:
    """Return a completed header that names nobody.

    highdicom writes a name of one component into a warning, and refuses what is too long; so it
    is given empty values, and `identity_of` is written over them afterwards.
    """
    blank = Dataset({element.tag: element for element in header})
    for keyword in TYPE_2:
        blank.add(_element(keyword, ""))
    for keyword in TYPE_3:
        if keyword != "StudyInstanceUID" and keyword in blank:
            del blank[keyword]
    return blank


def chronological_age_months(header: Dataset, birth_date: str | None = None) -> float | None:
    """Return the age at acquisition in months, or None where the header does not say.

    From PatientBirthDate, or another date of birth where one is given, and the best date that is
    not before it; else from PatientAge, which is truncated to its unit, a year for most children.
    A birth after the acquisition is no age, nor is one before 1901, nor are more than 150 years. No
    date is held against the clock of this machine: it may be the wrong one.
    """
    born, seen = _birth(header, birth_date), acquisition_date(header, birth_date)
    if born and seen and born <= seen and seen.year - born.year <= MOST_YEARS:
        return _months_between(born, seen)
    age = AGE.fullmatch(_text(header, "PatientAge").upper())
    months = int(age[1]) * MONTHS_IN[age[2]] if age else None
    return months if months is None or months <= 12 * MOST_YEARS else None


def acquisition_date(header: Dataset, birth_date: str | None = None) -> date | None:
    """Return the day of the acquisition: the best date that is not before the birth."""
    born = _birth(header, birth_date)
    days = [d for d in map(_day, _texts(header, AGE_DATES)) if d and d.year <= LAST_YEAR]
    return next((day for day in days if born is None or born <= day), days[0] if days else None)


def _birth(header: Dataset, birth_date: str | None) -> date | None:
    """Return the day of birth, from the header unless one is given; a placeholder is none."""
    born = _day(_text(header, "PatientBirthDate") if birth_date is None else birth_date)
    return born if born and born >= FIRST_BIRTH else None


def acquisition_moment(header: Dataset) -> str:
    """Return date and time of the acquisition as YYYYMMDDhhmmss…, what is there of it."""
    moment = _text(header, "AcquisitionDateTime")
    if moment:
        return moment
    for day, time in (
        ("AcquisitionDate", "AcquisitionTime"),
        ("ContentDate", "ContentTime"),
        ("SeriesDate", "SeriesTime"),
    ):
        if date_text := _text(header, day).replace(".", ""):
            return date_text + _text(header, time).replace(":", "")
    return ""


def text_notes(source: Dataset) -> list[str]:
    """Return what is to be said of a source whose text is not in the set that it declares.

    Of patient and study only: the rest of the text is not inherited. In words, for a person.
    """
    tags = [tag for word in (*TYPE_2, *TYPE_3) if (tag := tag_for_keyword(word)) is not None]
    sets = assumed_character_sets(source, tags)
    if not sets:
        return []
    words = " and ".join(sets)
    return [f"Names and text of the source are not in its declared character set: read as {words}"]


def recorded_sex(header: Dataset) -> str:
    """Return "M" or "F" as PatientSex says in either case; anything else is "unknown"."""
    sex = _text(header, "PatientSex").upper()
    return sex if sex in {"M", "F"} else "unknown"


def laterality(header: Dataset) -> Laterality | None:
    """Return the side of the hand: of the image, else of the series, else of the shared groups.

    PS3.3 C.7.3.1.1.1 and C.8.11.2 (ImageLaterality, Laterality), C.7.6.16.2.8 (FrameLaterality).
    """
    shared, *_ = [*items(header, "SharedFunctionalGroupsSequence"), Dataset()]
    frame, *_ = [*items(shared, "FrameAnatomySequence"), Dataset()]
    for dataset, keyword in (
        (header, "ImageLaterality"),
        (header, "Laterality"),
        (frame, "FrameLaterality"),
    ):
        side = _text(dataset, keyword).upper()
        if side:
            return {"L": "L", "R": "R"}.get(side)  # type: ignore[return-value]
    return None


def local_time(header: Dataset, moment: datetime) -> datetime:
    """Return a moment in the time zone that the source's dates and times are in.

    TimezoneOffsetFromUTC where the header has it (PS3.3 C.12.1.1.8), else that of this machine.
    """
    offset = _offset(header)
    return moment.astimezone(None if offset is None else timezone(offset))


def _offset(header: Dataset) -> timedelta | None:
    """Return TimezoneOffsetFromUTC, None where it is missing or no time zone."""
    text = _text(header, "TimezoneOffsetFromUTC")
    match = OFFSET.fullmatch(text)
    if not match:
        return None
    distance = timedelta(hours=int(match[1]), minutes=int(match[2]))
    distance = -distance if text.startswith("-") else distance
    first, last = OFFSET_RANGE
    return distance if first <= distance <= last else None


def _copy(source: Dataset, keywords: Iterable[str], *, word_for_word: bool = False) -> Dataset:
    """Return a new dataset of the sound elements among these."""
    copy = Dataset()
    with disable_value_validation():
        for keyword in keywords:
            element = _sound(source, keyword, word_for_word=word_for_word)
            if element is not None:
                copy.add(element)
    return copy


def _sound(dataset: Dataset, keyword: str, *, word_for_word: bool) -> DataElement | None:
    """Return a copy that can be written in UTF-8, or None for a value that its VR forbids."""
    try:
        element = dataset[keyword]
        if (dictionary_VR(keyword) == "SQ") != (element.VR == "SQ"):
            return None
        if element.VR == "SQ":
            return _sound_sequence(element)
        return _sound_value(element, word_for_word=word_for_word)
    except UNREADABLE:
        return None


def _sound_value(element: DataElement, *, word_for_word: bool) -> DataElement | None:
    """Return an element that holds no sequence."""
    vr = dictionary_VR(element.keyword)
    if element.is_empty:
        return _element(element.keyword, "") if vr in TEXT_VRS else None
    values = [_plain(value, vr) for value in _values(element)]
    if not (word_for_word and vr in TEXT_VRS):
        is_sound = _is_multiplicity(element.keyword, len(values))
        if not is_sound or not all(_is_valid(vr, value) for value in values):
            return None
    return _element(element.keyword, values if len(values) > 1 else values[0])


def _is_multiplicity(keyword: str, count: int) -> bool:
    """Return whether an attribute may have so many values."""
    least, _, most = dictionary_VM(keyword).partition("-")
    if most.endswith("n"):
        return count >= int(least)
    return int(least) <= count <= int(most or least)


def _sound_sequence(element: DataElement) -> DataElement | None:
    """Return the sequence with its sound items, or None when none is left."""
    needed = NEEDED_IN_ITEM.get(element.keyword, ())
    items = []
    for item in element.value:
        keywords = [keyword_for_tag(tag) for tag in item.keys()]  # noqa: SIM118 - tags, unread
        copy = _copy(item, [word for word in keywords if word not in {"", "SpecificCharacterSet"}])
        if copy and all(copy.get(keyword) for keyword in needed) and _has_code(element, copy):
            items.append(copy)
    return _element(element.keyword, items) if items else None


def _has_code(sequence: DataElement, item: Dataset) -> bool:
    """Return whether an item of codes has one: a value with its scheme, or a URN (PS3.3 8.8)."""
    if "CodeMeaning" not in NEEDED_IN_ITEM.get(sequence.keyword, ()):
        return True
    value = item.get("CodeValue") or item.get("LongCodeValue")
    return bool(item.get("URNCodeValue") or (value and item.get("CodingSchemeDesignator")))


def _element(keyword: str, value: object) -> DataElement:
    """Return an element that is written as it is: what is invalid was dealt with before."""
    with disable_value_validation():
        return DataElement(keyword, dictionary_VR(keyword), value)


def _values(element: DataElement) -> list[Any]:
    """Return the values of an element as a list."""
    return list(element.value) if isinstance(element.value, MultiValue) else [element.value]


def _plain(value: object, vr: str) -> object:
    """Return a value without its encoding and its padding, in the form that DICOM has today."""
    if isinstance(value, bytes):
        msg = "an element of text holds bytes"
        raise TypeError(msg)
    if isinstance(value, int) and vr == "US":
        return value
    text = str(value)
    if vr in TEXT_VRS:
        return text.translate(PARAGRAPH_CONTROLS if vr in ONE_VALUE else CONTROLS)
    text = text.strip(" \0")
    if vr == "DA":
        return text.replace(".", "")
    if vr == "TM":
        return text.replace(":", "")
    age = AGE.fullmatch(text.upper()) if vr == "AS" else None
    return f"{age[1]:0>3}{age[2]}" if age else text


def _is_valid(vr: str, value: object) -> bool:
    """Return whether a value is one that its VR allows; a range is for queries only."""
    if vr not in OTHER_VRS | TEXT_VRS:
        return False
    if vr in {"DA", "TM"} and "-" in str(value):
        return False
    if vr == "DA" and _day(str(value)) is None:
        return False
    if vr == "UI":
        # Old modalities write components with leading zeros, and archives match on them.
        return re.fullmatch(r"[0-9.]{1,64}", str(value)) is not None
    try:
        validate_value(vr, value, RAISE)
        return vr != "DS" or value == "" or math.isfinite(float(str(value)))
    except ValueError:
        return False


def _other_sex(source: Dataset) -> str:
    """Return "O" where the source says so, else nothing: PatientSex has no other values."""
    return "O" if _text(source, "PatientSex").upper() == "O" else ""


def _text(dataset: Dataset, keyword: str) -> str:
    """Return the first value as text without blanks around it; "" where there is none."""
    try:
        with disable_value_validation():
            value = dataset.get(keyword)
    except UNREADABLE:
        return ""
    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return "" if value is None else str(value).strip(" \0")


def _texts(dataset: Dataset, keywords: Iterable[str]) -> Iterable[str]:
    """Return the text of each keyword."""
    return (_text(dataset, keyword) for keyword in keywords)


def _day(text: str) -> date | None:
    """Return the day that a DA or DT value names, or None."""
    match = re.match(r"(\d{4})\.?(\d{2})\.?(\d{2})", text)
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def _months_between(born: date, seen: date) -> float:
    """Return the completed calendar months, and the days beyond them as a share of the next."""
    months = (seen.year - born.year) * 12 + seen.month - born.month
    if _after(born, months) > seen:
        months -= 1
    begun = _after(born, months)
    return months + (seen - begun) / (_after(born, months + 1) - begun)


def _after(day: date, months: int) -> date:
    """Return the same day of the month so many months later, or that month's last."""
    years, index = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, index + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
