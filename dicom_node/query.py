"""Asking a PACS for studies as SCU, and having it send them: C-FIND, C-MOVE, C-GET (Study Root).

PS3.4 C.4. Many archives do not match BodyPartExamined, or ModalitiesInStudy: they are asked for
each study's series then, and what does not fit is left out here.
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.uid import UID
from pynetdicom import build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from dicom_node.eligibility import RADIOGRAPHS
from dicom_node.errors import NoContextError, PeerError, QuestionError
from dicom_node.header import UNREADABLE, settle_text, text
from dicom_node.scu import NATIVE, application_entity, associate
from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

    from dicom_node.config import ArchivePeer

FIND: Final = StudyRootQueryRetrieveInformationModelFind
GET: Final = StudyRootQueryRetrieveInformationModelGet
MOVE: Final = StudyRootQueryRetrieveInformationModelMove

MOST_STUDIES: Final = 500
"""That one question may be answered with; a longer answer is cancelled (C-CANCEL)."""
MOST_AFTER_CANCEL: Final = 1000
"""Matches that may come after a C-CANCEL; then the association is aborted."""
MOST_SERIES: Final = 1000
MOST_SECONDS: Final = 60.0
"""For all that is asked by one question."""
RETRIEVE_SECONDS: Final = 600.0
"""An archive may be silent for so long while it fetches a study from its tapes."""
REQUEST: Final = 1
"""The message ID of each request; one is under way at a time."""

SUCCESS, CANCELLED, SOME_FAILED = 0x0000, 0xFE00, 0xB000
PENDING: Final = frozenset({0xFF00, 0xFF01})
DESTINATION_UNKNOWN: Final = 0xA801
FOR_GOOD: Final = frozenset({DESTINATION_UNKNOWN, 0x0122, 0x0124})
"""Asking for another series is useless: nowhere to send, not supported, not authorised."""

LONGEST: Final = {
    "patient_id": 64,
    "patient_name": 194,
    "accession_number": 16,
    "modality": 16,
    "body_part": 16,
}
"""Characters (PS3.5 6.2): LO, PN with all its groups, SH, CS."""

DATES: Final = re.compile(r"([0-9]{8})(?:-([0-9]{8})?)?|-([0-9]{8})")


class NotSentError(PeerError):
    """An archive answered a retrieval with a failure, and may be asked for something else."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for; ``*`` and ``?`` are wildcards (PS3.4 C.2.2.2.4).

    Attributes
    ----------
    patient_id, patient_name, accession_number, modality, body_part : str
        Empty: any.
    study_date : str
        ``YYYYMMDD``, or a range with ``-`` before, after or between.
    """

    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    modality: str = ""
    body_part: str = ""

    def check(self) -> Question:
        """Return the question as it is asked.

        Raises
        ------
        QuestionError
            If it asks for nothing, or for what no archive could have. No value is repeated.
        """
        asked = Question(
            patient_id=self.patient_id.strip(),
            patient_name=self.patient_name.strip(),
            accession_number=self.accession_number.strip(),
            study_date=self.study_date.strip(),
            modality=self.modality.strip().upper(),
            body_part=self.body_part.strip().upper(),
        )
        for name, length in LONGEST.items():
            value = getattr(asked, name)
            if len(value) > length or "\\" in value or not value.isprintable():
                msg = f"{name}: at most {length} characters, no backslash"
                raise QuestionError(msg)
        if not _is_range(asked.study_date):
            msg = "study_date: YYYYMMDD, or a range: 20240101-20240131, 20240101- or -20240131"
            raise QuestionError(msg)
        named = (asked.patient_id, asked.patient_name, asked.accession_number, asked.study_date)
        if not any(value.strip("*?") for value in named):
            msg = "name a patient, an accession number or a date"
            raise QuestionError(msg)
        return asked


def _is_range(words: str) -> bool:
    """Return whether this is nothing, a date, or a range of dates (PS3.4 C.2.2.2.5)."""
    found = DATES.fullmatch(words)
    if words and found is None:
        return False
    try:
        for day in found.groups() if found else ():
            date.fromisoformat(day or "20000101")
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """One series as the archive describes it; a value that it does not say is empty."""

    series_instance_uid: str
    modality: str
    body_part_examined: str
    series_description: str
    instances: str


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """One study as the archive describes it; a value that it does not say is empty.

    ``series`` is None where the archive was not asked for it.
    """

    study_instance_uid: str
    study_date: str
    accession_number: str
    patient_name: str
    patient_id: str
    patient_birth_date: str
    patient_sex: str
    study_description: str
    modalities: tuple[str, ...]
    series: tuple[FoundSeries, ...] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a question.

    Attributes
    ----------
    studies : tuple of FoundStudy
        The newest first.
    is_whole : bool
        False where there are more than the limit.
    remarks : tuple of str
        What was looked at here instead of by the archive, in words for a person.
    """

    studies: tuple[FoundStudy, ...]
    is_whole: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Sub-operations of a retrieval (PS3.7 9.1.3, 9.1.4)."""

    remaining: int = 0
    completed: int = 0
    failed: int = 0
    warning: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(
            self.remaining + other.remaining,
            self.completed + other.completed,
            self.failed + other.failed,
            self.warning + other.warning,
        )


def find_studies(ae_title: str, peer: ArchivePeer, question: Question, limit: int) -> Found:
    """Ask an archive for studies.

    Parameters
    ----------
    ae_title, peer : str, ArchivePeer
        Who asks whom.
    question : Question
        What is asked.
    limit : int
        At most so many studies; what goes beyond is cancelled.

    Raises
    ------
    QuestionError
        If the question cannot be asked.
    PeerError
        If the archive is away, refuses, answers with a failure or takes too long.
    """
    asked = question.check()
    with conversation(ae_title, peer, FIND) as talk:
        return talk.studies(asked, min(limit, MOST_STUDIES))


@contextmanager
def conversation(
    ae_title: str,
    peer: ArchivePeer,
    *models: UID,
    on_store: Callable[[tuple[str, str], bytes], int] | None = None,
) -> Iterator[Conversation]:
    """Open an association for queries and retrieval; it is aborted where anything fails.

    Parameters
    ----------
    ae_title, peer : str, ArchivePeer
        Who asks whom.
    models : UID
        Of `FIND`, `MOVE` and `GET`, those that are needed.
    on_store : callable, optional
        Takes what comes by C-STORE over this association: SOP class and instance UID of the
        command, and a Part 10 file; returns the status.

    Raises
    ------
    PeerError
        If it does not come about, or does not allow what is needed.
    """
    ae = application_entity(ae_title)
    for uid in models:
        ae.add_requested_context(uid, NATIVE)
    roles: list[SCP_SCU_RoleSelectionNegotiation] = []
    handlers: list[EventHandlerType] = []
    if on_store is not None:
        for uid in RADIOGRAPHS:
            # One context a syntax: the archive sends each object in the one that it is kept in.
            for syntax in decodable_transfer_syntaxes():
                ae.add_requested_context(uid, syntax)
        roles = [build_role(uid, scp_role=True) for uid in RADIOGRAPHS]
        handlers = [(evt.EVT_C_STORE, _hand_over, [on_store])]
    try:
        association = associate(ae, peer, roles=roles, handlers=handlers)
    except NoContextError:
        msg = "the archive accepts neither queries nor retrieval"
        raise PeerError(msg) from None
    is_done = False
    try:
        _check(association, models, needs_role=on_store is not None)
        yield Conversation(association)
        is_done = True
    finally:
        if is_done and association.is_established:
            association.release()
        elif association.is_established:
            association.abort()


def _hand_over(event: Event, on_store: Callable[[tuple[str, str], bytes], int]) -> int:
    """Give what came by C-STORE to who takes it."""
    request = cast("C_STORE", event.request)
    command = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    # In a process that also listens, pynetdicom has written the file already.
    path = getattr(request, "_dataset_path", None)
    return on_store(command, Path(path).read_bytes() if path else event.encoded_dataset())


def _check(association: Association, models: tuple[UID, ...], *, needs_role: bool) -> None:
    """Check that the archive accepted what is needed, and our role as receiver."""
    accepted = {context.abstract_syntax: context for context in association.accepted_contexts}
    words = {FIND: "queries (C-FIND)", MOVE: "retrieval by C-MOVE", GET: "retrieval by C-GET"}
    for uid in models:
        if uid not in accepted:
            msg = f"the archive does not accept {words[uid]} in the Study Root model"
            raise PeerError(msg)
    if needs_role and not any(accepted[uid].as_scp for uid in RADIOGRAPHS if uid in accepted):
        msg = "the archive sends no radiographs over an association that we opened; use C-MOVE"
        raise PeerError(msg)


@dataclass(frozen=True, slots=True)
class Conversation:
    """An open association, and when its questions must have an end."""

    association: Association
    deadline: float = field(default_factory=lambda: time.monotonic() + MOST_SECONDS)

    def studies(self, asked: Question, limit: int) -> Found:
        """Return the studies that answer a checked question."""
        matches, is_whole = self._find(
            "STUDY",
            limit,
            PatientName=asked.patient_name,
            PatientID=asked.patient_id,
            AccessionNumber=asked.accession_number,
            StudyDate=asked.study_date,
            ModalitiesInStudy=asked.modality,
            StudyInstanceUID="",
            StudyTime="",
            StudyDescription="",
            PatientBirthDate="",
            PatientSex="",
        )
        studies = {study.study_instance_uid: study for study in map(_study, matches)}
        found = sorted(studies.values(), key=lambda study: study.study_date, reverse=True)
        found = [study for study in found if UID(study.study_instance_uid).is_valid]
        kept, remarks = self._fitting(found, asked)
        return Found(tuple(kept), is_whole, remarks)

    def _fitting(
        self, found: list[FoundStudy], asked: Question
    ) -> tuple[list[FoundStudy], tuple[str, ...]]:
        """Leave out what has another modality or body part, asking for series where needed."""
        kept, remarks = [], []
        if asked.body_part:
            remarks.append(
                "The body part was compared here, series by series; one that the archive does "
                "not say counts as fitting."
            )
        for study in found:
            seen = study
            if asked.body_part or (asked.modality and not study.modalities):
                seen = replace(study, series=self.series(study.study_instance_uid))
                of_series = dict.fromkeys(one.modality for one in seen.series or () if one.modality)
                seen = replace(seen, modalities=study.modalities or tuple(of_series))
            if _fits(seen, asked):
                kept.append(seen)
        return kept, tuple(remarks)

    def series(self, study_instance_uid: str) -> tuple[FoundSeries, ...]:
        """Return the series of a study."""
        matches, _ = self._find(
            "SERIES",
            MOST_SERIES,
            StudyInstanceUID=study_instance_uid,
            SeriesInstanceUID="",
            Modality="",
            BodyPartExamined="",
            SeriesDescription="",
            NumberOfSeriesRelatedInstances="",
        )
        series = [_series(match) for match in matches]
        return tuple(one for one in series if UID(one.series_instance_uid).is_valid)

    def _find(self, level: str, limit: int, **keys: str) -> tuple[list[Dataset], bool]:
        """Return the first matches of a query, and whether these are all."""
        query, matches, beyond = _identifier(level, keys), list[Dataset](), 0
        for status, _, match in _answers(
            "C-FIND", lambda: self.association.send_c_find(query, FIND, REQUEST)
        ):
            if time.monotonic() > self.deadline:
                msg = f"the archive took longer than {MOST_SECONDS:g} s; ask for less"
                raise PeerError(msg)
            if status not in {*PENDING, SUCCESS, CANCELLED}:
                msg = f"C-FIND answered with {status:04X}"
                raise PeerError(msg)
            if status not in PENDING:
                break
            if len(matches) < limit:
                matches += [] if match is None else [_settled(match)]
                continue
            beyond += 1
            if beyond == 1:
                self.association.send_c_cancel(REQUEST, query_model=FIND)
            if beyond > MOST_AFTER_CANCEL:
                self.association.abort()
                break
        return matches, beyond == 0

    def retrieve(self, level: str, keys: dict[str, str], move_to: str | None) -> Iterator[Counts]:
        """Have a study or series sent, and yield how far it is; the last is how it ended.

        Parameters
        ----------
        level, keys : str, dict of str
            What is retrieved, by its unique keys.
        move_to : str or None
            By C-MOVE to this AE title; None: by C-GET, over this association.

        Raises
        ------
        NotSentError
            If the archive fails on this; it may be asked for something else.
        PeerError
            If it refuses altogether, or is gone.
        """
        query = _identifier(level, keys)
        self.association.dimse_timeout = RETRIEVE_SECONDS
        self.association.network_timeout = RETRIEVE_SECONDS

        def send() -> Iterator[tuple[Dataset, Dataset | None]]:
            if move_to is None:
                return self.association.send_c_get(query, GET, REQUEST)
            return self.association.send_c_move(query, move_to, MOVE, REQUEST)

        what = "C-GET" if move_to is None else "C-MOVE"
        for status, answer, _ in _answers(what, send):
            counts = _counts(answer)
            # A failure with counts is one of the objects, not of the request.
            if status not in {*PENDING, SUCCESS, SOME_FAILED} and not counts.failed:
                words = _refusal(what, status, move_to)
                raise PeerError(words) if status in FOR_GOOD else NotSentError(words)
            yield counts


def _answers(
    what: str, send: Callable[[], Iterator[tuple[Dataset, Dataset | None]]]
) -> Iterator[tuple[int, Dataset, Dataset | None]]:
    """Send a request and yield each answer: its status, all of it, and its identifier.

    Raises
    ------
    PeerError
        If no answer comes.
    """
    try:
        for answer, identifier in send():
            status = answer.get("Status")
            if status is None:
                msg = f"no answer to {what}: timed out, or the association was aborted"
                raise PeerError(msg)
            yield int(status), answer, identifier
    except RuntimeError:  # it ended just now
        msg = f"the association ended before {what}"
        raise PeerError(msg) from None


def _refusal(what: str, status: int, move_to: str | None) -> str:
    """Return in words why nothing is sent (PS3.4 C.4.2.1.5)."""
    if status == DESTINATION_UNKNOWN:
        return f"the archive does not know where {move_to} is: enter us there as a peer (A801)"
    if status & 0xFF00 == 0xA700:  # noqa: PLR2004 - the statuses of one kind
        return f"the archive could not send: it is out of resources ({status:04X})"
    return f"{what} answered with {status:04X}"


def _counts(answer: Dataset) -> Counts:
    """Return the sub-operations that an answer counts."""
    kinds = ("Remaining", "Completed", "Failed", "Warning")
    return Counts(*(int(answer.get(f"NumberOf{kind}Suboperations") or 0) for kind in kinds))


def _identifier(level: str, keys: dict[str, Any]) -> Dataset:
    """Return the identifier of a query or retrieval (PS3.4 C.4.1.1.3)."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(str(value).isascii() for value in keys.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    with disable_value_validation():  # wildcards stand where a value may not have them
        for keyword, value in keys.items():
            setattr(identifier, keyword, value)
    return identifier


def _settled(match: Dataset) -> Dataset:
    """Return a match with its text decoded as its character set says; what is damaged stays."""
    with suppress(*UNREADABLE):
        settle_text(match)
    return match


def _study(match: Dataset) -> FoundStudy:
    return FoundStudy(
        study_instance_uid=text(match, "StudyInstanceUID"),
        study_date=text(match, "StudyDate"),
        accession_number=text(match, "AccessionNumber"),
        patient_name=text(match, "PatientName"),
        patient_id=text(match, "PatientID"),
        patient_birth_date=text(match, "PatientBirthDate"),
        patient_sex=text(match, "PatientSex"),
        study_description=text(match, "StudyDescription"),
        modalities=tuple(filter(None, text(match, "ModalitiesInStudy").split("\\"))),
    )


def _series(match: Dataset) -> FoundSeries:
    return FoundSeries(
        series_instance_uid=text(match, "SeriesInstanceUID"),
        modality=text(match, "Modality"),
        body_part_examined=text(match, "BodyPartExamined"),
        series_description=text(match, "SeriesDescription"),
        instances=text(match, "NumberOfSeriesRelatedInstances"),
    )


def _fits(study: FoundStudy, asked: Question) -> bool:
    """Return whether a study may hold what was asked for, as far as the archive says."""
    if asked.modality and study.modalities and asked.modality not in study.modalities:
        return False
    if not asked.body_part or not study.series:
        return True
    return any(
        one.body_part_examined.upper() in {"", asked.body_part}
        and (not asked.modality or one.modality in {"", asked.modality})
        for one in study.series
    )
