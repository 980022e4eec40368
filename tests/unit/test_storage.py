"""Files that outlive a power cut, under names that no sender can bend."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from dicom_node.errors import ConfigError, MismatchError, OutOfResourcesError
from dicom_node.storage import Incoming, Storage, check_uid, content_hash, hold
from tests.builders import cr_header, write_dicom
from tests.peers import running

if TYPE_CHECKING:
    from pydicom import Dataset

PROJECT = Path(__file__).resolve().parents[2]
UID = "1.2.840.99"
UID_OF_ANOTHER = generate_uid()
SHA256 = "ab" * 32


def partial_file(storage: Storage, content: bytes = b"radiograph") -> Path:
    file = storage.partial / "half"
    file.write_bytes(content)
    return file


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", ["0", "1.2.3", "1.2.840.10008.5.1", "1.02.3", "1" * 64])
def test_a_uid(uid: str) -> None:
    assert check_uid(uid) == uid


@pytest.mark.parametrize(
    "uid",
    [
        *("", ".", "..", "1..2", ".1", "1.", "1" * 65, "../x", "1/2", "/etc/passwd", "1.2\0"),
        *(
            "1.2\n",
            " 1.2",
            "1.2 ",
            "1.a",
            "1.2.-3",
            "\u0663.\u0661",
            "1.²",
            "1,2",
            "..%2f",
            "1\\2",
            "~",
        ),
    ],
)
def test_no_uid(uid: str, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match="is not a UID"):
        check_uid(uid)
    storage = Storage(tmp_path / "data")
    file = partial_file(storage)
    with pytest.raises(MismatchError):
        storage.keep_received(file, uid, SHA256)
    assert file.exists()
    assert list(storage.received.iterdir()) == []


def test_a_result_with_a_bad_uid_is_not_written(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "data")
    with pytest.raises(MismatchError):
        storage.keep_result(cr_header(SOPInstanceUID="../../x"), 1, "sr")
    assert files_under(tmp_path) == []


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- durable -----------------------------------------------------------------------------------


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Record every fsync and rename, in order, and do them too."""
    found: list[tuple[str, Path]] = []
    real_sync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        found.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_sync(descriptor)

    def replace(source: Path, target: Path) -> None:
        found.append(("rename", Path(target)))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    return found


def test_a_received_file_is_durable_before_it_has_its_name(
    tmp_path: Path, steps: list[tuple[str, Path]]
) -> None:
    storage = Storage(tmp_path / "data")
    file = partial_file(storage)
    steps.clear()
    path = storage.keep_received(file, UID, SHA256)
    target = storage.absolute(path)
    assert steps == [
        ("sync", storage.received),  # the new folder's entry
        ("sync", file),
        ("rename", target),
        ("sync", target.parent),
    ]
    assert target.read_bytes() == b"radiograph"
    assert not file.exists()
    assert target.name == f"{UID}-{SHA256[:16]}.dcm"
    assert not Path(path).is_absolute()


def test_a_folder_that_another_process_made_is_synced_once(
    tmp_path: Path, steps: list[tuple[str, Path]]
) -> None:
    """It may have been killed between making the folder and syncing it."""
    Storage(tmp_path).keep_received(partial_file(Storage(tmp_path)), UID, SHA256)
    storage = Storage(tmp_path)
    for expected in (True, False):
        steps.clear()
        storage.keep_received(partial_file(storage), UID, SHA256)
        assert (("sync", storage.received) in steps) is expected


def test_the_folders_of_a_new_data_directory_are_synced(
    tmp_path: Path, steps: list[tuple[str, Path]]
) -> None:
    Storage(tmp_path / "new" / "data")
    assert ("sync", tmp_path / "new" / "data") in steps


def test_a_failing_disk_leaves_the_half_file_to_its_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path)
    file = partial_file(storage)

    def fail(_: int) -> None:
        raise OSError(5, "no disk")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no disk"):
        storage.keep_received(file, UID, SHA256)
    assert files_under(tmp_path) == [file]


def test_the_same_file_twice_is_kept_once(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    first = storage.keep_received(partial_file(storage), UID, SHA256)
    assert storage.keep_received(partial_file(storage), UID, SHA256) == first
    other = storage.keep_received(partial_file(storage, b"corrected"), UID, "cd" * 32)
    assert other != first
    assert len(files_under(storage.received)) == 2


def test_a_result(tmp_path: Path, steps: list[tuple[str, Path]]) -> None:
    storage = Storage(tmp_path)
    steps.clear()
    header = cr_header()
    path, sha256 = storage.keep_result(header, 259, "sr")
    target = storage.absolute(path)
    assert path == f"results/03/259-sr-{header.SOPInstanceUID}.dcm"
    assert [step for step, _ in steps] == ["sync", "sync", "rename", "sync"]
    assert len(sha256) == 64
    assert files_under(tmp_path) == [target]


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    broken = cr_header()
    del broken.file_meta.TransferSyntaxUID
    with pytest.raises((AttributeError, ValueError)):
        storage.keep_result(broken, 1, "sr")
    assert files_under(tmp_path) == []


def test_a_nearly_full_disk(tmp_path: Path) -> None:
    free_megabytes = Storage(tmp_path).free_bytes() // 1_000_000
    Storage(tmp_path, reserve_megabytes=free_megabytes // 2).check_space()
    with pytest.raises(OutOfResourcesError) as caught:
        Storage(tmp_path, reserve_megabytes=free_megabytes * 2 + 1000).check_space()
    assert caught.value.status == 0xA700


# --- the hash ----------------------------------------------------------------------------------


def hash_of(folder: Path, header: Dataset) -> str:
    return content_hash(write_dicom(folder / "hashed.dcm", header))


def test_the_hash_is_of_what_the_sender_sent(tmp_path: Path) -> None:
    header = cr_header()
    first = hash_of(tmp_path, header)
    header.file_meta.ImplementationVersionName = "A_LATER_VERSION"
    header.file_meta.ImplementationClassUID = UID_OF_ANOTHER
    header.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    header.preamble = b"\1" * 128
    assert hash_of(tmp_path, header) == first
    header.PatientID = "TEST-2"
    assert hash_of(tmp_path, header) != first


def test_the_hash_is_of_the_transfer_syntax_too(tmp_path: Path) -> None:
    """The same bytes mean something else in another syntax."""
    explicit = write_dicom(tmp_path / "f.dcm", cr_header())
    before = content_hash(explicit)
    content = explicit.read_bytes()
    old, new = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0"
    assert content.count(old) == 1
    explicit.write_bytes(content.replace(old, new))
    assert content_hash(explicit) != before
    header = cr_header()
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    assert hash_of(tmp_path, header) != before


@pytest.mark.parametrize("size", [0, 10, 131, 143, 150, 200])
def test_the_hash_of_half_a_file(tmp_path: Path, size: int) -> None:
    file = write_dicom(tmp_path / "f.dcm", cr_header())
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match="not found"):
        content_hash(file)


# --- one supervisor ----------------------------------------------------------------------------


def test_one_supervisor_holds_a_data_directory(tmp_path: Path) -> None:
    with hold(tmp_path / "data"), pytest.raises(ConfigError, match="another node runs in"):
        hold(tmp_path / "data")
    hold(tmp_path / "data").close()


# --- half-received files -----------------------------------------------------------------------


HOLD = """
import pathlib, signal, sys
from dicom_node.storage import Incoming, Storage
incoming = Incoming(Storage(pathlib.Path(sys.argv[1])))
(incoming.folder / "half").touch()
signal.pause()
"""


def test_a_new_listener_clears_away_a_dead_ones_files_and_leaves_a_living_ones(
    tmp_path: Path,
) -> None:
    (tmp_path / "log").mkdir()
    storage = Storage(tmp_path / "data")
    command = [sys.executable, "-c", HOLD, storage.root]
    environment = {"PYTHONPATH": str(PROJECT)}
    with running(command, tmp_path / "log", environment=environment) as peer:
        [half] = peer.wait_for(lambda: list(storage.partial.glob("listener-*/half")), "a listener")
        ours = Incoming(storage)
        assert half.exists()
        peer.process.kill()
        peer.process.wait()
    third = Incoming(storage)
    assert sorted(storage.partial.iterdir()) == sorted([ours.folder, third.folder])
    third.close()
    ours.close()
    assert list(storage.partial.iterdir()) == []


def test_a_listener_is_locked_before_it_can_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another that starts in the same moment would take it for a dead one's."""
    import fcntl

    storage = Storage(tmp_path)
    seen: list[list[Path]] = []
    real = fcntl.flock

    def flock(file: int, operation: int) -> None:
        seen.append(list(storage.partial.glob("listener-*")))
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    Incoming(storage).close()
    assert seen[0] == []
