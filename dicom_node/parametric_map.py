"""The heatmap as numbers: a Parametric Map beside the page that shows it in colours.

The IOD (PS3.3 A.75) makes a frame of reference, plane position and orientation mandatory, which a
projection radiograph has not. So each source gets a frame of its own, in the plane of its
detector: the origin is the centre of its first pixel, x runs along its rows and y down its
columns, in millimetres. Nothing else lies in that frame, PositionReferenceIndicator is empty, and
no direction in it is one of the patient's body; claiming the frame of any other object, or a
patient orientation, would invent what nobody measured. Where the detector's spacing is unknown one
pixel of the source counts as 1 mm, which the object says.

The map covers the whole source. Its grid is smaller, since the network's is smaller still: a
position (column, row) in the map, both from 0 at the frame's corner, is (column C/c, row R/r) in
the source of C columns and R rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from highdicom import (
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
    VOILUTTransformation,
)
from highdicom.pm import ImageFlavorValues, ParametricMap, RealWorldValueMapping
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node import vocabulary as v
from dicom_node.derivation import (
    predecessor_reference,
    sized_image,
    source_reference,
    spacing_mm,
)
from dicom_node.identity import stamp
from dicom_node.source_header import complete_header, local_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from dicom_node.finding import Finding
    from dicom_node.identity import ReferencedInstance, ResultIdentity

LONG_SIDE_PX: Final = 512
"""Of the map, at most: many times the network's own grid, and a megabyte at most."""

PATIENT: Final = "PATIENT"
"""highdicom's name for a coordinate system in millimetres."""

NOMINAL_SPACING_MM: Final = (1.0, 1.0)

AXES: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Along the rows, and down the columns, of the source."""


def build_parametric_map(
    source: Dataset,
    finding: Finding,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
) -> Dataset:
    """Return the heatmap of one finding as a parametric map, ready to be written or sent.

    Values are 32-bit floating point in [0, 1], the peak being 1, without a unit.

    Parameters
    ----------
    source : Dataset
        The radiograph; its header may be incomplete, its pixel data absent.
    finding : Finding
        The estimate's heatmap covers the whole source.
    identity : ResultIdentity
        UIDs, numbers and equipment.
    predecessors : sequence of ReferencedInstance
        The maps that this one replaces.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID, or its size.
    ValueError
        If the estimate has no heatmap.
    """
    header = complete_header(source)
    moment = local_time(header, finding.started_at)
    image = _image(header)
    values = _resampled(finding.estimate.heatmap, image.Rows, image.Columns)
    measures, position = _geometry(image, values.shape)
    parametric_map = ParametricMap(
        source_images=[image],
        pixel_array=values,
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=identity.manufacturer,
        manufacturer_model_name=identity.model_name,
        software_versions=identity.software_version,
        device_serial_number=identity.weights_version,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping()],
        voi_lut_transformations=[
            VOILUTTransformation(0.5, 1.0, voi_lut_function="LINEAR_EXACT"),
        ],
        pixel_measures=measures,
        plane_orientation=PlaneOrientationSequence(PATIENT, AXES),
        plane_positions=[position],
        image_flavor=ImageFlavorValues.STATIC,
        content_label="HEATMAP",
        content_description=v.MAP_SERIES_DESCRIPTION,
        series_description=v.MAP_SERIES_DESCRIPTION,
        content_date=moment.date(),
        content_time=moment.time(),
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    stamp(parametric_map, header, identity, moment)
    _describe_image(parametric_map, header, finding)
    _describe_derivation(parametric_map, header)
    _name_dimensions(parametric_map)
    if predecessors:
        parametric_map.ReferencedInstanceSequence = [
            predecessor_reference(old) for old in predecessors
        ]
    return parametric_map


def _image(header: Dataset) -> Dataset:
    """Return the source as it lies in its own frame, without anything that names anyone."""
    image = sized_image(header)
    image.FrameOfReferenceUID = v.derived_uid("frame of reference", header.SOPInstanceUID)
    image.PositionReferenceIndicator = ""
    image.ImagePositionPatient = [0.0, 0.0, 0.0]
    image.ImageOrientationPatient = list(AXES)
    image.PixelSpacing = list(spacing_mm(header) or NOMINAL_SPACING_MM)
    image.SliceThickness = None  # a projection has none; highdicom asks for it
    return image


def _geometry(
    image: Dataset, shape: tuple[int, ...]
) -> tuple[PixelMeasuresSequence, PlanePositionSequence]:
    """Return spacing and first pixel centre of a grid over the whole source."""
    source_mm = [float(mm) for mm in image.PixelSpacing]
    sides = zip(source_mm, (image.Rows, image.Columns), shape, strict=True)
    row_mm, column_mm = (mm * source / own for mm, source, own in sides)
    origin = ((column_mm - source_mm[1]) / 2, (row_mm - source_mm[0]) / 2, 0.0)
    measures = PixelMeasuresSequence((row_mm, column_mm), slice_thickness=None)
    return measures, PlanePositionSequence(PATIENT, origin)


def _mapping() -> RealWorldValueMapping:
    """Return what the values are: themselves, a weight without a unit."""
    return RealWorldValueMapping(
        lut_label="HEATMAP",
        lut_explanation="Share of the heatmap's peak",
        unit=v.NO_UNITS,
        value_range=(0.0, 1.0),
        quantity_definition=v.GRADIENT_CLASS_ACTIVATION,
    )


def _resampled(
    heatmap: npt.NDArray[np.floating], rows: int, columns: int
) -> npt.NDArray[np.float32]:
    """Return the heatmap on a grid of the source's shape, bilinear: values stay in [0, 1]."""
    if heatmap.size == 0:
        msg = "the estimate has no heatmap"
        raise ValueError(msg)
    scale = min(1.0, LONG_SIDE_PX / max(rows, columns))
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    image = Image.fromarray(np.ascontiguousarray(heatmap, dtype=np.float32))
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return np.clip(np.asarray(resized, dtype=np.float32), 0.0, 1.0)


def _describe_image(parametric_map: Dataset, header: Dataset, finding: Finding) -> None:
    """Write what the map is of, and whether its millimetres are real (PS3.3 C.7.3.1, C.7.6.1)."""
    parametric_map.BodyPartExamined = "HAND"
    parametric_map.Laterality = finding.laterality or ""
    comments = ["Own frame of reference, in the plane of the detector."]
    if spacing_mm(header) is None:
        comments.append("Detector spacing unknown: 1 pixel of the source counts as 1 mm.")
    parametric_map.ImageComments = " ".join([*comments, v.RESEARCH_USE])


def _describe_derivation(parametric_map: Dataset, header: Dataset) -> None:
    """Write what the map was made from (PS3.3 C.7.6.16.2.6), and no more than is known."""
    source = source_reference(header)
    source.SpatialLocationsPreserved = "YES"
    item = Dataset()
    item.DerivationDescription = f"Heatmap of {v.ALGORITHM_NAME} over the whole source, bilinear"
    item.DerivationCodeSequence = [v.code_item(v.VISUAL_EXPLANATION)]
    item.SourceImageSequence = [source]
    (shared,) = parametric_map.SharedFunctionalGroupsSequence
    (frame,) = parametric_map.PerFrameFunctionalGroupsSequence
    shared.DerivationImageSequence = [item]
    frame.pop("DerivationImageSequence", None)  # highdicom's, which names no method
    shared.PixelMeasuresSequence[0].pop("SpacingBetweenSlices", None)  # there are no slices


def _name_dimensions(parametric_map: Dataset) -> None:
    """Give the dimensions a UID of this object's: highdicom makes a new one each time."""
    uid = v.derived_uid("dimensions", parametric_map.SOPInstanceUID)
    for sequence in (
        parametric_map.DimensionOrganizationSequence,
        parametric_map.DimensionIndexSequence,
    ):
        for item in sequence:
            item.DimensionOrganizationUID = uid
