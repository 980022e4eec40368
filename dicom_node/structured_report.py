"""The structured report: Comprehensive 3D SR, TID 1500, as IHE AI Results asks for it.

::

    126000 Imaging Measurement Report
      language, device observer, procedure reported
      111028 Image Library            the source
      126010 Imaging Measurements
        125007 Measurement Group      one hand: TID 1410 with a box on the source, else TID 1501
          tracking, finding site, algorithm, measurements, evaluations, box or source, heatmap
      C0034375 Qualitative Evaluations
        determination, the headline, the research-use marking

Statistics of the population are siblings of the bone age, not properties of it (TID 311): a
widespread validator takes the nested ones for errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, ExplicitVRLittleEndian

from dicom_node import vocabulary as v
from dicom_node.derivation import as_dataset
from dicom_node.hand_box import HandBox
from dicom_node.identity import stamp
from dicom_node.image_library import image_library
from dicom_node.measurement_group import MeasurementGroup, measurement_group, refusal_group
from dicom_node.observer import device_observer
from dicom_node.report_text import (
    comment_lines,
    determination,
    headline,
    title,
)
from dicom_node.source_header import complete_header, local_time, text_notes, without_identity
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from dicom_node.finding import Finding, Refusal
    from dicom_node.identity import ReferencedInstance, ResultIdentity
    from dicom_node.words import Words

SOP_CLASSES: Final[dict[str, type[Comprehensive3DSR | ComprehensiveSR]]] = {
    Comprehensive3DSRStorage: Comprehensive3DSR,
    ComprehensiveSRStorage: ComprehensiveSR,
}

CONTAINS: Final = RelationshipTypeValues.CONTAINS
ACQUISITION: Final = RelationshipTypeValues.HAS_ACQ_CONTEXT


def build_structured_report(  # noqa: PLR0913 - one object, from all that it is made of
    source: Dataset,
    finding: Finding,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
    heatmap: Dataset | None = None,
    hand_box: HandBox | None = None,
    sop_class_uid: str = Comprehensive3DSRStorage,
    words: Words = ENGLISH,
) -> Dataset:
    """Return the report of one finding, ready to be written or sent.

    Parameters
    ----------
    source : Dataset
        The radiograph; its header may be incomplete, its pixel data absent.
    finding : Finding
        What is reported.
    identity : ResultIdentity
        UIDs, numbers and equipment.
    predecessors : sequence of ReferencedInstance
        The reports that this one replaces (PS3.3 C.17.2, PredecessorDocumentsSequence).
    heatmap : Dataset, optional
        An image made from the source, in the same study, that the report refers to.
    hand_box : HandBox, optional
        Round the hand, in pixels of the source; viewers draw it.
    sop_class_uid : str
        Comprehensive 3D SR, or Comprehensive SR for an archive that refuses it.
    words : Words
        The language of its texts; codes keep their English meanings.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID.
    KeyError
        If the SOP class is neither of the two.
    """
    frame = _Frame.of(source, heatmap, identity, finding.started_at, words)
    return _assembled(
        frame,
        measurement_group(frame.images, finding, identity, hand_box),
        _summary(finding, words),
        predecessors,
        sop_class_uid,
    )


def build_refusal_report(  # noqa: PLR0913 - one object, from all that it is made of
    source: Dataset,
    refusal: Refusal,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
    heatmap: Dataset | None = None,
    sop_class_uid: str = Comprehensive3DSRStorage,
    words: Words = ENGLISH,
) -> Dataset:
    """Return the report that there is no bone age, and why; see `build_structured_report`."""
    frame = _Frame.of(source, heatmap, identity, refusal.started_at, words)
    return _assembled(
        frame,
        refusal_group(frame.images[0], refusal, identity),
        _comments([words("refused", reason=words.reason(refusal.reason)), words("research_use")]),
        predecessors,
        sop_class_uid,
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds the answer in every report.

    Attributes
    ----------
    header : Dataset
        The completed header of the source.
    images : list of Dataset
        The source, without whose it is, and the heatmap if there is one.
    notes : list of str
        What is to be said of the source's text.
    identity, started_at, words
        As in `build_structured_report`.
    """

    header: Dataset
    images: list[Dataset]
    notes: list[str]
    identity: ResultIdentity
    started_at: datetime
    words: Words

    @classmethod
    def of(
        cls,
        source: Dataset,
        heatmap: Dataset | None,
        identity: ResultIdentity,
        started_at: datetime,
        words: Words,
    ) -> _Frame:
        """Return the frame of a report on a source."""
        header = complete_header(source)
        images = [without_identity(header), *([] if heatmap is None else [heatmap])]
        return cls(header, images, text_notes(source), identity, started_at, words)


def _assembled(
    frame: _Frame,
    group: MeasurementGroup,
    summary: ContainerContentItem,
    predecessors: Sequence[ReferencedInstance],
    sop_class_uid: str,
) -> Dataset:
    """Return the whole report round a measurement group and a summary."""
    header, identity = frame.header, frame.identity
    moment = local_time(header, frame.started_at)
    summary.ContentSequence.extend(map(_comment, frame.notes))
    report = SOP_CLASSES[sop_class_uid](
        evidence=frame.images,
        content=_content(frame, group, summary),
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        is_complete=True,
        previous_versions=[as_dataset(old) for old in predecessors] or None,
        requested_procedures=_requests(header) or None,
        series_description=v.SR_SERIES_DESCRIPTION,
        content_date=moment.date(),
        content_time=moment.time(),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    stamp(report, header, identity, moment)
    report.PerformedProcedureCodeSequence = header.get("ProcedureCodeSequence", [])
    return report


def _content(frame: _Frame, group: MeasurementGroup, summary: ContainerContentItem) -> Dataset:
    """Return the root container of the tree (TID 1500)."""
    (root,) = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=device_observer(frame.identity)
        ),
        procedure_reported=_procedures(frame.header),
        imaging_measurements=[group],
        title=v.IMAGING_MEASUREMENT_REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(frame.words.language)
        ),
    )
    # highdicom's own library wants orientation and spacing of every radiograph.
    root.ContentSequence.insert(len(root.ContentSequence) - 1, image_library(frame.images[0]))
    root.ContentSequence.append(summary)
    return root


def _procedures(header: Dataset) -> list[Code]:
    """Return the procedure as the source codes it, else as an imaging procedure.

    LOINC names the examination, not the procedure, and validators refuse it here (CID 100); it
    is in PerformedProcedureCodeSequence all the same.
    """
    codes = [
        Code(value, item.CodingSchemeDesignator, item.CodeMeaning)
        for item in header.get("ProcedureCodeSequence", [])
        if (value := item.get("CodeValue") or item.get("LongCodeValue"))
        and item.CodingSchemeDesignator != "LN"
    ]
    return codes or [v.IMAGING_PROCEDURE]


def _summary(finding: Finding, words: Words) -> ContainerContentItem:
    """Return the determination and the comments (TID 1500, Qualitative Evaluations).

    The headline stands among them because viewers drop the qualifier of a number: at the end of
    the atlas it says 'at least'. So do the determination, what was done to the image before it was
    read, what a person corrected, what a re-run replaces, what earlier results say, and every flag.
    """
    comments = [
        *([title(finding, words)] if finding.laterality is None else []),
        headline(finding, words),
        *(
            words("labelled", label=line.label, text=line.text)
            for line in comment_lines(finding, words)
        ),
        words("research_use"),
    ]
    return _comments(comments, _determination(finding))


def _comments(
    comments: Sequence[str], codes: Sequence[CodeContentItem] = ()
) -> ContainerContentItem:
    """Return codes and comments on the whole report (TID 1500, Qualitative Evaluations)."""
    container = ContainerContentItem(v.QUALITATIVE_EVALUATIONS, relationship_type=CONTAINS)
    container.ContentSequence = ContentSequence([*codes, *map(_comment, comments)])
    return container


def _comment(words: str) -> TextContentItem:
    """Return a comment in words."""
    return TextContentItem(v.COMMENT, words, relationship_type=CONTAINS)


def _determination(finding: Finding) -> list[CodeContentItem]:
    """Return delayed, normal, advanced or indeterminate, where sex and age are known."""
    word = determination(finding)
    if word is None:
        return []
    return [CodeContentItem(v.NORMALITY, v.DETERMINATION[word], relationship_type=CONTAINS)]


def _requests(header: Dataset) -> list[Dataset]:
    """Return the orders that this report answers (PS3.3 C.17.2, ReferencedRequestSequence)."""
    orders = header.get("RequestAttributesSequence") or [Dataset()]
    requests = [_request(header, order) for order in orders]
    return [item for item in requests if item.AccessionNumber or item.RequestedProcedureID]


def _request(header: Dataset, order: Dataset) -> Dataset:
    """Return one order; its type 2 attributes are there, if empty."""
    item = Dataset()
    item.AccessionNumber = ""
    item.PlacerOrderNumberImagingServiceRequest = ""
    item.FillerOrderNumberImagingServiceRequest = ""
    item.RequestedProcedureID = ""
    item.RequestedProcedureDescription = ""
    item.RequestedProcedureCodeSequence = []
    for known in (header, order):
        item.update({e.tag: e for e in known if e.tag in item and not e.is_empty})
    item.StudyInstanceUID = header.StudyInstanceUID
    item.ReferencedStudySequence = []
    return item
