"""The DICOM JSON model (PS3.18 annex F): headers as JSON, without what is large.

With the privacy switch on, what names a person, or leads to one, is empty.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.tag import Tag

from dicom_node.header import UNREADABLE, items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

Json = dict[str, Any]

MEDIA_TYPE: Final = "application/dicom+json"

BULK_BYTES: Final = 1024
"""A longer binary value is not in the JSON: it is fetched by its URI."""

PATIENT_GROUP: Final = 0x0010
KEPT_OF_PATIENT: Final = frozenset(
    map(tag_for_keyword, ("PatientSex", "PatientAge", "PatientSize", "PatientWeight"))
)
IDENTIFYING: Final = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "AccessionNumber",
        "AdmissionID",
        "ClinicalTrialSubjectID",
        "CurrentPatientLocation",
        "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest",
        "ImageComments",
        "InstitutionAddress",
        "InstitutionCodeSequence",
        "InstitutionName",
        "InstitutionalDepartmentName",
        "IssuerOfAccessionNumberSequence",
        "IssuerOfAdmissionIDSequence",
        "IssuerOfServiceEpisodeIDSequence",
        "OperatorIdentificationSequence",
        "PatientInstitutionResidence",
        "PatientState",
        "PerformedProcedureStepID",
        "PerformingPhysicianIdentificationSequence",
        "PersonAddress",
        "PersonIdentificationCodeSequence",
        "PersonTelephoneNumbers",
        "PhysiciansOfRecordIdentificationSequence",
        "PhysiciansReadingStudyIdentificationSequence",
        "PlacerOrderNumberImagingServiceRequest",
        "ReferencedPatientSequence",
        "ReferencedRequestSequence",
        "ReferringPhysicianAddress",
        "ReferringPhysicianIdentificationSequence",
        "ReferringPhysicianTelephoneNumbers",
        "RequestAttributesSequence",
        "RequestingPhysicianIdentificationSequence",
        "RequestingService",
        "ScheduledPerformingPhysicianIdentificationSequence",
        "ServiceEpisodeID",
        "StationName",
        "StudyComments",
        "StudyID",
        "VisitComments",
    )
)
"""Of the basic profile of PS3.15 table E.1-1, what leads to a person or to where one was seen.

UIDs, dates of the study and descriptions stay: a viewer does not work without them.
"""


def is_identifying(tag: int, vr: str) -> bool:
    """Tell whether the privacy switch empties an element: every name of a person among them."""
    tag = Tag(tag)
    if tag.is_private or vr == "PN" or tag in IDENTIFYING:
        return True
    return tag.group == PATIENT_GROUP and tag not in KEPT_OF_PATIENT


def attribute(keyword: str, values: Sequence[Any]) -> tuple[str, Json]:
    """Return the tag and the element of values as they are kept in the database.

    What is no value of its VR is left out, and nothing at all is an empty element.
    """
    vr = dictionary_VR(keyword)
    made = [one for one in (_value(vr, value) for value in values) if one not in (None, "")]
    return f"{tag_for_keyword(keyword):08X}", {"vr": vr, **({"Value": made} if made else {})}


def _value(vr: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    if vr == "PN":
        groups = ("Alphabetic", "Ideographic", "Phonetic")
        parts = zip(groups, str(value).split("="), strict=False)
        return {group: part for group, part in parts if part} or None
    if vr in {"IS", "US"}:
        text = str(value).strip()
        # A longer number is none of these VRs.
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None  # noqa: PLR2004
    return value


def model(header: Dataset, bulk_uri: str, *, is_private: bool) -> Json:
    """Return a header as JSON; an element that cannot be read is left out.

    Parameters
    ----------
    header : Dataset
        As `dicom_node.header.read_header` reads it.
    bulk_uri : str
        Where the values lie that are too large, before ``/TAG``.
    is_private : bool
        Whether what identifies is emptied.

    Raises
    ------
    RecursionError
        If sequences are nested too deeply.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings repeat the values
        made = _model(header, bulk_uri, is_private=is_private)
    if "00080005" in made:
        made["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}  # JSON is UTF-8 (annex F.2)
    return made


def _model(dataset: Dataset, bulk_uri: str, *, is_private: bool) -> Json:
    made: Json = {}
    for tag in list(dataset.keys()):
        if tag.element == 0:  # group lengths
            continue
        try:
            made[f"{tag:08X}"] = _element(dataset, tag, bulk_uri, is_private=is_private)
        except RecursionError:
            raise
        except UNREADABLE:
            continue
    return made


def _element(dataset: Dataset, tag: BaseTag, bulk_uri: str, *, is_private: bool) -> Json:
    element = dataset[tag]
    if is_private and is_identifying(tag, element.VR):
        return {"vr": element.VR}
    uri = f"{bulk_uri}/{tag:08X}"
    if element.VR == "SQ":
        nested = [
            _model(item, f"{uri}/{number}", is_private=is_private)
            for number, item in enumerate(items(dataset, tag))
        ]
        return {"vr": "SQ", **({"Value": nested} if nested else {})}
    return _plain(element, lambda _: uri)


def _plain(element: DataElement, uri_of: Callable[[DataElement], str]) -> Json:
    made = element.to_json_dict(uri_of, BULK_BYTES)
    values = made.get("Value")
    if values is not None and any(isinstance(v, float) and not math.isfinite(v) for v in values):
        # JSON has no such numbers.
        made["Value"] = [
            None if isinstance(v, float) and not math.isfinite(v) else v for v in values
        ]
    return made


def keyword_of(name: str) -> str:
    """Return the keyword of an attribute named by keyword or by tag; empty where it is neither."""
    if len(name) == 8 and all(char in "0123456789abcdefABCDEF" for char in name):  # noqa: PLR2004
        return keyword_for_tag(int(name, 16))
    return name if tag_for_keyword(name) is not None else ""
