"""The secondary capture: the report page as an RGB image in the study of its source.

It goes in addition to the structured report, for archives and viewers that show no reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom import CoordinateSystemNames, PhotometricInterpretationValues
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from dicom_node import vocabulary as v
from dicom_node.identity import stamp
from dicom_node.patient_label import patient_label
from dicom_node.report_page import draw_page
from dicom_node.source_header import complete_header, local_time
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt

    from dicom_node.finding import Finding
    from dicom_node.identity import ReferencedInstance, ResultIdentity
    from dicom_node.words import Words

ANY_ORIENTATION: Final = ("L", "F")
"""highdicom takes no page without an orientation; the source's is written over it."""


def build_secondary_capture(  # noqa: PLR0913 - one object, from all that it is made of
    source: Dataset,
    picture: npt.NDArray[np.floating],
    finding: Finding,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
    words: Words = ENGLISH,
    is_named: bool = False,
) -> Dataset:
    """Return the page of one finding as a secondary capture, ready to be written or sent.

    Explicit VR Little Endian, 8-bit RGB, no pixel spacing: nothing can be measured on a page.

    Parameters
    ----------
    source : Dataset
        The radiograph; its header may be incomplete, its pixel data absent.
    picture : ndarray of float
        (H, W) in [0, 1], bone bright: the radiograph on its own pixel grid.
    finding : Finding
        What is drawn.
    identity : ResultIdentity
        UIDs, numbers and equipment.
    predecessors : sequence of ReferencedInstance
        The captures that this one replaces.
    words : Words
        The language of the page.
    is_named : bool
        Whether name, identifier and study date are drawn on the page.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID.
    ValueError
        If the picture is not two-dimensional, or is empty.
    """
    header = complete_header(source)
    moment = local_time(header, finding.started_at)
    patient = patient_label(header) if is_named else None
    capture = SCImage(
        pixel_array=draw_page(picture, finding, words, patient),
        photometric_interpretation=PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=CoordinateSystemNames.PATIENT,
        patient_orientation=ANY_ORIENTATION,
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=identity.manufacturer,
        series_description=v.SC_SERIES_DESCRIPTION,
        content_date=moment.date(),
        content_time=moment.time(),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    stamp(capture, header, identity, moment)
    _describe_image(capture, header, finding, is_named=patient is not None)
    _describe_capture(capture, moment)
    _describe_derivation(capture, header, predecessors)
    return capture


def _describe_image(capture: Dataset, header: Dataset, finding: Finding, *, is_named: bool) -> None:
    """Write what the page shows of the hand (PS3.3 C.7.3.1, C.7.6.1)."""
    capture.BodyPartExamined = "HAND"
    # Type 2C: a hand is one of a pair.
    capture.Laterality = finding.laterality or ""
    capture.PatientOrientation = header.get("PatientOrientation", "")
    # What is burnt into the radiograph is burnt into the page.
    is_burned_in = is_named or header.get("BurnedInAnnotation") == "YES"
    capture.BurnedInAnnotation = "YES" if is_burned_in else "NO"
    for keyword in (
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
    ):
        if header.get("LossyImageCompression") == "01" and keyword in header:
            capture.add(header[keyword])


def _describe_capture(capture: Dataset, moment: datetime) -> None:
    """Write how and when the page was made (PS3.3 C.8.6.1, C.8.6.2)."""
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.ConversionType = "WSD"
    capture.DateOfSecondaryCapture = DA(moment.date())
    capture.TimeOfSecondaryCapture = TM(moment.time())


def _describe_derivation(
    capture: Dataset, header: Dataset, predecessors: Sequence[ReferencedInstance]
) -> None:
    """Write what the page was made from (PS3.3 C.7.6.1.1.3, C.12.4)."""
    capture.DerivationDescription = f"Heatmap and report of {v.ALGORITHM_NAME}. {v.RESEARCH_USE}"
    capture.DerivationCodeSequence = [v.code_item(v.VISUAL_EXPLANATION)]
    source = _reference(header.SOPClassUID, header.SOPInstanceUID)
    source.PurposeOfReferenceCodeSequence = [v.code_item(v.SOURCE_OF_PROCESSING)]
    capture.SourceImageSequence = [source]
    if predecessors:
        capture.ReferencedInstanceSequence = [_predecessor(old) for old in predecessors]


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a reference to an instance (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _predecessor(old: ReferencedInstance) -> Dataset:
    """Return the reference to a capture that this one replaces."""
    item = _reference(old.sop_class_uid, old.sop_instance_uid)
    item.PurposeOfReferenceCodeSequence = [v.code_item(v.PREDECESSOR)]
    return item
