"""Phantom jobs whose files and results the real pipeline has made, for the tests of their pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import structlog

from dicom_node import intake, jobs, pipeline
from dicom_node.header import kept, read_header
from dicom_node.radiograph import wrap_radiograph
from models.phantom import draw_phantom
from tests.builders import kept_instance

if TYPE_CHECKING:
    from dicom_node.node import Node
    from models.tjnet.estimator import Estimator

NAME, PATIENT_ID, ACCESSION = "Zwetschge^Ottilie", "PID-4711-77", "ACC-90210"
BORN: Final = "20140315"
BORN_WORDS: Final = "2014-03-15"
PATIENT: Final = {
    "PatientName": NAME,
    "PatientID": PATIENT_ID,
    "PatientBirthDate": BORN,
    "AccessionNumber": ACCESSION,
    "ReferringPhysicianName": "Quitte^Gerda",
}
SECRETS: Final = ("Zwetschge", "Ottilie", PATIENT_ID, BORN, BORN_WORDS, ACCESSION, "Quitte")
"""What the privacy switch hides, and no log may tell."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """Three jobs of one patient: an earlier radiograph, the present one, and its re-run."""

    earlier: int
    present: int
    again: int


def assess_phantoms(node: Node, estimator: Estimator, **options: Any) -> Assessed:  # noqa: ANN401
    """Assess two phantoms of one girl, the second one twice."""
    earlier = _assess(node, estimator, datetime(2023, 9, 20, 9, 30, tzinfo=UTC), 102, **options)
    present = _assess(node, estimator, datetime(2025, 2, 3, 10, 15, tzinfo=UTC), 121, **options)
    with node.database.write() as session:
        again = jobs.rerun(session, present, "operator", {"PatientSex": "F"})
    intake.admit(node, again)
    pipeline.assess(node, estimator, again)
    return Assessed(earlier, present, again)


def receive(node: Node, dataset: Any) -> int:  # noqa: ANN401 - a FileDataset
    """Keep a radiograph as the listener does, and admit its job."""
    instance = kept_instance(node.storage, node.storage.partial, dataset)
    header = kept(read_header(node.storage.absolute(instance.path)))
    with node.database.write() as session:
        job_id = jobs.receive(session, replace(instance, header=header))
    assert job_id is not None
    structlog.get_logger().info("received", job=job_id)
    intake.admit(node, job_id)
    return job_id


def _assess(
    node: Node,
    estimator: Estimator,
    acquired_at: datetime,
    age_months: float,
    **options: Any,  # noqa: ANN401 - those of `wrap_radiograph`
) -> int:
    picture = draw_phantom("F", age_months, height_px=1024, width_px=768) / np.float32(4095)
    dataset = wrap_radiograph(
        picture,
        sex="F",
        acquired_at=acquired_at,
        attributes=PATIENT,
        study_description="SYNTHETIC phantom, bone age",
        **options,
    )
    dataset.private_block(0x0029, "A VENDOR", create=True).add_new(0x01, "LO", NAME)
    job_id = receive(node, dataset)
    pipeline.assess(node, estimator, job_id)
    return job_id
