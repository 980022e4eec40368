"""The peers themselves: each is real, answers, and gets files byte for byte."""

from __future__ import annotations

import io
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pytest
import redis
import sqlalchemy
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from tests.peers import (
    PeerError,
    free_port,
    is_listening,
    need,
    running,
    start_orthanc,
    start_redis,
    stop,
    wait_until,
)

if TYPE_CHECKING:
    from tests.peers import Dcmtk, Orthanc, PostgreSql

SIDE_PX = 32
PIXELS = bytes(range(256)) * (SIDE_PX * SIDE_PX // 256)


def write_image(
    folder: Path,
    sop_class: str = ComputedRadiographyImageStorage,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> Path:
    """Write the smallest image that a storage SCP takes, named after its SOP instance."""
    dataset = pydicom.Dataset()
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientID = "PEER-TEST"
    dataset.Rows = dataset.Columns = SIDE_PX
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = PIXELS
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if pydicom.uid.UID(transfer_syntax).is_compressed:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_storescu_to_orthanc(dcmtk: Dcmtk, orthanc: Orthanc, tmp_path: Path) -> None:
    files = [
        write_image(tmp_path),
        write_image(tmp_path, DigitalXRayImageStorageForPresentation),
    ]
    sent = dcmtk.storescu(files, orthanc.port, called=orthanc.ae_title)
    assert sent.returncode == 0, sent.stderr
    assert len(orthanc.wait_for_instances(2)) == 2
    assert len(orthanc.studies()) == 2
    identifier = orthanc.find(files[0].stem)
    assert identifier is not None
    assert orthanc.tags(identifier)["PatientID"] == "PEER-TEST"
    stored = pydicom.dcmread(io.BytesIO(orthanc.instance_file(identifier)))
    assert stored.PixelData == PIXELS


def test_orthanc_is_empty_for_every_test(orthanc: Orthanc, tmp_path: Path) -> None:
    assert orthanc.find(generate_uid()) is None
    orthanc.upload(write_image(tmp_path))
    orthanc.add_modality("archive", "ARCHIVE", 104)
    orthanc.clear()
    assert orthanc.instances() == []
    assert orthanc.get("/modalities") == []


def test_orthanc_sends_to_a_modality(dcmtk: Dcmtk, orthanc: Orthanc, tmp_path: Path) -> None:
    instance = orthanc.upload(write_image(tmp_path))
    with dcmtk.storescp(ae_title="ARCHIVE") as receiver:
        orthanc.add_modality("archive", "ARCHIVE", receiver.port)
        orthanc.send([instance], "archive")
        [received] = receiver.wait_for_files(1)
    assert pydicom.dcmread(received).PixelData == PIXELS


def test_orthanc_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "orthanc"
    data.mkdir()
    with start_orthanc(data) as first:
        instance = first.upload(write_image(tmp_path))
    with start_orthanc(data, port=first.port, settings={"Name": "again"}) as second:
        assert second.instances() == [instance]
        assert second.get("/system")["Name"] == "again"


@pytest.mark.parametrize(
    "transfer_syntax",
    [
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda uid: uid.keyword,
)
def test_a_file_goes_as_it_is(dcmtk: Dcmtk, tmp_path: Path, transfer_syntax: str) -> None:
    file = write_image(tmp_path, transfer_syntax=transfer_syntax)
    with dcmtk.storescp() as receiver:
        sent = dcmtk.storescu([file], receiver.port)
        assert sent.returncode == 0, sent.stderr
        [received] = receiver.wait_for_files(1)
    assert pydicom.dcmread(received).file_meta.TransferSyntaxUID == transfer_syntax
    assert pydicom.dcmread(received).PixelData == pydicom.dcmread(file).PixelData


def test_another_transfer_syntax_may_be_proposed(dcmtk: Dcmtk, tmp_path: Path) -> None:
    file = write_image(tmp_path)
    with dcmtk.storescp() as receiver:
        dcmtk.storescu([file], receiver.port, transfer_syntaxes=[ImplicitVRLittleEndian])
        [received] = receiver.wait_for_files(1)
    assert pydicom.dcmread(received).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian


def test_a_receiver_may_refuse(dcmtk: Dcmtk, tmp_path: Path) -> None:
    with dcmtk.storescp(extra_args=["--refuse"]) as receiver:
        assert dcmtk.storescu([write_image(tmp_path)], receiver.port).returncode != 0
        assert receiver.files() == []


def test_echoscu_tells_an_answer_from_a_rejection(dcmtk: Dcmtk, orthanc: Orthanc) -> None:
    assert dcmtk.echoscu(orthanc.port, called=orthanc.ae_title).returncode == 0
    rejected = dcmtk.echoscu(orthanc.port, called="SOMEONE-ELSE")
    assert rejected.returncode != 0
    assert "Called AE Title Not Recognized" in rejected.stderr + rejected.stdout


def test_postgresql_gives_fresh_databases(postgresql_server: PostgreSql, postgresql: str) -> None:
    with postgresql_server.database() as other:
        assert other != postgresql
        for url in (postgresql, other):
            engine = sqlalchemy.create_engine(url)
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("CREATE TABLE only_here (id integer)"))
                count = connection.execute(sqlalchemy.text("SELECT count(*) FROM only_here"))
                assert count.scalar_one() == 0
            engine.dispose()


def test_redis_answers_until_it_is_stopped(redis_server: str, tmp_path: Path) -> None:
    with redis.Redis.from_url(redis_server) as client:
        assert client.ping()
    with start_redis(tmp_path) as own:
        assert own.url != redis_server
        assert own.answers()
    assert not own.answers()
    assert not is_listening(own.port)


def test_a_peer_that_dies_shows_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no licence'); raise SystemExit(3)"]
    with running(command, tmp_path) as peer, pytest.raises(PeerError, match="with 3\nno licence"):
        peer.wait_for(lambda: False, "a peer")


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
        "signal.pause()"
    )
    with running([sys.executable, "-c", deaf], tmp_path) as peer:
        peer.wait_for(lambda: "deaf" in peer.log_text(), "its first word")
        stop(peer.process, patience_seconds=0.1)
        assert peer.process.returncode == -signal.SIGKILL


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(PeerError, match=r"waited 0\.05 s in vain for the report"):
        wait_until(lambda: False, 0.05, "the report")


def test_free_port_is_free() -> None:
    assert not is_listening(free_port())


@pytest.mark.parametrize("program", ["storescu", "echoscu", "storescp"])
def test_dcmtk_is_not_taken_for_pynetdicom(program: str) -> None:
    found = need(program)
    assert not found.is_relative_to(sys.prefix)
    version = subprocess.run([found, "--version"], check=True, capture_output=True, text=True)
    assert "dcmtk" in version.stdout


def test_a_program_of_the_virtual_environment_is_found_too() -> None:
    assert need("dciodvfy") == Path(sys.prefix, "bin", "dciodvfy")


def test_a_missing_program_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shutil.which("no-such-program") is None
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program"):
        need("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        need("no-such-program")
