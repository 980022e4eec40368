"""A node's store with real files in it: radiographs as they come in, results as they are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom

from dicom_node import jobs, results
from dicom_node.header import kept, read_header, settle_text
from dicom_node.jobs import NewInstance
from dicom_node.radiograph import wrap_radiograph
from dicom_node.storage import content_hash
from models.phantom import draw_phantom
from tests.samples import a_finding

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

    from dicom_node.node import Node

SEX, AGE_MONTHS = "F", 126.0
NAME, PATIENT_ID, ACCESSION = "Phantom^Änne", "PHANTOM-1", "ACC-7"
PICTURE = np.linspace(0, 1, 96 * 64, dtype=np.float32).reshape(96, 64)
"""In the place of a radiograph, where none need be seen."""


def a_phantom(*, is_drawn: bool = False, **attributes: Any) -> Dataset:  # noqa: ANN401 - DICOM
    """Return a radiograph of the phantom, drawn or only a small picture."""
    picture = draw_phantom(SEX, AGE_MONTHS) / np.float32(4095) if is_drawn else PICTURE
    named = {"PatientName": NAME, "PatientID": PATIENT_ID, "AccessionNumber": ACCESSION}
    return wrap_radiograph(
        picture,
        sex=SEX,
        age_months=AGE_MONTHS,
        study_description="SYNTHETIC phantom, bone age",
        attributes={**named, **attributes},
    )


def keep(node: Node, radiograph: Dataset) -> int:
    """Take a radiograph in as the listener does, and return its job."""
    partial: Path = node.storage.partial / f"{radiograph.SOPInstanceUID}.dcm"
    radiograph.save_as(partial, enforce_file_format=True)
    sha256, size = content_hash(partial), partial.stat().st_size
    uid = str(radiograph.SOPInstanceUID)
    path = node.storage.keep_received(partial, uid, sha256)
    instance = NewInstance(
        sop_instance_uid=uid,
        sop_class_uid=str(radiograph.SOPClassUID),
        study_instance_uid=str(radiograph.StudyInstanceUID),
        series_instance_uid=str(radiograph.SeriesInstanceUID),
        transfer_syntax_uid=str(radiograph.file_meta.TransferSyntaxUID),
        sha256=sha256,
        size_bytes=size,
        path=path,
        calling_ae_title="MODALITY",
        peer_address="127.0.0.1",
        header=kept(read_header(node.storage.absolute(path))),
    )
    with node.database.write() as session:
        job_id = jobs.receive(session, instance)
    assert job_id is not None
    return job_id


def add_results(node: Node, job_id: int) -> dict[str, Path]:
    """Build the results of a job as a worker does, and return their files by kind."""
    with node.database.read() as session:
        work = results.load_work(session, job_id)
    source = pydicom.dcmread(node.storage.absolute(work.path))
    settle_text(source)
    rows = results.build(node, work, source, PICTURE, a_finding())
    files = {row.kind: node.storage.absolute(row.path) for row in rows}
    with node.database.write() as session:
        session.add_all(rows)
    return files


def received_file(node: Node, job_id: int) -> Path:
    """Return the file of a job's radiograph."""
    with node.database.read() as session:
        return node.storage.absolute(results.load_work(session, job_id).path)
