"""Whether a header is that of a hand radiograph for bone age; the reason, where it is not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
)

from dicom_node.header import items, meanings, text
from dicom_node.source_header import chronological_age_months
from dicom_node.storage import UID_LIMIT, UID_PATTERN
from dicom_node.vocabulary import MANUFACTURER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

    from dicom_node.config import EligibilitySection

RADIOGRAPHS = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
TEXTS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
)
CODE_SEQUENCES = (
    "ProcedureCodeSequence",
    "RequestedProcedureCodeSequence",
    "PerformedProtocolCodeSequence",
    "ScheduledProtocolCodeSequence",
    "ViewCodeSequence",
)


def reason_to_reject(
    header: Dataset, rules: EligibilitySection, *, secondary_capture_allowed: bool = False
) -> str | None:
    """Return why this image is not assessed, in words for a person; None where it is.

    Parameters
    ----------
    header : Dataset
        The data set without its pixels.
    rules : EligibilitySection
        The configuration's patterns and limits.
    secondary_capture_allowed : bool
        Whether a route takes Secondary Capture images of this caller.
    """
    return (
        _own_result(header)
        or _kind(header, secondary_capture_allowed=secondary_capture_allowed)
        or _order(header, rules)
        or _body_part(header, rules)
        or _view(header, rules)
        or _form(header, rules)
        or _age(header, rules)
        or _identifiers(header)
    )


def may_be_assessed(modality: str, body_part: str, rules: EligibilitySection) -> bool:
    """Return whether a series, of which an archive says so little, may hold such a radiograph."""
    if modality.upper() not in {"CR", "DX", ""}:
        return False
    unspecific = {value.upper() for value in rules.unspecific_body_parts} | {""}
    return body_part.upper() in unspecific or bool(_found(rules.hand_pattern, body_part))


def is_own_result(header: Dataset) -> bool:
    """Return whether an object was made by this software, also where an archive changed it."""
    equipment = items(header, "ContributingEquipmentSequence")
    makers = {text(header, "Manufacturer"), *(text(item, "Manufacturer") for item in equipment)}
    return MANUFACTURER in makers


def _own_result(header: Dataset) -> str | None:
    """Refuse a result that comes back: it must not be assessed again."""
    return "this is a result of this node" if is_own_result(header) else None


def _kind(header: Dataset, *, secondary_capture_allowed: bool) -> str | None:
    """Check SOP class, modality and image type."""
    sop_class = text(header, "SOPClassUID")
    image_type = text(header, "ImageType").upper().split("\\")
    if sop_class == SecondaryCaptureImageStorage:
        if not secondary_capture_allowed:
            return "Secondary Capture, and no route allows it from this caller"
        return None
    if sop_class not in RADIOGRAPHS:
        return "not a radiograph: neither Computed Radiography nor Digital X-Ray"
    modality = text(header, "Modality").upper()
    if modality not in {"CR", "DX", ""}:
        return f"modality {modality}, not CR or DX"
    if "LOCALIZER" in image_type:
        return "a localizer, not a radiograph"
    return None


def _order(header: Dataset, rules: EligibilitySection) -> str | None:
    """Check that somebody wants a bone age, where the rules ask for that."""
    codes = _codes(header)
    if excluded := sorted(codes & set(rules.exclude_procedure_codes)):
        return f"the procedure code {excluded[0]} is excluded"
    if not rules.ordered_only or codes & set(rules.procedure_codes):
        return None
    if any(_found(rules.order_pattern, words) for words in _texts(header)):
        return None
    return "no order for a bone age: neither a procedure code nor a description names it"


def _body_part(header: Dataset, rules: EligibilitySection) -> str | None:
    """Check the body part; where it says too little, a code or the texts must name a hand."""
    if _codes(header) & set(rules.procedure_codes):
        return None
    part = text(header, "BodyPartExamined").upper()
    regions = " ".join(meanings(header, "AnatomicRegionSequence"))
    if _found(rules.hand_pattern, part) or _found(rules.hand_pattern, regions):
        return None
    if part not in {value.upper() for value in rules.unspecific_body_parts}:
        return f"body part {part}, not a hand"
    if regions:
        return f"anatomic region {regions}, not a hand"
    if any(_found(rules.hand_pattern, words) for words in _texts(header)):
        return None
    named = f"body part {part}" if part else "no body part"
    return f"{named}, and no description that names a hand or bone age"


def _view(header: Dataset, rules: EligibilitySection) -> str | None:
    """Check the projection, and texts that speak of another examination."""
    view = text(header, "ViewPosition").upper()
    if view in {"LL", "RL", "LLD", "RLD", "LLO", "RLO"} or _found(rules.exclude_pattern, view):
        return f"view {view}, not postero-anterior"
    for words in _texts(header):
        if found := _found(rules.exclude_pattern, words):
            return f"the description says {found.group(0).lower()!r}"
    return None


def _form(header: Dataset, rules: EligibilitySection) -> str | None:
    """Check that it is one frame of a usable size."""
    frames = _number(header, "NumberOfFrames")
    if frames > 1:
        return f"{frames} frames, not a single image"
    rows, columns = (_number(header, keyword) for keyword in ("Rows", "Columns"))
    if not rows or not columns:
        return "no image: Rows or Columns is missing"
    if min(rows, columns) < rules.smallest_side_px:
        return f"too small: {columns} x {rows} pixels, at least {rules.smallest_side_px} a side"
    if max(rows, columns) > rules.largest_side_px:
        return f"too large: {columns} x {rows} pixels, at most {rules.largest_side_px} a side"
    return None


def _age(header: Dataset, rules: EligibilitySection) -> str | None:
    """Check that the patient is within the atlas's reach; an unknown age passes."""
    months = chronological_age_months(header)
    if months is not None and months > rules.oldest_years * 12:
        return f"the patient is older than {rules.oldest_years:g} years"
    return None


def _identifiers(header: Dataset) -> str | None:
    """Check the UIDs that a result refers to, or lies in; the listener lets nothing else in."""
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        uid = text(header, keyword)
        if len(uid) > UID_LIMIT or not UID_PATTERN.fullmatch(uid):
            return f"{keyword} is missing or no UID"
    return None


def _found(pattern: str, words: str) -> re.Match[str] | None:
    """Return where a pattern is found; ``HAND_PA`` is two words, though not to Python."""
    for form in (words, words.replace("_", " ")):
        if match := re.search(pattern, form, re.IGNORECASE):
            return match
    return None


def _number(header: Dataset, keyword: str) -> int:
    """Return a whole number, 0 where there is none."""
    try:
        return int(text(header, keyword))
    except ValueError:
        return 0


def _texts(header: Dataset) -> Iterator[str]:
    """Yield every description, of the data set and of its request attributes."""
    for item in [header, *items(header, "RequestAttributesSequence")]:
        for keyword in (*TEXTS, "ScheduledProcedureStepDescription"):
            words = text(item, keyword)
            if words:
                yield words
        for keyword in CODE_SEQUENCES:
            yield from meanings(item, keyword)


def _codes(header: Dataset) -> set[str]:
    """Return the codes of the procedure, as VALUE^SCHEME, of data set and request attributes."""
    return {
        f"{text(code, 'CodeValue')}^{text(code, 'CodingSchemeDesignator')}"
        for item in [header, *items(header, "RequestAttributesSequence")]
        for keyword in CODE_SEQUENCES
        for code in items(item, keyword)
    }
