"""Files that outlive a power cut: written aside, synced, renamed, the folder synced."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dicom_node.errors import ConfigError, MismatchError, OutOfResourcesError

if TYPE_CHECKING:
    from pydicom import Dataset

UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LIMIT = 64
HASH_BLOCK = 1 << 20
META_OFFSET = 144
"""Preamble, prefix, and the group length element itself (PS3.10 7.1)."""


def check_uid(uid: str) -> str:
    """Return a UID that may become part of a path.

    Leading zeros of a component are let through, as modalities send them (PS3.5 9.1).

    Raises
    ------
    MismatchError
        If it is not digits and single dots, at most 64 characters.
    """
    if len(uid) > UID_LIMIT or not UID_PATTERN.fullmatch(uid):
        msg = "a UID of the data set is not a UID"
        raise MismatchError(msg)
    return uid


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_hash(path: Path) -> str:
    """Return the SHA-256 over a Part 10 file's transfer syntax and data set.

    The rest of the file meta information is the receiver's, not the sender's, and is left
    out: the same data set received by a later version of this node is the same instance.

    Raises
    ------
    ValueError
        If the file is cut short within its file meta information.
    """
    with path.open("rb") as file:
        head = file.read(META_OFFSET)
        meta = file.read(int.from_bytes(head[-4:], "little"))
        digest = hashlib.sha256(_transfer_syntax(meta))
        while block := file.read(HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _transfer_syntax(meta: bytes) -> bytes:
    """Return the value of (0002,0010) in the file meta information, explicit VR (PS3.10 7.1)."""
    start = meta.index(b"\x02\x00\x10\x00UI") + 6
    length = int.from_bytes(meta[start : start + 2], "little")
    return meta[start + 2 : start + 2 + length]


class Storage:
    """The node's files under the data directory.

    Parameters
    ----------
    root : Path
        The data directory; created where it is missing.
    reserve_megabytes : int
        Free space below which nothing more is taken in.
    """

    def __init__(self, root: Path, reserve_megabytes: int = 0) -> None:
        self.root = root
        self.reserve_bytes = reserve_megabytes * 1_000_000
        self.received = root / "received"
        self.results = root / "results"
        self.partial = root / "partial"
        self._durable: set[Path] = set()
        for folder in (self.received, self.results, self.partial):
            folder.mkdir(parents=True, exist_ok=True)
        _sync(root)

    def check_space(self) -> None:
        """Raise `OutOfResourcesError` where the disk is nearly full."""
        if self.free_bytes() < self.reserve_bytes:
            msg = "the data directory's disk is nearly full"
            raise OutOfResourcesError(msg)

    def free_bytes(self) -> int:
        """Return the free space of the data directory's disk."""
        return shutil.disk_usage(self.root).free

    def absolute(self, path: str) -> Path:
        """Return where a path of the database lies."""
        return self.root / path

    def keep_received(self, partial: Path, sop_instance_uid: str, sha256: str) -> str:
        """Make a received file durable under a name of its UID and content.

        Returns
        -------
        str
            Its path, relative to the data directory.

        Raises
        ------
        MismatchError
            If the UID cannot be part of a path.
        OSError
            If the disk fails; the partial file is left to its owner.
        """
        check_uid(sop_instance_uid)
        folder = self.received / hashlib.sha256(sop_instance_uid.encode()).hexdigest()[:2]
        target = folder / f"{sop_instance_uid}-{sha256[:16]}.dcm"
        self._publish(partial, target)
        return str(target.relative_to(self.root))

    def keep_result(self, dataset: Dataset, job_id: int, kind: str) -> tuple[str, str]:
        """Write a result object durably; a name is used once only.

        Returns
        -------
        path, sha256 : str
            The path relative to the data directory, and the file's hash.
        """
        folder = self.results / f"{job_id % 256:02x}"
        target = folder / f"{job_id}-{kind}-{check_uid(str(dataset.SOPInstanceUID))}.dcm"
        partial = self.partial / f"{uuid.uuid4().hex}.dcm"
        try:
            dataset.save_as(partial, enforce_file_format=True)
            sha256 = hashlib.sha256(partial.read_bytes()).hexdigest()
            self._publish(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return str(target.relative_to(self.root)), sha256

    def keep_job_file(self, content: bytes, job_id: int, name: str) -> tuple[str, str]:
        """Write a file of a job's own durably, beside its results; a name is used once only.

        Parameters
        ----------
        name : str
            What it is, with its ending: ``heatmap.png``.

        Returns
        -------
        path, sha256 : str
            As `keep_result`.
        """
        kind, _, ending = name.partition(".")
        stem = uuid.uuid4().hex
        target = self.results / f"{job_id % 256:02x}" / f"{job_id}-{kind}-{stem}.{ending}"
        partial = self.partial / f"{stem}.{ending}"
        try:
            partial.write_bytes(content)
            self._publish(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        return str(target.relative_to(self.root)), hashlib.sha256(content).hexdigest()

    def _publish(self, partial: Path, target: Path) -> None:
        """Sync, rename, sync the folder; the folder itself is once synced into its own.

        That a folder is there does not mean that it is on the disk: who made it may not have
        come to sync it.
        """
        if target.parent not in self._durable:
            target.parent.mkdir(exist_ok=True)
            _sync(target.parent.parent)
            self._durable.add(target.parent)
        _sync(partial)
        partial.replace(target)
        _sync(target.parent)


def hold(root: Path) -> IO[bytes]:
    """Hold a data directory for one supervisor, as long as the file that is returned is open.

    Raises
    ------
    ConfigError
        If another one holds it.
    """
    root.mkdir(parents=True, exist_ok=True)
    lock = (root / "serve.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        msg = f"data_directory: another node runs in {root}"
        raise ConfigError(msg) from error
    return lock


class Incoming:
    """One listener's folder of half-received files, held by a lock as long as it lives.

    A folder whose lock is free belonged to a listener that was killed; it is cleared away.
    """

    def __init__(self, storage: Storage) -> None:
        name = uuid.uuid4().hex
        self.folder = storage.partial / f"listener-{name}"
        # It gets its name when it is locked: another listener might take it for a dead one's.
        nameless = storage.partial / f"new-{name}"
        nameless.mkdir()
        self._lock: IO[bytes] = (nameless / "lock").open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        nameless.rename(self.folder)
        for other in storage.partial.glob("listener-*"):
            if other != self.folder:
                _clear_if_dead(other)

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _clear_if_dead(folder: Path) -> None:
    """Remove another listener's folder if nobody holds its lock."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # held by a living listener, or just being made or removed by one
