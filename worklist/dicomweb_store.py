"""What DICOMweb serves: every received radiograph in its newest revision, and every result.

The Comprehensive SR that each report is also made as is left out: it says the same once more, for
destinations that take no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import aliased

from dicom_node.db import InstanceRow, JobRow, OutputRow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

STAND_IN: Final = "sr-2d"
"""The kind of result that is the report once more."""

MOST_INSTANCES: Final = 5000
"""One request for a study or a series answers with no more; a study of one hand has a few."""


class DicomWebError(Exception):
    """A request is answered with a status of PS3.18 and one sentence that names no person."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


@dataclass(frozen=True, slots=True)
class Address:
    """Study, series and instance that an address names; empty where it names none."""

    study: str = ""
    series: str = ""
    instance: str = ""

    @property
    def path(self) -> str:
        """Return the path of this resource below the root of the service."""
        levels = {"studies": self.study, "series": self.series, "instances": self.instance}
        return "".join(f"/{level}/{uid}" for level, uid in levels.items() if uid)


@dataclass(frozen=True, slots=True)
class Stored:
    """One instance of the store.

    Attributes
    ----------
    address : Address
        Its three UIDs.
    path : str
        Its file, relative to the data directory.
    """

    address: Address
    path: str


def newest() -> ColumnElement[bool]:
    """Return the condition that a row is the newest revision of its SOP instance."""
    return _is_newest(InstanceRow)


def _is_newest(row: type[InstanceRow]) -> ColumnElement[bool]:
    newer = aliased(InstanceRow)
    return ~exists().where(
        newer.sop_instance_uid == row.sop_instance_uid, newer.revision > row.revision
    )


def last_received_of(*columns: str) -> ColumnElement[bool]:
    """Return the condition that no later instance of the store has the same columns as a row.

    Of each study, or of each series, just one row fulfils it: it stands for the whole.
    """
    later = aliased(InstanceRow)
    same = [getattr(later, column) == getattr(InstanceRow, column) for column in columns]
    return newest() & ~exists().where(*same, later.id > InstanceRow.id, _is_newest(later))


def last_result_of_series() -> ColumnElement[bool]:
    """Return the condition that no later result lies in the same series."""
    later = aliased(OutputRow)
    same = later.series_instance_uid == OutputRow.series_instance_uid
    return ~exists().where(same, later.id > OutputRow.id)


def received(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns or tables
    """Return the query for received instances."""
    return select(*columns).select_from(InstanceRow)


def results(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns or tables
    """Return the query for results, each with the radiograph that it was made of."""
    return (
        select(*columns)
        .select_from(OutputRow)
        .join(JobRow, JobRow.id == OutputRow.job_id)
        .join(InstanceRow, InstanceRow.id == JobRow.instance_id)
        .where(OutputRow.kind != STAND_IN)
    )


def find(session: Session, address: Address) -> list[Stored]:
    """Return the instances of a study, of a series, or the one instance, oldest first.

    Raises
    ------
    DicomWebError
        404 where there is none; 400 where there are more than `MOST_INSTANCES`.
    """
    wanted: Mapping[str, str] = {
        "series_instance_uid": address.series,
        "sop_instance_uid": address.instance,
    }
    found: list[Stored] = []
    for query, table in (
        (received(InstanceRow.study_instance_uid).where(newest()), InstanceRow),
        (results(InstanceRow.study_instance_uid), OutputRow),
    ):
        given = [getattr(table, name) == value for name, value in wanted.items() if value]
        columns = (table.series_instance_uid, table.sop_instance_uid, table.path)
        rows = session.execute(
            query.add_columns(*columns)
            .where(InstanceRow.study_instance_uid == address.study, *given)
            .order_by(table.id)
            .limit(MOST_INSTANCES + 1)
        )
        found += [Stored(Address(*uids), path) for *uids, path in rows]
    if not found:
        raise DicomWebError(HTTPStatus.NOT_FOUND, "There is no such instance here.")
    if len(found) > MOST_INSTANCES:
        text = f"These are more than {MOST_INSTANCES} instances: ask for fewer at once."
        raise DicomWebError(HTTPStatus.BAD_REQUEST, text)
    return found
