"""Who a job is about, and the switch that hides it from everything that a page shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request

from worklist.privacy import shows_patients
from worklist.words import date_words

HIDDEN: Final = "(hidden)"

SHORTEST: Final = 2
"""A part of a name with fewer letters is an initial: it would hide half of any text."""

SEXES: Final = {"M": "male", "F": "female", "O": "other"}


@dataclass(frozen=True, slots=True)
class Identity:
    """The patient, as far as the header says.

    Attributes
    ----------
    name, patient_id, birth_date, sex : str
        For a reader; empty where the header is silent.
    age_months : int or None
        Completed months at the radiograph.
    """

    name: str
    patient_id: str
    birth_date: str
    sex: str
    age_months: int | None


@dataclass(frozen=True, slots=True)
class Veil:
    """Hides a patient's name, identifiers and birth date in text, where that is asked for."""

    pattern: re.Pattern[str] | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether anything is hidden."""
        return self.pattern is not None

    def text(self, words: str) -> str:
        """Return words with what names the patient left out."""
        return words if self.pattern is None else self.pattern.sub(HIDDEN, words)


def veil_of(request: Request, header: Mapping[str, Any]) -> Veil:
    """Return what the switch hides of a job whose header, as the database keeps it, is given."""
    if shows_patients(request):
        return Veil()
    names = sorted(set(_names(header)), key=len, reverse=True)
    either = "|".join(map(re.escape, names)) or r"(?!)"
    return Veil(re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE))


def _names(header: Mapping[str, Any]) -> Iterator[str]:
    """Yield each text that stands for the patient or the examination."""
    for part in re.split(r"[\^=\\,\s]+", str(header.get("PatientName", ""))):
        if len(part) >= SHORTEST:
            yield part
    for keyword in ("PatientID", "AccessionNumber"):
        if value := str(header.get(keyword, "")).strip():
            yield value
    if born := str(header.get("PatientBirthDate", "")).strip():
        yield from (born, date_words(born))


def identity_of(header: Mapping[str, Any], finding: Mapping[str, Any] | None) -> Identity:
    """Return the patient of a job."""
    age = (finding or {}).get("chronological_age_months")
    sex = str(header.get("PatientSex", "")).strip()
    return Identity(
        name=name_words(str(header.get("PatientName", ""))),
        patient_id=str(header.get("PatientID", "")),
        birth_date=date_words(str(header.get("PatientBirthDate", ""))),
        sex=SEXES.get(sex.upper(), sex),
        age_months=None if age is None else int(age),  # completed months, as the report has it
    )


def name_words(value: str) -> str:
    """Return a person's name (VR PN, PS3.5 6.2.1) as "Family, Given", groups by " / "."""
    groups = []
    for group in value.split("="):
        family, *others = (part.strip() for part in group.split("^"))
        given = " ".join(part for part in others if part)
        groups.append(", ".join(part for part in (family, given) if part))
    return " / ".join(group for group in groups if group)
