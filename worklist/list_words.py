"""How the list says things shortly: ages, names, and how long ago."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from dicom_node.db import now
from worklist.words import Tone

DETERMINATION_TONES: Final[dict[str, Tone]] = {
    "normal": "good",
    "advanced": "stop",
    "delayed": "stop",
    "indeterminate": "off",
}

MINUTE, HOUR, DAY = 60, 3600, 86_400


def short_age(age_months: float | None) -> str:
    """Return an age to the nearest month, as "10 y 4 m"; empty where there is none."""
    if age_months is None:
        return ""
    years, months = divmod(round(age_months), 12)
    return f"{years} y {months} m" if years else f"{months} m"


def name_words(patient_name: str | None) -> str:
    """Return a name (VR PN) as it is read: "Family, Given", the first group that is not empty."""
    for group in (patient_name or "").split("="):
        parts = [" ".join(part.split()) for part in group.split("^")]
        if any(parts):
            family, rest = parts[0], " ".join(part for part in parts[1:] if part)
            return ", ".join(part for part in (family, rest) if part)
    return ""


def elapsed_words(since: datetime) -> str:
    """Return how long ago a moment was, in its greatest unit."""
    seconds = max(0.0, (now() - since).total_seconds())
    if seconds < MINUTE:
        return "less than a minute"
    for size, noun in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
    return ""


def signed(number: float) -> str:
    """Return a z-score with its sign, to one decimal."""
    return f"{number:+.1f}".replace("-", "−")  # noqa: RUF001 - a minus, not a hyphen
