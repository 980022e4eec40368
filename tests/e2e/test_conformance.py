"""The conformance statement against what is really negotiated, both ways.

A running node is asked for every SOP class and transfer syntax there is, and a peer that takes
everything notes what the node proposes. What is built rather than negotiated is compared in
``tests/dicom/test_conformance.py``.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.filereader import read_file_meta_info
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    JPEG2000MCLossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import _config, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_node import results, scu, worker
from dicom_node.archive import Archive
from dicom_node.config import ArchivePeer, Destination
from dicom_node.scp import PROCESSING_FAILURE, Listener
from tests import statement as claims
from tests.all_results import EVERY_KIND, PICTURE, node_of, rerun_work
from tests.builders import a_destination, cr_header, write_dicom
from tests.negotiation import (
    all_accepted,
    all_associations,
    announced,
    associate,
    noting_peer,
    preferred,
    rejection,
    store_status,
)
from tests.nodes import MODALITY, destination, running_node
from tests.peers import Dcmtk
from tests.samples import a_finding, a_source
from tests.statement import Check, Statement

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.node import Node
    from tests.negotiation import Notes, Proposal

STATEMENT = Statement.read()
DIGITISER = "DIGITISER"
SHIPPED: dict[str, Any] = {"inference": {"workers": 0}, "storage": {"reserve_megabytes": 10**9}}
"""A node that negotiates as it is shipped; its disk counts as full."""

OPTIONS: dict[str, Any] = {
    "inference": {"workers": 0},
    "callers": [{"ae_title": MODALITY}, {"ae_title": DIGITISER}],
    "destinations": [destination("PACS", "ARCHIVE", 1, rejection_notes=True)],
    "results": EVERY_KIND,
    "routes": [
        {
            "name": "films",
            "calling_ae_titles": [DIGITISER],
            "accept_secondary_capture": True,
            "destinations": ["PACS"],
        }
    ],
    "history": {"archive": {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 1}},
}
"""A node with every setting that adds a SOP class, as SCP or as SCU."""

OVERVIEW = "Content and transfer"
SCP_CLASSES, SCP_SYNTAXES = "SOP classes as SCP", "Transfer syntaxes as SCP"
SCU_CONTEXTS = "Presentation contexts proposed"


# --- what is observed ----------------------------------------------------------------------


def _observe_shipped(port: int, folder: Path) -> dict[str, Any]:
    """Return what a node as it is shipped accepts, how often, and whom it rejects."""
    echo = [build_context(Verification)]
    with all_associations(port) as most:
        rejected = [associate(port, echo)]
    rejected += [associate(port, echo, calling="STRANGER"), associate(port, echo, called="NOBODY")]
    association = associate(port, echo)
    answer = association.acceptor.primitive
    assert answer is not None
    pdu_bytes, class_uid, version_name = announced(answer)
    limits = {
        "application context name": str(answer.application_context_name),
        "associations at once, as acceptor": str(most),
        "maximum PDU length announced as acceptor": pdu_bytes,
        "implementation class UID": class_uid,
        "implementation version name": version_name,
    }
    association.release()
    return {
        "accepted": all_accepted(port),
        "limits": limits,
        "rejections": {rejection(association) for association in rejected},
        "full": store_status(port, write_dicom(folder / "full.dcm", cr_header())),
    }


def _observe_options(port: int, folder: Path) -> dict[str, Any]:
    """Return what a node with every option accepts, and what it answers."""
    film = cr_header(SOPClassUID=SecondaryCaptureImageStorage)
    files = [
        write_dicom(folder / "good.dcm", cr_header()),
        write_dicom(folder / "film.dcm", film),
        write_dicom(folder / "nameless.dcm", cr_header(StudyInstanceUID="")),
        _damaged(folder / "damaged.dcm"),
    ]
    return {
        "accepted": all_accepted(port),
        "preferred": preferred(port),
        "film of another": store_status(port, files[1], DIGITISER),
        "statuses": {store_status(port, file) for file in files},
    }


def _damaged(path: Path) -> Path:
    """Write a deflated file whose data set does not inflate."""
    header = cr_header()
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write_dicom(path, header)
    start = 144 + int(read_file_meta_info(path).FileMetaInformationGroupLength)
    path.write_bytes(path.read_bytes()[:start] + b"\xff" * 64)
    return path


def _proposed(node: Node) -> Notes:
    """Let a node build the results of a re-run and send them, and return what it proposed."""
    outputs = results.build(node, rerun_work(node), a_source(), PICTURE, a_finding())
    files = [node.storage.absolute(output.path) for output in outputs]
    with noting_peer() as notes:
        peer = a_destination(port=notes.port)
        scu.echo("BONEAGE", peer)
        transfers = list(scu.store("BONEAGE", peer, files))
        if node.config.history.archive is not None:
            archive = ArchivePeer(ae_title="ARCHIVE", host="127.0.0.1", port=notes.port)
            assert list(Archive("BONEAGE", archive).reports("P1", "")) == []
    assert [transfer.status for transfer in transfers] == [0x0000] * len(files)
    return notes


def _waits_as_requestor() -> dict[str, str]:
    """Return the timeouts of an association with a destination whose timeout is the default."""
    with noting_peer() as notes:
        ae = scu.application_entity("BONEAGE")
        ae.add_requested_context(Verification)
        peer = Destination(name="PACS", ae_title="ARCHIVE", host="127.0.0.1", port=notes.port)
        association = scu.associate(ae, peer)
        association.release()
    seconds = {
        "wait for a connection": association.connection_timeout,
        "wait for an association response": association.acse_timeout,
        "wait for a DIMSE response": association.dimse_timeout,
        "silence before an abort": association.network_timeout,
    }
    return {f"{what}, as requestor": f"{wait:g}" for what, wait in seconds.items()}


def _waits_as_acceptor(node: Node) -> dict[str, str]:
    """Return the timeouts of the listener's application entity."""
    with pytest.MonkeyPatch.context() as patch:
        # The listener sets both for its whole process.
        patch.setattr(tempfile, "tempdir", tempfile.tempdir)
        patch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", _config.STORE_RECV_CHUNKED_DATASET)
        listener = Listener(node)
        listener.close()
    return {
        "wait for the association request, as acceptor": f"{listener.ae.acse_timeout:g}",
        "silence before an abort, as acceptor": f"{listener.ae.network_timeout:g}",
    }


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the node does, by the name of the claim that says so."""
    folder = tmp_path_factory.mktemp("conformance")
    for name in ("shipped", "options", "sends", "sends all"):
        (folder / name).mkdir()
    with running_node(folder / "shipped", Dcmtk(folder), **SHIPPED) as node:
        shipped = _observe_shipped(node.port, folder)
    with running_node(folder / "options", Dcmtk(folder), **OPTIONS) as node:
        options = _observe_options(node.port, folder)
    peers = [destination("PACS", "ARCHIVE", 1)]
    with node_of(folder / "sends", {**SHIPPED, "destinations": peers}) as sender:
        notes = _proposed(sender)
        waits = {**_waits_as_acceptor(sender), **_waits_as_requestor()}
    with node_of(folder / "sends all", OPTIONS) as sender:
        all_notes = _proposed(sender)
    proposed = all_notes.proposals
    assert (notes.roles, all_notes.announced) == (set(), notes.announced)
    (pdu_bytes, *names), *others = notes.announced
    assert others == []
    limits = shipped["limits"]
    assert names == [limits["implementation class UID"], limits["implementation version name"]]
    assert options["film of another"] == 0x0000
    return {
        "accepted as shipped": shipped["accepted"],
        "accepted with options": options["accepted"],
        "preferred syntaxes": options["preferred"],
        "proposed as shipped": notes.proposals,
        "proposed with options": proposed,
        "roles": all_notes.roles,
        "overview": _overview(
            (shipped["accepted"], options["accepted"]), (notes.proposals, proposed)
        ),
        "limits": {
            **limits,
            **waits,
            "associations at once, as requestor": str(worker.SENDERS),
            "maximum PDU length announced as requestor": pdu_bytes,
        },
        "rejections": shipped["rejections"],
        # What is answered with a failure of our own is no defect that anybody knows of.
        "statuses": options["statuses"] | {shipped["full"], PROCESSING_FAILURE},
    }


def _overview(
    accepted: tuple[set[tuple[str, str]], set[tuple[str, str]]],
    proposed: tuple[set[Proposal], set[Proposal]],
) -> set[tuple[str, str, str]]:
    """Return each SOP class with what it is as SCU and as SCP: yes, option or no."""
    roles = []
    for shipped, options in (proposed, accepted):
        always, ever = ({context[0] for context in found} for found in (shipped, options))
        roles.append({uid: "yes" if uid in always else "option" for uid in ever})
    as_scu, as_scp = roles
    return {
        (uid, as_scu.get(uid, "no"), as_scp.get(uid, "no")) for uid in as_scu.keys() | as_scp.keys()
    }


# --- what is claimed -----------------------------------------------------------------------


def _accepted(*, options: bool) -> Check:
    tables = ((SCP_SYNTAXES, "UID"), *(((SCP_CLASSES, "UID"),) if options else ()))
    return Check(lambda text: claims.accepted_contexts(text, options=options), tables)


def _proposed_check(*, options: bool) -> Check:
    tables = ((SCU_CONTEXTS, "UID"),) if options else ()
    return Check(lambda text: claims.proposed_contexts(text, options=options), tables)


CHECKS = {
    "accepted as shipped": _accepted(options=False),
    "accepted with options": _accepted(options=True),
    "preferred syntaxes": Check(claims.preferred_syntaxes, ((SCP_SYNTAXES, "UID"),)),
    "proposed as shipped": _proposed_check(options=False),
    "proposed with options": _proposed_check(options=True),
    "roles": Check(claims.proposed_roles, (("Roles proposed", "UID"),)),
    "overview": Check(claims.overview, ((OVERVIEW, "UID"),)),
    "limits": Check(claims.limits, (("Limits and identification", "parameter"),)),
    "rejections": Check(claims.rejections, (("Associations rejected", "reason"),)),
    "statuses": Check(claims.returned_statuses, (("Status codes returned", "status"),)),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_statement_says_what_is_negotiated(name: str, observed: dict[str, Any]) -> None:
    assert CHECKS[name].claim(STATEMENT) == observed[name]


@pytest.mark.parametrize("name", CHECKS)
def test_a_row_too_few_or_too_many_fails(name: str, observed: dict[str, Any]) -> None:
    assert CHECKS[name].unnoticed(STATEMENT, observed[name]) == []


@pytest.mark.parametrize(
    ("old", "new", "noticed_by"),
    [
        (
            "| Comprehensive 3D SR Storage | 1.2.840.10008.5.1.4.1.1.88.34 | Explicit",
            "| Enhanced SR Storage | 1.2.840.10008.5.1.4.1.1.88.22 | Explicit",
            "proposed as shipped",
        ),
        (
            "; Implicit VR Little Endian | always |\n| Comprehensive 3D",
            " | always |\n| Comprehensive 3D",
            "proposed as shipped",
        ),
        ("with `routes[].accept_secondary_capture`", "always", "accepted as shipped"),
        ("with `results.parametric_map`", "always", "proposed as shipped"),
        ("with `destinations[].rejection_notes`, of a re-run", "always", "proposed as shipped"),
        (
            "| Computed Radiography Image Storage | 1.2.840.10008.5.1.4.1.1.1 | Storage |",
            f"| CT Image Storage | {CTImageStorage} | Storage |",
            "accepted as shipped",
        ),
        (
            "| RLE Lossless | 1.2.840.10008.1.2.5 |",
            f"| {JPEG2000MCLossless.name} | {JPEG2000MCLossless} |",
            "accepted with options",
        ),
        ("| yes | option |", "| yes | yes |", "overview"),
        ("88.33 | no | yes |", "88.33 | yes | yes |", "roles"),
        ("| 131072 bytes |", "| 16384 bytes |", "limits"),
        ("as acceptor | 25 |", "as acceptor | 24 |", "limits"),
        ("488771423 |", "488771424 |", "limits"),
        ("as requestor | 4 |", "as requestor | 5 |", "limits"),
    ],
)
def test_a_cell_that_says_another_thing_fails(
    old: str, new: str, noticed_by: str, observed: dict[str, Any]
) -> None:
    assert STATEMENT.text.count(old) == 1
    changed = Statement(STATEMENT.text.replace(old, new))
    assert not CHECKS[noticed_by].agrees(changed, observed[noticed_by])
