"""The rejection note: a document that says which results a re-run has replaced.

IHE Radiology, Imaging Object Change Management: a Key Object Selection Document (PS3.3 A.35.4,
TID 2010) in a series of its own, whose title says why. An archive that follows the profile hides
what it names; any other archive shows it as a list of objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node import vocabulary as v
from dicom_node.derivation import as_dataset
from dicom_node.identity import stamp
from dicom_node.observer import device_observer
from dicom_node.source_header import complete_header, local_time, without_identity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

    from dicom_node.identity import ReferencedInstance, ResultIdentity

IMAGES: Final = frozenset({SecondaryCaptureImageStorage, ParametricMapStorage})
"""Results of ours that are images; a selection names others as composite objects (TID 2010)."""


def build_rejection_note(
    source: Dataset,
    rejected: Sequence[ReferencedInstance],
    identity: ResultIdentity,
    *,
    written_at: datetime,
    title: Code = v.REJECTED_FOR_QUALITY,
) -> Dataset:
    """Return the note on replaced results, ready to be written or sent.

    Parameters
    ----------
    source : Dataset
        The radiograph of the rejected results, or its completed header: the note lies in its
        study.
    rejected : sequence of ReferencedInstance
        What is replaced, in one study.
    identity : ResultIdentity
        UIDs, numbers and equipment; the series holds rejection notes only.
    written_at : datetime
        With its time zone.
    title : Code
        113001 (DCM) where the new result is better; 113037 where the old one may do harm, such
        as one made for a wrong sex.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID.
    ValueError
        If nothing is rejected, it does not lie in the source's study, or the title is another.
    """
    header = complete_header(source)
    moment = local_time(header, written_at)
    _check(header, rejected, title)
    evidence = [_evidence(header, old) for old in rejected]
    note = KeyObjectSelectionDocument(
        evidence=evidence,
        content=KeyObjectSelection(
            document_title=title,
            referenced_objects=evidence,
            observer_device_context=device_observer(identity),
            description=v.REPLACED,
        ),
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        series_description=v.KO_SERIES_DESCRIPTION,
        content_date=moment.date(),
        content_time=moment.time(),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    stamp(note, header, identity, moment)
    return note


def _check(header: Dataset, rejected: Sequence[ReferencedInstance], title: Code) -> None:
    """Raise ValueError for what would not be a rejection note of this study."""
    if not rejected:
        msg = "a rejection note rejects something"
        raise ValueError(msg)
    if any(old.study_instance_uid != header.StudyInstanceUID for old in rejected):
        msg = "a rejection note lies in the study of what it rejects"
        raise ValueError(msg)
    if title not in v.REJECTIONS:
        msg = "a rejection note is titled 113001 or 113037 (DCM)"
        raise ValueError(msg)


def _evidence(header: Dataset, old: ReferencedInstance) -> Dataset:
    """Return a rejected instance as highdicom takes it: it tells an image by its size."""
    evidence = without_identity(header)
    for keyword in ("Rows", "Columns"):
        evidence.pop(keyword, None)
    evidence.update(as_dataset(old))
    if old.sop_class_uid in IMAGES:
        evidence.Rows = evidence.Columns = 1
    return evidence
