"""Files and zips taken into the store as if a modality had sent them; one answer for each file.

A file's name may hold a person's: it stands in the answer, and in no log.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from pydicom.uid import MediaStorageDirectoryStorage
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import intake, jobs, zips
from dicom_node.errors import StoreError, UnreadableError, UnsupportedError
from dicom_node.file_meta import is_part_10, rewrite, transfer_syntax
from dicom_node.header import CONTROLS, read_header, text
from dicom_node.reception import check_class, receive
from dicom_node.states import JobState
from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.node import Node
    from dicom_node.reception import Sender
    from dicom_node.storage import Incoming

log = structlog.get_logger()

HEAD_BYTES: Final = 132
"""Preamble and prefix (PS3.10 7.1)."""

LONGEST_NAME: Final = 200
"""Characters of a name that an answer repeats: its end."""

NO_OBJECTS: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", "autorun.inf"})
"""What file systems and discs leave beside the pictures."""

MEGABYTE: Final = 1_000_000


class Outcome(StrEnum):
    """What came of one file."""

    ACCEPTED = "accepted"
    PRESENT = "present"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one file.

    Attributes
    ----------
    name : str
        As the sender calls it; ``zip: name`` within a zip.
    outcome : Outcome
        ``accepted`` is a new job, ``present`` is here already, ``refused`` cannot be taken, and
        ``skipped`` is no picture (a DICOMDIR, what a file system leaves).
    job_id : int or None
        The job of what was accepted or is present.
    state : JobState or None
        Where that job stands now.
    reason : str or None
        Why the file was refused or skipped, or its job rejected.
    """

    name: str
    outcome: Outcome
    job_id: int | None = None
    state: JobState | None = None
    reason: str | None = None

    @property
    def words(self) -> str:
        """Return the answer as one line, without the name."""
        why = f": {self.reason}" if self.reason else ""
        if self.outcome == Outcome.ACCEPTED:
            return f"accepted as job {self.job_id} ({self.state}{why})"
        if self.outcome == Outcome.PRESENT:
            return f"already here as job {self.job_id} ({self.state}{why})"
        return f"{self.outcome}{why}"


class Importer:
    """Takes files and zips.

    Parameters
    ----------
    node : Node
        Whose store they go to.
    incoming : Incoming
        A folder of half-received files, of the caller.
    sender : Sender
        Who brings them.
    """

    def __init__(self, node: Node, incoming: Incoming, sender: Sender) -> None:
        self._node, self._incoming, self._sender = node, incoming, sender
        self._most_bytes = zips.MOST_UNPACKED * node.config.worklist.upload_megabytes * MEGABYTE

    def take(self, path: Path, name: str) -> Iterator[Answer]:
        """Take a DICOM file, or every file of a zip; the file itself is left as it is."""
        try:
            head = _head(path)
        except OSError as error:
            yield Answer(shown(name), Outcome.REFUSED, reason=_disk(error))
            return
        if zips.is_zip(head):
            yield from self._take_zip(path, name)
        else:
            yield self._take_file(path, name, head)

    def take_tree(self, path: Path) -> Iterator[Answer]:
        """Take a file, or every file of a folder and of those in it, by name."""
        if not path.is_dir():
            yield from self.take(path, str(path))
            return
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink():
                    yield from self.take(file, str(file))

    def _take_zip(self, path: Path, name: str) -> Iterator[Answer]:
        """Take the files of a zip; a zip in it is not opened."""
        folder, check_space = self._incoming.folder, self._node.storage.check_space
        try:
            for member in zips.members(path, folder, self._most_bytes, check_space):
                inner = f"{name}: {member.name}"
                if member.path is None:
                    yield Answer(shown(inner), Outcome.REFUSED, reason=member.reason)
                else:
                    yield self._take_member(member.path, inner)
        except StoreError as error:
            yield Answer(shown(name), Outcome.REFUSED, reason=str(error))
        except OSError as error:
            yield Answer(shown(name), Outcome.REFUSED, reason=_disk(error))

    def _take_member(self, path: Path, name: str) -> Answer:
        head = _head(path)
        if zips.is_zip(head):
            return Answer(shown(name), Outcome.REFUSED, reason="a zip within a zip is not opened")
        return self._take_file(path, name, head)

    def _take_file(self, path: Path, name: str, head: bytes) -> Answer:
        """Take one file that is no zip."""
        base = name.replace("\\", "/").rpartition("/")[2].lower()
        if base in NO_OBJECTS or base.startswith("._"):
            return Answer(shown(name), Outcome.SKIPPED, reason="left by a file system")
        try:
            return self._store(path, shown(name), head)
        except StoreError as error:
            return Answer(shown(name), Outcome.REFUSED, reason=str(error))
        except OSError as error:
            return Answer(shown(name), Outcome.REFUSED, reason=_disk(error))
        except SQLAlchemyError as error:
            log.warning("not stored", error=type(error).__name__)
            return Answer(shown(name), Outcome.REFUSED, reason="the database is away; try again")

    def _store(self, path: Path, name: str, head: bytes) -> Answer:
        """Make one file durable and admit its job.

        Raises
        ------
        StoreError, OSError, SQLAlchemyError
            As `dicom_node.reception.receive`.
        """
        if not head:
            msg = "the file is empty"
            raise UnreadableError(msg)
        if not is_part_10(head):
            msg = "not a DICOM file"
            raise UnreadableError(msg)
        header = read_header(path)
        if MediaStorageDirectoryStorage in {
            text(header, "SOPClassUID"),
            text(header.file_meta, "MediaStorageSOPClassUID"),
        }:
            return Answer(name, Outcome.SKIPPED, reason="a DICOMDIR, the list of a disc's files")
        check_class(self._node.config, text(header, "SOPClassUID"), self._sender.ae_title)
        syntax = transfer_syntax(header)
        if syntax not in decodable_transfer_syntaxes():
            msg = f"its transfer syntax cannot be decoded here: {syntax.name[:64]}"
            raise UnsupportedError(msg)
        self._node.storage.check_space()
        partial = self._incoming.folder / f"{uuid.uuid4().hex}.dcm"
        try:
            rewrite(path, partial)
            reception = receive(self._node, partial, self._sender)
        finally:
            partial.unlink(missing_ok=True)
        if reception.job_id is None:
            return self._answer(name, Outcome.PRESENT, self._job_of(reception.sop_instance_uid))
        intake.admit_or_leave(self._node, reception.job_id)
        return self._answer(name, Outcome.ACCEPTED, reception.job_id)

    def _job_of(self, sop_instance_uid: str) -> int | None:
        with self._node.database.read() as session:
            return jobs.last_job_of_sop_instance(session, sop_instance_uid)

    def _answer(self, name: str, outcome: Outcome, job_id: int | None) -> Answer:
        if job_id is None:
            return Answer(name, outcome)
        with self._node.database.read() as session:
            job = jobs.get(session, job_id)
            return Answer(name, outcome, job_id, job.state, job.reason)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _disk(error: OSError) -> str:
    """Return why a file could not be read or kept; a path is not repeated."""
    return f"{os.strerror(error.errno or 0)} (the disk)" if error.errno else "the disk failed"


def shown(name: str) -> str:
    """Return a file's name as one line of an answer, cut at its front."""
    line = name.encode("utf-8", "replace").decode("utf-8").translate(CONTROLS)
    return line if len(line) <= LONGEST_NAME else f"…{line[-LONGEST_NAME:]}"
