"""The image library of a report (TID 1600): the radiograph measured, and its descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
)

from dicom_node import vocabulary as v
from dicom_node.derivation import spacing_mm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

CONTAINS: Final = RelationshipTypeValues.CONTAINS
ACQUISITION: Final = RelationshipTypeValues.HAS_ACQ_CONTEXT


def image_library(source: Dataset) -> ContainerContentItem:
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
    spacing = spacing_mm(image) or ()
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
