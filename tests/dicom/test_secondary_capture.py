"""The secondary capture, read back and put before the validators that others use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node import vocabulary as v
from dicom_node.header import read_header
from dicom_node.identity import ReferencedInstance
from dicom_node.secondary_capture import build_secondary_capture
from dicom_node.structured_report import build_structured_report
from tests.samples import (
    INSTANCE,
    STUDY,
    TYPE_2,
    UNKNOWN,
    a_dx_source,
    a_finding,
    a_source,
    an_identity,
    read_back,
    written,
)
from tests.validators import dcentvfy, dciodvfy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

    from dicom_node.finding import Finding

pytestmark = pytest.mark.usefixtures("strict_writing")

PICTURE = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30)
OLD = ReferencedInstance(
    sop_class_uid=SecondaryCaptureImageStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)


def a_capture(source: Dataset | None = None, finding: Finding | None = None) -> Dataset:
    """Return the capture of a finding in a source, both ordinary where they are not given."""
    return build_secondary_capture(
        source or a_source(), PICTURE, finding or a_finding(), an_identity()
    )


def code_of(sequence: pydicom.Sequence) -> tuple[str, str]:
    """Return value and scheme of the only code of a sequence."""
    (item,) = sequence
    return item.CodeValue, item.CodingSchemeDesignator


def test_it_is_an_rgb_secondary_capture_in_the_study_of_the_source(tmp_path: Path) -> None:
    identity = an_identity(series_number=77, instance_number=3)
    capture = build_secondary_capture(a_source(), PICTURE, a_finding(), identity)

    read = pydicom.dcmread(written(capture, tmp_path / "sc.dcm"))

    assert read.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert read.SOPClassUID == SecondaryCaptureImageStorage
    assert read.SOPInstanceUID == identity.sop_instance_uid
    assert read.SeriesInstanceUID == identity.series_instance_uid
    assert (read.SeriesNumber, read.InstanceNumber) == (77, 3)
    assert read.StudyInstanceUID == STUDY
    assert read.StudyDescription == "XR hand"
    assert read.PatientName == "Doe^Jane"
    assert read.Modality == "OT"
    assert read.ImageType == ["DERIVED", "SECONDARY"]
    assert read.SeriesDescription == v.SC_SERIES_DESCRIPTION
    assert len(read.SeriesDescription) <= 64
    assert "PixelSpacing" not in read


def test_the_pixels_are_the_page(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(a_capture(), tmp_path / "sc.dcm"))

    assert read.PhotometricInterpretation == "RGB"
    assert read.pixel_array.shape == (read.Rows, read.Columns, 3)
    assert max(read.Rows, read.Columns) >= 1024
    assert read.pixel_array.std() > 0


def test_it_says_what_it_was_made_from() -> None:
    capture = a_capture()

    (source,) = capture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == INSTANCE
    assert code_of(source.PurposeOfReferenceCodeSequence) == ("121322", "DCM")
    assert code_of(capture.DerivationCodeSequence) == ("130401", "DCM")
    assert v.RESEARCH_USE in capture.DerivationDescription
    assert "ReferencedInstanceSequence" not in capture


def test_the_algorithm_is_contributing_equipment() -> None:
    identity = an_identity()
    capture = build_secondary_capture(a_source(), PICTURE, a_finding(), identity)

    algorithm = capture.ContributingEquipmentSequence[-1]
    assert code_of(algorithm.PurposeOfReferenceCodeSequence) == ("Newcode1", "99IHE")
    assert algorithm.DeviceUID == identity.device_uid
    assert capture.Manufacturer == v.MANUFACTURER


def test_a_rerun_names_the_capture_it_replaces() -> None:
    capture = build_secondary_capture(
        a_source(), PICTURE, a_finding(), an_identity(), predecessors=[OLD]
    )

    (old,) = capture.ReferencedInstanceSequence
    assert old.ReferencedSOPInstanceUID == OLD.sop_instance_uid
    assert code_of(old.PurposeOfReferenceCodeSequence) == ("PREDECESSOR", "99BONEAGE")


@pytest.mark.parametrize(("burnt_in", "copied"), [("YES", "YES"), ("NO", "NO"), (None, "NO")])
def test_nothing_is_burnt_in_but_what_the_source_has(burnt_in: str | None, copied: str) -> None:
    source = a_source() if burnt_in is None else a_source(BurnedInAnnotation=burnt_in)

    assert a_capture(source).BurnedInAnnotation == copied


def test_a_page_names_the_patient_only_when_asked_to(tmp_path: Path) -> None:
    jane, roe = a_source(), a_source(PatientName="Roe^John", PatientID="P2", StudyDate="20260102")

    named, unnamed, other = (
        build_secondary_capture(source, PICTURE, a_finding(), an_identity(), is_named=is_named)
        for source, is_named in ((jane, True), (jane, False), (roe, False))
    )

    assert named.BurnedInAnnotation == "YES"
    assert unnamed.BurnedInAnnotation == "NO"
    assert named.PixelData != unnamed.PixelData
    assert unnamed.PixelData == other.PixelData
    assert dciodvfy(written(named, tmp_path / "sc.dcm")) == []


def test_with_nothing_to_name_nothing_is_burnt_in() -> None:
    source = a_source(leave_out=("PatientName", "PatientID", "StudyDate"))

    capture = build_secondary_capture(source, PICTURE, a_finding(), an_identity(), is_named=True)

    assert capture.BurnedInAnnotation == "NO"


def test_lossy_once_is_lossy_for_ever() -> None:
    source = a_source(LossyImageCompression="01", LossyImageCompressionRatio="12.5")

    capture = a_capture(source)

    assert capture.LossyImageCompression == "01"
    assert capture.LossyImageCompressionRatio == 12.5
    assert "LossyImageCompression" not in a_capture(a_source(LossyImageCompression="00"))


@pytest.mark.parametrize("side", ["L", "R", None])
def test_the_side_is_that_of_the_finding(side: str | None) -> None:
    finding = a_finding(laterality=side)  # type: ignore[arg-type]

    # Type 2C for a paired body part: empty where nobody recorded it.
    assert a_capture(finding=finding).Laterality == (side or "")


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    identity = an_identity()
    first, second = (
        written(
            build_secondary_capture(a_source(), PICTURE, a_finding(), identity),
            tmp_path / f"{n}.dcm",
        ).read_bytes()
        for n in (1, 2)
    )

    assert first == second


SOURCES: dict[str, Callable[[], Dataset]] = {
    "whole CR": a_source,
    "DX": a_dx_source,
    "nothing of type 2": lambda: a_source(
        leave_out=(
            *TYPE_2,
            "ImagerPixelSpacing",
            "Laterality",
            "SpecificCharacterSet",
        )
    ),
    "sex U, odd orientation": lambda: a_source(PatientSex="U", PatientOrientation=["L", "FP"]),
    "one name only": lambda: a_source(PatientName="Anonymous"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_capture_of_any_source_is_valid(name: str, tmp_path: Path) -> None:
    assert dciodvfy(written(a_capture(SOURCES[name]()), tmp_path / "sc.dcm")) == []


@pytest.mark.parametrize("finding", [a_finding(**UNKNOWN), a_finding(laterality=None)])
def test_a_capture_of_any_finding_is_valid(finding: Finding, tmp_path: Path) -> None:
    assert dciodvfy(written(a_capture(finding=finding), tmp_path / "sc.dcm")) == []


def test_a_rerun_is_valid(tmp_path: Path) -> None:
    capture = build_secondary_capture(
        a_source(), PICTURE, a_finding(), an_identity(), predecessors=[OLD]
    )

    assert dciodvfy(written(capture, tmp_path / "sc.dcm")) == []


def test_source_capture_and_report_are_one_study(tmp_path: Path) -> None:
    # dcentvfy compares names as they are encoded.
    source = a_source(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg")
    source = read_back(source, tmp_path / "source.dcm")
    capture = a_capture(source)
    report = build_structured_report(source, a_finding(), an_identity(), heatmap=capture)
    paths = [
        written(dataset, tmp_path / f"{number}.dcm")
        for number, dataset in enumerate((source, capture, report))
    ]

    assert dcentvfy(*paths) == []


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        build_secondary_capture(a_source(), np.zeros(shape), a_finding(), an_identity())


def test_a_guessed_character_set_is_said_in_its_comments(tmp_path: Path) -> None:
    path = written(a_source(StudyDescription="XR hand"), tmp_path / "source.dcm")
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 192"))
    assert "ImageComments" not in a_capture(read_header(path))
    path.write_bytes(path.read_bytes().replace(b"XR hand", "Rö hand".encode("latin-1")))

    capture = a_capture(read_header(path))

    assert capture.StudyDescription == "Rö hand"
    assert "Latin-1, which is a guess" in capture.ImageComments
    assert dciodvfy(written(capture, tmp_path / "sc.dcm")) == []
