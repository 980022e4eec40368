"""Asking an archive as SCU: C-FIND and C-GET of earlier reports of a patient, every status read.

Study Root (PS3.4 C.6.2): studies of the patient with an SR in them, their SR series, the reports
in those; then the reports themselves, over the same association, on which we are the SCP of
Comprehensive 3D SR and Comprehensive SR (PS3.7 D.3.3.4).
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, ComprehensiveSRStorage
from pynetdicom import build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from dicom_node.errors import NoContextError, OutOfResourcesError, PeerError, UnreadableError
from dicom_node.header import UNREADABLE, text
from dicom_node.scu import NATIVE, application_entity, associate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pynetdicom.association import Association
    from pynetdicom.events import Event

    from dicom_node.config import ArchivePeer, Config

log = structlog.get_logger()

REPORTS: Final = (Comprehensive3DSRStorage, ComprehensiveSRStorage)
FIND: Final = StudyRootQueryRetrieveInformationModelFind
GET: Final = StudyRootQueryRetrieveInformationModelGet

MOST_MATCHES: Final = 1000
"""A query that more answers to is not ours: the archive does not look at its keys."""
MOST_STUDIES: Final = 50
"""Of one patient, the newest."""
MOST_REPORTS: Final = 100
"""Fetched of one patient at once."""
MOST_SECONDS: Final = 45.0
"""For all that is asked about one patient."""
REST_SECONDS: Final = 60.0
"""An archive that failed is left alone for so long: the threads that ask it also send."""

LONGEST_ID: Final = 64
"""Characters of a PatientID (VR LO)."""
WILDCARDS: Final = frozenset("*?\\")
"""What a query does not take literally (PS3.4 C.2.2.2.4), and what separates values."""

SUCCESS: Final = 0x0000
PENDING: Final = frozenset({0xFF00, 0xFF01})
SOME_FAILED: Final = 0xB000
"""C-GET: one or more sub-operations failed (PS3.4 C.4.3.1.4); what came is good."""


class Archive:
    """The query/retrieve peer of a node.

    Parameters
    ----------
    ae_title : str
        Who asks.
    peer : ArchivePeer
        Who is asked.
    """

    def __init__(self, ae_title: str, peer: ArchivePeer) -> None:
        self._ae_title = ae_title
        self._peer = peer
        self._rests_until = 0.0

    @classmethod
    def of(cls, config: Config) -> Archive | None:
        """Return the archive that the configuration names, or None."""
        peer = config.history.archive
        return None if peer is None else cls(config.node.ae_title, peer)

    def reports(
        self, patient_id: str, issuer_of_patient_id: str, *, but_not: frozenset[str] = frozenset()
    ) -> Iterator[Dataset]:
        """Fetch a patient's SRs, those of newer studies first; whose they are is to be checked.

        Parameters
        ----------
        patient_id, issuer_of_patient_id : str
            The patient.
        but_not : set of str
            UIDs of studies and instances that are not wanted.

        Raises
        ------
        PeerError
            If the patient cannot be asked for, or the archive is away, refuses, answers with a
            failure, takes too long, or did any of these a moment ago.
        """
        if not _is_literal(patient_id):
            msg = "the archive is not asked: the PatientID is empty, too long or has wildcards"
            raise PeerError(msg)
        if time.monotonic() < self._rests_until:
            msg = f"the archive is not asked: it failed less than {REST_SECONDS:g} s ago"
            raise PeerError(msg)
        try:
            with _conversation(self._ae_title, self._peer) as conversation:
                yield from conversation.reports(patient_id, issuer_of_patient_id, but_not)
        except PeerError:
            self._rests_until = time.monotonic() + REST_SECONDS
            raise


@contextmanager
def _conversation(ae_title: str, peer: ArchivePeer) -> Iterator[_Conversation]:
    """Open an association for queries and retrieval; it is aborted where anything fails.

    Raises
    ------
    PeerError
        If it does not come about, or does not allow what is needed.
    """
    ae = application_entity(ae_title)
    for uid in (FIND, GET, *REPORTS):
        ae.add_requested_context(uid, NATIVE)
    received: list[Dataset] = []
    try:
        association = associate(
            ae,
            peer,
            roles=[build_role(uid, scp_role=True) for uid in REPORTS],
            handlers=[(evt.EVT_C_STORE, _keep, [received])],
        )
    except NoContextError:
        msg = "the archive accepts neither queries (C-FIND) nor retrieval (C-GET)"
        raise PeerError(msg) from None
    is_done = False
    try:
        _check(association)
        yield _Conversation(association, received)
        is_done = True
    finally:
        if is_done and association.is_established:
            association.release()
        elif association.is_established:
            association.abort()


def _check(association: Association) -> None:
    """Check that the archive accepted queries, retrieval, and our role as receiver."""
    accepted = {context.abstract_syntax: context for context in association.accepted_contexts}
    if FIND not in accepted:
        msg = "the archive does not accept queries (Study Root C-FIND)"
    elif GET not in accepted:
        msg = "the archive does not accept retrieval (Study Root C-GET)"
    elif not any(accepted[uid].as_scp for uid in REPORTS if uid in accepted):
        msg = "the archive sends no structured reports over an association that we opened"
    else:
        return
    raise PeerError(msg)


def _keep(event: Event, received: list[Dataset]) -> int:
    """Take a report that comes by C-STORE; returns the status."""
    if len(received) >= MOST_REPORTS:
        return OutOfResourcesError.status
    try:
        received.append(event.dataset)
    except UNREADABLE:
        return UnreadableError.status
    return SUCCESS


@dataclass(frozen=True, slots=True)
class _Conversation:
    """An open association, what came over it, and when it must have an end."""

    association: Association
    received: list[Dataset]
    deadline: float = field(default_factory=lambda: time.monotonic() + MOST_SECONDS)

    def reports(
        self, patient_id: str, issuer_of_patient_id: str, but_not: frozenset[str]
    ) -> Iterator[Dataset]:
        """Yield the SRs of a patient; see `Archive.reports`."""
        left = MOST_REPORTS
        for study in self._studies(patient_id, issuer_of_patient_id, but_not):
            for series in self._series(study):
                instances = self._instances(study, series, but_not)[:left]
                left -= len(instances)
                if instances:
                    yield from self._get(study, series, instances)
                if left <= 0:
                    return

    def _studies(
        self, patient_id: str, issuer_of_patient_id: str, but_not: frozenset[str]
    ) -> list[str]:
        """Return the newest studies of a patient that have an SR."""
        issuer = issuer_of_patient_id if _is_literal(issuer_of_patient_id) else ""
        matches = self._find(
            "STUDY",
            PatientID=patient_id,
            IssuerOfPatientID=issuer,
            ModalitiesInStudy="SR",
            StudyDate="",
            StudyInstanceUID="",
        )
        matches.sort(key=lambda match: text(match, "StudyDate"), reverse=True)
        return _uids(matches, "StudyInstanceUID", but_not)[:MOST_STUDIES]

    def _series(self, study: str) -> list[str]:
        """Return the SR series of a study."""
        matches = self._find("SERIES", StudyInstanceUID=study, Modality="SR", SeriesInstanceUID="")
        reports = [match for match in matches if text(match, "Modality") in {"SR", ""}]
        return _uids(reports, "SeriesInstanceUID")

    def _instances(self, study: str, series: str, but_not: frozenset[str]) -> list[str]:
        """Return the comprehensive reports of a series, and what has no class in the answer."""
        matches = self._find(
            "IMAGE",
            StudyInstanceUID=study,
            SeriesInstanceUID=series,
            SOPInstanceUID="",
            SOPClassUID="",
        )
        reports = [match for match in matches if text(match, "SOPClassUID") in {*REPORTS, ""}]
        return _uids(reports, "SOPInstanceUID", but_not)

    def _find(self, level: str, **keys: str) -> list[Dataset]:
        """Return the matches of a query."""
        query, matches = _identifier(level, keys), []
        for match in self._ask("C-FIND", lambda: self.association.send_c_find(query, FIND)):
            if match is not None:
                matches.append(match)
            if len(matches) > MOST_MATCHES:
                msg = f"the archive has more than {MOST_MATCHES} matches to one query"
                raise PeerError(msg)
        return matches

    def _get(self, study: str, series: str, instances: list[str]) -> list[Dataset]:
        """Return what came of the instances that were asked for."""
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instances}
        query = _identifier("IMAGE", keys)
        self.received.clear()
        for _ in self._ask("C-GET", lambda: self.association.send_c_get(query, GET)):
            pass
        return [
            dataset for dataset in self.received if text(dataset, "SOPInstanceUID") in instances
        ]

    def _ask(
        self, what: str, send: Callable[[], Iterator[tuple[Dataset, Dataset | None]]]
    ) -> Iterator[Dataset | None]:
        """Send a request and yield what comes with each pending status.

        Raises
        ------
        PeerError
            If there is no answer, a failure, or no time left.
        """
        try:
            for answer, identifier in send():
                status = answer.get("Status")
                if status is None:
                    msg = f"no answer to {what}: timed out, or the association was aborted"
                    raise PeerError(msg)
                if status == SOME_FAILED and what == "C-GET":
                    log.warning("some earlier reports could not be retrieved")
                elif status in PENDING:
                    yield identifier
                elif status != SUCCESS:
                    msg = f"{what} answered with {status:04X}"
                    raise PeerError(msg)
                if time.monotonic() > self.deadline:
                    msg = f"the archive took longer than {MOST_SECONDS:g} s"
                    raise PeerError(msg)
        except RuntimeError:  # it ended just now
            msg = f"the association ended before {what}"
            raise PeerError(msg) from None


def _identifier(level: str, keys: dict[str, Any]) -> Dataset:
    """Return the identifier of a query or retrieval (PS3.4 C.4.1.1.3)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(str(value).isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    return identifier


def _uids(matches: list[Dataset], keyword: str, but_not: frozenset[str] = frozenset()) -> list[str]:
    """Return the valid UIDs of matches, each once, in their order."""
    uids = dict.fromkeys(text(match, keyword) for match in matches)
    return [uid for uid in uids if UID(uid).is_valid and uid not in but_not]


def _is_literal(identifier: str) -> bool:
    """Return whether a query finds just this identifier."""
    return 0 < len(identifier) <= LONGEST_ID and not WILDCARDS & set(identifier)
