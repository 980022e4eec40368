"""Power cuts, absent peers and hostile callers: every job still ends, once."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from dicom_node import scu
from dicom_node.config import Destination
from dicom_node.radiograph import wrap_radiograph
from models.phantom import draw_phantom
from tests.nodes import MODALITY, destination, running_node, write_config
from tests.peers import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset
    from pynetdicom.association import Association

    from tests.nodes import RunningNode
    from tests.peers import Dcmtk, Orthanc


def _phantom(**options: Any) -> Dataset:  # noqa: ANN401 - of wrap_radiograph
    """Return a small phantom as a DX image."""
    picture = draw_phantom("F", 120, height_px=768, width_px=576)
    return wrap_radiograph(picture / 4095, sex="F", age_months=120, **options)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return six radiographs of different children."""
    first = _phantom()
    paths = []
    for number in range(6):
        dataset = first.copy()
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(dataset, keyword, pydicom.uid.generate_uid(prefix=None))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        path = tmp_path / f"{number}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@contextmanager
def _half_sent(node: RunningNode, file: Path) -> Iterator[Association]:
    """Open an association and send the first half of a C-STORE."""
    dataset = pydicom.dcmread(file)
    ae = AE(MODALITY)
    ae.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = ae.associate("127.0.0.1", node.port, ae_title="BONEAGE")
    assert association.is_established
    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = dataset.SOPClassUID
    request.AffectedSOPInstanceUID = dataset.SOPInstanceUID
    encoded = encode(dataset, is_implicit_vr=False, is_little_endian=True)
    assert encoded is not None
    request.DataSet = BytesIO(encoded)
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    pdus = list(message.encode_msg(1, 16382))
    for pdu in pdus[: len(pdus) // 2]:
        association.dul.send_pdu(pdu)
    wait_until(lambda: _half_files(node), 30, "a half-received file")
    yield association


def _half_files(node: RunningNode) -> list[Path]:
    """Return what lies in the folder of half-received files."""
    return list((node.config.data_directory / "partial").rglob("*.dcm"))


def _each_sent_once(node: RunningNode, orthanc: Orthanc, files: list[Path]) -> None:
    """Check that every file became one job that was reported once and sent once."""
    jobs = node.wait_for("sent", len(files))
    assert len(node.jobs()) == len(files)
    for job in jobs:
        events = node.show(job["id"])["events"]
        moves = [event["to"] for event in events if event["delivery"] is None]
        assert (moves.count("reported"), moves.count("sent")) == (1, 1)
    assert len(orthanc.instances()) == 2 * len(files)


def test_worker_killed_during_assessment(
    tmp_path: Path, dcmtk: Dcmtk, orthanc: Orthanc, files: list[Path]
) -> None:
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store(files)
        node.wait_for("running", 1)
        node.kill("assess-1")
        _each_sent_once(node, orthanc, files)
        events = [event for job in node.jobs() for event in node.show(job["id"])["events"]]
        assert "the worker's lease ran out" in {event["reason"] for event in events}


def test_listener_killed_during_reception(
    tmp_path: Path, dcmtk: Dcmtk, orthanc: Orthanc, files: list[Path]
) -> None:
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        with _half_sent(node, files[0]) as association:
            node.kill("listen-1")
            association.abort()
        wait_until(lambda: dcmtk.echoscu(node.port).returncode == 0, 60, "the listener again")
        node.store(files)
        _each_sent_once(node, orthanc, files)
        assert _half_files(node) == []


def test_broker_killed_with_a_full_queue(
    tmp_path: Path, dcmtk: Dcmtk, orthanc: Orthanc, files: list[Path]
) -> None:
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store(files)
        node.wait_for("queued", 2)
        node.kill("broker")
        _each_sent_once(node, orthanc, files)


def test_whole_node_killed_and_started_again(
    tmp_path: Path, dcmtk: Dcmtk, orthanc: Orthanc, files: list[Path]
) -> None:
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store(files)
        node.peer.process.kill()
        node.peer.process.wait()
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        _each_sent_once(node, orthanc, files)


def test_aborted_association_leaves_no_half_file(
    tmp_path: Path, dcmtk: Dcmtk, files: list[Path]
) -> None:
    with running_node(tmp_path, dcmtk) as node:
        with _half_sent(node, files[0]) as association:
            association.abort()
        wait_until(lambda: not _half_files(node), 30, "the half file to be removed")
        assert node.jobs() == []


def test_archive_away_then_back(tmp_path: Path, dcmtk: Dcmtk, files: list[Path]) -> None:
    port = free_port()
    away = destination("PACS", "ARCHIVE", port, retries=100)
    with running_node(tmp_path, dcmtk, destinations=[away]) as node:
        node.store(files[:1])
        (job,) = node.wait_for("reported", 1)

        def postponed() -> bool:
            (sent,) = node.show(job["id"])["destinations"]
            return sent["state"] == "waiting" and bool(sent["reason"])

        wait_until(postponed, 60, "the first attempt to fail")
        with dcmtk.storescp(ae_title="ARCHIVE", port=port) as archive:
            node.wait_for("sent", 1)
            assert len(archive.wait_for_files(2)) == 2


def test_archive_that_never_answers_ends_exhausted_and_is_retried(
    tmp_path: Path, dcmtk: Dcmtk, files: list[Path]
) -> None:
    port = free_port()
    away = destination("PACS", "ARCHIVE", port, retries=1)
    with running_node(tmp_path, dcmtk, destinations=[away]) as node:
        node.store(files[:1])
        (job,) = node.wait_for("failed", 1)
        assert job["destinations"][0]["state"] == "exhausted"
        assert job["reason"] == "not delivered to PACS"
        with dcmtk.storescp(ae_title="ARCHIVE", port=port):
            retried = node.command("retry", str(job["id"]))
            assert retried.returncode == 0, retried.stderr
            node.wait_for("sent", 1)


def test_full_disk_is_said_and_nothing_is_promised(
    tmp_path: Path, dcmtk: Dcmtk, files: list[Path]
) -> None:
    with running_node(tmp_path, dcmtk, storage={"reserve_megabytes": 10**9}) as node:
        sent = dcmtk.storescu(files[:1], node.port)
        assert "A700" in sent.stdout + sent.stderr or "OutOfResources" in sent.stdout + sent.stderr
        assert node.jobs() == []


def test_unknown_caller_and_wrong_name_are_rejected(tmp_path: Path, dcmtk: Dcmtk) -> None:
    with running_node(tmp_path, dcmtk) as node:
        stranger = dcmtk.echoscu(node.port, calling="STRANGER")
        assert stranger.returncode != 0
        assert "Calling AE Title Not Recognized" in stranger.stdout + stranger.stderr
        misnamed = dcmtk.echoscu(node.port, called="OTHER")
        assert "Called AE Title Not Recognized" in misnamed.stdout + misnamed.stderr


def test_weights_that_are_not_there_end_serve_with_2(tmp_path: Path) -> None:
    config_file = write_config(tmp_path, inference={"weights": "no-such-weights"})
    command = [sys.executable, "-m", "dicom_node", "--config", str(config_file), "serve"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "inference.weights" in ended.stderr


def test_a_calibration_that_cannot_be_read_ends_serve_with_2(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text("{}", encoding="utf-8")
    config_file = write_config(tmp_path, inference={"calibration": str(tmp_path / "site.json")})
    command = [sys.executable, "-m", "dicom_node", "--config", str(config_file), "serve"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert "inference.calibration" in ended.stderr


def test_connections_that_ask_for_nothing_do_not_fill_the_associations(
    tmp_path: Path, dcmtk: Dcmtk, files: list[Path]
) -> None:
    with running_node(tmp_path, dcmtk) as node:
        for _ in range(2 * node.config.node.max_associations):
            socket.create_connection(("127.0.0.1", node.port)).close()
        # pynetdicom notices a closed connection within a moment, not at once.
        wait_until(
            lambda: dcmtk.storescu(files[:1], node.port).returncode == 0, 8, "room for a modality"
        )


def test_a_second_node_in_the_same_folder_or_on_the_same_port_ends_with_2(
    tmp_path: Path, dcmtk: Dcmtk
) -> None:
    with running_node(tmp_path, dcmtk) as node:
        twin = node.command("serve")
        assert twin.returncode == 2
        assert "another node runs in" in twin.stderr
        other = tmp_path / "other"
        other.mkdir()
        config_file = write_config(other, node={"host": "127.0.0.1", "port": node.port})
        command = [sys.executable, "-m", "dicom_node", "--config", str(config_file), "serve"]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
        assert ended.returncode == 2
        assert "Address already in use" in ended.stderr
        assert dcmtk.echoscu(node.port).returncode == 0


def test_a_peer_that_takes_no_such_object_refuses_for_good(tmp_path: Path) -> None:
    ae = AE("CT_ONLY")
    ae.add_supported_context(CTImageStorage)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        peer = Destination(
            name="CT", ae_title="CT_ONLY", host="127.0.0.1", port=server.server_address[1]
        )
        file = tmp_path / "f.dcm"
        _phantom().save_as(file, enforce_file_format=True)
        (transfer,) = scu.store("BONEAGE", peer, [file])
    finally:
        server.shutdown()
    assert scu.is_refusal(transfer.status)
    assert "does not accept" in transfer.reason
