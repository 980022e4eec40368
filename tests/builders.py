"""What tests make again and again: headers, files, rows, and jobs in a given state."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_node import jobs
from dicom_node.config import Destination
from dicom_node.db import OutputRow
from dicom_node.jobs import NewInstance
from dicom_node.states import JobState
from dicom_node.storage import content_hash

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from dicom_node.storage import Storage

CALLER = "MODALITY"
OWNER = "assess@test"
LEASE_SECONDS = 45.0

WAY_TO: dict[JobState, tuple[JobState, ...]] = {
    JobState.RECEIVED: (),
    JobState.QUEUED: (JobState.QUEUED,),
    JobState.RUNNING: (JobState.QUEUED, JobState.RUNNING),
    JobState.REPORTED: (JobState.QUEUED, JobState.RUNNING, JobState.REPORTED),
    JobState.SENT: (JobState.QUEUED, JobState.RUNNING, JobState.REPORTED, JobState.SENT),
    JobState.CONFIRMED: (
        *(JobState.QUEUED, JobState.RUNNING, JobState.REPORTED),
        *(JobState.SENT, JobState.CONFIRMED),
    ),
    JobState.REJECTED: (JobState.REJECTED,),
    JobState.FAILED: (JobState.QUEUED, JobState.RUNNING, JobState.FAILED),
    JobState.CANCELLED: (JobState.CANCELLED,),
}
"""The moves that bring a new job to each state."""


def cr_header(**values: object) -> Dataset:
    """Return the header of a hand radiograph that is assessed; ``values`` go over it by keyword.

    Values are taken as they are, allowed or not.
    """
    header = Dataset()
    header.SOPClassUID = ComputedRadiographyImageStorage
    header.SOPInstanceUID = generate_uid()
    header.StudyInstanceUID = generate_uid()
    header.SeriesInstanceUID = generate_uid()
    header.Modality = "CR"
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.PatientName = "Testcase^Hand"
    header.PatientID = "TEST-1"
    header.PatientSex = "F"
    header.PatientBirthDate = "20130601"
    header.StudyDate = "20230601"
    header.BodyPartExamined = "HAND"
    header.ViewPosition = "PA"
    header.Rows = header.Columns = 512
    with disable_value_validation():
        for keyword, value in values.items():
            if keyword in header:  # an element goes on checking as it did when it was made
                delattr(header, keyword)
            setattr(header, keyword, value)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return header


def items(**values: object) -> list[Dataset]:
    """Return a sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return [item]


def write_dicom(path: Path, header: Dataset) -> Path:
    """Write a Part 10 file and return its path."""
    header.save_as(path, enforce_file_format=True)
    return path


def new_instance(header: dict[str, Any] | None = None, **values: Any) -> NewInstance:  # noqa: ANN401
    """Return the row-to-be of a received file; ``values`` go over its fields."""
    uid = values.get("sop_instance_uid", generate_uid())
    fields = {
        "sop_instance_uid": uid,
        "sop_class_uid": ComputedRadiographyImageStorage,
        "study_instance_uid": generate_uid(),
        "series_instance_uid": generate_uid(),
        "transfer_syntax_uid": ExplicitVRLittleEndian,
        "sha256": hashlib.sha256(uid.encode()).hexdigest(),
        "size_bytes": 1,
        "path": f"received/00/{uid}.dcm",
        "calling_ae_title": CALLER,
        "peer_address": "127.0.0.1",
        "header": header or {"Modality": "CR"},
    }
    text = {key: str(value) for key, value in fields.items() if isinstance(value, str)}
    return NewInstance(**{**fields, **text, **values})


def kept_instance(storage: Storage, folder: Path, header: Dataset) -> NewInstance:
    """Keep a file as the listener does and return its row-to-be."""
    file = write_dicom(folder / f"{header.SOPInstanceUID}.dcm", header)
    sha256 = content_hash(file)
    path = storage.keep_received(file, str(header.SOPInstanceUID), sha256)
    return new_instance(
        sop_instance_uid=str(header.SOPInstanceUID),
        study_instance_uid=str(header.StudyInstanceUID),
        sha256=sha256,
        path=path,
    )


def add_job(
    session: Session, state: JobState = JobState.RECEIVED, instance: NewInstance | None = None
) -> int:
    """Bring a new job to a state, move by move; a running one is leased to `OWNER`."""
    job_id = jobs.receive(session, instance or new_instance())
    assert job_id is not None
    source = JobState.RECEIVED
    for target in WAY_TO[state]:
        if target == JobState.RUNNING:
            assert jobs.claim(session, job_id, OWNER, LEASE_SECONDS)
        else:
            assert jobs.move(session, job_id, source, target)
        source = target
    return job_id


def advance(session: Session, job_id: int, state: JobState) -> int:
    """Bring a received job to a state, leased to nobody."""
    for source, target in pairwise((JobState.RECEIVED, *WAY_TO[state])):
        assert jobs.move(session, job_id, source, target)
    return job_id


def add_output(session: Session, job_id: int, kind: str = "sr", **values: Any) -> int:  # noqa: ANN401
    """Insert the row of a result and return its id."""
    fields = {
        "kind": kind,
        "sop_class_uid": str(ComputedRadiographyImageStorage),
        "sop_instance_uid": str(generate_uid()),
        "series_instance_uid": str(generate_uid()),
        "series_number": 1,
        "instance_number": 1,
        "path": f"results/00/{job_id}-{kind}.dcm",
        "sha256": "0" * 64,
    }
    output = OutputRow(job_id=job_id, **{**fields, **values})
    session.add(output)
    session.flush()
    return output.id


def a_destination(name: str = "PACS", **values: Any) -> Destination:  # noqa: ANN401
    """Return a destination with nobody at its port."""
    fields = {"name": name, "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 1}
    return Destination(**{**fields, **values})
