"""Findings, identities and source headers for the tests of the result objects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from dicom_node.finding import Finding, Laterality
from dicom_node.growth import assess_growth
from dicom_node.identity import ResultIdentity, device_uid
from models.estimate import Estimate

STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WEIGHTS = "tjnet-test-0123456789ab"
STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.1", "1.2.3.1.1"
UNKNOWN: dict[str, Any] = {"sex": "unknown", "by_sex": {"M": 130.2, "F": 125.1}}


TYPE_2: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "Manufacturer",
    "PatientOrientation",
)
"""What a header of computed radiography may lack though every image should have it."""


def an_estimate(**changes: object) -> Estimate:
    """Return a girl's bone age of 10 years and 4 months, or what the changes make of it."""
    row, column = np.mgrid[0:20, 0:20] / 19
    heat = np.exp(-((column - 0.45) ** 2 + (row - 0.72) ** 2) / 0.02).astype(np.float32)
    values: dict[str, Any] = {
        "bone_age_months": 124.2,
        "sd_months": 9.4,
        "interval_months": (108.1, 139.4),
        "sex": "F",
        "by_sex": None,
        "sex_seen": "F",
        "sex_probability": 0.97,
        "sex_accuracy": 0.95,
        "heatmap": heat / heat.max(),
        "weights_version": WEIGHTS,
    }
    values.update(changes)
    return Estimate(**values)


def a_finding(
    *, age_months: float | None = 119.5, laterality: Laterality | None = "L", **changes: object
) -> Finding:
    """Return the finding of `an_estimate` in a child of this age."""
    estimate = an_estimate(**changes)
    growth = assess_growth(estimate, age_months)
    return Finding(estimate, age_months, laterality, growth, STARTED)


def an_identity(**changes: object) -> ResultIdentity:
    """Return an identity with new UIDs."""
    values: dict[str, Any] = {
        "sop_instance_uid": generate_uid(),
        "series_instance_uid": generate_uid(),
        "series_number": 9102,
        "instance_number": 1,
        "device_uid": device_uid(WEIGHTS, "0.1.0"),
        "station_name": "BONEAGE",
        "software_version": "0.1.0",
        "weights_version": WEIGHTS,
    }
    values.update(changes)
    return ResultIdentity(**values)


def a_source(*, leave_out: tuple[str, ...] = (), **changes: object) -> Dataset:
    """Return a whole computed-radiography header, less and more what is asked for."""
    values: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPClassUID": ComputedRadiographyImageStorage,
        "SOPInstanceUID": INSTANCE,
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "StudyDate": "20260101",
        "StudyTime": "101112",
        "StudyID": "S1",
        "StudyDescription": "XR hand",
        "AccessionNumber": "A1",
        "ReferringPhysicianName": "Refer^Ring",
        "PatientName": "Doe^Jane",
        "PatientID": "P1",
        "PatientBirthDate": "20160115",
        "PatientSex": "F",
        "PatientAge": "009Y",
        "Modality": "CR",
        "Manufacturer": "Maker",
        "BodyPartExamined": "HAND",
        "ViewPosition": "PA",
        "Laterality": "L",
        "SeriesNumber": 1,
        "InstanceNumber": 1,
        "PatientOrientation": ["L", "F"],
        "ImagerPixelSpacing": ["0.15", "0.15"],
        "AcquisitionDate": "20260101",
        "Rows": 32,
        "Columns": 24,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
    }
    values.update(changes)
    source = Dataset()
    for keyword, value in values.items():
        if keyword not in leave_out:
            setattr(source, keyword, value)
    return source


def a_dx_source(**changes: object) -> Dataset:
    """Return a digital X-ray header: its side is that of the image."""
    return a_source(
        leave_out=("Laterality",),
        SOPClassUID=DigitalXRayImageStorageForPresentation,
        Modality="DX",
        ImageLaterality="R",
        **changes,
    )


def written(dataset: Dataset, path: Path) -> Path:
    """Write a data set as a file, a source with black pixels, and return its path."""
    if "file_meta" not in dataset.__dict__:
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = bytes(2 * dataset.Rows * dataset.Columns)
        dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
    return path


def read_back(dataset: Dataset, path: Path) -> Dataset:
    """Return a data set as a reader of its file finds it: nothing is decoded yet."""
    return pydicom.dcmread(written(dataset, path))
