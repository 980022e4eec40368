"""Invented jobs with the radiograph of a drawn phantom, and results that the node itself makes.

The estimate is invented, too: no network looks at the drawing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy import select

from dicom_node import deliveries, heatmap_file, jobs, results
from dicom_node.db import DeliveryRow, EventRow, InstanceRow, JobRow, OutputRow
from dicom_node.finding import Finding
from dicom_node.growth import Z_90, assess_growth
from dicom_node.header import kept
from dicom_node.radiograph import wrap_radiograph
from dicom_node.source_header import acquisition_date, chronological_age_months
from dicom_node.states import DeliveryState, JobState
from dicom_node.storage import content_hash
from models.estimate import Estimate
from models.phantom import draw_phantom
from worklist.invented import CALLERS, DESTINATIONS, patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from pydicom.dataset import FileDataset
    from sqlalchemy.orm import Session

    from dicom_node.node import Node

_J, _D = JobState, DeliveryState
OWNER: Final = "seed"
LEASE_SECONDS: Final = 45.0
SIDES_PX: Final = (768, 576)
TOP: Final = np.float32(4095)
NO_HAND: Final = "the picture does not look like a hand radiograph"
BROKEN: Final = "the assessment failed: RuntimeError"
FIRST_PATIENT: Final = 9_000_000
"""Behind all other invented patients."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of one job.

    Attributes
    ----------
    days_ago : float
        When it came.
    state : JobState
        Where it ends, but for what its deliveries make of it.
    sent : tuple
        The state and the reason of each delivery.
    is_rerun : bool
        Whether it is run again afterwards, with the same end.
    """

    days_ago: float
    state: JobState = _J.REPORTED
    sent: tuple[tuple[DeliveryState, str | None], ...] = ()
    is_rerun: bool = False


GONE: Final = (_D.EXHAUSTED, "given up after 11 attempts; the last: cannot connect")
REFUSED: Final = (_D.REFUSED, "SR: SOP class not supported")
SENT: Final = (_D.SENT, None)

PLANS: Final = (
    Plan(1.1, sent=(GONE,)),
    Plan(0.01, _J.RECEIVED),
    Plan(0.2, sent=(SENT, SENT)),
    Plan(2.2, sent=(REFUSED, SENT)),
    Plan(0.02, _J.QUEUED),
    Plan(1.4, sent=((_D.CONFIRMED, None),)),
    Plan(3.1, sent=(GONE, SENT)),
    Plan(0.03, _J.RUNNING),
    Plan(0.05, sent=((_D.WAITING, None), SENT)),
    Plan(4.6, sent=(GONE, GONE)),
    Plan(0.4, _J.REJECTED),
    Plan(0.06, sent=((_D.SENDING, None),)),
    Plan(5.2, sent=(GONE,)),
    Plan(0.5, _J.FAILED),
    Plan(2.5, sent=((_D.HELD, "no destination of this name is configured"), SENT)),
    Plan(0.9, sent=(REFUSED,)),
    Plan(0.7, _J.CANCELLED),
    Plan(3.3, sent=(SENT,), is_rerun=True),
    Plan(2.7, sent=(GONE,)),
    Plan(0.3),
    Plan(5.8, sent=(SENT, GONE)),
    Plan(0.25, sent=((_D.CONFIRMED, None), (_D.CONFIRMED, None))),
    Plan(1.7, sent=(GONE,)),
)


def add_pictures(node: Node, count: int) -> Iterator[int]:
    """Make so many jobs, and yield how many there are so far."""
    made = 0
    for number, plan in enumerate(islice(cycle(PLANS), count)):
        if made >= count:
            return
        dataset, picture = _radiograph(number, plan)
        job_id = _receive(node, dataset, CALLERS[number % len(CALLERS)])
        _bring(node, job_id, plan, dataset, picture, number)
        _backdate(node, job_id, plan.days_ago)
        made += 1
        if plan.is_rerun and made < count:
            with node.database.write() as session:
                again = jobs.rerun(session, job_id, "operator")
            _bring(node, again, plan, dataset, picture, number)
            _backdate(node, again, plan.days_ago / 2)
            made += 1
        yield made


def _radiograph(number: int, plan: Plan) -> tuple[FileDataset, npt.NDArray[np.float32]]:
    """Return a phantom as a DX image, and as a picture in [0, 1]."""
    child = patient(FIRST_PATIENT + number)
    age_months = 12.0 * (1 + number * 5 % 18) + number % 12
    height, width = SIDES_PX
    drawn = draw_phantom(
        child.sex or "F", min(age_months, 228.0), height_px=height, width_px=width, seed=number
    )
    picture = (drawn / TOP).astype(np.float32)
    dataset = wrap_radiograph(
        picture,
        sex=child.sex or None,
        age_months=age_months,
        study_description="SYNTHETIC phantom, bone age",
        acquired_at=datetime.now(UTC).astimezone() - timedelta(days=plan.days_ago),
        attributes={
            "PatientName": child.name,
            "PatientID": child.patient_id,
            "AccessionNumber": f"PHX{number:07d}",
        },
    )
    return dataset, picture


def _receive(node: Node, dataset: FileDataset, caller: str) -> int:
    """Keep the radiograph as the listener does."""
    uid = str(dataset.SOPInstanceUID)
    partial = node.storage.partial / f"seed-{hashlib.sha256(uid.encode()).hexdigest()[:16]}.dcm"
    dataset.save_as(partial, enforce_file_format=True)
    sha256, size = content_hash(partial), partial.stat().st_size
    instance = jobs.NewInstance(
        sop_instance_uid=uid,
        sop_class_uid=str(dataset.SOPClassUID),
        study_instance_uid=str(dataset.StudyInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        sha256=sha256,
        size_bytes=size,
        path=node.storage.keep_received(partial, uid, sha256),
        calling_ae_title=caller,
        peer_address="127.0.0.1",
        header=kept(dataset),
    )
    with node.database.write() as session:
        job_id = jobs.receive(session, instance)
    if job_id is None:
        msg = "a new UID was there already"
        raise AssertionError(msg)
    return job_id


def _bring(  # noqa: PLR0913, PLR0917 - a job has this many parts
    node: Node,
    job_id: int,
    plan: Plan,
    dataset: FileDataset,
    picture: npt.NDArray[np.float32],
    number: int,
) -> None:
    """Bring a received job to the end of its plan, by the moves that the node itself makes."""
    with node.database.write() as session:
        if plan.state in {_J.REJECTED, _J.CANCELLED}:
            why = NO_HAND if plan.state == _J.REJECTED else None
            jobs.move(session, job_id, _J.RECEIVED, plan.state, reason=why)
            return
        if plan.state == _J.RECEIVED:
            return
        jobs.move(session, job_id, _J.RECEIVED, _J.QUEUED)
        if plan.state == _J.QUEUED:
            return
        jobs.claim(session, job_id, OWNER, LEASE_SECONDS)
        work = results.load_work(session, job_id)
        if plan.state == _J.FAILED:
            jobs.move(session, job_id, _J.RUNNING, _J.FAILED, reason=BROKEN, owner=OWNER)
        if plan.state in {_J.FAILED, _J.RUNNING}:
            return
    finding = _finding(dataset, work, number)
    outputs = results.build(node, work, dataset, picture, finding)
    own_files = heatmap_file.keep_heatmap(node.storage, job_id, finding)
    with node.database.write() as session:
        values = results.as_values(finding)
        jobs.move(session, job_id, _J.RUNNING, _J.REPORTED, owner=OWNER, values=values)
        session.add_all([*outputs, *own_files])
        session.flush()
        ids = deliveries.create(session, job_id, DESTINATIONS[: len(plan.sent)])
        for delivery_id, (state, reason) in zip(ids, plan.sent, strict=True):
            _deliver(session, delivery_id, state, reason)
        deliveries.settle(session, job_id)
        if plan.sent and all(state == _D.CONFIRMED for state, _ in plan.sent):
            jobs.move(session, job_id, _J.SENT, _J.CONFIRMED)


def _deliver(session: Session, delivery_id: int, state: DeliveryState, reason: str | None) -> None:
    """Bring a waiting delivery to a state."""
    if state == _D.WAITING:
        return
    if state == _D.HELD:
        deliveries.move(session, delivery_id, _D.WAITING, _D.HELD, reason=reason)
        return
    deliveries.claim(session, delivery_id, OWNER, LEASE_SECONDS)
    if state == _D.SENDING:
        return
    first = _D.SENT if state == _D.CONFIRMED else state
    deliveries.move(session, delivery_id, _D.SENDING, first, reason=reason, owner=OWNER)
    job_id = session.get_one(DeliveryRow, delivery_id).job_id
    made = select(OutputRow.id).where(OutputRow.job_id == job_id, OutputRow.kind != "sr-2d")
    for output in session.scalars(made):
        stored = first == _D.SENT
        if stored or state == _D.REFUSED:
            status = 0x0000 if stored else 0x0122
            deliveries.keep_status(session, delivery_id, output, status)
    if state == _D.CONFIRMED:
        deliveries.move(session, delivery_id, _D.SENT, _D.CONFIRMED)


def _finding(dataset: FileDataset, work: results.Work, number: int) -> Finding:
    """Return an invented finding, and what the header says of the child."""
    age = chronological_age_months(dataset) or 120.0
    bone, sd = min(226.0, max(6.0, age + (number * 11 % 37 - 18))), 7.5
    sex = str(dataset.PatientSex) or "unknown"
    estimate = Estimate(
        bone_age_months=bone,
        sd_months=sd,
        interval_months=(max(0.0, bone - Z_90 * sd), min(228.0, bone + Z_90 * sd)),
        sex=sex,
        by_sex={"M": bone + 4, "F": bone - 4} if sex == "unknown" else None,
        sex_seen=sex if sex != "unknown" else "F",
        sex_probability=0.9,
        sex_accuracy=None,
        heatmap=_heatmap(),
        weights_version="invented",
    )
    return Finding(
        estimate=estimate,
        chronological_age_months=age,
        laterality="L",
        growth=assess_growth(estimate, age),
        started_at=datetime.now(UTC).astimezone(),
        acquired_on=acquisition_date(dataset),
        earlier=work.known.earlier,
        corrections=work.known.corrections,
        replaces=work.known.replaces,
    )


def _heatmap() -> npt.NDArray[np.float32]:
    """Return a spot over the wrist and one over the fingers."""
    y, x = np.mgrid[0:48, 0:36].astype(np.float32)
    spots = [
        np.exp(-((y - top) ** 2 + (x - left) ** 2) / 40) * weight
        for top, left, weight in ((36, 18, 1.0), (16, 16, 0.6))
    ]
    heatmap: npt.NDArray[np.float32] = np.clip(spots[0] + spots[1], 0, 1).astype(np.float32)
    return heatmap


def _backdate(node: Node, job_id: int, days: float) -> None:
    """Let a job have happened some days ago."""
    with node.database.write() as session:
        job = session.get_one(JobRow, job_id)
        gone = timedelta(days=days)
        job.created_at -= gone
        job.updated_at -= gone
        if job.rerun_of is None:
            session.get_one(InstanceRow, job.instance_id).received_at -= gone
        for delivery in session.scalars(select(DeliveryRow).where(DeliveryRow.job_id == job_id)):
            delivery.updated_at -= gone
        for event in session.scalars(select(EventRow).where(EventRow.job_id == job_id)):
            event.at -= gone
