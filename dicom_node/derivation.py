"""What every object made from a radiograph says of it, and of the results that it replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.dataset import Dataset

from dicom_node import vocabulary as v
from dicom_node.source_header import without_identity

if TYPE_CHECKING:
    from dicom_node.identity import ReferencedInstance


def reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """Return a reference to an instance (PS3.3 table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def source_reference(header: Dataset) -> Dataset:
    """Return the reference to the radiograph that was processed (PS3.3 C.12.4)."""
    item = reference(header.SOPClassUID, header.SOPInstanceUID)
    item.PurposeOfReferenceCodeSequence = [v.code_item(v.SOURCE_OF_PROCESSING)]
    return item


def predecessor_reference(old: ReferencedInstance) -> Dataset:
    """Return the reference to a result that this one replaces."""
    item = reference(old.sop_class_uid, old.sop_instance_uid)
    item.PurposeOfReferenceCodeSequence = [v.code_item(v.PREDECESSOR)]
    return item


def predecessor_document(old: ReferencedInstance) -> Dataset:
    """Return the study, series and instance of a document that this one replaces (C.17.2)."""
    series = Dataset()
    series.SeriesInstanceUID = old.series_instance_uid
    series.ReferencedSOPSequence = [reference(old.sop_class_uid, old.sop_instance_uid)]
    study = Dataset()
    study.StudyInstanceUID = old.study_instance_uid
    study.ReferencedSeriesSequence = [series]
    return study


def as_dataset(instance: ReferencedInstance) -> Dataset:
    """Return a reference in the form that highdicom takes."""
    dataset = Dataset()
    dataset.SOPClassUID = instance.sop_class_uid
    dataset.SOPInstanceUID = instance.sop_instance_uid
    dataset.SeriesInstanceUID = instance.series_instance_uid
    dataset.StudyInstanceUID = instance.study_instance_uid
    return dataset


def sized_image(header: Dataset) -> Dataset:
    """Return a completed header as highdicom takes an image, without anything that names anyone.

    Raises
    ------
    AttributeError
        If it lacks Rows or Columns.
    """
    image = without_identity(header)
    for keyword in ("Rows", "Columns"):
        if not image.get(keyword):
            msg = f"the source has no {keyword}"
            raise AttributeError(msg)
    return image


def burned_in(header: Dataset, *, is_named: bool) -> str:
    """Return BurnedInAnnotation of a page that shows the radiograph, "YES" or "NO".

    What is burnt into the radiograph is burnt into the page.

    Parameters
    ----------
    header : Dataset
        Of the radiograph.
    is_named : bool
        Whether the page names the patient.
    """
    return "YES" if is_named or header.get("BurnedInAnnotation") == "YES" else "NO"


def write_compression(result: Dataset, header: Dataset) -> None:
    """Write that the radiograph was once compressed with loss, where it was (PS3.3 C.7.6.1.1.5)."""
    for keyword in (
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
    ):
        if header.get("LossyImageCompression") == "01" and keyword in header:
            result.add(header[keyword])


def spacing_mm(header: Dataset) -> tuple[float, float] | None:
    """Return from row to row and from column to column on the detector, None where unknown.

    A careless modality writes 0 for what it does not know.
    """
    spacing = list(header.get("ImagerPixelSpacing") or header.get("PixelSpacing") or [])
    # An empty value is text, which no number is compared with.
    if len(spacing) != 2 or not all(spacing) or min(spacing) <= 0:  # noqa: PLR2004 - rows, columns
        return None
    return spacing[0], spacing[1]
