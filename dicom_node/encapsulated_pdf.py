"""The report page as a PDF in the study of its source, for readers that open documents.

Encapsulated PDF Storage (PS3.3 A.45.1). The page is the one of the secondary capture.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from dicom_node import vocabulary as v
from dicom_node.derivation import burned_in, predecessor_document, source_reference
from dicom_node.identity import stamp
from dicom_node.source_header import complete_header, local_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import numpy.typing as npt

    from dicom_node.finding import Finding
    from dicom_node.identity import ReferencedInstance, ResultIdentity

LONG_SIDE_INCHES: Final = 10.0
"""Of the page: it fits A4 and US Letter, upright or across."""

JPEG_QUALITY: Final = 92
"""The page goes into the PDF as a JPEG; at this quality, with full colour, type stays clean."""


def build_encapsulated_pdf(  # noqa: PLR0913 - one object, from all that it is made of
    source: Dataset,
    page: npt.NDArray[np.uint8],
    finding: Finding,
    identity: ResultIdentity,
    *,
    predecessors: Sequence[ReferencedInstance] = (),
    is_named: bool = False,
) -> Dataset:
    """Return the page of one finding as an encapsulated PDF, ready to be written or sent.

    Parameters
    ----------
    source : Dataset
        The radiograph; its header may be incomplete, its pixel data absent.
    page : ndarray of uint8
        (rows, columns, 3), of `report_page.draw_page`.
    finding : Finding
        What is drawn.
    identity : ResultIdentity
        UIDs, numbers and equipment.
    predecessors : sequence of ReferencedInstance
        The documents that this one replaces (PS3.3 C.24.2, PredecessorDocumentsSequence).
    is_named : bool
        Whether the page names the patient.

    Raises
    ------
    AttributeError
        If the source lacks a type 1 UID.
    ValueError
        If the page is no RGB image, or is empty.
    """
    header = complete_header(source)
    moment = local_time(header, finding.started_at)
    document = _file(identity)
    stamp(document, header, identity, moment)
    _describe_series(document, identity)
    _describe_document(document, header, finding, moment)
    document.BurnedInAnnotation = burned_in(header, is_named=is_named)
    if predecessors:
        document.PredecessorDocumentsSequence = [predecessor_document(old) for old in predecessors]
    _encapsulate(document, page_as_pdf(page, moment))
    return document


def page_as_pdf(page: npt.NDArray[np.uint8], moment: datetime) -> bytes:
    """Return a PDF of one page; the same page and moment make the same bytes.

    Raises
    ------
    ValueError
        If the page is no RGB image, or is empty.
    """
    if page.ndim != 3 or page.shape[2] != 3 or 0 in page.shape:  # noqa: PLR2004 - colours
        msg = f"a page has rows, columns and three colours, not the shape {page.shape}"
        raise ValueError(msg)
    written, at = BytesIO(), moment.utctimetuple()
    Image.fromarray(page).save(
        written,
        "PDF",
        resolution=max(page.shape) / LONG_SIDE_INCHES,
        quality=JPEG_QUALITY,
        subsampling=0,
        title=v.PDF_TITLE,
        creator=v.MANUFACTURER,
        creationDate=at,
        modDate=at,
    )
    return written.getvalue()


def _file(identity: ResultIdentity) -> FileDataset:
    """Return an empty document with its identity and file meta information."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = EncapsulatedPDFStorage
    meta.MediaStorageSOPInstanceUID = UID(identity.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = UID(identity.sop_instance_uid)
    return document


def _describe_series(document: Dataset, identity: ResultIdentity) -> None:
    """Write the series and how the page was made (PS3.3 C.24.1, C.8.6.1)."""
    document.Modality = "DOC"
    document.SeriesInstanceUID = identity.series_instance_uid
    document.SeriesNumber = identity.series_number
    document.InstanceNumber = identity.instance_number
    document.SeriesDescription = v.PDF_SERIES_DESCRIPTION
    document.ConversionType = "WSD"


def _describe_document(
    document: Dataset, header: Dataset, finding: Finding, moment: datetime
) -> None:
    """Write what the document is and what it was made from (PS3.3 C.24.2)."""
    document.ContentDate, document.ContentTime = DA(moment.date()), TM(moment.time())
    document.AcquisitionDateTime = ""
    if finding.laterality is not None:
        document.ImageLaterality = finding.laterality
    document.DocumentTitle = v.PDF_TITLE
    document.ConceptNameCodeSequence = [v.code_item(v.BONE_AGE_DOCUMENT)]
    document.VerificationFlag = "UNVERIFIED"
    document.SourceInstanceSequence = [source_reference(header)]


def _encapsulate(document: Dataset, pdf: bytes) -> None:
    """Write the PDF, its kind and its length without padding (PS3.3 C.24.2)."""
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(pdf)
    document.EncapsulatedDocument = pdf + bytes(len(pdf) % 2)
