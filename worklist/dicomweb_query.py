"""QIDO-RS: searches of the store (PS3.18 10.6), newest received first, never more than a page.

A study has the attributes of its newest radiograph; a result has those of the radiograph that it
was made of. All comes from the database: no file is read.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import aliased

from dicom_node import vocabulary as v
from dicom_node.db import InstanceRow, JobRow, OutputRow
from dicom_node.header import KEPT
from worklist.dicomweb_json import Json, attribute
from worklist.dicomweb_keys import (
    Keys,
    Level,
    kept,
    matches_accession,
    matches_patient,
    matches_text,
)
from worklist.dicomweb_narrow import narrowed, newest_of_dates, of_date
from worklist.dicomweb_store import (
    STAND_IN,
    Address,
    last_received_of,
    last_result_of_series,
    newest,
    received,
    results,
)
from worklist.listing import tell_planner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

    _Find = Callable[[Session, Level, Address, Keys, ColumnElement[bool] | None], list["Found"]]

KINDS: Final = {
    "sc": ("OT", v.SC_SERIES_DESCRIPTION),
    "sr": ("SR", v.SR_SERIES_DESCRIPTION),
    "pr": ("PR", v.PR_SERIES_DESCRIPTION),
    "pdf": ("DOC", v.PDF_SERIES_DESCRIPTION),
    "pm": ("OT", v.MAP_SERIES_DESCRIPTION),
    "kos": ("KO", v.KO_SERIES_DESCRIPTION),
}
"""Modality and SeriesDescription of each kind of result, but for the `STAND_IN`."""

STUDY_FIELDS: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
)
SERIES_FIELDS: Final = ("Modality", "SeriesDescription", "SeriesNumber")
INSTANCE_FIELDS: Final = ("InstanceNumber", "Rows", "Columns")
SELECTIVE: Final = frozenset(
    {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID", "AccessionNumber"}
)
"""Keys that go by an index and leave few matches."""

OF_THE_RADIOGRAPH: Final = frozenset(
    {*STUDY_FIELDS, "IssuerOfPatientID", "PatientAge", "InstitutionName"}
)
"""What a result has from the header of its radiograph."""


@dataclass(frozen=True, slots=True)
class Found:
    """One match: a radiograph, or a result and the radiograph that it was made of."""

    instance: InstanceRow
    output: OutputRow | None = None

    @property
    def order(self) -> tuple[int, int]:
        """Return what matches are sorted by: newest radiograph first, before its results."""
        return -self.instance.id, self.output.id if self.output else 0

    @property
    def address(self) -> Address:
        """Return its three UIDs."""
        lowest = self.output or self.instance
        study = self.instance.study_instance_uid
        return Address(study, lowest.series_instance_uid, lowest.sop_instance_uid)

    def text(self, keyword: str) -> str:
        """Return what the database keeps of an attribute."""
        output = self.output
        if output is None or keyword in OF_THE_RADIOGRAPH:
            return str(self.instance.header.get(keyword, ""))
        modality, description = KINDS.get(output.kind, ("", ""))
        own = {
            "Modality": modality,
            "SeriesDescription": description,
            "SeriesNumber": str(output.series_number),
            "InstanceNumber": str(output.instance_number),
        }
        return own.get(keyword, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """One page of a search.

    Attributes
    ----------
    matches : list of dict
        In the DICOM JSON model.
    is_complete : bool
        Whether nothing follows.
    """

    matches: list[Json]
    is_complete: bool


def search(session: Session, level: Level, address: Address, keys: Keys, root: str) -> Answer:
    """Search the store.

    Parameters
    ----------
    session : Session
        Only read.
    level : str
        What is searched for.
    address : Address
        The study or series to which the search is confined.
    keys : Keys
        The query.
    root : str
        The URL of the service, before ``/studies``.
    """
    find = _studies if level == "studies" else _below_studies
    tell_planner(session)
    page = _page(find, session, level, address, keys)
    shown = page[: keys.limit]
    count = {"studies": _of_studies, "series": _of_series, "instances": _of_instances}[level]
    counted = count(session, shown)
    matches = [
        _describe(
            level, one, {**own, **_links(level, one, root)}, keys, is_relational=not address.study
        )
        for one, own in zip(shown, counted, strict=True)
    ]
    return Answer(matches, len(page) <= keys.limit)


# --- what matches ------------------------------------------------------------------------------


def _page(find: _Find, session: Session, level: Level, address: Address, keys: Keys) -> list[Found]:
    """Return a page, and one match more where there is one."""
    few = None if address.study else narrowed(session, keys)
    if few is None and not address.study:
        newest = newest_of_dates(keys)
        page = [] if newest is None else find(session, level, address, keys, newest)
        if len(page) > keys.limit:  # else what fits lies further down
            return page
    return find(session, level, address, keys, few)


def _studies(
    session: Session,
    _level: Level,
    _address: Address,
    keys: Keys,
    few: ColumnElement[bool] | None,
) -> list[Found]:
    query = received(InstanceRow).where(
        *([] if few is None else [few]),
        last_received_of("study_instance_uid"),
        *_study_conditions(keys),
    )
    page = query.order_by(InstanceRow.id.desc()).offset(keys.offset).limit(keys.limit + 1)
    return [Found(row) for row in session.scalars(page)]


def _below_studies(
    session: Session,
    level: Level,
    address: Address,
    keys: Keys,
    few: ColumnElement[bool] | None,
) -> list[Found]:
    """Return a page of series or instances: the two tables are merged in their order."""
    conditions = [*([] if few is None else [few]), *_study_conditions(keys)]
    if address.study:
        conditions.append(InstanceRow.study_instance_uid == address.study)
    is_series = level == "series"
    end = keys.offset + keys.limit + 1
    of_received = received(InstanceRow).where(
        last_received_of("study_instance_uid", "series_instance_uid") if is_series else newest(),
        *conditions,
        *_own_conditions(InstanceRow, address, keys),
    )
    own = [
        *([last_result_of_series()] if is_series else []),
        *_own_conditions(OutputRow, address, keys),
    ]
    of_results = results(InstanceRow, OutputRow).where(*conditions, *own)
    if not (address.study or few is not None or SELECTIVE & set(keys.matching)):
        with_results = _with_results(session, conditions, own, end)
        of_results = of_results.where(InstanceRow.id.in_(with_results))
    merged = heapq.merge(
        _ordered(session, of_received, InstanceRow.id.desc(), end=end),
        _ordered(session, of_results, InstanceRow.id.desc(), OutputRow.id.asc(), end=end),
        key=lambda one: one.order,
    )
    return list(islice(merged, keys.offset, end))


def _with_results(
    session: Session,
    conditions: list[ColumnElement[bool]],
    own: list[ColumnElement[bool]],
    count: int,
) -> Sequence[int]:
    """Return the newest radiographs that have matching results, by a walk from the newest.

    A join in one step would be sorted as a whole: all results that there are.
    """
    made = (
        select(OutputRow.id)
        .join(JobRow, JobRow.id == OutputRow.job_id)
        .where(JobRow.instance_id == InstanceRow.id, OutputRow.kind != STAND_IN, *own)
        .correlate(InstanceRow)
    )
    query = received(InstanceRow.id).where(*conditions, made.exists())
    return session.scalars(query.order_by(InstanceRow.id.desc()).limit(count)).all()


def _ordered(
    session: Session, query: Select[Any], *order: ColumnElement[Any], end: int
) -> Iterator[Found]:
    return (Found(*row) for row in session.execute(query.order_by(*order).limit(end)))


def _study_conditions(keys: Keys) -> list[ColumnElement[bool]]:
    """Return what the radiograph of a match must fulfil."""
    conditions: dict[str, Callable[[str], ColumnElement[bool]]] = {
        "StudyInstanceUID": lambda value: InstanceRow.study_instance_uid == value,
        "StudyDate": of_date,
        "AccessionNumber": matches_accession,
        "PatientName": lambda value: matches_text(kept("PatientName"), value),
        "PatientID": matches_patient,
        "StudyDescription": lambda value: matches_text(kept("StudyDescription"), value),
        "ModalitiesInStudy": _has_modality,
    }
    return [
        or_(*map(condition, keys.matching[keyword]))
        for keyword, condition in conditions.items()
        if keys.matching.get(keyword)
    ]


def _has_modality(modality: str) -> ColumnElement[bool]:
    """Return the condition that a study holds a modality."""
    other, made = aliased(InstanceRow), aliased(InstanceRow)
    same = other.study_instance_uid == InstanceRow.study_instance_uid
    of_received = exists().where(same, other.header["Modality"].as_string() == modality)
    of_results = (
        select(OutputRow.id)
        .join(JobRow, JobRow.id == OutputRow.job_id)
        .join(made, made.id == JobRow.instance_id)
        .where(made.study_instance_uid == InstanceRow.study_instance_uid)
        .where(OutputRow.kind.in_(_kinds_of(modality)))
        .correlate(InstanceRow)
    )
    return of_received | of_results.exists()


def _kinds_of(modality: str) -> list[str]:
    return [kind for kind, (own, _) in KINDS.items() if own == modality]


def _own_conditions(
    table: type[InstanceRow | OutputRow], address: Address, keys: Keys
) -> list[ColumnElement[bool]]:
    """Return what a radiograph, or a result, must fulfil itself."""
    matching = keys.matching
    columns = {
        "SeriesInstanceUID": table.series_instance_uid,
        "SOPInstanceUID": table.sop_instance_uid,
        "SOPClassUID": table.sop_class_uid,
    }
    conditions: list[ColumnElement[bool]] = [
        column.in_(matching[keyword]) for keyword, column in columns.items() if keyword in matching
    ]
    if address.series:
        conditions.append(table.series_instance_uid == address.series)
    own = _received_conditions if issubclass(table, InstanceRow) else _result_conditions
    return conditions + own(matching)


def _received_conditions(matching: dict[str, list[str]]) -> list[ColumnElement[bool]]:
    own = ("Modality", "SeriesNumber", "InstanceNumber")
    return [kept(keyword).in_(matching[keyword]) for keyword in own if keyword in matching]


def _result_conditions(matching: dict[str, list[str]]) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if "Modality" in matching:
        kinds = [kind for modality in matching["Modality"] for kind in _kinds_of(modality)]
        conditions.append(OutputRow.kind.in_(kinds))
    numbers = {"SeriesNumber": OutputRow.series_number, "InstanceNumber": OutputRow.instance_number}
    return conditions + [
        number.in_([int(value) for value in matching[keyword]])
        for keyword, number in numbers.items()
        if keyword in matching
    ]


# --- what is said of a match -------------------------------------------------------------------


def _of_studies(session: Session, page: list[Found]) -> list[dict[str, list[Any]]]:
    """Return of each study what it holds."""
    modalities: dict[str, set[str]] = defaultdict(set)
    series: dict[str, set[str]] = defaultdict(set)
    instances: dict[str, int] = defaultdict(int)
    for study, a_series, modality, count in _counts(session, page):
        modalities[study].add(modality)
        series[study].add(a_series)
        instances[study] += count
    return [
        {
            "ModalitiesInStudy": sorted(modalities[uid] - {""}),
            "NumberOfStudyRelatedSeries": [len(series[uid])],
            "NumberOfStudyRelatedInstances": [instances[uid]],
        }
        for uid in (one.address.study for one in page)
    ]


def _of_series(session: Session, page: list[Found]) -> list[dict[str, list[Any]]]:
    """Return of each series how much it holds."""
    instances: dict[tuple[str, str], int] = defaultdict(int)
    for study, series, _, count in _counts(session, page):
        instances[study, series] += count
    return [
        {
            "SeriesInstanceUID": [one.address.series],
            "NumberOfSeriesRelatedInstances": [instances[one.address.study, one.address.series]],
        }
        for one in page
    ]


def _of_instances(_session: Session, page: list[Found]) -> list[dict[str, list[Any]]]:
    """Return of each instance what it is."""
    return [
        {
            "SOPClassUID": [(one.output or one.instance).sop_class_uid],
            "SOPInstanceUID": [one.address.instance],
            "SeriesInstanceUID": [one.address.series],
        }
        for one in page
    ]


def _counts(session: Session, page: list[Found]) -> Iterator[tuple[str, str, str, int]]:
    """Yield study, series and modality of what the studies of a page hold, and how many."""
    in_page = InstanceRow.study_instance_uid.in_({one.address.study for one in page})
    study, modality = InstanceRow.study_instance_uid, kept("Modality")
    own = (study, InstanceRow.series_instance_uid, modality)
    query = received(*own, func.count()).where(newest(), in_page).group_by(*own)
    for study_uid, series_uid, name, count in session.execute(query):
        yield study_uid, series_uid, name or "", count
    made = (study, OutputRow.series_instance_uid, OutputRow.kind)
    query = results(*made, func.count()).where(in_page).group_by(*made)
    for study_uid, series_uid, kind, count in session.execute(query):
        yield study_uid, series_uid, KINDS.get(kind, ("",))[0], count


def _links(level: Level, one: Found, root: str) -> dict[str, list[Any]]:
    uids = one.address
    parts = {
        "studies": Address(uids.study),
        "series": Address(uids.study, uids.series),
        "instances": uids,
    }
    return {
        "StudyInstanceUID": [uids.study],
        "RetrieveURL": [f"{root}{parts[level].path}"],
        "InstanceAvailability": ["ONLINE"],
    }


def _describe(
    level: Level, one: Found, own: dict[str, list[Any]], keys: Keys, *, is_relational: bool
) -> Json:
    """Return a match in the DICOM JSON model, its elements in the order of their tags."""
    fields: tuple[str, ...] = STUDY_FIELDS if level == "studies" or is_relational else ()
    if level != "studies":
        fields += SERIES_FIELDS
    if level == "instances":
        fields += INSTANCE_FIELDS
    more = KEPT if "all" in keys.included else tuple(sorted(keys.included & set(KEPT)))
    values = {name: _split(one.text(name)) for name in (*fields, *more)}
    return dict(sorted(attribute(*item) for item in {**values, **own}.items()))


def _split(text: str) -> list[str]:
    return text.split("\\") if text else []
