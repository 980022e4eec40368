"""The presentation state: how to show the source with a box round the hand and the answer.

A Grayscale Softcopy Presentation State (PS3.3 A.33.1) changes no pixel and can be switched off. It
replaces what the image's own header says of gray levels (PS3.4 N.2), so it repeats that: modality
LUT, VOI LUT and polarity, as far as they can be followed. The IOD has no place for a predecessor: a
rejection note names a presentation state that was replaced.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextJustificationValues,
    TextObject,
)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM, DSfloat

from dicom_node import vocabulary as v
from dicom_node.derivation import sized_image, spacing_mm
from dicom_node.header import text
from dicom_node.identity import stamp, tracking_uid
from dicom_node.pixels import LookUpTable, header_number, is_inverse, look_up_table
from dicom_node.report_text import headline, title
from dicom_node.source_header import complete_header, local_time
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from dicom_node.finding import Finding
    from dicom_node.hand_box import HandBox
    from dicom_node.identity import ResultIdentity
    from dicom_node.words import Words

LAYER: Final = "BONE AGE"
"""Name of the graphic layer, and label of the presentation state (VR CS)."""

FREE_FUNCTIONS: Final = frozenset({"LINEAR_EXACT", "SIGMOID"})
"""VOI LUT functions that are not the default, LINEAR."""

LEAST_TEXT: Final = 1 / 12
"""Share of the frame's height that the words need; less beside the box, and they go over it."""


def build_presentation_state(
    source: Dataset,
    finding: Finding,
    identity: ResultIdentity,
    *,
    hand_box: HandBox,
    words: Words = ENGLISH,
) -> Dataset:
    """Return the presentation state of one finding, ready to be written or sent.

    Parameters
    ----------
    source : Dataset
        The radiograph; its header may be incomplete, its pixel data absent.
    finding : Finding
        What is written beside the box.
    identity : ResultIdentity
        UIDs, numbers and equipment.
    hand_box : HandBox
        In pixels of the source.
    words : Words
        The language.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID, or its size.
    ValueError
        If the source is a colour image, or the box reaches beyond it.
    """
    header = complete_header(source)
    moment = local_time(header, finding.started_at)
    image = _image(source, header)
    layer = GraphicLayer(LAYER, order=1, description=title(finding))
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=identity.manufacturer,
        manufacturer_model_name=identity.model_name,
        software_versions=identity.software_version,
        device_serial_number=identity.weights_version,
        content_label=LAYER,
        content_description=v.PR_SERIES_DESCRIPTION,
        graphic_layers=[layer],
        graphic_annotations=[_annotation(image, layer, finding, hand_box, words)],
        series_description=v.PR_SERIES_DESCRIPTION,
        specific_character_set="ISO_IR 192",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    stamp(state, header, identity, moment)
    state.PresentationCreationDate = DA(moment.date())
    state.PresentationCreationTime = TM(moment.time())
    _write_gray_levels(state, source)
    _write_spacing(state, header)
    state.BodyPartExamined = "HAND"
    state.Laterality = finding.laterality or ""
    return state


def _image(source: Dataset, header: Dataset) -> Dataset:
    """Return what highdicom asks of the image, without anything that names anyone."""
    image = sized_image(header)
    image.SamplesPerPixel = 1
    if header_number(source, "SamplesPerPixel") not in {None, 1}:
        msg = "a grayscale presentation state cannot refer to a colour image"
        raise ValueError(msg)
    return image


def _annotation(
    image: Dataset, layer: GraphicLayer, finding: Finding, hand_box: HandBox, words: Words
) -> GraphicAnnotation:
    """Return the box and the words (PS3.3 C.10.5)."""
    name, uid = title(finding), tracking_uid(image.StudyInstanceUID, finding.laterality)
    box = GraphicObject(
        GraphicTypeValues.POLYLINE,
        hand_box.outline(),
        AnnotationUnitsValues.PIXEL,
        tracking_id=name,
        tracking_uid=uid,
    )
    lines = title(finding, words), headline(finding, words), words("research_use")
    text_object = TextObject(
        "\r\n".join(lines),
        AnnotationUnitsValues.PIXEL,
        bounding_box=_place(hand_box, image.Rows, image.Columns),
        text_justification=TextJustificationValues.LEFT,
        tracking_id=name,
        tracking_uid=uid,
    )
    return GraphicAnnotation(
        referenced_images=[image],
        graphic_layer=layer,
        graphic_objects=[box],
        text_objects=[text_object],
    )


def _place(hand_box: HandBox, rows: int, columns: int) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the words: above or below the box, where more is free.

    Where the hand fills the frame they lie over its top: the forearm is bright, fingers are not.
    """
    least = rows * LEAST_TEXT
    if rows - hand_box.bottom > max(hand_box.top, least):
        return 0.0, hand_box.bottom, float(columns), float(rows)
    return 0.0, 0.0, float(columns), max(hand_box.top, least)


def _write_gray_levels(state: Dataset, source: Dataset) -> None:
    """Write modality LUT, VOI LUT and polarity of the source (PS3.3 C.11.1, C.11.6, C.11.8)."""
    state.update(_modality_lut(source))
    voi = _voi_lut(source)
    if voi:
        state.SoftcopyVOILUTSequence = [voi]
    # The photometric interpretation has no say in a presentation state (PS3.4 N.2.4).
    state.PresentationLUTShape = "INVERSE" if is_inverse(source, []) else "IDENTITY"


def _modality_lut(source: Dataset) -> Dataset:
    """Return the modality LUT or the rescaling of the source; empty where it has neither."""
    module = Dataset()
    table = look_up_table(source, "ModalityLUTSequence", [])
    slope = header_number(source, "RescaleSlope")
    intercept = header_number(source, "RescaleIntercept")
    if table is not None:
        module.ModalityLUTSequence = [_lut_item(table)]
        module.ModalityLUTSequence[0].ModalityLUTType = "US"
    elif slope or intercept:
        module.RescaleSlope = DSfloat(slope or 1, auto_format=True)
        module.RescaleIntercept = DSfloat(intercept or 0, auto_format=True)
        module.RescaleType = "US"
    return module


def _voi_lut(source: Dataset) -> Dataset:
    """Return the first VOI LUT, else the first window, as an item; empty where there is none."""
    item = Dataset()
    table = look_up_table(source, "VOILUTSequence", [])
    if table is not None:
        item.VOILUTSequence = [_lut_item(table)]
        return item
    center, width = header_number(source, "WindowCenter"), header_number(source, "WindowWidth")
    function = text(source, "VOILUTFunction").upper()
    # A linear window is at least 1 wide (PS3.3 C.11.2.1.2.1).
    if center is None or width is None or width <= (0 if function in FREE_FUNCTIONS else 1):
        return item
    item.WindowCenter = DSfloat(center, auto_format=True)
    item.WindowWidth = DSfloat(width, auto_format=True)
    if function in FREE_FUNCTIONS:
        item.VOILUTFunction = function
    return item


def _lut_item(table: LookUpTable) -> Dataset:
    """Return a look-up table as it was understood, its entries words of 16 bits."""
    item = Dataset()
    bits = int(table.top).bit_length()
    first_vr = "SS" if table.first < 0 else "US"
    item.add_new("LUTDescriptor", first_vr, [table.entries.size % 0x10000, table.first, bits])
    item.add_new("LUTData", "OW", table.entries.astype("<u2").tobytes())
    return item


def _write_spacing(state: Dataset, header: Dataset) -> None:
    """Write the spacing where it is known, so that pixels that are not square are shown so."""
    spacing = spacing_mm(header)
    if spacing is not None:
        (area,) = state.DisplayedAreaSelectionSequence
        del area.PresentationPixelAspectRatio
        area.PresentationPixelSpacing = [DSfloat(mm, auto_format=True) for mm in spacing]
