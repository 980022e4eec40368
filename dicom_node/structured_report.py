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
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    Comprehensive3DSR,
    ComprehensiveSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, ExplicitVRLittleEndian

from dicom_node import vocabulary as v
from dicom_node.derivation import as_dataset
from dicom_node.hand_box import HandBox
from dicom_node.identity import stamp, tracking_uid
from dicom_node.observer import device_observer
from dicom_node.report_text import (
    SIDES,
    comment_lines,
    determination,
    headline,
    sees_sex,
    title,
)
from dicom_node.source_header import complete_header, local_time, text_notes, without_identity
from dicom_node.words import ENGLISH
from models.atlas import is_at_ceiling, reaches_ceiling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from dicom_node.finding import Finding, Refusal
    from dicom_node.growth import Growth, Velocity
    from dicom_node.identity import ReferencedInstance, ResultIdentity
    from dicom_node.words import Words
    from models.estimate import Estimate

SOP_CLASSES: Final[dict[str, type[Comprehensive3DSR | ComprehensiveSR]]] = {
    Comprehensive3DSRStorage: Comprehensive3DSR,
    ComprehensiveSRStorage: ComprehensiveSR,
}

MeasurementGroup: TypeAlias = (
    MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations
)

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
    return _assembled(
        _Frame(source, heatmap, identity, finding.started_at, words),
        _measurement_group(_images(source, heatmap), finding, identity, hand_box),
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
    return _assembled(
        _Frame(source, heatmap, identity, refusal.started_at, words),
        _refusal_group(_images(source, None)[0], refusal, identity),
        _comments([words("refused", reason=words.reason(refusal.reason)), words("research_use")]),
        predecessors,
        sop_class_uid,
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """What surrounds the answer in every report."""

    source: Dataset
    heatmap: Dataset | None
    identity: ResultIdentity
    started_at: datetime
    words: Words


def _assembled(
    frame: _Frame,
    group: MeasurementGroup,
    summary: ContainerContentItem,
    predecessors: Sequence[ReferencedInstance],
    sop_class_uid: str,
) -> Dataset:
    """Return the whole report round a measurement group and a summary."""
    header, identity = complete_header(frame.source), frame.identity
    moment = local_time(header, frame.started_at)
    images = _images(frame.source, frame.heatmap)
    summary.ContentSequence.extend(map(_comment, text_notes(frame.source)))
    report = SOP_CLASSES[sop_class_uid](
        evidence=images,
        content=_content(images[0], frame, _procedures(header), group, summary),
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


def _images(source: Dataset, heatmap: Dataset | None) -> list[Dataset]:
    """Return the source, without whose it is, and the heatmap if there is one."""
    return [without_identity(complete_header(source)), *([] if heatmap is None else [heatmap])]


def _content(
    source: Dataset,
    frame: _Frame,
    procedures: Sequence[Code],
    group: MeasurementGroup,
    summary: ContainerContentItem,
) -> Dataset:
    """Return the root container of the tree (TID 1500)."""
    (root,) = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=device_observer(frame.identity)
        ),
        procedure_reported=procedures,
        imaging_measurements=[group],
        title=v.IMAGING_MEASUREMENT_REPORT,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(frame.words.language)
        ),
    )
    # highdicom's own library wants orientation and spacing of every radiograph.
    root.ContentSequence.insert(len(root.ContentSequence) - 1, _image_library(source))
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


def _image_library(source: Dataset) -> ContainerContentItem:
    """Return the library (TID 1600), which holds what was measured: the source."""
    group = ContainerContentItem(v.IMAGE_LIBRARY_GROUP, relationship_type=CONTAINS)
    group.ContentSequence = ContentSequence([_library_entry(source)])
    library = ContainerContentItem(v.IMAGE_LIBRARY, relationship_type=CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library


def _library_entry(image: Dataset) -> ImageContentItem:
    """Return one image with its descriptors (TID 1602; TID 1603 where they are known)."""
    entry = ImageContentItem(
        v.SOURCE, image.SOPClassUID, image.SOPInstanceUID, relationship_type=CONTAINS
    )
    modality = v.MODALITIES.get(image.get("Modality"), v.MODALITIES["RG"])
    entry.ContentSequence = ContentSequence(
        [
            CodeContentItem(v.MODALITY, modality, relationship_type=ACQUISITION),
            *_numbers(((v.ROWS, image.get("Rows")), (v.COLUMNS, image.get("Columns"))), v.PIXELS),
            *_geometry(image),
        ],
    )
    return entry


def _geometry(image: Dataset) -> list[ContentItem]:
    """Return orientation and spacing, as far as the header has them."""
    orientation = image.get("PatientOrientation") or ()
    spacing = image.get("ImagerPixelSpacing") or image.get("PixelSpacing") or ()
    # A careless modality writes 0 for what it does not know.
    spacing = spacing if all(spacing) and min(spacing, default=0) > 0 else ()
    texts = zip((v.ROW_ORIENTATION, v.COLUMN_ORIENTATION), orientation, strict=False)
    lengths = zip((v.HORIZONTAL_SPACING, v.VERTICAL_SPACING), reversed(spacing), strict=False)
    return [
        *(
            TextContentItem(name, text, relationship_type=ACQUISITION)
            for name, text in texts
            if text
        ),
        *_numbers(lengths, v.MILLIMETER),
    ]


def _numbers(values: Iterable[tuple[Code, Any]], unit: Code) -> list[NumContentItem]:
    """Return an item for each value that is there."""
    return [
        NumContentItem(name, value, unit, relationship_type=ACQUISITION)
        for name, value in values
        if value
    ]


def _measurement_group(
    images: Sequence[Dataset],
    finding: Finding,
    identity: ResultIdentity,
    hand_box: HandBox | None,
) -> MeasurementGroup:
    """Return all that is said of one hand: with a place in the image (TID 1410), or without (1501).

    One group, not a region beside a group: OHIF throws on a group without coordinates, and PixelMed
    holds every group of a report with a region to TID 1410.
    """
    source, *heatmaps = images
    group = _group(
        source,
        hand_box,
        tracking_identifier=TrackingIdentifier(
            uid=tracking_uid(source.StudyInstanceUID, finding.laterality),
            # English whatever the report's language: the name of the same thing in the next report.
            identifier=title(finding),
        ),
        finding_sites=[_hand(finding)],
        algorithm_id=_algorithm(finding, identity),
        measurements=_measurements(finding),
        qualitative_evaluations=_evaluations(finding),
    )
    group[0].ContentSequence.extend(
        ImageContentItem(
            v.VISUAL_EXPLANATION,
            heatmap.SOPClassUID,
            heatmap.SOPInstanceUID,
            relationship_type=CONTAINS,
        )
        for heatmap in heatmaps
    )
    return group


def _group(source: Dataset, box: HandBox | None, **content: Any) -> MeasurementGroup:  # noqa: ANN401
    """Return a group with its place in the image, or with the image alone."""
    if box is None:
        image = SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID)
        return MeasurementsAndQualitativeEvaluations(source_images=[image], **content)
    region = _region(source, box)
    return PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=region, **content)


def _region(source: Dataset, hand_box: HandBox) -> ImageRegion:
    """Return the box as a closed polyline on the source (PS3.3 C.18.6)."""
    image = SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID)
    return ImageRegion(GraphicTypeValues.POLYLINE, hand_box.outline(), image)


def _hand(finding: Finding) -> FindingSite:
    """Return the hand, with its side where that is known."""
    side = finding.laterality
    return FindingSite(v.HAND, laterality=None if side is None else v.LATERALITY[side])


def _refusal_group(source: Dataset, refusal: Refusal, identity: ResultIdentity) -> MeasurementGroup:
    """Return the group of a radiograph without an answer: no site, for it may be no hand.

    Its place in the image is the whole frame, for viewers that want one.
    """
    rows, columns = source.get("Rows"), source.get("Columns")
    frame = HandBox(0.0, 0.0, float(columns), float(rows)) if rows and columns else None
    return _group(
        source,
        frame,
        tracking_identifier=TrackingIdentifier(
            uid=tracking_uid(source.StudyInstanceUID, refusal.laterality),
            identifier=ENGLISH("title", side=ENGLISH(SIDES[refusal.laterality])),
        ),
        algorithm_id=AlgorithmIdentification(
            name=v.ALGORITHM_NAME,
            version=identity.software_version,
            parameters=[f"weights: {identity.weights_version}"],
        ),
    )


def _algorithm(finding: Finding, identity: ResultIdentity) -> AlgorithmIdentification:
    """Return name, version and parameters of what measured (TID 4019)."""
    calibration = finding.estimate.calibration
    return AlgorithmIdentification(
        name=v.ALGORITHM_NAME,
        version=identity.software_version,
        parameters=[
            f"weights: {identity.weights_version}",
            *([] if calibration is None else [f"calibration: {calibration}"]),
            *([] if finding.estimate.views == 1 else [f"views: {finding.estimate.views}"]),
            f"sex given to the network: {finding.estimate.sex}",
            "interval: 90 %",
            f"z-score: {v.Z_CONVENTION.meaning}",
        ],
    )


def _measurements(finding: Finding) -> list[Measurement]:
    """Return the numbers (TID 300), siblings all of them."""
    estimate, growth = finding.estimate, finding.growth
    lower, upper = estimate.interval_months
    return [
        _bone_age(v.BONE_AGE, estimate.bone_age_months, estimate.sex),
        _months(v.INTERVAL_LOWER, lower),
        _months(v.INTERVAL_UPPER, upper, is_cut=reaches_ceiling(upper, estimate.sex)),
        *(
            _bone_age(v.BONE_AGE_BY_SEX[sex], months, sex)
            for sex, months in (estimate.by_sex or {}).items()
        ),
        *_subject_age(finding.chronological_age_months),
        *([] if growth is None else _growth(growth)),
        *([] if finding.velocity is None else _velocity(finding.velocity)),
        *_sex_probability(estimate),
    ]


def _sex_probability(estimate: Estimate) -> list[Measurement]:
    """Return the probability of the sex seen, where these weights can tell it."""
    if not sees_sex(estimate):
        return []
    return [Measurement(v.SEX_PROBABILITY, round(estimate.sex_probability, 3), v.NO_UNITS)]


def _bone_age(name: Code, months: float, sex: str) -> Measurement:
    """Return a bone age; at the end of the atlas its number is qualified, never bare."""
    return _months(name, months, method=v.GREULICH_PYLE, is_cut=is_at_ceiling(months, sex))


def _months(
    name: Code, months: float, *, method: Code | None = None, is_cut: bool = False
) -> Measurement:
    """Return a number of months, to the tenth."""
    qualifier = v.OUT_OF_RANGE if is_cut else None
    return Measurement(name, round(months, 1), v.MONTH, qualifier=qualifier, method=method)


def _subject_age(age_months: float | None) -> list[Measurement]:
    """Return the chronological age where it is known."""
    return [] if age_months is None else [_months(v.SUBJECT_AGE, age_months)]


def _growth(growth: Growth) -> list[Measurement]:
    """Return the population and the z-score, whose convention is its method."""
    return [
        Measurement(v.POPULATION_MEAN, round(growth.mean_months, 2), v.MONTH),
        Measurement(v.POPULATION_SD, round(growth.sd_months, 2), v.MONTH),
        Measurement(v.Z_SCORE, round(growth.z_score, 2), v.NO_UNITS, method=v.Z_CONVENTION),
    ]


def _velocity(velocity: Velocity) -> list[Measurement]:
    """Return the growth velocity and its 90 % interval."""
    lower, upper = velocity.interval
    return [
        Measurement(name, round(value, 2), v.YEARS_PER_YEAR)
        for name, value in (
            (v.GROWTH_VELOCITY, velocity.years_per_year),
            (v.VELOCITY_LOWER, lower),
            (v.VELOCITY_UPPER, upper),
        )
    ]


def _evaluations(finding: Finding) -> list[QualitativeEvaluation]:
    """Return the coded statements on the image. What has a finding has passed the gate."""
    quality = QualitativeEvaluation(v.QUALITY, v.QUALITY_MET)
    if not sees_sex(finding.estimate):
        return [quality]
    return [QualitativeEvaluation(v.SEX_SEEN, v.SEX[finding.estimate.sex_seen]), quality]


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
