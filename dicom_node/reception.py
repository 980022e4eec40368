"""One instance made durable with its row, however it came: by C-STORE, by C-GET, or as a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from pydicom.uid import UID, SecondaryCaptureImageStorage
from sqlalchemy.exc import IntegrityError

from dicom_node import jobs
from dicom_node.eligibility import RADIOGRAPHS
from dicom_node.errors import MismatchError, UnsupportedError
from dicom_node.header import kept, read_header, text
from dicom_node.routes import secondary_capture_negotiated
from dicom_node.storage import check_uid, content_hash

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.config import Config
    from dicom_node.node import Node

log = structlog.get_logger()

RECEIVE_AGAIN: Final = 3
"""Two receptions of one instance at the same moment collide in the database; made again."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who brought an instance.

    Attributes
    ----------
    ae_title : str
        The calling AE title, of an archive that was asked, or `FILES`.
    address : str
        Of the peer; of a file, the way it came and who brought it.
    """

    ae_title: str
    address: str


FILES: Final = "UPLOAD"
"""The caller of what came as a file; routes may name it."""

LONGEST_ADDRESS: Final = 64


def person(way: str, name: str) -> Sender:
    """Return the sender of files that a person brought by the page, the API or a command."""
    return Sender(FILES, f"{way}:{name}"[:LONGEST_ADDRESS])


@dataclass(frozen=True, slots=True)
class Reception:
    """What came of one instance.

    Attributes
    ----------
    sop_instance_uid : str
        Its UID.
    job_id : int or None
        Its new job; None where the very same instance is here already.
    """

    sop_instance_uid: str
    job_id: int | None


def receive(
    node: Node, partial: Path, sender: Sender, command: tuple[str, str] | None = None
) -> Reception:
    """Make one file durable with its row.

    Parameters
    ----------
    partial : Path
        A Part 10 file below the data directory, which is moved from there.
    sender : Sender
        Who brought it.
    command : tuple of str, optional
        The SOP class and instance UID that a C-STORE spoke of; the data set must agree.

    Raises
    ------
    StoreError
        If it is refused; the partial file is left to its owner.
    OSError, SQLAlchemyError
        If it could not be made durable.
    """
    node.storage.check_space()
    if command is not None:
        check_class(node.config, command[0], sender.ae_title)
    header = read_header(partial)
    own = (text(header, "SOPClassUID"), text(header, "SOPInstanceUID"))
    if command is None:
        check_class(node.config, own[0], sender.ae_title)
    elif own != command:
        msg = "the data set's SOP class or instance UID is not the command's"
        raise MismatchError(msg)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        check_uid(text(header, keyword))
    sha256 = content_hash(partial)
    size_bytes = partial.stat().st_size
    path = node.storage.keep_received(partial, own[1], sha256)
    instance = jobs.NewInstance(
        sop_instance_uid=own[1],
        sop_class_uid=own[0],
        study_instance_uid=text(header, "StudyInstanceUID"),
        series_instance_uid=text(header, "SeriesInstanceUID"),
        transfer_syntax_uid=str(header.file_meta.TransferSyntaxUID),
        sha256=sha256,
        size_bytes=size_bytes,
        path=path,
        calling_ae_title=sender.ae_title,
        peer_address=sender.address,
        header=kept(header),
    )
    job_id = _commit(node, instance)
    log.info(
        "received", job=job_id, calling=sender.ae_title, bytes=size_bytes, repeat=job_id is None
    )
    return Reception(own[1], job_id)


def check_class(config: Config, sop_class_uid: str, calling: str) -> None:
    """Refuse what is no radiograph, and a Secondary Capture that no route allows.

    Raises
    ------
    UnsupportedError
        If it is not taken from this caller.
    """
    if sop_class_uid in RADIOGRAPHS:
        return
    if sop_class_uid != SecondaryCaptureImageStorage:
        kind = UID(sop_class_uid).name if sop_class_uid else "an object without a SOP class"
        msg = f"not a radiograph: {kind[:64]}"
        raise UnsupportedError(msg)
    if not secondary_capture_negotiated(config, calling):
        msg = "Secondary Capture is not accepted from this caller"
        raise UnsupportedError(msg)


def _commit(node: Node, instance: jobs.NewInstance) -> int | None:
    """Commit the instance and its job; a collision with the same instance is made again."""
    for _ in range(RECEIVE_AGAIN - 1):
        try:
            with node.database.write() as session:
                return jobs.receive(session, instance)
        except IntegrityError:
            continue
    with node.database.write() as session:
        return jobs.receive(session, instance)
