"""A whole node for the tests: ``serve`` as a process, with a configuration of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pynetdicom import _config

from dicom_node import records
from dicom_node.config import Config, load_config
from dicom_node.db import Database
from dicom_node.scp import Listener
from tests.peers import Dcmtk, Peer, free_port, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dicom_node.node import Node

JOB_SECONDS = 120.0
MODALITY = "MODALITY"


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that is running.

    Attributes
    ----------
    config : Config
        What it runs with.
    config_file : Path
        Where that stands.
    peer : Peer
        The supervisor's process.
    dcmtk : Dcmtk
        The modality.
    """

    config: Config
    config_file: Path
    peer: Peer
    dcmtk: Dcmtk
    database: Database = field(repr=False)

    @property
    def port(self) -> int:
        """Return the listener's port."""
        return self.config.node.port

    def store(self, files: Sequence[Path], calling: str = MODALITY) -> None:
        """Send files as the modality does, and fail unless every one was accepted."""
        sent = self.dcmtk.storescu(files, self.port, calling=calling)
        assert sent.returncode == 0, sent.stdout + sent.stderr

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, oldest first."""
        with self.database.read() as session:
            return records.list_jobs(session)[::-1]

    def show(self, job_id: int) -> dict[str, Any]:
        """Return one job with all that belongs to it."""
        with self.database.read() as session:
            return records.show_job(session, job_id)

    def wait_for(
        self, state: str, count: int, seconds: float = JOB_SECONDS
    ) -> list[dict[str, Any]]:
        """Wait until ``count`` jobs are in a state, and return these."""

        def found() -> list[dict[str, Any]] | None:
            assert self.peer.process.poll() is None, self.peer.log_text()[-4000:]
            matching = [job for job in self.jobs() if job["state"] == state]
            return matching if len(matching) >= count else None

        try:
            return wait_until(found, seconds, f"{count} jobs to be {state}")
        except AssertionError as error:
            states = [job["state"] for job in self.jobs()]
            message = f"{error}; they are {states}\n{self.peer.log_text()[-8000:]}"
            raise AssertionError(message) from error

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the node's commands against this node."""
        command = [sys.executable, "-m", "dicom_node", "--config", str(self.config_file)]
        return subprocess.run(
            [*command, *arguments], check=False, capture_output=True, text=True, timeout=60
        )

    def pid_of(self, part: str) -> int:
        """Return the process id with which the supervisor last started a part."""
        lines = re.findall(rf'"part": "{part}", "pid": (\d+)', self.peer.log_text())
        return int(lines[-1])

    def kill(self, part: str) -> None:
        """Kill a part with SIGKILL, as a power cut would."""
        os.kill(self.pid_of(part), signal.SIGKILL)


@contextmanager
def listening(node: Node) -> Iterator[int]:
    """Run a listener in this process, and give its port; what it sets for a process is put back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", tempfile.tempdir)
        patch.setattr(_config, "STORE_RECV_CHUNKED_DATASET", _config.STORE_RECV_CHUNKED_DATASET)
        listener = Listener(node)
        try:
            yield listener.start().server_address[1]
        finally:
            listener.close()


def write_config(folder: Path, **values: Any) -> Path:  # noqa: ANN401 - YAML
    """Write a configuration with ports that the kernel picked; ``values`` go over it."""
    defaults: dict[str, Any] = {
        "node": {"host": "127.0.0.1", "port": free_port()},
        "data_directory": "data",
        "callers": [{"ae_title": MODALITY}],
        "worklist": {"port": free_port()},
        "leases": {"lease_seconds": 6, "sweep_seconds": 1},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**defaults, **values}), encoding="utf-8")
    return path


def destination(name: str, ae_title: str, port: int, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a destination on this machine, quick to try again."""
    quick = {"retry_first_seconds": 1, "retry_most_seconds": 2, "timeout_seconds": 10}
    return {
        "name": name,
        "ae_title": ae_title,
        "host": "127.0.0.1",
        "port": port,
        **quick,
        **values,
    }


@contextmanager
def running_node(folder: Path, dcmtk: Dcmtk, **values: Any) -> Iterator[RunningNode]:  # noqa: ANN401
    """Run a node until the block ends, and check that it stops cleanly."""
    with serving(write_config(folder, **values), dcmtk) as node:
        yield node


@contextmanager
def serving(config_file: Path, dcmtk: Dcmtk) -> Iterator[RunningNode]:
    """Run the node of a configuration file until the block ends."""
    config = load_config(config_file)
    command = [sys.executable, "-m", "dicom_node", "--config", str(config_file), "serve"]
    with running(command, config_file.parent) as peer:
        peer.wait_for(
            lambda: dcmtk.echoscu(config.node.port).returncode == 0, "the node's listener"
        )
        database = Database(config.database_url)
        try:
            yield RunningNode(config, config_file, peer, dcmtk, database)
        finally:
            database.dispose()
