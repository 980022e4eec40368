"""The patient as a page names them, where the configuration asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from dicom_node.header import text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class PatientLabel:
    """What is drawn at the top of a page; empty where the header is silent.

    Attributes
    ----------
    name : str
        All groups of PatientName, as they are read.
    patient_id : str
        PatientID.
    study_date : str
        StudyDate, as YYYY-MM-DD.
    """

    name: str
    patient_id: str
    study_date: str


def patient_label(header: Dataset) -> PatientLabel | None:
    """Return the patient of a completed header; None where it names nobody and no day."""
    # One value each, by the standard; a header may have more.
    name, patient_id = text(header, "PatientName"), text(header, "PatientID")
    day = text(header, "StudyDate").partition("\\")[0]
    label = PatientLabel(
        name=" / ".join(filter(None, map(readable_name, name.split("\\")))),
        patient_id=patient_id,
        study_date=date.fromisoformat(day).isoformat() if day else "",
    )
    return label if any((label.name, label.patient_id, label.study_date)) else None


def readable_name(name: str) -> str:
    """Return a person name for reading (PS3.5 6.2.1): "Yamada, Tarou · 山田 太郎 · やまだ たろう".

    Parameters
    ----------
    name : str
        Up to three groups parted by "=": alphabetic, ideographic, phonetic. Each has up to five
        components parted by "^": family, given, middle, prefix, suffix.
    """
    alphabetic, *others = name.split("=")
    groups = [_alphabetic(alphabetic), *(" ".join(_components(other)) for other in others)]
    return " · ".join(group for group in groups if group)


def _components(group: str) -> list[str]:
    """Return the components that say something."""
    return [part for part in (part.strip() for part in group.split("^")) if part]


def _alphabetic(group: str) -> str:
    """Return "Family, Prefix Given Middle, Suffix"."""
    family, given, middle, prefix, suffix = ([p.strip() for p in group.split("^")] + [""] * 5)[:5]
    first = " ".join(part for part in (prefix, given, middle) if part)
    return ", ".join(part for part in (family, first, suffix) if part)
