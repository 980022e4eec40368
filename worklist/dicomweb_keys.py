"""The query of a search: matching keys, what to include, how much (PS3.18 8.3.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import func

from dicom_node.db import InstanceRow
from dicom_node.errors import MismatchError
from dicom_node.storage import check_uid
from worklist.dicomweb_json import keyword_of
from worklist.dicomweb_store import DicomWebError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import InstrumentedAttribute

Level = Literal["studies", "series", "instances"]

DEFAULT_LIMIT: Final = 200
LARGEST_LIMIT: Final = 1000
LARGEST_OFFSET: Final = 10_000
LONGEST_VALUE: Final = 1024
MOST_VALUES: Final = 200
MOST_WILDCARDS: Final = 8
"""Each one more makes a pattern dearer to match."""

STUDY_KEYS: Final = (
    "StudyInstanceUID",
    "StudyDate",
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "StudyDescription",
    "ModalitiesInStudy",
)
SERIES_KEYS: Final = ("SeriesInstanceUID", "Modality", "SeriesNumber")
INSTANCE_KEYS: Final = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber")
KEYS: Final[dict[Level, tuple[str, ...]]] = {
    "studies": STUDY_KEYS,
    "series": (*STUDY_KEYS, *SERIES_KEYS),
    "instances": (*STUDY_KEYS, *SERIES_KEYS, *INSTANCE_KEYS),
}
"""What each level matches; other keys are not matched, which a Warning says."""

PARAMETERS: Final = frozenset({"accept", "includefield", "limit", "offset", "fuzzymatching"})
LISTS: Final = frozenset({"ModalitiesInStudy", "Modality"})

NO_FUZZY: Final = (
    "The fuzzymatching parameter is not supported. Only literal matching has been performed."
)
NOT_MATCHED: Final = "These attributes are not matched here and were ignored: "
NO_ATTRIBUTE: Final = "Parameters that name no attribute were ignored."

_DATE: Final = re.compile(r"([0-9]{8})?(-)?([0-9]{8})?")


@dataclass(slots=True)
class Keys:
    """A search as it is asked for.

    Attributes
    ----------
    matching : dict
        The values of each key; universal matching is no key.
    included : set of str
        Keywords of further attributes; ``all`` for all that there is.
    limit, offset : int
        How many, after how many.
    warnings : list of str
        What of the query was not done.
    """

    matching: dict[str, list[str]] = field(default_factory=dict)
    included: set[str] = field(default_factory=set)
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    warnings: list[str] = field(default_factory=list)


def read_keys(level: Level, parameters: Iterable[tuple[str, str]]) -> Keys:
    """Read a query.

    Raises
    ------
    DicomWebError
        400 where a value cannot be one of its attribute, or is too long.
    """
    keys, ignored = Keys(), set()
    for name, value in parameters:
        if len(value) > LONGEST_VALUE or "\0" in value:
            _refuse("A value of the query is too long or has a NUL in it.")
        if name in PARAMETERS:
            _read_parameter(keys, name, value)
        elif (keyword := keyword_of(name)) not in KEYS[level]:
            ignored.add(keyword)
        elif value not in {"", "*"}:
            keys.matching.setdefault(keyword, []).extend(_values(keyword, value))
    if any(len(values) > MOST_VALUES for values in keys.matching.values()):
        _refuse(f"A list in the query has more than {MOST_VALUES} values.")
    if "" in ignored:
        keys.warnings.append(NO_ATTRIBUTE)
    if named := sorted(ignored - {""}):
        keys.warnings.append(NOT_MATCHED + ", ".join(named))
    return keys


def _refuse(text: str) -> None:
    raise DicomWebError(HTTPStatus.BAD_REQUEST, text)


def _read_parameter(keys: Keys, name: str, value: str) -> None:
    if name == "includefield":
        names = value.split(",")
        keys.included |= {"all"} if "all" in names else set(map(keyword_of, names)) - {""}
    elif name == "limit":
        keys.limit = min(_number(value), LARGEST_LIMIT)
    elif name == "offset":
        keys.offset = _number(value)
        if keys.offset > LARGEST_OFFSET:
            _refuse(f"The offset is at most {LARGEST_OFFSET}: narrow the search instead.")
    elif name == "fuzzymatching" and value.lower() == "true":
        keys.warnings.append(NO_FUZZY)


def _number(value: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", value):
        _refuse("limit and offset are whole numbers.")
    return int(value)


def _values(keyword: str, value: str) -> list[str]:
    """Return the values of a matching key, after a look whether it can have them."""
    if keyword.endswith("UID"):
        return [_uid(uid) for uid in re.split(r"[,\\]", value) if uid]
    if keyword in LISTS:
        return [one for one in re.split(r"[,\\]", value.upper()) if one]
    if keyword == "StudyDate" and not (_DATE.fullmatch(value) and value != "-"):
        _refuse("StudyDate is YYYYMMDD, YYYYMMDD-YYYYMMDD, YYYYMMDD- or -YYYYMMDD.")
    if keyword.endswith("Number") and keyword != "AccessionNumber":
        return [str(_number(value))]
    if sum(map(value.count, "*?")) > MOST_WILDCARDS:
        _refuse(f"A value of the query has more than {MOST_WILDCARDS} wildcards.")
    return [value]


def _uid(value: str) -> str:
    try:
        return check_uid(value)
    except MismatchError:
        raise DicomWebError(HTTPStatus.BAD_REQUEST, "A UID of the query is no UID.") from None


# --- conditions --------------------------------------------------------------------------------


def kept(keyword: str) -> ColumnElement[str]:
    """Return an attribute of a radiograph's header as the database keeps it."""
    column: ColumnElement[str] = InstanceRow.header[keyword].as_string()
    return column


def matches_text(
    column: ColumnElement[str] | InstrumentedAttribute[str], value: str
) -> ColumnElement[bool]:
    """Return the condition of single value or wildcard matching, in any case (PS3.4 C.2.2.2)."""
    if not {"*", "?"} & set(value):
        return func.lower(column) == value.lower()
    pattern = re.sub(r"([\\%_])", r"\\\1", value.lower())
    pattern = re.sub(r"\*+", "%", pattern).replace("?", "_")
    return func.lower(column).like(pattern, escape="\\")


def matches_date(
    column: ColumnElement[str] | InstrumentedAttribute[str], value: str
) -> ColumnElement[bool]:
    """Return the condition of a date or of a range of dates, its ends included."""
    found = _DATE.fullmatch(value)
    first, dash, last = found.groups() if found else (value, None, None)
    if not dash:
        return column == value
    if not (first and last):
        return column >= first if first else column <= last
    return column.between(first, last)


def literal_start(value: str) -> str:
    """Return what a value says before its first wildcard."""
    return re.split("[*?]", value, maxsplit=1)[0]


def matches_accession(value: str) -> ColumnElement[bool]:
    """Return the condition of an AccessionNumber; without a wildcard it goes by an index.

    As written, or all in capitals or small letters: an index knows no case.
    """
    if not {"*", "?"} & set(value):
        return InstanceRow.accession_number.in_(sorted({value, value.upper(), value.lower()}))
    return matches_text(InstanceRow.accession_number, value)


def matches_patient(value: str) -> ColumnElement[bool]:
    """Return the condition of a PatientID; without a wildcard it goes by an index."""
    if not {"*", "?"} & set(value):
        return InstanceRow.patient_id == value
    return matches_text(kept("PatientID"), value)
