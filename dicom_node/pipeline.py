"""The path of a radiograph from the queue to the PACS, step by step.

::

    modality --C-STORE--> scp.store      storage.keep_received, jobs.receive, COMMIT, 0x0000
                          intake.admit   eligibility, the best of an examination: queued or
                                         rejected, COMMIT, enqueue assess
    fetch (here)          only with an archive, before assess: C-FIND, C-GET   <-- archive
                          of earlier reports, COMMIT, enqueue assess
    assess (here)         claim, pixels, infer, SC and SR, keep, reported, COMMIT, enqueue send
    send (here)           claim, scu.store, sent, COMMIT                       --> PACS
    sweep                 whatever the broker lost or a dead process held goes on
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import structlog
from sqlalchemy.exc import SQLAlchemyError
from structlog.contextvars import bound_contextvars

from dicom_node import deliveries, heatmap_file, history, intake, jobs, results, routes, scu
from dicom_node.db import DeliveryRow, InstanceRow
from dicom_node.errors import ConfigError, NodeError, PeerError, PixelsError
from dicom_node.finding import Refusal
from dicom_node.header import settle_text
from dicom_node.lease import Lease
from dicom_node.node import new_owner
from dicom_node.report_reading import read_report
from dicom_node.states import DeliveryState, JobState, Priority
from dicom_node.words import words_of

if TYPE_CHECKING:
    from dicom_node.archive import Archive
    from dicom_node.config import Destination
    from dicom_node.db import OutputRow
    from dicom_node.infer import Estimators
    from dicom_node.node import Node
    from dicom_node.report_reading import EarlierReport
    from models.tjnet.estimator import Estimator

log = structlog.get_logger()


def fetch(node: Node, archive: Archive | None, job_id: int) -> None:
    """Fetch earlier reports of a queued job's patient, then hand the job on, come what may."""
    with bound_contextvars(job=job_id):
        try:
            if archive is not None:
                log.info("history fetched", reports=_fetch(node, archive, job_id))
        except PeerError as error:
            log.warning("history not fetched", reason=str(error))
        except Exception:  # the edge: history is never worth a lost answer
            log.exception("history not fetched")
        intake.hand_over(node, job_id)


def _fetch(node: Node, archive: Archive, job_id: int) -> int:
    """Keep what earlier reports say, also where the archive fails halfway; returns their number."""
    with node.database.read() as session:
        instance = session.get_one(InstanceRow, jobs.get(session, job_id).instance_id)
        known = history.known_uids(session, instance)
    patient = (instance.patient_id, instance.issuer_of_patient_id)
    found: list[EarlierReport] = []
    try:
        for dataset in archive.reports(*patient, but_not=known):
            report = read_report(dataset)
            # An archive may match by a case or an issuer that it does not look at.
            if report is not None and (report.patient_id, report.issuer_of_patient_id) == patient:
                found.append(report)
    finally:
        with node.database.write() as session:
            history.keep(session, found)
    return len(found)


def assess(
    node: Node,
    estimator: Estimator | Estimators,
    job_id: int,
    *,
    came_by: Priority | None = None,
) -> None:
    """Assess one queued job; nothing happens where another process has it or had it.

    Parameters
    ----------
    node : Node
        The node.
    estimator : Estimator or Estimators
        What assesses; a lone one, whatever weights were asked for.
    job_id : int
        The job.
    came_by : Priority, optional
        Of the list in the broker that its id came by.
    """
    with bound_contextvars(job=job_id):
        _assess(node, estimator, job_id, came_by)


def _assess(
    node: Node, estimator: Estimator | Estimators, job_id: int, came_by: Priority | None
) -> None:
    """Assess a job, whatever is logged meanwhile being of it."""
    owner, lease_seconds = new_owner("assess"), node.config.leases.lease_seconds
    with node.database.write() as session:
        if not jobs.claim(session, job_id, owner, lease_seconds, came_by):
            log.info("nothing to assess", job=job_id)
            return
        work = results.load_work(session, job_id)
    with Lease(node.database, jobs.renew, job_id, owner, lease_seconds):
        try:
            waiting = _report(node, _chosen(estimator, work), work, owner)
        except PixelsError as error:
            _end(node, job_id, owner, JobState.REJECTED, str(error))
            return
        except FileNotFoundError:
            _end(node, job_id, owner, JobState.FAILED, "the received file is missing")
            return
        except (SQLAlchemyError, OSError) as error:  # not the radiograph's fault
            # The lease runs out, and the sweeper queues the job again.
            log.warning("assessment put off", job=job_id, error=type(error).__name__)
            return
        except Exception as error:
            # Only our own errors are sure to carry no value of the header in their text.
            reason = str(error) if isinstance(error, NodeError) else type(error).__name__
            log.exception("assessment failed", job=job_id)
            _end(node, job_id, owner, JobState.FAILED, f"the assessment failed: {reason}")
            return
    intake.send_all(node, waiting)


def _chosen(estimator: Estimator | Estimators, work: results.Work) -> Estimator:
    """Return the estimator with the weights that were asked for."""
    from dicom_node.infer import Estimators  # noqa: PLC0415 - torch, in the assessing process only

    return estimator.of(work.weights) if isinstance(estimator, Estimators) else estimator


def _report(node: Node, estimator: Estimator, work: results.Work, owner: str) -> list[int]:
    """Make and keep the results of a claimed job; returns the deliveries that now wait."""
    from dicom_node.infer import find  # noqa: PLC0415 - torch, in the assessing process only

    source = pydicom.dcmread(node.storage.absolute(work.path))
    settle_text(source)
    picture, found = find(estimator, source, work.known)
    if isinstance(found, Refusal) and not node.config.results.answer_refused:
        _end(node, work.job_id, owner, JobState.REJECTED, found.reason)
        return []
    outputs = results.build(node, work, source, picture, found)
    own_files = heatmap_file.keep_heatmap(node.storage, work.job_id, found)
    destinations = routes.destinations_for(node.config, work.calling_ae_title, source)
    values = results.as_values(found, words_of(node.config.results.language))
    with node.database.write() as session:
        moved = jobs.move(
            session,
            work.job_id,
            JobState.RUNNING,
            JobState.REPORTED,
            reason=found.reason if isinstance(found, Refusal) else None,
            owner=owner,
            values=values,
        )
        if not moved:  # the lease ran out, and another process has the job
            log.warning("lease lost", job=work.job_id)
            return []
        session.add_all([*outputs, *own_files])
        session.flush()
        waiting = deliveries.create(session, work.job_id, destinations)
    log.info("reported", job=work.job_id, deliveries=len(waiting))
    return waiting


def _end(node: Node, job_id: int, owner: str, target: JobState, reason: str) -> None:
    """Reject or fail a running job."""
    with node.database.write() as session:
        jobs.move(session, job_id, JobState.RUNNING, target, reason=reason, owner=owner)
    log.warning("not assessed", job=job_id, state=str(target))


def send(node: Node, delivery_id: int) -> None:
    """Send one job's results to one destination; nothing happens where another does or did."""
    owner, lease_seconds = new_owner("send"), node.config.leases.lease_seconds
    with node.database.write() as session:
        row = session.get(DeliveryRow, delivery_id)
        if row is None:
            return
        job_id = row.job_id
        try:
            destination = node.config.destination(row.destination)
        except ConfigError:
            reason = "no destination of this name is configured"
            deliveries.move(
                session, delivery_id, DeliveryState.WAITING, DeliveryState.HELD, reason=reason
            )
            return
        if not deliveries.claim(session, delivery_id, owner, lease_seconds):
            return
        outputs = deliveries.unsent(session, delivery_id, destination)
    with (
        bound_contextvars(job=job_id),
        Lease(node.database, deliveries.renew, delivery_id, owner, lease_seconds),
    ):
        state, reason = _transfer(node, destination, delivery_id, outputs)
    with node.database.write() as session:
        if state == DeliveryState.WAITING:
            deliveries.postpone(session, delivery_id, owner, destination, reason)
        else:
            deliveries.move(
                session, delivery_id, DeliveryState.SENDING, state, reason=reason, owner=owner
            )
        deliveries.settle(session, job_id)
    event = log.info if state == DeliveryState.SENT else log.warning
    event("delivery tried", job=job_id, delivery=delivery_id, state=str(state), reason=reason)


def _transfer(
    node: Node,
    destination: Destination,
    delivery_id: int,
    outputs: list[tuple[OutputRow, OutputRow | None]],
) -> tuple[DeliveryState, str]:
    """Send what is left to send and keep every status.

    Returns
    -------
    state, reason
        ``sent`` when all is stored, but for optional kinds that the destination does not know;
        ``refused`` when something never will be; else ``waiting``.
    """
    path_of = node.storage.absolute
    paths = [path_of(output.path) for output, _ in outputs]
    instead = {path_of(output.path): path_of(other.path) for output, other in outputs if other}
    by_path = {path_of(output.path): output for pair in outputs for output in pair if output}
    again, refused = "", []
    try:
        for transfer in scu.store(node.config.node.ae_title, destination, paths, instead):
            output = by_path[transfer.path]
            with node.database.write() as session:
                deliveries.keep_status(session, delivery_id, output.id, transfer.status)
            if transfer.status == scu.NO_CONTEXT and output.kind in deliveries.OPTIONAL:
                log.info("not accepted, and not needed", delivery=delivery_id, kind=output.kind)
            elif scu.is_refusal(transfer.status):
                refused.append(f"{output.kind.upper()}: {transfer.reason}")
            elif not deliveries.is_stored(transfer.status):
                again = f"{output.kind.upper()}: {transfer.reason}"
    except PeerError as error:
        again = str(error)
    except Exception as error:  # the edge: ours to fix, tried again and in the end given up
        log.exception("sending failed", delivery=delivery_id)
        again = f"sending failed: {type(error).__name__}"
    if again:
        return DeliveryState.WAITING, again
    if refused:
        return DeliveryState.REFUSED, ", ".join(refused)
    return DeliveryState.SENT, ""
