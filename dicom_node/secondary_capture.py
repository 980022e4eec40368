"""The secondary capture: the report page as an RGB image in the study of its source.

It goes in addition to the structured report, for archives and viewers that show no reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom import CoordinateSystemNames, PhotometricInterpretationValues
from highdicom.sc import SCImage
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from dicom_node import vocabulary as v
from dicom_node.derivation import (
    burned_in,
    predecessor_reference,
    source_reference,
    write_compression,
)
from dicom_node.finding import Finding
from dicom_node.identity import stamp
from dicom_node.patient_label import patient_label
from dicom_node.report_page import draw_page, draw_refusal
from dicom_node.source_header import complete_header, local_time, text_notes
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt
    from pydicom.dataset import Dataset

    from dicom_node.finding import Refusal
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
    patient = patient_label(complete_header(source)) if is_named else None
    page = draw_page(picture, finding, words, patient)
    return _capture(page, source, finding, identity, predecessors, is_named=patient is not None)


def build_refusal_capture(  # noqa: PLR0913 - one object, from all that it is made of
    source: Dataset,
    picture: npt.NDArray[np.floating],
    refusal: Refusal,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
    words: Words = ENGLISH,
    is_named: bool = False,
) -> Dataset:
    """Return the page that there is no bone age, and why; see `build_secondary_capture`."""
    patient = patient_label(complete_header(source)) if is_named else None
    page = draw_refusal(picture, words.reason(refusal.reason), words, patient)
    return _capture(page, source, refusal, identity, predecessors, is_named=patient is not None)


def _capture(  # noqa: PLR0913 - one object, from all that it is made of
    page: npt.NDArray[np.uint8],
    source: Dataset,
    found: Finding | Refusal,
    identity: ResultIdentity,
    predecessors: Sequence[ReferencedInstance],
    *,
    is_named: bool,
) -> Dataset:
    """Return a page as a secondary capture."""
    header = complete_header(source)
    moment = local_time(header, found.started_at)
    capture = SCImage(
        pixel_array=page,
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
    _describe_image(capture, header, found, is_named=is_named)
    _describe_capture(capture, moment)
    _describe_derivation(capture, header, predecessors)
    if notes := text_notes(source):
        capture.ImageComments = "\n".join(notes)
    return capture


def _describe_image(
    capture: Dataset, header: Dataset, found: Finding | Refusal, *, is_named: bool
) -> None:
    """Write what the page shows of the hand (PS3.3 C.7.3.1, C.7.6.1)."""
    if isinstance(found, Finding):  # what was refused may be anything
        capture.BodyPartExamined = "HAND"
    # Type 2C: a hand is one of a pair.
    capture.Laterality = found.laterality or ""
    capture.PatientOrientation = header.get("PatientOrientation", "")
    capture.BurnedInAnnotation = burned_in(header, is_named=is_named)
    write_compression(capture, header)


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
    capture.SourceImageSequence = [source_reference(header)]
    if predecessors:
        capture.ReferencedInstanceSequence = [predecessor_reference(old) for old in predecessors]
