"""Sending: what each answer means, and what happens when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from dicom_node import scu
from dicom_node.errors import PeerError, UnreadableError
from tests.builders import a_destination, cr_header, write_dicom

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers import Dcmtk


def two_files(folder: Path) -> list[Path]:
    implicit = cr_header()
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return [
        write_dicom(folder / "one.dcm", cr_header()),
        write_dicom(folder / "two.dcm", implicit),
    ]


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (0xA900, True),
        (0xA9FF, True),
        (0x0117, True),
        (0x0122, True),
        (0x0124, True),
        (0x0000, False),
        (0xB000, False),
        (0xA700, False),
        (0xC000, False),
        (0x0110, False),
        (scu.NO_ANSWER, False),
        (scu.NO_CONTEXT, True),
    ],
)
def test_whether_trying_again_is_useless(status: int, refused: bool) -> None:
    assert scu.is_refusal(status) is refused


def test_nothing_to_send_needs_no_association() -> None:
    """A sender that died after the last status left nothing to send; nobody is at this port."""
    assert list(scu.store("BONEAGE", a_destination(), [])) == []


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom leaves it
def test_a_peer_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="cannot be reached"):
        list(scu.store("BONEAGE", a_destination(), two_files(tmp_path)))
    with pytest.raises(PeerError, match="cannot be reached"):
        scu.echo("BONEAGE", a_destination())


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    for name in ("text.dcm", "absent.dcm"):
        with pytest.raises(UnreadableError, match=f"{name}: cannot be sent"):
            list(scu.store("BONEAGE", a_destination(), [tmp_path / name]))


def test_every_file_is_stored(tmp_path: Path, dcmtk: Dcmtk) -> None:
    files = two_files(tmp_path)
    with dcmtk.storescp() as archive:
        peer = a_destination(port=archive.port)
        scu.echo("BONEAGE", peer)
        transfers = list(scu.store("BONEAGE", peer, files))
        archive.wait_for_files(2)
    assert transfers == [scu.Transfer(path, 0x0000, "") for path in files]


def test_an_association_that_is_aborted(tmp_path: Path, dcmtk: Dcmtk) -> None:
    files = two_files(tmp_path)
    with dcmtk.storescp(extra_args=["--abort-during"]) as archive:
        peer = a_destination(port=archive.port, timeout_seconds=10)
        transfers = list(scu.store("BONEAGE", peer, files))
    assert [transfer.path for transfer in transfers] == files
    assert {transfer.status for transfer in transfers} == {scu.NO_ANSWER}
    assert transfers[1].reason == "the association ended before this object was sent"


def test_a_peer_that_rejects(tmp_path: Path, dcmtk: Dcmtk) -> None:
    with dcmtk.storescp(extra_args=["--refuse"]) as archive:
        peer = a_destination(port=archive.port)
        with pytest.raises(PeerError, match="association rejected: "):
            list(scu.store("BONEAGE", peer, two_files(tmp_path)))


OLD_ARCHIVE = """\
[[TransferSyntaxes]]
[Native]
TransferSyntax1 = LocalEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Old]
PresentationContext1 = SecondaryCaptureImageStorage\\Native
PresentationContext2 = ComprehensiveSRStorage\\Native
[[Profiles]]
[Default]
PresentationContexts = Old
"""


@pytest.mark.parametrize("is_old", [True, False])
def test_where_a_kind_is_not_accepted_another_goes_in_its_place(
    tmp_path: Path, dcmtk: Dcmtk, is_old: bool
) -> None:
    capture, report, plainer = (
        write_dicom(tmp_path / f"{uid}.dcm", cr_header(SOPClassUID=uid))
        for uid in (SecondaryCaptureImageStorage, Comprehensive3DSRStorage, ComprehensiveSRStorage)
    )
    profile = tmp_path / "old.cfg"
    profile.write_text(OLD_ARCHIVE)
    accepting = ["-xf", str(profile), "Default"] if is_old else ["+xa", "-pm"]
    with dcmtk.storescp(accepting=accepting) as archive:
        peer = a_destination(port=archive.port)
        transfers = list(scu.store("BONEAGE", peer, [capture, report], {report: plainer}))
    assert [(transfer.path, transfer.status) for transfer in transfers] == [
        (capture, 0x0000),
        (plainer if is_old else report, 0x0000),
    ]
