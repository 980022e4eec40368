"""How the pages say things: ages, dates, moments, and what a state means."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal

from dicom_node.states import DeliveryState, JobState

Tone = Literal["wait", "work", "good", "stop", "bad", "off"]

_J, _D = JobState, DeliveryState

JOB_TONES: Final[dict[str, Tone]] = {
    _J.RECEIVED: "wait",
    _J.QUEUED: "wait",
    _J.RUNNING: "work",
    _J.REPORTED: "good",
    _J.SENT: "good",
    _J.CONFIRMED: "good",
    _J.REJECTED: "stop",
    _J.FAILED: "bad",
    _J.CANCELLED: "off",
}
"""The colour of each state; the word itself is always there too."""

DELIVERY_TONES: Final[dict[str, Tone]] = {
    _D.WAITING: "wait",
    _D.SENDING: "work",
    _D.SENT: "good",
    _D.CONFIRMED: "good",
    _D.HELD: "stop",
    _D.REFUSED: "bad",
    _D.EXHAUSTED: "bad",
}

HEALTH_TONES: Final[dict[str, Tone]] = {"ok": "good", "warning": "stop", "down": "bad"}

MEANINGS: Final[dict[str, str]] = {
    _J.RECEIVED: "The radiograph is stored; its header is about to be looked at.",
    _J.QUEUED: "The radiograph waits for a worker.",
    _J.RUNNING: "A worker is assessing the radiograph.",
    _J.REPORTED: "The radiograph has been assessed; its results are made.",
    _J.SENT: "Every destination has taken the results.",
    _J.CONFIRMED: "Every destination has confirmed that it keeps the results.",
    _J.REJECTED: "The image is not eligible, so no bone age is given.",
    _J.FAILED: "It could not be brought to its end; an operator can try again.",
    _J.CANCELLED: "An operator cancelled it before it began.",
}

KINDS: Final[dict[str, str]] = {
    "sr": "Structured report",
    "sr-2d": "Structured report (Comprehensive SR)",
    "sc": "Secondary capture",
    "pr": "Presentation state",
    "pdf": "Encapsulated PDF",
    "pm": "Parametric map",
    "kos": "Rejection note",
}
"""What a job's results are called, by their kind (`dicom_node.results`)."""


def age_words(age_months: float | None) -> str:
    """Return an age to the nearest month, as "10 years 4 months"; empty where there is none."""
    if age_months is None:
        return ""
    years, months = divmod(round(age_months), 12)
    parts = [_count(years, "year")] if years else []
    if months or not years:
        parts.append(_count(months, "month"))
    return " ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def date_words(value: str | None) -> str:
    """Return a DICOM date (VR DA, PS3.5 6.2) as 2025-01-31; anything else as it is."""
    found = re.fullmatch(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})", value or "")
    return "-".join(found.groups()) if found else value or ""


def moment_words(value: str) -> str:
    """Return a moment, given in ISO 8601, in this machine's own time zone, to the minute."""
    return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M}"


def second_words(value: str) -> str:
    """Return a moment, given in ISO 8601, in this machine's own time zone, to the second."""
    return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M:%S}"


def status_words(status: int) -> str:
    """Return a DIMSE status as the standard writes it: "0xA700"."""
    return f"0x{status:04X}"
