"""What a form or a program asks for: which jobs, and what is to be done with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs

from fastapi import Depends, Request

from dicom_node.actions import Action, Order
from dicom_node.batches import MOST
from dicom_node.errors import OrderError
from dicom_node.jobs import LARGEST_ID
from dicom_node.states import Priority
from worklist.filters import Filters, JobQuery, read
from worklist.listing import Listing

if TYPE_CHECKING:
    from dicom_node.finding import CorrectedKeyword
    from dicom_node.node import Node

MOST_FIELDS: Final = 10_000
CORRECTED: Final[dict[str, CorrectedKeyword]] = {
    "sex": "PatientSex",
    "birth_date": "PatientBirthDate",
    "laterality": "ImageLaterality",
}
"""Fields of the form, and what they correct."""

OWN_FIELDS: Final = frozenset(
    {*CORRECTED, "csrf_token", "destination", "job", "jobs", "overrule_gate"}
    | {"all", "priority", "scope", "up_to", "weights"}
)
"""Fields that are ours; the list's filter has the others."""


async def read_fields(request: Request) -> dict[str, list[str]]:
    """Return the fields of a form, from its address or its body."""
    is_read = request.method in {"GET", "HEAD"}
    text = request.url.query if is_read else (await request.body()).decode("utf-8", "replace")
    try:
        return parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return {}


Fields = Annotated[dict[str, list[str]], Depends(read_fields)]


@dataclass(frozen=True, slots=True)
class Selection:
    """The jobs that a form names.

    Attributes
    ----------
    ids : list of int
        In ascending order.
    filter_fields : dict
        The filter that shows them; empty where they were named one by one.
    up_to : int
        What a filter shows is taken up to this job, so that none is added to what was confirmed.
    """

    ids: list[int]
    filter_fields: dict[str, list[str]]
    up_to: int


def selection_of(node: Node, fields: dict[str, list[str]]) -> Selection:
    """Return the jobs that a form names, one by one or by the list's filter.

    Raises
    ------
    OrderError
        If it names none, more than a batch may have, or what is no job's number.
    """
    if fields.get("scope") != ["filter"] and fields.get("all") != ["yes"]:
        named = [*fields.get("job", []), *",".join(fields.get("jobs", [])).split(",")]
        ids = sorted({_number(text) for text in named if text.strip()})
        return Selection(_counted(ids), {}, LARGEST_ID)
    limit = _number(fields.get("up_to", [""])[0] or str(LARGEST_ID))
    try:
        filter_fields = _filter_fields(fields)
        with node.database.read() as session:
            shown = Listing(session, _filters(filter_fields)).all_ids()
            ids = sorted(islice((one for one in shown if one <= limit), MOST + 1))
    except ValueError as error:
        raise OrderError(str(error)) from error
    return Selection(_counted(ids), filter_fields, ids[-1])


def _filter_fields(fields: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the fields of the list's filter: as they are, or in one as the list's address."""
    if "filter" in fields:
        return parse_qs(fields["filter"][0], max_num_fields=MOST_FIELDS)
    return {name: values for name, values in fields.items() if name not in OWN_FIELDS}


def _filters(fields: Mapping[str, list[str]]) -> Filters:
    """Return the list's filter.

    Raises
    ------
    FilterError
        If a value is none that there is.
    """
    several = {"state", "delivery", "determination"}
    given = {name: values if name in several else values[-1] for name, values in fields.items()}
    return read(JobQuery.model_validate(given))[0]


def _counted(ids: list[int]) -> list[int]:
    if not ids:
        msg = "no job is selected"
        raise OrderError(msg)
    if len(ids) > MOST:
        msg = f"more than {MOST} jobs at once: narrow the filter"
        raise OrderError(msg)
    return ids


def _number(text: str) -> int:
    """Return a job's number."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(LARGEST_ID))):
        msg = "a selected job is no number"
        raise OrderError(msg)
    return int(digits)


def order_of(action: Action, fields: dict[str, list[str]]) -> Order:
    """Return what a form asks for.

    Raises
    ------
    OrderError
        If its priority is none.
    """

    def said(name: str) -> str | None:
        return fields.get(name, [""])[-1].strip() or None

    corrected = {keyword: said(name) for name, keyword in CORRECTED.items()}
    return Order(
        action,
        corrected={
            keyword: value.replace("-", "") for keyword, value in corrected.items() if value
        },
        weights=said("weights"),
        priority=_priority(said("priority")),
        destination=said("destination"),
        overrule_gate=said("overrule_gate") is not None,
    )


def _priority(word: str | None) -> Priority | None:
    if word is None:
        return None
    if word not in list(Priority):
        msg = f"a priority is one of {', '.join(Priority)}"
        raise OrderError(msg)
    return Priority(word)
