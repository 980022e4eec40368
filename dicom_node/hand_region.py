"""The box round the hand in a report: a planar region (TID 1410), which viewers draw.

It holds no measurement: those of the hand stand once, in the group of TID 1501 beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom.sr import (
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    SourceImageForRegion,
    TrackingIdentifier,
)

from dicom_node import vocabulary as v
from dicom_node.identity import region_uid
from dicom_node.report_text import title

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from dicom_node.finding import Finding
    from dicom_node.hand_box import HandBox


def hand_region(
    source: Dataset, finding: Finding, hand_box: HandBox
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """Return the box as a closed polyline on the source (PS3.3 C.18.6)."""
    region = ImageRegion(
        GraphicTypeValues.POLYLINE,
        hand_box.outline(),
        SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID),
    )
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=region_uid(source.StudyInstanceUID, finding.laterality), identifier=title(finding)
        ),
        referenced_region=region,
        finding_sites=[hand_site(finding)],
        geometric_purpose=v.BOUNDED_BY,
    )


def hand_site(finding: Finding) -> FindingSite:
    """Return the hand, with its side where that is known."""
    side = finding.laterality
    return FindingSite(v.HAND, laterality=None if side is None else v.LATERALITY[side])
