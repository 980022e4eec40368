"""Which radiographs a search need look at: by the index of a key, where few fit it.

No index is in the order of the answers, newest first, and finds a name or a date as well. So each
such key first counts what fits it, as `worklist.listing` does: where few fit, these are looked at
one by one; else radiographs are walked from the newest, and a page is soon full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import aliased

from dicom_node.db import InstanceRow, JobRow
from dicom_node.jobs import name_key
from worklist.dicomweb_keys import literal_start, matches_date
from worklist.listing import LAST_CHARACTER, NARROW, count_up_to

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select
    from sqlalchemy.orm import Session

    from worklist.dicomweb_keys import Keys

SPARE: Final = 3
"""Times as many radiographs as matches: several are of one study, and a re-run is one once more."""


def narrowed(session: Session, keys: Keys) -> ColumnElement[bool] | None:
    """Return the condition of the few radiographs that fit a key; None where no key has few."""
    candidates = [
        _of_dates(keys.matching.get("StudyDate", [])),
        _of_names(keys.matching.get("PatientName", [])),
    ]
    counted = [
        (count_up_to(session, found), number)
        for number, found in enumerate(candidates)
        if found is not None
    ]
    fewest, number = min(counted, default=(NARROW + 1, 0))
    found = candidates[number]
    if found is None or fewest > NARROW:
        return None
    return InstanceRow.id.in_(found)


def newest_of_dates(keys: Keys) -> ColumnElement[bool] | None:
    """Return the condition of the newest radiographs of some days, enough for most pages.

    For a range of days that many fit, but perhaps none of the newest: a walk would pass over all
    that came later. The index of the days holds the number of the radiograph, too.
    """
    found = _of_dates(keys.matching.get("StudyDate", []))
    if found is None:
        return None
    enough = SPARE * (keys.offset + keys.limit + 1)
    newest = (JobRow.instance_id + 0).desc()  # the sum, so that no other index is walked for it
    return InstanceRow.id.in_(found.order_by(newest).limit(enough))


def of_date(value: str) -> ColumnElement[bool]:
    """Return the condition that a radiograph is of a study of these days, for one found already.

    The day is that of its jobs: the header's, if it is one (``2024.01.31`` is, PS3.5 6.2). Asked as
    a value: PostgreSQL would join an EXISTS with all jobs.
    """
    days = select(func.max(JobRow.study_date)).where(JobRow.instance_id == InstanceRow.id)
    day = days.correlate(InstanceRow).scalar_subquery()
    return and_(matches_date(day, value), day != "")


def _of_dates(values: list[str]) -> Select[int] | None:
    if not values:
        return None
    days = or_(*(matches_date(JobRow.study_date, value) for value in values))
    return select(JobRow.instance_id).where(days, JobRow.study_date != "")


def _of_names(values: list[str]) -> Select[int] | None:
    """Return those whose name may begin as these do: the header has the last word.

    A name that is written in several groups is indexed by the first one that is there.
    """
    starts = [literal_start(value) for value in values]
    first = [name_key(start) for start in starts]
    if not first or not all(first) or any("=" in start for start in starts):
        return None
    other = aliased(InstanceRow)
    column = other.patient_name_key
    ranges = (and_(column >= key, column < key + LAST_CHARACTER) for key in first)
    return select(other.id).where(or_(*ranges))
