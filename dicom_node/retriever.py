"""Having an archive send a study: by C-MOVE to our listener, or by C-GET over an association."""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import intake, query, retrievals
from dicom_node.db import RetrievalRow
from dicom_node.eligibility import may_be_assessed
from dicom_node.errors import (
    MismatchError,
    NodeError,
    OutOfResourcesError,
    PeerError,
    QuestionError,
    StoreError,
)
from dicom_node.lease import Lease
from dicom_node.node import new_owner
from dicom_node.query import Counts
from dicom_node.reception import Sender, receive
from dicom_node.routes import caller_allowed
from dicom_node.states import RetrievalState
from dicom_node.storage import Incoming, check_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dicom_node.config import NamedArchive
    from dicom_node.node import Node

log = structlog.get_logger()

COUNT_SECONDS: Final = 0.5
"""How often the numbers of a running retrieval are written, at most."""

MOST_AT_A_TIME: Final = query.MOST_STUDIES
"""Studies that one wish may name."""

SUCCESS, PROCESSING_FAILURE = 0x0000, 0x0110


def order(
    node: Node, archive: str, study_instance_uids: Sequence[str], *, actor: str, everything: bool
) -> list[int]:
    """Note that a person wants studies of an archive; returns the retrievals, which wait.

    Raises
    ------
    ConfigError
        If there is no such archive.
    QuestionError
        If no study is named, too many are, or one of them by no UID.
    """
    node.config.archive(archive)
    if not 0 < len(study_instance_uids) <= MOST_AT_A_TIME:
        msg = f"choose 1 to {MOST_AT_A_TIME} studies"
        raise QuestionError(msg)
    try:
        uids = [check_uid(uid) for uid in study_instance_uids]
    except MismatchError:
        msg = "a study instance UID is not a UID"
        raise QuestionError(msg) from None
    with node.database.write() as session:
        return retrievals.create(session, archive, uids, actor=actor, everything=everything)


def enqueue(node: Node, retrieval_id: int) -> None:
    """Hand a waiting retrieval to the broker; one that is away is mended by the sweeper."""
    if node.broker.enqueue("retrieve", retrieval_id):
        with node.database.write() as session:
            retrievals.mark_enqueued(session, [retrieval_id])


def retrieve(node: Node, retrieval_id: int, at_once: int | None = retrievals.AT_ONCE) -> None:
    """Run one waiting retrieval to its end; nothing happens where another runs it or ran it.

    Parameters
    ----------
    at_once : int or None
        So many may run; one more goes on waiting. None: any number.
    """
    owner, lease_seconds = new_owner("retrieve"), node.config.leases.lease_seconds
    with node.database.write() as session:
        if not retrievals.claim(session, retrieval_id, owner, lease_seconds, at_once):
            return
        row = session.get_one(RetrievalRow, retrieval_id)
    reason: str | None
    counts: Counts | None = None
    with Lease(node.database, retrievals.renew, retrieval_id, owner, lease_seconds):
        try:
            counts, remark = _retrieve(node, row, owner)
            state, reason = _verdict(counts, remark)
        except (SQLAlchemyError, OSError) as error:  # the lease runs out, and it is tried again
            log.warning("retrieval put off", retrieval=retrieval_id, error=type(error).__name__)
            return
        except NodeError as error:
            state, reason = RetrievalState.FAILED, str(error)
        except Exception as error:  # the edge: it must not look as if it went on
            log.exception("retrieval failed", retrieval=retrieval_id)
            state, reason = RetrievalState.FAILED, type(error).__name__
    numbers = asdict(counts) if counts is not None else {}
    values = {**numbers, "reason": None if reason is None else reason[: retrievals.REASON_LENGTH]}
    with node.database.write() as session:
        retrievals.move(session, retrieval_id, RetrievalState.RUNNING, state, owner=owner, **values)
    log.info("retrieved", retrieval=retrieval_id, state=str(state), **values)
    with node.database.read() as session:
        waiting = retrievals.next_waiting(session)
    if waiting is not None and at_once is not None:
        enqueue(node, waiting)


def _verdict(counts: Counts, remark: str) -> tuple[RetrievalState, str | None]:
    """Return how a retrieval ended, and why, by what the archive counted."""
    if counts.failed:
        every = counts.completed + counts.warning + counts.failed
        state = RetrievalState.DONE if every > counts.failed else RetrievalState.FAILED
        return state, (
            f"{counts.failed} of {every} objects did not come: they are no radiographs, or the "
            "archive could not send them"
        )
    if not counts.completed and not counts.warning:
        return RetrievalState.FAILED, remark
    return RetrievalState.DONE, None


def _retrieve(node: Node, row: RetrievalRow, owner: str) -> tuple[Counts, str]:
    """Have the study, or what of it could be assessed, sent; returns counts and a remark."""
    archive = node.config.archive(row.archive)
    move_to = None
    if archive.retrieve == "move":
        move_to = node.config.node.ae_title
        if not caller_allowed(node.config, archive.ae_title):
            msg = (
                f"{archive.ae_title} may not send to us: add it to `callers`, or set `retrieve: "
                f"get` for {archive.name}"
            )
            raise PeerError(msg)
    incoming = Incoming(node.storage)
    on_store = None if move_to else _taking(node, archive, incoming)
    model = query.GET if move_to is None else query.MOVE
    ours = node.config.node.ae_title
    try:
        with query.conversation(ours, archive, model, query.FIND, on_store=on_store) as talk:
            return _retrieve_series(node, talk, row, owner, move_to)
    finally:
        incoming.close()


def _retrieve_series(
    node: Node, talk: query.Conversation, row: RetrievalRow, owner: str, move_to: str | None
) -> tuple[Counts, str]:
    """Have a study sent series by series; some archives end a request at its first failure.

    Most studies hold what is no radiograph, our own results for one, which we do not take.
    """
    series = talk.series(row.study_instance_uid)
    wanted = [one for one in series if row.everything or _may_be_assessed(node, one)]
    remark = "the archive has no series of this study that could be assessed"
    if not series:
        remark = "the archive has nothing of this study"
    total, noted = Counts(), 0.0
    for one in wanted:
        keys = {
            "StudyInstanceUID": row.study_instance_uid,
            "SeriesInstanceUID": one.series_instance_uid,
        }
        last = Counts()
        try:
            for last in talk.retrieve("SERIES", keys, move_to):
                if time.monotonic() - noted > COUNT_SECONDS:
                    noted = time.monotonic()
                    _note(node, row.id, owner, total + last)
        except query.NotSentError as error:
            missing = int(one.instances) if one.instances.isdecimal() else 1
            last = Counts(completed=last.completed, failed=max(1, missing - last.completed))
            remark = str(error)
        total += last
    return total, remark


def _may_be_assessed(node: Node, series: query.FoundSeries) -> bool:
    rules = node.config.eligibility
    return may_be_assessed(series.modality, series.body_part_examined, rules)


def _note(node: Node, retrieval_id: int, owner: str, counts: Counts) -> None:
    """Write how far it is."""
    with node.database.write() as session:
        retrievals.count(session, retrieval_id, owner, asdict(counts))


def _taking(
    node: Node, archive: NamedArchive, incoming: Incoming
) -> Callable[[tuple[str, str], bytes], int]:
    """Return what takes a radiograph that comes over our own association."""
    sender = Sender(archive.ae_title, archive.host[:64])

    def take(command: tuple[str, str], file: bytes) -> int:
        partial = incoming.folder / f"{uuid.uuid4().hex}.dcm"
        try:
            partial.write_bytes(file)
            reception = receive(node, partial, sender, command)
        except StoreError as error:
            log.warning("not stored", status=f"{error.status:04X}", reason=str(error))
            return error.status
        except (OSError, SQLAlchemyError):
            log.exception("not stored", status="A700")
            return OutOfResourcesError.status
        except Exception:  # the edge, as in the listener: a defect of ours
            log.exception("not stored", status="0110")
            return PROCESSING_FAILURE
        finally:
            partial.unlink(missing_ok=True)
        if reception.job_id is not None:
            intake.admit_or_leave(node, reception.job_id)
        return SUCCESS

    return take
