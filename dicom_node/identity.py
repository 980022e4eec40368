"""Who a result is and who made it: UIDs, numbers and equipment, chosen once and stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset
from pydicom.valuerep import DA, DT, TM

from dicom_node.source_header import identity_of
from dicom_node.vocabulary import (
    ACQUISITION_EQUIPMENT,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MODEL_NAME,
    PROCESSING_ALGORITHM,
    code_item,
    derived_uid,
    scheme_items,
)

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedInstance:
    """A SOP instance that another one names, with the series and study it lies in."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultIdentity:
    """UIDs, numbers and equipment of one result; the same values make the same object again.

    Attributes
    ----------
    sop_instance_uid, series_instance_uid : str
        A re-run takes a new SOP instance UID. It stays in the series, with ``instance_number``
        one higher, as long as ``device_uid`` is the same; otherwise it opens a new series, for
        equipment belongs to the series (PS3.3 A.1.2.5).
    series_number, instance_number : int
        From 1.
    device_uid : str
        Of `device_uid`: new whenever the weights, their calibration or the software change.
    station_name : str
        The AE title, at most 16 characters (VR SH).
    software_version, weights_version : str
        At most 64 characters each (VR LO).
    calibration : str or None
        Name and hash of the correction that the estimates go through (VR LO too).
    manufacturer, model_name : str
        Of this software.
    """

    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    instance_number: int
    device_uid: str
    station_name: str
    software_version: str
    weights_version: str
    calibration: str | None = None
    manufacturer: str = MANUFACTURER
    model_name: str = MODEL_NAME


def device_uid(weights_version: str, software_version: str, calibration: str | None = None) -> str:
    """Return the DeviceUID of these weights in this software (IHE AI Results)."""
    corrected_by = [] if calibration is None else [calibration]
    return str(derived_uid("device", weights_version, software_version, *corrected_by))


def tracking_uid(study_instance_uid: str, laterality: str | None) -> str:
    """Return the tracking UID of the bone age of one hand in one study: stable over re-runs."""
    return str(derived_uid("bone age", study_instance_uid, laterality or ""))


def stamp(result: Dataset, header: Dataset, identity: ResultIdentity, moment: datetime) -> None:
    """Write into a result whose it is, who made it and when.

    Parameters
    ----------
    result : Dataset
        As highdicom made it, with file meta information.
    header : Dataset
        The completed source header; patient and study are inherited from it.
    identity : ResultIdentity
        Software has no serial number; the weights, which alone decide what it answers, stand
        for it.
    moment : datetime
        When the analysis began. It is also the time of creation, so that the same values make
        the same object again.
    """
    result.update(identity_of(header))
    _write_equipment(result, identity)
    result.ContributingEquipmentSequence = [
        *_acquisition_equipment(header),
        _processing_algorithm(identity, moment),
    ]
    result.CodingSchemeIdentificationSequence = _schemes(header)
    result.InstanceCreationDate = DA(moment.date())
    result.InstanceCreationTime = TM(moment.time())
    if "TimezoneOffsetFromUTC" in header:
        result.TimezoneOffsetFromUTC = header.TimezoneOffsetFromUTC
    result.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    result.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME


def _write_equipment(dataset: Dataset, identity: ResultIdentity) -> None:
    """Write what names this software (PS3.3 C.7.5.1)."""
    dataset.Manufacturer = identity.manufacturer
    dataset.ManufacturerModelName = identity.model_name
    dataset.StationName = identity.station_name
    corrected_by = [] if identity.calibration is None else [identity.calibration]
    dataset.SoftwareVersions = [
        identity.software_version,
        identity.weights_version,
        *corrected_by,
    ]
    dataset.DeviceSerialNumber = identity.weights_version


def _processing_algorithm(identity: ResultIdentity, moment: datetime) -> Dataset:
    """Return the item that IHE AI Results asks for; highdicom refuses this purpose."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_ALGORITHM)]
    _write_equipment(item, identity)
    item.DeviceUID = identity.device_uid
    item.ContributionDateTime = DT(moment)
    item.ContributionDescription = "Bone age estimated from the radiograph"
    return item


def _acquisition_equipment(header: Dataset) -> list[Dataset]:
    """Return the item of the modality, if it has a manufacturer (type 1)."""
    if not header.get("Manufacturer"):
        return []
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(ACQUISITION_EQUIPMENT)]
    for keyword in (
        "Manufacturer",
        "ManufacturerModelName",
        "StationName",
        "InstitutionName",
        "DeviceSerialNumber",
        "SoftwareVersions",
    ):
        if header.get(keyword):
            item.add(header[keyword])
    return [item]


def _schemes(header: Dataset) -> list[Dataset]:
    """Return our coding schemes and those that the source declares for the codes we inherit."""
    ours = scheme_items()
    known = {item.CodingSchemeDesignator for item in ours}
    theirs = header.get("CodingSchemeIdentificationSequence", [])
    return [*ours, *(item for item in theirs if item.CodingSchemeDesignator not in known)]
