"""Sending as SCU: C-ECHO and C-STORE to a destination, every status read."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pydicom
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node.errors import AssociationError, NoContextError, PeerError, UnreadableError
from dicom_node.header import UNREADABLE
from dicom_node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

    from dicom_node.config import ArchivePeer, Destination

_config.LOG_HANDLER_LEVEL = "none"  # its log would print data sets

NATIVE = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
NO_CONTEXT = 0x0122
"""Kept as the status of an object whose SOP class the peer does not accept (PS3.7 C.5.6)."""

NO_ANSWER = -1
"""Kept where the association ended before a status came."""

MISMATCH = 0xA900
"""The data set does not match the SOP class: A9xx (PS3.4 B.2.3)."""

FOR_GOOD = {0x0117, 0x0122, 0x0124}
"""Invalid object instance, SOP class not supported, not authorised (PS3.7 C)."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a peer said of one file."""

    path: Path
    status: int
    reason: str


def is_refusal(status: int) -> bool:
    """Return whether trying again is useless: A9xx, 0117, 0122, 0124 (PS3.4 B.2.3)."""
    return status & 0xFF00 == MISMATCH or status in FOR_GOOD


def application_entity(ae_title: str) -> AE:
    """Return an application entity that says in each association what it is (PS3.7 D.3.3.2)."""
    ae = AE(ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    return ae


def on_connection_open(event: Event) -> None:
    """Send and answer at once: no waiting for more bytes to fill a packet."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def associate(
    ae: AE,
    peer: Destination | ArchivePeer,
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
    handlers: Sequence[EventHandlerType] = (),
) -> Association:
    """Open an association.

    Raises
    ------
    AssociationError
        If the peer is away, or rejects or aborts it.
    """
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_seconds
    ae.connection_timeout = peer.timeout_seconds
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title,
        ext_neg=list(roles),
        evt_handlers=[(evt.EVT_CONN_OPEN, on_connection_open), *handlers],
    )
    if association.is_established:
        return association
    if association.rejected_contexts and not association.accepted_contexts:
        msg = "the peer does not accept this kind of object"
        raise NoContextError(msg)
    if association.is_rejected:
        what = association.acceptor.primitive
        msg = f"association rejected: {what.reason_str}" if what else "association rejected"
    elif association.is_aborted:
        msg = "association aborted, or the peer cannot be reached"
    else:
        msg = "the peer cannot be reached"
    raise AssociationError(msg)


def echo(
    ae_title: str, peer: Destination | ArchivePeer, on_step: Callable[[str], None] = lambda _: None
) -> None:
    """Send a C-ECHO.

    Parameters
    ----------
    ae_title, peer : str, Destination or ArchivePeer
        Who calls whom.
    on_step : callable
        Called with ``tcp`` when the connection is open and ``association`` when that is accepted.

    Raises
    ------
    AssociationError
        If the peer is away, or rejects or aborts the association.
    PeerError
        If it does not answer the C-ECHO with success.
    """
    ae = application_entity(ae_title)
    ae.add_requested_context(Verification)
    association = associate(ae, peer, handlers=[(evt.EVT_CONN_OPEN, lambda _: on_step("tcp"))])
    on_step("association")
    try:
        status = association.send_c_echo().get("Status")
    finally:
        association.release()
    if status != 0x0000:
        msg = "no answer to C-ECHO" if status is None else f"C-ECHO answered with {status:04X}"
        raise PeerError(msg)


def store(
    ae_title: str,
    destination: Destination,
    paths: Sequence[Path],
    instead: Mapping[Path, Path] = MappingProxyType({}),
) -> Iterator[Transfer]:
    """Send files over one association and yield what the peer says of each.

    Parameters
    ----------
    ae_title, destination : str, Destination
        Who calls whom.
    paths : sequence of Path
        The files.
    instead : mapping of Path
        For a file of a kind that the peer may not accept, the one that is then sent in its
        place; the answer names the one that was sent.

    Raises
    ------
    PeerError
        If no association comes about.
    UnreadableError
        If one of the files cannot be read; then none is sent.
    """
    if not paths:
        return
    files = {path: _read(path) for path in (*paths, *(instead[p] for p in paths if p in instead))}
    ae = application_entity(ae_title)
    for context in _contexts(list(files.values())):
        ae.add_requested_context(*context)
    try:
        association = associate(ae, destination)
    except NoContextError as error:
        yield from (Transfer(path, NO_CONTEXT, str(error)) for path in paths)
        return
    try:
        for path in paths:
            transfer = _store_one(association, path, files[path])
            if transfer.status == NO_CONTEXT and path in instead:
                transfer = _store_one(association, instead[path], files[instead[path]])
            yield transfer
    finally:
        if association.is_established:
            association.release()


def _read(path: Path) -> Dataset:
    """Read a file that is to be sent."""
    try:
        dataset = pydicom.dcmread(path)
        _contexts([dataset])
    except UNREADABLE as error:
        msg = f"{path}: cannot be sent ({type(error).__name__})"
        raise UnreadableError(msg) from error
    return dataset


def _contexts(datasets: list[Dataset]) -> list[tuple[str, list[str]]]:
    """Return one presentation context for each SOP class and compressed syntax at hand."""
    wanted: dict[tuple[str, str], list[str]] = {}
    for dataset in datasets:
        syntax = dataset.file_meta.TransferSyntaxUID
        native = syntax in NATIVE
        key = (str(dataset.SOPClassUID), "" if native else str(syntax))
        wanted[key] = [str(uid) for uid in NATIVE] if native else [str(syntax)]
    return [(sop_class, syntaxes) for (sop_class, _), syntaxes in wanted.items()]


def _store_one(association: Association, path: Path, dataset: Dataset) -> Transfer:
    """Send one file."""
    if not association.is_established:
        return Transfer(path, NO_ANSWER, "the association ended before this object was sent")
    try:
        answer = association.send_c_store(dataset)
    except ValueError:
        return Transfer(path, NO_CONTEXT, "the peer does not accept this kind of object")
    except RuntimeError:  # it ended just now
        return Transfer(path, NO_ANSWER, "the association ended before this object was sent")
    status = answer.get("Status")
    if status is None:  # a late answer must not be taken for that to the next request
        association.abort()
        return Transfer(path, NO_ANSWER, "no answer: timed out, or the association was aborted")
    comment = "" if status == 0x0000 else f"answered with {status:04X}"
    return Transfer(path, int(status), comment)
