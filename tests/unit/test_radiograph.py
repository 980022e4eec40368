"""Wrapped pictures are valid DICOM, and show the picture that was wrapped."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from dicom_node.config import EligibilitySection
from dicom_node.eligibility import reason_to_reject
from dicom_node.errors import PixelsError
from dicom_node.pixels import read_picture_pixels, render
from dicom_node.radiograph import read_picture, wrap_radiograph
from dicom_node.source_header import chronological_age_months, laterality, recorded_sex
from tests.validators import dciodvfy

if TYPE_CHECKING:
    from pathlib import Path

Array = np.ndarray[Any, Any]

COMPUTED: tuple[dict[str, Any], ...] = (
    {},
    {"voi": "lut"},
    {"voi": "none"},
    {"rescale": (0.1, -1000.0)},
    {"modality_lut": True},
    {"sex": "F", "age_months": 126.5},
)
DIGITAL: tuple[dict[str, Any], ...] = (
    {},
    {"voi": "lut"},
    {"presentation": "FOR PROCESSING"},
    {"sex": "M", "age_months": 30, "laterality": "R"},
    {"body_part": "CHEST"},
)
OPTIONS = [
    *({"modality": "CR", **options} for options in COMPUTED),
    *({"modality": "DX", **options} for options in DIGITAL),
]


def slope(height: int = 300, width: int = 200) -> Array:
    """Return a picture in [0, 1] that holds both black and white."""
    rows, columns = np.mgrid[0:height, 0:width]
    picture: Array = (rows / (height - 1) + columns / (width - 1)) / 2
    return picture


@pytest.mark.usefixtures("strict_writing")
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_kind_is_valid(tmp_path: Path, options: dict[str, Any], photometric: str) -> None:
    for bits in (8, 12, 16):
        path = tmp_path / f"{bits}.dcm"
        dataset = wrap_radiograph(
            slope(), bits_stored=bits, **{**options, "photometric": photometric}
        )
        dataset.save_as(path, enforce_file_format=True)
        assert dciodvfy(path) == []
        assert pydicom.dcmread(path).BitsStored == bits


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_picture_comes_back(options: dict[str, Any], photometric: str) -> None:
    for bits in (6, 8, 10, 12, 14, 16):
        wrapped = wrap_radiograph(
            slope(), bits_stored=bits, **{**options, "photometric": photometric}
        )
        rendering = render(wrapped)
        assert rendering.notes == ()
        rounding = 0.5 / (2**bits - 1) + 2 / 65535
        np.testing.assert_allclose(rendering.pixels, slope(), rtol=0, atol=rounding)


def test_sop_class_follows_modality_and_intent() -> None:
    classes = {
        ("CR", "FOR PRESENTATION"): ComputedRadiographyImageStorage,
        ("DX", "FOR PRESENTATION"): DigitalXRayImageStorageForPresentation,
        ("DX", "FOR PROCESSING"): DigitalXRayImageStorageForProcessing,
    }
    for (modality, presentation), uid in classes.items():
        options: dict[str, Any] = {"modality": modality, "presentation": presentation}
        dataset = wrap_radiograph(slope(), **options)
        assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == uid
        assert dataset.Modality == modality


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        (slope(), {"modality": "CR", "presentation": "FOR PROCESSING"}),
        (slope(), {"modality": "DX", "rescale": (2, 0)}),
        (slope(), {"modality": "DX", "modality_lut": True}),
        (slope(), {"modality": "CR", "rescale": (0, 5)}),
        (slope(), {"modality": "CR", "rescale": (-1, 5)}),
        (slope(), {"modality": "CR", "voi": "lut", "rescale": (0.5, 0)}),
        (slope(), {"modality": "CR", "voi": "lut", "rescale": (1, -5)}),
        (slope(), {"modality": "CR", "voi": "lut", "rescale": (1000, 0)}),
        (slope(), {"bits_stored": 5}),
        (slope(), {"bits_stored": 17}),
        (slope() * 2, {}),
        (slope() - 0.5, {}),
        (np.full((4, 4), np.nan), {}),
        (np.zeros((4, 4, 3), np.uint8), {}),
        (np.zeros((0, 4), np.uint8), {}),
        (np.zeros((4, 4), np.int32), {}),
        (np.zeros((4, 4), np.uint32), {}),
    ],
)
def test_what_does_not_go_together_is_refused(picture: Array, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"SOP class|DX has|slope|VOI LUT|bits_stored|picture"):
        wrap_radiograph(picture, **options)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_kinds_of_picture(kind: type[np.generic]) -> None:
    scale = 1 if np.issubdtype(kind, np.floating) else np.iinfo(kind).max  # type: ignore[type-var]
    picture = (slope() * scale).round(9 if scale == 1 else 0).astype(kind)
    pixels = read_picture_pixels(wrap_radiograph(picture, bits_stored=16))
    np.testing.assert_allclose(pixels, picture / scale, rtol=0, atol=1e-5)


def test_identity_and_uids_are_new_each_time() -> None:
    first, second = wrap_radiograph(slope()), wrap_radiograph(slope())
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert first[keyword].value != second[keyword].value
    uids = {first.SOPInstanceUID, first.StudyInstanceUID, first.SeriesInstanceUID}
    assert len(uids) == 3
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID


@pytest.mark.parametrize("months", [0.5, 11.9, 12, 126, 126.4, 228])
def test_age_at_acquisition(months: float) -> None:
    at = datetime(2024, 2, 29, 23, 30, tzinfo=UTC)
    dataset = wrap_radiograph(slope(), sex="F", age_months=months, acquired_at=at)
    assert dataset.StudyDate == dataset.AcquisitionDate == dataset.ContentDate == "20240229"
    born = datetime.strptime(dataset.PatientBirthDate, "%Y%m%d").replace(tzinfo=UTC).date()
    assert (date(2024, 2, 29) - born).days == pytest.approx(months * 365.2425 / 12, abs=1)
    assert dataset.PatientAge == f"{round(months):03d}M"
    assert chronological_age_months(dataset) == pytest.approx(months, abs=0.1)
    assert recorded_sex(dataset) == "F"


def test_unknown_child() -> None:
    dataset = wrap_radiograph(slope())
    assert dataset.PatientSex == dataset.PatientBirthDate == ""
    assert "PatientAge" not in dataset
    assert recorded_sex(dataset) == "unknown"
    assert chronological_age_months(dataset) is None


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_node_takes_it_as_a_hand(modality: Any) -> None:  # noqa: ANN401
    dataset = wrap_radiograph(slope(1200, 900), modality=modality, laterality="R", age_months=100)
    assert reason_to_reject(dataset, EligibilitySection()) is None
    assert laterality(dataset) == "R"
    chest = wrap_radiograph(slope(1200, 900), modality=modality, body_part="CHEST")
    assert reason_to_reject(chest, EligibilitySection()) is not None


def test_attributes_are_set_last() -> None:
    dataset = wrap_radiograph(
        slope(),
        attributes={
            "SOPInstanceUID": "2.25.7",
            "PatientID": "4711",
            "ViewPosition": None,
            "PatientAge": None,
            "InstitutionName": "Here",
        },
    )
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == "2.25.7"
    assert dataset.PatientID == "4711"
    assert dataset.InstitutionName == "Here"
    assert "ViewPosition" not in dataset


def test_pixels_have_a_size() -> None:
    dataset = wrap_radiograph(slope(600, 300))
    assert dataset.PixelSpacing == dataset.ImagerPixelSpacing == [0.4, 0.4]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_picture_of_8_bits_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"picture.{suffix}"
    grey = np.rint(slope() * 255).astype(np.uint8)
    Image.fromarray(grey).save(path, quality=95)
    picture = read_picture(path)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture, grey / 255, rtol=0, atol=0.02 if suffix == "jpg" else 1e-6)


def test_picture_of_16_bits_is_read(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    grey = np.rint(slope() * 65535).astype(np.uint16)
    Image.fromarray(grey).save(path)
    np.testing.assert_allclose(read_picture(path), grey / 65535, rtol=0, atol=1e-6)


def test_colours_are_read_as_grey(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    grey = np.rint(slope() * 255).astype(np.uint8)
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(path)
    np.testing.assert_allclose(read_picture(path), grey / 255, rtol=0, atol=1e-6)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Doe_Jane.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(PixelsError) as caught:
        read_picture(path)
    assert "Doe" not in str(caught.value)
    with pytest.raises(PixelsError):
        read_picture(tmp_path / "absent.png")


def test_radiographs_come_back(shared_data: Path) -> None:
    """Wrapped at 12 bits and read, each correlates with its picture, and is no darker."""
    paths = sorted((shared_data / "radiographs").glob("*.png"))[:4]
    assert len(paths) == 4
    for number, path in enumerate(paths):
        picture = read_picture(path)[::2, ::2]
        options: dict[str, Any] = {"photometric": f"MONOCHROME{1 + number % 2}"}
        pixels = read_picture_pixels(wrap_radiograph(picture, **options))
        assert np.corrcoef(pixels.ravel(), picture.ravel())[0, 1] > 0.999
        np.testing.assert_allclose(pixels, picture, rtol=0, atol=0.51 / 4095)
