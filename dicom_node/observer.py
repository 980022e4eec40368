"""The device that observed: this software, as a document names it (TID 1002, TID 1004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from highdicom.sr import CodedConcept, DeviceObserverIdentifyingAttributes, ObserverContext

from dicom_node import vocabulary as v

if TYPE_CHECKING:
    from dicom_node.identity import ResultIdentity


def device_observer(identity: ResultIdentity) -> ObserverContext:
    """Return the observer of a document; the weights stand for a serial number."""
    attributes = DeviceObserverIdentifyingAttributes(
        uid=identity.device_uid,
        name=identity.station_name,
        manufacturer_name=identity.manufacturer,
        model_name=identity.model_name,
        serial_number=identity.weights_version,
    )
    return ObserverContext(CodedConcept.from_code(v.DEVICE), attributes)
