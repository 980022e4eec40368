"""A picture as a valid CR or DX image, for the demonstration and the tests."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)
from pydicom.valuerep import DSfloat

from dicom_node import __version__
from dicom_node.errors import PixelsError
from dicom_node.vocabulary import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    code_item,
    new_uid,
)
from models.tjnet.dataset import UnreadablePictureError, decode_picture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Intent = Literal["FOR PRESENTATION", "FOR PROCESSING"]
Photometric = Literal["MONOCHROME1", "MONOCHROME2"]
Voi = Literal["window", "lut", "none"]

SOP_CLASSES: Final = {
    ("CR", "FOR PRESENTATION"): ComputedRadiographyImageStorage,
    ("DX", "FOR PRESENTATION"): DigitalXRayImageStorageForPresentation,
    ("DX", "FOR PROCESSING"): DigitalXRayImageStorageForProcessing,
}

DAYS_IN_MONTH: Final = 365.2425 / 12
"""Days in the mean Gregorian month."""

FRAME_HEIGHT_MM: Final = 240.0
"""A picture has no scale: its frame is taken to be as high as an 18 x 24 cm cassette."""

LUT_TOP: Final = 0xFFFF
"""Full scale of the look-up tables, 16 bits deep."""


def read_picture(path: Path) -> npt.NDArray[np.float32]:
    """Return a PNG or JPEG picture, 8 or 16 bits deep, as grey (H, W) in [0, 1].

    Raises
    ------
    PixelsError
        If the file is no picture.
    """
    try:
        return np.clip(decode_picture(path), 0, 1)
    except UnreadablePictureError as error:
        raise PixelsError(str(error)) from error


def wrap_radiograph(  # noqa: PLR0913 - a header has this many parts
    picture: npt.NDArray[Any],
    *,
    modality: Literal["CR", "DX"] = "DX",
    presentation: Intent = "FOR PRESENTATION",
    bits_stored: int = 12,
    photometric: Photometric = "MONOCHROME2",
    voi: Voi = "window",
    rescale: tuple[float, float] | None = None,
    modality_lut: bool = False,
    sex: str | None = None,
    age_months: float | None = None,
    body_part: str = "HAND",
    laterality: str = "L",
    study_description: str = "Bone age, hand",
    acquired_at: datetime | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> FileDataset:
    """Return a picture as a CR or DX image that displays as the picture does.

    Parameters
    ----------
    picture : ndarray
        (H, W), bone bright: uint8, uint16, or floating point in [0, 1].
    modality, presentation : str
        They choose the SOP class; there is no CR for processing.
    bits_stored : int
        6 to 16 (PS3.3 C.8.11.3).
    photometric : str
        MONOCHROME1 stores bone dark.
    voi : str
        What shows the full range: a linear window, a look-up table or nothing, which the standard
        forbids in DX for presentation (PS3.3 C.8.11.3). DX for processing never has any.
    rescale : tuple of float, optional
        Slope, above 0, and intercept; CR only, as DX has the identity (PS3.3 C.8.11.3).
    modality_lut : bool
        Stretch the stored values to 16 bits by a modality LUT; CR only.
    sex, age_months : optional
        PatientSex and the age at acquisition; None leaves them empty.
    acquired_at : datetime, optional
        Now, if not given.
    attributes : mapping, optional
        Further attributes by keyword, set last; None removes one.

    Returns
    -------
    FileDataset
        With file meta information, explicit VR little endian, and UIDs of its own.

    Raises
    ------
    ValueError
        If the picture is of another kind or the options do not go together.
    """
    if (modality, presentation) not in SOP_CLASSES:
        msg = f"no SOP class for {modality} {presentation}"
        raise ValueError(msg)
    if modality == "DX" and (rescale is not None or modality_lut):
        msg = "DX has the identity as its modality LUT"
        raise ValueError(msg)
    dataset = _file(SOP_CLASSES[modality, presentation])
    at = acquired_at or datetime.now(UTC).astimezone()
    _describe_patient(dataset, at, sex, age_months)
    _describe_study(dataset, at, modality, study_description)
    _describe_image(dataset, body_part, laterality)
    if modality == "DX":
        _add_dx_modules(dataset, presentation, photometric)
    stored = _stored_values(picture, bits_stored)
    _add_pixels(dataset, stored, bits_stored, photometric)
    top = 2**bits_stored - 1
    low, high = _add_modality_lut(dataset, top, rescale, modality_lut=modality_lut)
    if presentation == "FOR PRESENTATION":
        _add_voi_lut(dataset, voi, low, high)
    _set_attributes(dataset, attributes or {})
    return dataset


def _stored_values(picture: npt.NDArray[Any], bits_stored: int) -> npt.NDArray[Any]:
    """Return a picture's values in 0 to 2**bits_stored - 1."""
    if not 6 <= bits_stored <= 16:  # noqa: PLR2004 - PS3.3 C.8.11.3
        msg = f"bits_stored must be 6 to 16, not {bits_stored}"
        raise ValueError(msg)
    if picture.ndim != 2 or 0 in picture.shape:  # noqa: PLR2004 - rows and columns
        msg = f"a picture must be two-dimensional and not empty, not of shape {picture.shape}"
        raise ValueError(msg)
    whole = picture.dtype in (np.uint8, np.uint16)
    scaled = picture / np.float64(np.iinfo(picture.dtype).max if whole else 1)
    if not (whole or picture.dtype.kind == "f") or not (scaled.min() >= 0 and scaled.max() <= 1):
        msg = "a picture must be uint8, uint16, or floating point in [0, 1]"
        raise ValueError(msg)
    kind = np.uint8 if bits_stored <= 8 else np.uint16  # noqa: PLR2004 - a byte
    stored: npt.NDArray[Any] = np.rint(scaled * (2**bits_stored - 1)).astype(kind)
    return stored


def _file(sop_class: str) -> FileDataset:
    """Return an empty data set with its identity and file meta information."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\x00" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = new_uid()
    dataset.StudyInstanceUID = new_uid()
    dataset.SeriesInstanceUID = new_uid()
    return dataset


def _describe_patient(
    dataset: Dataset, at: datetime, sex: str | None, age_months: float | None
) -> None:
    """Add the patient, whose birth date fits the age at acquisition."""
    dataset.PatientName = "Radiograph^Wrapped"
    dataset.PatientID = f"WRAPPED-{dataset.StudyInstanceUID[-8:]}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = sex or ""
    if age_months is not None:
        # Whole days, rounded up: a child of so many months has completed them.
        born = at - timedelta(days=math.ceil(age_months * DAYS_IN_MONTH))
        dataset.PatientBirthDate = f"{born:%Y%m%d}"
        dataset.PatientAge = f"{round(age_months):03d}M"


def _describe_study(dataset: Dataset, at: datetime, modality: str, description: str) -> None:
    """Add study, series and equipment."""
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{kind}Date", f"{at:%Y%m%d}")
        setattr(dataset, f"{kind}Time", f"{at:%H%M%S}")
    dataset.StudyDescription = description
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.Modality = modality
    dataset.SeriesNumber = 1
    dataset.Manufacturer = "Wrapped picture"
    dataset.ManufacturerModelName = "dicom_node.radiograph"
    dataset.DeviceSerialNumber = "1"
    dataset.SoftwareVersions = __version__


def _describe_image(dataset: Dataset, body_part: str, laterality: str) -> None:
    """Add what CR and DX have in common; the hand lies palm down, fingers up."""
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.InstanceNumber = 1
    dataset.AcquisitionNumber = 1
    dataset.BodyPartExamined = body_part
    dataset.ViewPosition = "PA"
    dataset.PatientOrientation = ["L", "F"]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    keyword = "Laterality" if dataset.Modality == "CR" else "ImageLaterality"
    setattr(dataset, keyword, laterality)


def _add_dx_modules(dataset: Dataset, presentation: Intent, photometric: Photometric) -> None:
    """Add the DX Series, Anatomy, Image and Detector modules (PS3.3 C.8.11.1 to C.8.11.4)."""
    bone_is_dark = photometric == "MONOCHROME1"
    dataset.PresentationIntentType = presentation
    # SNOMED CT's name of the hand and of many another body part is BodyPartExamined's too.
    region = getattr(codes.SCT, dataset.BodyPartExamined.capitalize(), None)
    dataset.AnatomicRegionSequence = [code_item(region)] if region else []
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if bone_is_dark else -1
    dataset.PresentationLUTShape = "INVERSE" if bone_is_dark else "IDENTITY"
    dataset.DetectorType = "SCINTILLATOR"
    dataset.PositionerType = "NONE"
    dataset.ViewCodeSequence = [code_item(codes.SCT.PosteroAnterior)]
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = []
    dataset.AcquisitionContextSequence = []


def _add_pixels(
    dataset: Dataset, stored: npt.NDArray[Any], bits_stored: int, photometric: Photometric
) -> None:
    """Add the pixel data and their size on the detector."""
    top = stored.dtype.type(2**bits_stored - 1)
    pixels = top - stored if photometric == "MONOCHROME1" else stored
    dataset.set_pixel_data(pixels, photometric, bits_stored, generate_instance_uid=False)
    spacing_mm = DSfloat(FRAME_HEIGHT_MM / stored.shape[0], auto_format=True)
    dataset.PixelSpacing = [spacing_mm, spacing_mm]
    dataset.ImagerPixelSpacing = [spacing_mm, spacing_mm]


def _add_modality_lut(
    dataset: Dataset, top: int, rescale: tuple[float, float] | None, *, modality_lut: bool
) -> tuple[float, float]:
    """Add the Modality LUT module (PS3.3 C.11.1); returns the range that it leads to."""
    if modality_lut:
        item = _lut_item(0, top + 1)
        item.ModalityLUTType = "US"
        dataset.ModalityLUTSequence = [item]
        return 0, LUT_TOP
    slope, intercept = rescale or (1, 0)
    if slope <= 0:
        msg = "a slope of 0 or less would not show the picture"
        raise ValueError(msg)
    if rescale is not None or dataset.Modality == "DX":
        dataset.RescaleSlope = DSfloat(slope, auto_format=True)
        dataset.RescaleIntercept = DSfloat(intercept, auto_format=True)
        dataset.RescaleType = "US"
    return intercept, top * slope + intercept


def _add_voi_lut(dataset: Dataset, voi: Voi, low: float, high: float) -> None:
    """Add a VOI LUT module that shows the range from black to white (PS3.3 C.11.2)."""
    if voi == "window":
        dataset.WindowCenter = DSfloat((low + high + 1) / 2, auto_format=True)
        dataset.WindowWidth = DSfloat(high - low + 1, auto_format=True)
    elif voi == "lut":
        first, entries = int(low), int(high - low) + 1
        if first != low or entries - 1 != high - low or first < 0 or high > LUT_TOP:
            msg = "a VOI LUT needs whole modality values in 0 to 65535"
            raise ValueError(msg)
        dataset.VOILUTSequence = [_lut_item(first, entries)]


def _lut_item(first: int, entries: int) -> Dataset:
    """Return a linear look-up table, 16 bits deep."""
    item = Dataset()
    item.LUTDescriptor = [entries % (LUT_TOP + 1), first, 16]
    data = np.rint(np.linspace(0, LUT_TOP, entries)).astype("<u2").tobytes()
    item.add_new("LUTData", "OW", data)
    return item


def _set_attributes(dataset: FileDataset, attributes: Mapping[str, Any]) -> None:
    """Set or remove attributes, and make the file meta information agree."""
    for keyword, value in attributes.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
