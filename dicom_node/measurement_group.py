"""The measurement group of a report: all that is said of one hand, or why nothing is.

TID 1410 with a place in the image, TID 1501 without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code

from dicom_node import vocabulary as v
from dicom_node.hand_box import HandBox
from dicom_node.identity import tracking_uid
from dicom_node.report_text import SIDES, sees_sex, title
from dicom_node.words import ENGLISH
from models.atlas import is_at_ceiling, reaches_ceiling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from dicom_node.finding import Finding, Refusal
    from dicom_node.growth import Growth, Velocity
    from dicom_node.identity import ResultIdentity
    from models.estimate import Estimate

MeasurementGroup: TypeAlias = (
    MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations
)


def measurement_group(
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
            relationship_type=RelationshipTypeValues.CONTAINS,
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


def refusal_group(source: Dataset, refusal: Refusal, identity: ResultIdentity) -> MeasurementGroup:
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
