"""Reading a structured report of ours back into a plain value: the reverse of its builder.

Only what other results need of it is read, from where `dicom_node.structured_report` writes it.
The report may have been through an archive, so nothing is taken to be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

from dicom_node import vocabulary as v
from dicom_node.eligibility import is_own_result
from dicom_node.growth import Z_90, EarlierResult
from dicom_node.header import items, text

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

    from dicom_node.finding import Laterality

LARGEST_MONTHS: Final = 300.0
"""No age in our reports is higher."""

SIDES: Final[tuple[Laterality, ...]] = ("L", "R")


@dataclass(frozen=True, slots=True)
class EarlierReport:
    """What a report of ours says of a hand.

    Attributes
    ----------
    sop_instance_uid, study_instance_uid : str
        The report.
    patient_id, issuer_of_patient_id : str
        Whose it is; empty where it does not say.
    laterality : "L", "R" or None
        The side of the hand.
    replaces : tuple of str
        SOP instance UIDs of the reports that this one supersedes (PS3.3 C.17.2.2).
    result : EarlierResult
        The answer; its day is the StudyDate, for a report does not name the acquisition's, and
        its SD is that of the interval.
    """

    sop_instance_uid: str
    study_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    laterality: Laterality | None
    replaces: tuple[str, ...]
    result: EarlierResult


def read_report(report: Dataset) -> EarlierReport | None:
    """Return what a report says; None where it is not ours, or has no bone age or no day."""
    day = _day(text(report, "StudyDate"))
    if not is_own_result(report) or day is None:
        return None
    for part in items(report, "ContentSequence"):
        for group in items(part, "ContentSequence"):
            result = _result(group, day, _weights_version(report))
            if result is not None:
                return EarlierReport(
                    sop_instance_uid=text(report, "SOPInstanceUID"),
                    study_instance_uid=text(report, "StudyInstanceUID"),
                    patient_id=text(report, "PatientID"),
                    issuer_of_patient_id=text(report, "IssuerOfPatientID"),
                    laterality=_laterality(group),
                    replaces=_predecessors(report),
                    result=result,
                )
    return None


def _result(group: Dataset, day: date, weights_version: str) -> EarlierResult | None:
    """Return the answer of a measurement group, None where it has none."""
    bone_age = _months(group, v.BONE_AGE)
    lower, upper = _months(group, v.INTERVAL_LOWER), _months(group, v.INTERVAL_UPPER)
    if bone_age is None or lower is None or upper is None:
        return None
    # The end of the atlas may cut one side of the interval short: the other one is whole.
    half = max(upper - bone_age, bone_age - lower)
    if half <= 0:
        return None
    return EarlierResult(
        acquired_on=day,
        chronological_age_months=_months(group, v.SUBJECT_AGE),
        bone_age_months=bone_age,
        sd_months=half / Z_90,
        weights_version=weights_version,
    )


def _months(group: Dataset, name: Code) -> float | None:
    """Return a number of months by its concept, None where there is none that can be."""
    for item in items(group, "ContentSequence"):
        if not _has_code(item, "ConceptNameCodeSequence", name):
            continue
        for measured in items(item, "MeasuredValueSequence"):
            if _has_code(measured, "MeasurementUnitsCodeSequence", v.MONTH):
                months = _number(text(measured, "NumericValue"))
                if months is not None and 0 <= months <= LARGEST_MONTHS:
                    return months
    return None


def _laterality(group: Dataset) -> Laterality | None:
    """Return the side, which modifies the finding site."""
    for site in items(group, "ContentSequence"):
        for modifier in items(site, "ContentSequence"):
            for side in SIDES:
                if _has_code(modifier, "ConceptCodeSequence", v.LATERALITY[side]):
                    return side
    return None


def _has_code(item: Dataset, keyword: str, code: Code) -> bool:
    """Return whether a sequence of codes holds this one."""
    return any(
        (text(found, "CodeValue"), text(found, "CodingSchemeDesignator"))
        == (code.value, code.scheme_designator)
        for found in items(item, keyword)
    )


def _weights_version(report: Dataset) -> str:
    """Return what stands for the serial number of this software; see `dicom_node.identity`."""
    for equipment in (*items(report, "ContributingEquipmentSequence"), report):
        if text(equipment, "Manufacturer") == v.MANUFACTURER:
            return text(equipment, "DeviceSerialNumber")
    return ""


def _predecessors(report: Dataset) -> tuple[str, ...]:
    """Return the SOP instances of PredecessorDocumentsSequence (PS3.3 table C.17-3)."""
    return tuple(
        text(instance, "ReferencedSOPInstanceUID")
        for study in items(report, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedSOPSequence")
    )


def _number(words: str) -> float | None:
    """Return a decimal string as a number."""
    try:
        return float(words)
    except ValueError:
        return None


def _day(words: str) -> date | None:
    """Return a DICOM date."""
    try:
        return datetime.strptime(words, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
