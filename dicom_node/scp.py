"""The listener: C-ECHO and C-STORE. It answers success only for what is on the disk."""

from __future__ import annotations

import signal
import socket
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog
from pydicom.uid import SecondaryCaptureImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.eligibility import RADIOGRAPHS
from dicom_node.errors import ConfigError, OutOfResourcesError, StoreError, UnreadableError
from dicom_node.intake import Intake
from dicom_node.node import HEARTBEAT_SECONDS
from dicom_node.reception import Sender, receive
from dicom_node.routes import caller_allowed, secondary_capture_negotiated
from dicom_node.scu import application_entity, on_connection_open
from dicom_node.storage import Incoming, check_uid
from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event, EventHandlerType

    from dicom_node.config import Config
    from dicom_node.node import Node

log = structlog.get_logger()

MAXIMUM_PDU_BYTES = 131_072
REQUEST_SECONDS = 10.0
"""A connection that does not ask for an association within this is closed (PS3.8 ARTIM)."""

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_AE_NOT_RECOGNISED = 0x01, 0x01, 0x03


class Listener:
    """One listening process: associations in threads, files in a folder of its own."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.incoming = Incoming(node.storage)
        self.intake = Intake(node)
        # pynetdicom writes a data set to a temporary file while it comes in.
        _config.STORE_RECV_CHUNKED_DATASET = True
        _config.LOG_HANDLER_LEVEL = "none"
        tempfile.tempdir = str(self.incoming.folder)
        self.ae = self._application_entity()

    def _application_entity(self) -> AE:
        """Return what is negotiated: who may call, what may be stored, in which syntaxes."""
        section = self.node.config.node
        ae = application_entity(section.ae_title)
        ae.maximum_associations = section.max_associations
        ae.maximum_pdu_size = MAXIMUM_PDU_BYTES
        ae.require_called_aet = True
        ae.acse_timeout = REQUEST_SECONDS
        ae.add_supported_context(Verification)
        for context in supported_contexts(self.node.config):
            ae.add_supported_context(*context)
        return ae

    def start(self) -> ThreadedAssociationServer:
        """Listen; returns the running server.

        Raises
        ------
        ConfigError
            If the address is not ours, or another program has the port.
        """
        section = self.node.config.node
        handlers: list[EventHandlerType] = [
            (evt.EVT_CONN_OPEN, on_connection_open),
            (evt.EVT_REQUESTED, on_requested, [self.node.config]),
            (evt.EVT_CONN_CLOSE, on_connection_close),
            (evt.EVT_C_STORE, on_store, [self]),
            (evt.EVT_C_ECHO, on_echo),
        ]
        try:
            return start_server(
                self.ae, (section.host, section.port), handlers, shared=section.listeners > 1
            )
        except OSError as error:
            msg = f"node.port: cannot listen on {section.host}:{section.port}: {error.strerror}"
            raise ConfigError(msg) from error

    def close(self) -> None:
        """Finish the intake in hand and remove the folder of half-received files."""
        self.ae.shutdown()
        self.intake.close()
        self.incoming.close()


def supported_contexts(config: Config) -> list[tuple[str, list[str]]]:
    """Return the storage SOP classes that are accepted, with their transfer syntaxes."""
    classes = list(RADIOGRAPHS)
    if secondary_capture_negotiated(config):
        classes.append(SecondaryCaptureImageStorage)
    syntaxes = [str(uid) for uid in decodable_transfer_syntaxes()]
    return [(str(sop_class), syntaxes) for sop_class in classes]


class _Server(ThreadedAssociationServer):
    """A server whose associations do not keep the process from ending."""

    daemon_threads = True


class _SharedPortServer(_Server):
    """A server whose port several listening processes share (SO_REUSEPORT)."""

    def server_bind(self) -> None:
        """Allow the port to be shared, then bind."""
        assert isinstance(self.socket, socket.socket)  # noqa: S101
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()


def start_server(
    ae: AE, address: tuple[str, int], handlers: list[EventHandlerType], *, shared: bool = False
) -> ThreadedAssociationServer:
    """Start an AE's server in a thread; a port is shared only where that is wanted."""
    kind = _SharedPortServer if shared else _Server
    server = kind(ae, address, ae.ae_title, ae.supported_contexts, evt_handlers=handlers)
    threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()
    ae._servers.append(server)  # noqa: SLF001 - as AE.start_server does
    return server


def on_requested(event: Event, config: Config) -> None:
    """Reject an association of an unknown caller (PS3.8 9.3.4)."""
    requestor = event.assoc.requestor
    calling = requestor.primitive.calling_ae_title.strip() if requestor.primitive else ""
    if not caller_allowed(config, calling, requestor.address or ""):
        log.warning("association rejected: unknown caller", calling=calling)
        event.assoc.acse.send_reject(REJECTED_PERMANENT, BY_SERVICE_USER, CALLING_AE_NOT_RECOGNISED)
        event.assoc.kill()


def on_connection_close(event: Event) -> None:
    """Remove the half file of a data set that was not received to its end.

    A peer that only connects, as a monitor does, is waited for in its association's thread: the
    thread is woken, or it would hold one of the associations until its time is over.
    """
    if event.assoc.requestor.primitive is None:
        event.assoc.dul.to_user_queue.put(None)
    message = event.assoc.dimse.message
    partial = getattr(message, "_data_set_path", None)
    if isinstance(partial, Path):
        partial.unlink(missing_ok=True)


def on_echo(event: Event) -> int:
    """Answer a C-ECHO."""
    del event
    return SUCCESS


def on_store(event: Event, listener: Listener) -> int:
    """Answer a C-STORE: 0x0000 is a promise, everything else is the exception's own status."""
    try:
        job_id = store(event, listener.node)
    except StoreError as error:
        log.warning("not stored", status=f"{error.status:04X}", reason=str(error))
        return error.status
    except (OSError, SQLAlchemyError):
        log.exception("not stored", status="A700")
        return OutOfResourcesError.status
    except Exception:  # the edge: anything else is a defect of ours
        log.exception("not stored", status="0110")
        return PROCESSING_FAILURE
    if job_id is not None:
        listener.intake.put(job_id)
    return SUCCESS


def store(event: Event, node: Node) -> int | None:
    """Make one data set durable with its row; returns the new job, None for a repeat."""
    partial = _partial(event)
    request, peer = cast("C_STORE", event.request), event.assoc.requestor
    sender = Sender(str(peer.ae_title).strip(), str(peer.address or ""))
    command = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    return receive(node, partial, sender, command).job_id


def _partial(event: Event) -> Path:
    """Return the file that the data set was written to."""
    partial = getattr(event.request, "_dataset_path", None)
    if partial is None:
        msg = "the request has no data set"
        raise UnreadableError(msg)
    return Path(partial)


@contextmanager
def receiver(folder: Path, ae_title: str) -> Iterator[int]:
    """Run a throwaway storage SCP that writes whatever comes into a folder.

    For the demonstration: an archive that keeps nothing. Yields its port, on 127.0.0.1, picked
    by the kernel.
    """

    def keep(event: Event) -> int:
        request = cast("C_STORE", event.request)
        path = folder / f"{check_uid(str(request.AffectedSOPInstanceUID))}.dcm"
        path.write_bytes(event.encoded_dataset())
        return SUCCESS

    ae = AE(ae_title)
    ae.supported_contexts = AllStoragePresentationContexts
    ae.add_supported_context(Verification)
    server = start_server(
        ae, ("127.0.0.1", 0), [(evt.EVT_C_STORE, keep), (evt.EVT_C_ECHO, on_echo)]
    )
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listen(node: Node) -> None:
    """Run a listener until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    listener = Listener(node)
    listener.start()
    log.info("listening", ae_title=node.config.node.ae_title, port=node.config.node.port)
    try:
        while True:
            _beat(node)
            if stop.wait(HEARTBEAT_SECONDS):
                break
    finally:
        listener.close()


def _beat(node: Node) -> None:
    """Say that the listener lives; a database that is away does not stop it."""
    try:
        node.beat("listen", f"{node.config.node.ae_title}:{node.config.node.port}")
    except SQLAlchemyError as error:
        log.warning("no heartbeat", error=type(error).__name__)
