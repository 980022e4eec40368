"""Fetching earlier reports: Orthanc as the archive, and archives that are away or cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, generate_uid

from dicom_node import archive as module
from dicom_node.archive import Archive
from dicom_node.config import ArchivePeer
from dicom_node.errors import PeerError
from dicom_node.report_reading import read_report
from dicom_node.structured_report import build_structured_report
from tests.peers import HOST
from tests.samples import a_finding, a_source, an_identity, written

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from tests.peers import Dcmtk, Orthanc

NODE = "BONEAGE"
LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""pynetdicom leaves the socket of a connection that failed."""


def asking(ae_title: str, port: int, calling: str = NODE) -> Archive:
    peer = ArchivePeer(ae_title=ae_title, host=HOST, port=port, timeout_seconds=5)
    return Archive(calling, peer)


def stored(
    orthanc: Orthanc,
    folder: Path,
    sop_class_uid: str = Comprehensive3DSRStorage,
    **header: Any,  # noqa: ANN401
) -> Dataset:
    """Store a report of a study of its own, and return it."""
    source = a_source(StudyInstanceUID=generate_uid(), **header)
    report = build_structured_report(
        source, a_finding(), an_identity(), sop_class_uid=sop_class_uid
    )
    orthanc.upload(written(report, folder / f"{report.SOPInstanceUID}.dcm"))
    return report


@pytest.fixture
def known(orthanc: Orthanc) -> Orthanc:
    """Return an Orthanc that knows the node."""
    orthanc.add_modality("node", NODE, 1)
    return orthanc


def uids(reports: list[Dataset]) -> list[str]:
    return [str(report.SOPInstanceUID) for report in reports]


def test_reports_of_a_patient_come_the_newest_study_first(known: Orthanc, tmp_path: Path) -> None:
    old = stored(known, tmp_path, ComprehensiveSRStorage, StudyDate="20200101")
    new = stored(known, tmp_path, StudyDate="20240101")
    stored(known, tmp_path, PatientID="P2")
    known.upload(written(a_source(StudyInstanceUID=generate_uid()), tmp_path / "image.dcm"))

    found = list(asking(known.ae_title, known.port).reports("P1", ""))

    assert uids(found) == uids([new, old])
    read = [read_report(dataset) for dataset in found]
    assert [report.result.bone_age_months for report in read if report] == [124.2, 124.2]


def test_what_is_known_is_not_fetched_again(known: Orthanc, tmp_path: Path) -> None:
    first, second, third = (stored(known, tmp_path) for _ in range(3))
    but_not = frozenset({str(first.SOPInstanceUID), str(second.StudyInstanceUID)})
    archive = asking(known.ae_title, known.port)
    assert uids(list(archive.reports("P1", "", but_not=but_not))) == uids([third])


def test_a_patient_is_asked_for_with_the_issuer(known: Orthanc, tmp_path: Path) -> None:
    ours = stored(known, tmp_path, IssuerOfPatientID="WARD")
    stored(known, tmp_path, IssuerOfPatientID="OTHER")
    assert uids(list(asking(known.ae_title, known.port).reports("P1", "WARD"))) == uids([ours])


def test_a_patient_id_beyond_ascii_is_found(known: Orthanc, tmp_path: Path) -> None:
    header = {"PatientID": "Mädchen-1", "SpecificCharacterSet": "ISO_IR 192"}
    ours = stored(known, tmp_path, **header)
    found = list(asking(known.ae_title, known.port).reports("Mädchen-1", ""))
    assert uids(found) == uids([ours])


def test_no_more_than_the_limit_is_fetched(
    known: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        stored(known, tmp_path)
    archive = asking(known.ae_title, known.port)
    monkeypatch.setattr(module, "MOST_REPORTS", 2)
    assert len(list(archive.reports("P1", ""))) == 2
    monkeypatch.setattr(module, "MOST_STUDIES", 1)
    assert len(list(archive.reports("P1", ""))) == 1
    monkeypatch.setattr(module, "MOST_MATCHES", 1)
    with pytest.raises(PeerError, match="more than 1 matches"):
        list(archive.reports("P1", ""))


def test_an_archive_that_takes_too_long_is_left(
    known: Orthanc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(known, tmp_path)
    archive = asking(known.ae_title, known.port)
    monkeypatch.setattr(module, "MOST_SECONDS", 0.0)
    with pytest.raises(PeerError, match="took longer"):
        list(archive.reports("P1", ""))


@pytest.mark.parametrize("patient_id", ["", "*", "P?", "P1\\P2", "P" * 65])
def test_a_patient_that_a_query_would_not_take_literally_is_not_asked_for(patient_id: str) -> None:
    """Nobody is at this port: an attempt would say another thing."""
    with pytest.raises(PeerError, match="not asked") as refused:
        list(asking("ARCHIVE", 1).reports(patient_id, ""))
    assert "P1" not in str(refused.value)


@LEFT_OPEN
def test_an_archive_that_is_away_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = asking("ARCHIVE", 1)
    with pytest.raises(PeerError, match="cannot be reached"):
        list(archive.reports("P1", ""))
    with pytest.raises(PeerError, match="failed less than"):
        list(archive.reports("P1", ""))
    monkeypatch.setattr(module, "REST_SECONDS", -1.0)
    later = asking("ARCHIVE", 1)
    for _ in range(2):
        with pytest.raises(PeerError, match="cannot be reached"):
            list(later.reports("P1", ""))


def test_a_storage_peer_accepts_no_queries(dcmtk: Dcmtk) -> None:
    with dcmtk.storescp(accepting=()) as peer:
        archive = asking(peer.ae_title, peer.port)
        with pytest.raises(PeerError, match="does not accept queries"):
            list(archive.reports("P1", ""))


@pytest.mark.parametrize("denied", ["AllowFind", "AllowGet"])
def test_an_archive_that_forbids_one_of_both(orthanc: Orthanc, tmp_path: Path, denied: str) -> None:
    node = {"AET": NODE, "Host": HOST, "Port": 1, denied: False}
    orthanc.rest.put("/modalities/node", json=node).raise_for_status()
    stored(orthanc, tmp_path)
    what = {"AllowFind": "queries|C-FIND", "AllowGet": "retrieval|C-GET"}[denied]
    with pytest.raises(PeerError, match=what):
        list(asking(orthanc.ae_title, orthanc.port).reports("P1", ""))


def test_an_archive_that_does_not_know_us(orthanc: Orthanc, tmp_path: Path) -> None:
    stored(orthanc, tmp_path)
    with pytest.raises(PeerError):
        list(asking(orthanc.ae_title, orthanc.port, "STRANGER").reports("P1", ""))
