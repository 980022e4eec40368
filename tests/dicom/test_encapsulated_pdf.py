"""The encapsulated PDF, read back and put before the validators that others use."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import EncapsulatedPDFStorage

from dicom_node import vocabulary as v
from dicom_node.encapsulated_pdf import build_encapsulated_pdf, page_as_pdf
from dicom_node.identity import ReferencedInstance
from dicom_node.report_page import draw_page
from tests.samples import (
    INSTANCE,
    STARTED,
    STUDY,
    a_dx_source,
    a_finding,
    a_source,
    an_identity,
    written,
)
from tests.validators import dcentvfy, dciodvfy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("strict_writing")

PAGE = draw_page(np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30), a_finding())
OLD = ReferencedInstance(
    sop_class_uid=EncapsulatedPDFStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)


def a_document(source: Dataset | None = None) -> Dataset:
    """Return the document of an ordinary finding."""
    return build_encapsulated_pdf(source or a_source(), PAGE, a_finding(), an_identity())


def test_it_is_a_document_in_the_study_of_the_source(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(a_document(), tmp_path / "pdf.dcm"))

    assert read.SOPClassUID == EncapsulatedPDFStorage
    assert (read.Modality, read.StudyInstanceUID) == ("DOC", STUDY)
    assert read.PatientName == "Doe^Jane"
    assert read.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert read.ConceptNameCodeSequence[0].CodeValue == "37362-1"
    assert "research use only" in read.DocumentTitle
    assert "research use only" in read.SeriesDescription
    assert read.SourceInstanceSequence[0].ReferencedSOPInstanceUID == INSTANCE
    assert read.ContributingEquipmentSequence[-1].Manufacturer == v.MANUFACTURER


def test_the_pdf_is_the_page(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(a_document(), tmp_path / "pdf.dcm"))
    pdf = read.EncapsulatedDocument[: read.EncapsulatedDocumentLength]

    assert len(read.EncapsulatedDocument) % 2 == 0
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    jpeg = pdf[pdf.index(b"\xff\xd8") : pdf.rindex(b"\xff\xd9") + 2]
    shown = np.asarray(Image.open(io.BytesIO(jpeg)), dtype=np.float64)
    assert shown.shape == PAGE.shape
    assert np.abs(shown - PAGE).mean() < 2


@pytest.mark.parametrize(("burnt_in", "copied"), [("YES", "YES"), ("NO", "NO"), (None, "NO")])
def test_nothing_is_burnt_in_but_what_the_source_has(burnt_in: str | None, copied: str) -> None:
    source = a_source() if burnt_in is None else a_source(BurnedInAnnotation=burnt_in)

    assert a_document(source).BurnedInAnnotation == copied


SOURCES: dict[str, Callable[[], Dataset]] = {
    "whole CR": a_source,
    "DX": a_dx_source,
    "nothing of type 2": lambda: a_source(
        leave_out=(
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"),
            *("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "Manufacturer"),
            *("PatientOrientation", "SpecificCharacterSet", "Laterality"),
        )
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_document_of_any_source_is_valid(name: str, tmp_path: Path) -> None:
    assert dciodvfy(written(a_document(SOURCES[name]()), tmp_path / "pdf.dcm")) == []


def test_a_rerun_names_the_document_it_replaces(tmp_path: Path) -> None:
    document = build_encapsulated_pdf(
        a_source(), PAGE, a_finding(), an_identity(), predecessors=[OLD]
    )

    assert dciodvfy(written(document, tmp_path / "pdf.dcm")) == []
    (study,) = document.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == STUDY
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == OLD.sop_instance_uid


def test_document_and_source_are_one_study(tmp_path: Path) -> None:
    source = a_source()
    paths = [
        written(dataset, tmp_path / f"{number}.dcm")
        for number, dataset in enumerate((source, a_document(source)))
    ]

    assert dcentvfy(*paths) == []


def test_the_same_page_and_moment_make_the_same_bytes() -> None:
    assert page_as_pdf(PAGE, STARTED) == page_as_pdf(PAGE, STARTED)
    assert page_as_pdf(PAGE, STARTED) != page_as_pdf(PAGE, STARTED + timedelta(hours=1))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_page_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="three colours"):
        page_as_pdf(np.zeros(shape, dtype=np.uint8), STARTED)
