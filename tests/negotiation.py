"""What is negotiated: asking a node for all there is, and a peer that notes what a node asks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydicom._uid_dict import UID_dictionary
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ComputedRadiographyImageStorage
from pynetdicom import (
    AE,
    ALL_TRANSFER_SYNTAXES,
    AllStoragePresentationContexts,
    StoragePresentationContexts,
    _config,
    build_context,
    evt,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from tests.nodes import MODALITY
from tests.peers import HOST, PeerError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pynetdicom.association import Association
    from pynetdicom.events import Event, EventHandlerType
    from pynetdicom.pdu_primitives import A_ASSOCIATE
    from pynetdicom.presentation import PresentationContext

Proposal = tuple[str, tuple[str, ...]]
"""A SOP class with the transfer syntaxes that are proposed for it, in their order."""

CONTEXTS_AT_ONCE = 128
"""Presentation contexts that fit in one association (PS3.8 9.3.2.2)."""

LEAVING_SECONDS = 2.0
"""An association that has just ended may still count as open."""

SOP_CLASSES = sorted(
    {uid for uid, entry in UID_dictionary.items() if "SOP Class" in entry[1]}
    | {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    | {str(context.abstract_syntax) for context in StoragePresentationContexts}
)
TRANSFER_SYNTAXES = sorted(
    {uid for uid, entry in UID_dictionary.items() if entry[1] == "Transfer Syntax"}
    | set(ALL_TRANSFER_SYNTAXES)
)


# --- a node as SCP -------------------------------------------------------------------------


def associate(
    port: int,
    contexts: Sequence[PresentationContext],
    calling: str = MODALITY,
    called: str = "BONEAGE",
) -> Association:
    """Ask a node on this machine for an association."""
    return AE(calling).associate(HOST, port, contexts=list(contexts), ae_title=called)


def accepted(port: int, contexts: Sequence[PresentationContext]) -> list[tuple[str, str]]:
    """Return SOP class and transfer syntax of each context that a node accepts.

    Verification goes with every batch, so that no association is left without a context.
    """
    found = []
    size = CONTEXTS_AT_ONCE - 1
    for batch in (contexts[start : start + size] for start in range(0, len(contexts), size)):
        association = associate(port, [*batch, build_context(Verification)])
        assert association.is_established
        answers = association.accepted_contexts
        assert len(answers) + len(association.rejected_contexts) == len(batch) + 1
        *answers, echo = sorted(answers, key=lambda context: context.context_id or 0)
        assert echo.abstract_syntax == Verification
        found += [(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in answers]
        association.release()
    return found


def all_accepted(port: int) -> set[tuple[str, str]]:
    """Return all that a node accepts of all that there is."""
    every = [build_context(uid, TRANSFER_SYNTAXES) for uid in SOP_CLASSES]
    classes = sorted({sop_class for sop_class, _ in accepted(port, every)})
    singly = [build_context(uid, [syntax]) for uid in classes for syntax in TRANSFER_SYNTAXES]
    return set(accepted(port, singly))


def preferred(port: int) -> list[str]:
    """Return the transfer syntaxes for storage in the order in which a node prefers them."""
    left, order = list(reversed(TRANSFER_SYNTAXES)), []
    while answer := accepted(port, [build_context(ComputedRadiographyImageStorage, left)]):
        order.append(answer[0][1])
        left.remove(answer[0][1])
    return order


def announced(primitive: A_ASSOCIATE) -> tuple[str, str, str]:
    """Return maximum PDU length, implementation class UID and version name, as they were sent."""
    names = (
        "maximum_length_received",
        "implementation_class_uid",
        "implementation_version_name",
    )
    pdu_bytes, class_uid, version_name = (
        next(str(getattr(item, name)) for item in primitive.user_information if hasattr(item, name))
        for name in names
    )
    return pdu_bytes, class_uid, version_name


def rejection(association: Association) -> tuple[int, ...]:
    """Return result, source and reason of an association that was rejected."""
    assert association.is_rejected
    primitive = association.acceptor.primitive
    assert primitive is not None
    numbers = (primitive.result, primitive.result_source, primitive.diagnostic)
    return tuple(int(number) for number in numbers if number is not None)


@contextmanager
def all_associations(port: int) -> Iterator[int]:
    """Hold as many associations as a node allows; gives their number."""
    echo = [build_context(Verification)]
    held: list[Association] = []

    def one_more() -> Association | None:
        association = associate(port, echo)
        return association if association.is_established else None

    try:
        try:
            while True:
                held.append(wait_until(one_more, LEAVING_SECONDS, "one more association"))
        except PeerError:
            yield len(held)
    finally:
        for association in held:
            association.release()


def store_status(port: int, file: Path, calling: str = MODALITY) -> int:
    """Return the answer to the C-STORE of a file, whose data set is sent byte for byte."""
    meta = read_file_meta_info(file)
    context = build_context(meta.MediaStorageSOPClassUID, [meta.TransferSyntaxUID])
    association = associate(port, [context], calling)
    assert association.is_established
    before = _config.STORE_SEND_CHUNKED_DATASET
    _config.STORE_SEND_CHUNKED_DATASET = True
    try:
        return int(association.send_c_store(file).Status)
    finally:
        _config.STORE_SEND_CHUNKED_DATASET = before
        association.release()


# --- a node as SCU -------------------------------------------------------------------------


@dataclass(slots=True)
class Notes:
    """What a peer was asked for.

    Attributes
    ----------
    port : int
        Where the peer listens, on 127.0.0.1.
    proposals : set of Proposal
        Of all associations.
    roles : set of (str, str, str)
        SOP class, SCU and SCP, yes or no, of each role that was proposed.
    announced : set of (str, str, str)
        Of each requestor; see `announced`.
    """

    port: int = 0
    proposals: set[Proposal] = field(default_factory=set)
    roles: set[tuple[str, str, str]] = field(default_factory=set)
    announced: set[tuple[str, str, str]] = field(default_factory=set)


def _note(event: Event, notes: Notes) -> None:
    """Note what an association request asks for."""
    requestor = event.assoc.requestor
    assert requestor.primitive is not None
    for context in requestor.primitive.presentation_context_definition_list:
        syntaxes = tuple(str(uid) for uid in context.transfer_syntax)
        notes.proposals.add((str(context.abstract_syntax), syntaxes))
    for uid, role in requestor.role_selection.items():
        as_scu, as_scp = ("yes" if is_one else "no" for is_one in (role.scu_role, role.scp_role))
        notes.roles.add((str(uid), as_scu, as_scp))
    notes.announced.add(announced(requestor.primitive))


@contextmanager
def noting_peer(ae_title: str = "ARCHIVE") -> Iterator[Notes]:
    """Run a peer that takes every SOP class and answers everything with success."""
    notes = Notes()
    ae = AE(ae_title)
    for uid in SOP_CLASSES:
        ae.add_supported_context(uid, TRANSFER_SYNTAXES, scu_role=True, scp_role=True)
    handlers: list[EventHandlerType] = [
        (evt.EVT_REQUESTED, _note, [notes]),
        (evt.EVT_C_STORE, lambda _: 0x0000),
        (evt.EVT_C_ECHO, lambda _: 0x0000),
        (evt.EVT_C_FIND, lambda _: iter(())),
    ]
    server = ae.start_server((HOST, 0), block=False, evt_handlers=handlers)
    assert server is not None
    notes.port = server.server_address[1]
    try:
        yield notes
    finally:
        ae.shutdown()
