"""What a list shows and in which order: read from the address, and written into one."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field

from dicom_node.header import CONTROLS
from dicom_node.jobs import LARGEST_ID
from dicom_node.states import GIVEN_UP, DeliveryState, JobState

Column = Literal["created_at", "study_date", "bone_age_months", "updated_at"]

DETERMINATIONS: Final = ("normal", "advanced", "delayed", "indeterminate")
"""As `dicom_node.growth` says them."""
EARLIEST, LATEST = date(1900, 1, 1), date(2200, 1, 1)
MOST_DAYS: Final = 36_500
LONGEST_TEXT: Final = 64
MOST_MESSAGES: Final = 8
DAY: Final = re.compile(r"[0-9]{8}")
OLDEST_MONTHS: Final = 12_000.0
"""No bone age lies above; a larger number in a cursor is not one of ours."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of the list; ties stand in the order of the jobs' numbers.

    Attributes
    ----------
    label : str
        As the page offers it.
    column : str
        Of `dicom_node.db.JobRow`.
    descending : bool
        Whether the greatest comes first.
    """

    label: str
    column: Column
    descending: bool


SORTS: Final[dict[str, Sort]] = {
    "newest": Sort("Newest first", "created_at", descending=True),
    "oldest": Sort("Oldest first", "created_at", descending=False),
    "study": Sort("Study date, latest first", "study_date", descending=True),
    "study-earliest": Sort("Study date, earliest first", "study_date", descending=False),
    "bone-age": Sort("Bone age, highest first", "bone_age_months", descending=True),
    "bone-age-lowest": Sort("Bone age, lowest first", "bone_age_months", descending=False),
    "longest": Sort("Longest in its state", "updated_at", descending=False),
}


class JobQuery(BaseModel):
    """The parameters of the list, as they stand in an address.

    Everything is text here: `read` says in words what is wrong with it.
    """

    model_config = ConfigDict(frozen=True)

    state: list[str] = Field(default=[], description="States of jobs; any of them")
    days: str = Field(default="", description="Received within so many days, today among them")
    since: str = Field(default="", description="Received on this day or later, YYYY-MM-DD")
    until: str = Field(default="", description="Received on this day or earlier, YYYY-MM-DD")
    caller: str = Field(default="", description="AE title of the sender")
    destination: str = Field(default="", description="A destination that results go to")
    delivery: list[str] = Field(default=[], description="States of a delivery; any of them")
    determination: list[str] = Field(
        default=[], description="normal, advanced, delayed or indeterminate; any of them"
    )
    q: str = Field(
        default="",
        description="The beginning of the patient's name (upper or lower case), or the whole "
        "patient ID, accession number or Study Instance UID",
    )
    sort: str = Field(default="newest", description=", ".join(SORTS))
    after: str = Field(default="", description="A page: `next` of the one before it")
    before: str = Field(default="", description="A page: `previous` of the one after it")


class FilterError(ValueError):
    """An address asks for what is not there.

    Attributes
    ----------
    messages : list of str
        One sentence for each thing.
    """

    def __init__(self, messages: list[str]) -> None:
        super().__init__(" ".join(messages))
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: behind the last row of the one before, or before the first of the next.

    Attributes
    ----------
    key : datetime, str or float
        The row's value in the column that the list is sorted by.
    job_id : int
        The row's job.
    forward : bool
        Whether the page lies behind it.
    """

    key: datetime | str | float
    job_id: int
    forward: bool = True

    def __str__(self) -> str:
        """Return it as an address has it."""
        key = self.key.isoformat() if isinstance(self.key, datetime) else self.key
        return f"{key}~{self.job_id}"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs a list shows, and in which order; empty fields choose nothing."""

    states: tuple[JobState, ...] = ()
    days: int | None = None
    since: date | None = None
    until: date | None = None
    caller: str = ""
    destination: str = ""
    delivery: tuple[DeliveryState, ...] = ()
    determination: tuple[str, ...] = ()
    text: str = ""
    sort: str = "newest"

    @property
    def order(self) -> Sort:
        """Return the order."""
        return SORTS[self.sort]

    @property
    def is_empty(self) -> bool:
        """Return whether every job fits."""
        return replace(self, sort="newest") == Filters()

    def received(self) -> tuple[datetime | None, datetime | None]:
        """Return from when, and until before when, a job was received; None is no bound."""
        start = _midnight(self.since) if self.since else None
        end = _midnight(self.until + timedelta(days=1)) if self.until else None
        if self.days is not None:
            today = datetime.now(UTC).astimezone().date()
            recent = _midnight(today - timedelta(days=self.days - 1))
            start = recent if start is None else max(start, recent)
        return start, end

    def parameters(self) -> dict[str, Any]:
        """Return what an address says of it."""
        values: dict[str, Any] = {
            "state": [str(state) for state in self.states],
            "days": self.days,
            "since": self.since,
            "until": self.until,
            "caller": self.caller,
            "destination": self.destination,
            "delivery": [str(state) for state in self.delivery],
            "determination": list(self.determination),
            "q": self.text,
            "sort": self.sort if self.sort != "newest" else "",
        }
        return {name: value for name, value in values.items() if value not in (None, "", [])}

    def query(self, **more: object) -> str:
        """Return it as the query of an address, with further parameters."""
        return urlencode({**self.parameters(), **more}, doseq=True)


def _midnight(day: date) -> datetime:
    """Return the beginning of a day in this machine's own time zone."""
    return datetime.combine(day, time.min).astimezone()


READY: Final[dict[str, Filters]] = {
    "All": Filters(),
    "Needs attention": Filters(states=(JobState.FAILED, JobState.REJECTED)),
    "Failed sends of the last 7 days": Filters(
        delivery=tuple(state for state in DeliveryState if state in GIVEN_UP), days=7
    ),
    "Today": Filters(days=1),
}
"""Views that the page offers as links. What could not be delivered makes its job `failed`."""

READY_NOTES: Final[dict[str, str]] = {
    "Needs attention": (
        "Failed: something on our side went wrong, and “Try again…” does it again. Rejected: the "
        "radiograph was not for us; an admin may accept it all the same. Each says its reason."
    ),
    "Failed sends of the last 7 days": (
        "Assessed, but a destination refused the results, or did not take them at any attempt. "
        "Select them, then “Try again…” sends them again; “Re-run…” assesses them anew."
    ),
}
"""What those views show and what may be done about it, where the name does not say it."""


@dataclass(slots=True)
class _Reader:
    """Reads parameters and gathers what is wrong with them."""

    messages: list[str] = field(default_factory=list)

    def words(self, given: list[str], allowed: tuple[str, ...], noun: str) -> tuple[str, ...]:
        """Return the given words in the order of the allowed ones."""
        for word in dict.fromkeys(given):
            if word and word not in allowed:
                some = f"“{word[:LONGEST_TEXT]}”"
                self.messages.append(f"There is no {noun} {some}; there are {', '.join(allowed)}.")
        return tuple(word for word in allowed if word in given)

    def day(self, given: str, name: str) -> date | None:
        """Return a day."""
        if not given.strip():
            return None
        try:
            day = date.fromisoformat(given.strip())
        except ValueError:
            day = None
        if day is None or not EARLIEST <= day <= LATEST:
            self.messages.append(f"“{name}” is a day as YYYY-MM-DD, of 1900 to 2200.")
            return None
        return day

    def days(self, given: str) -> int | None:
        """Return a number of days."""
        if not given.strip():
            return None
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0  # noqa: PLR2004
        if not 1 <= number <= MOST_DAYS:
            self.messages.append(f"“days” is a number from 1 to {MOST_DAYS}.")
            return None
        return number

    def text(self, given: str, name: str) -> str:
        """Return one line of text."""
        given = given.strip()
        if len(given) > LONGEST_TEXT or given != given.translate(CONTROLS):
            self.messages.append(
                f"“{name}” is at most {LONGEST_TEXT} characters, without controls."
            )
            return ""
        return given

    def cursor(self, given: str, order: Sort, *, forward: bool) -> Cursor | None:
        """Return where a page begins."""
        if not given:
            return None
        key, _, number = given.rpartition("~")
        job_id = int(number) if number.isascii() and number.isdigit() and len(number) < 11 else 0  # noqa: PLR2004
        value = _key(key, order.column)
        if value is None or not 0 < job_id <= LARGEST_ID:
            self.messages.append("This page of the list is none; begin again with the first.")
            return None
        return Cursor(value, job_id, forward)


def _key(text: str, column: Column) -> datetime | str | float | None:
    """Return a cursor's value of a column; None where it is none."""
    if column == "study_date":
        return text if not text or DAY.fullmatch(text) else None
    try:
        if column == "bone_age_months":
            number = float(text)
            return number if math.isfinite(number) and abs(number) <= OLDEST_MONTHS else None
        moment = datetime.fromisoformat(text)
        known = moment.tzinfo is not None and EARLIEST <= moment.date() <= LATEST
        return moment.astimezone(UTC) if known else None
    except (ValueError, OverflowError):
        return None


def read(query: JobQuery) -> tuple[Filters, Cursor | None]:
    """Return what an address asks for.

    Raises
    ------
    FilterError
        If a value is none that there is; it says which are.
    """
    reader = _Reader()
    [sort] = reader.words([query.sort], tuple(SORTS), "order") or ("newest",)
    filters = Filters(
        states=tuple(map(JobState, reader.words(query.state, tuple(JobState), "state"))),
        days=reader.days(query.days),
        since=reader.day(query.since, "since"),
        until=reader.day(query.until, "until"),
        caller=reader.text(query.caller, "caller"),
        destination=reader.text(query.destination, "destination"),
        delivery=tuple(
            map(
                DeliveryState,
                reader.words(query.delivery, tuple(DeliveryState), "state of a delivery"),
            )
        ),
        determination=reader.words(query.determination, DETERMINATIONS, "determination"),
        text=reader.text(query.q, "q"),
        sort=sort,
    )
    if filters.since and filters.until and filters.since > filters.until:
        reader.messages.append("“since” lies after “until”: no day is both.")
    after = reader.cursor(query.after, filters.order, forward=True)
    before = reader.cursor(query.before, filters.order, forward=False)
    if after and before:
        reader.messages.append("A page lies either “after” or “before” another.")
    if reader.messages:
        raise FilterError(reader.messages[:MOST_MESSAGES])
    return filters, after or before
