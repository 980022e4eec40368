"""Every part as a process of its own; one that dies is started again, all stop together."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from dicom_node.broker import embedded_server_command
from dicom_node.errors import ConfigError

if TYPE_CHECKING:
    from dicom_node.config import Config

log = structlog.get_logger()

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
HEALTHY_SECONDS = 60.0
"""A part that ran so long starts again after the first pause."""

STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Part:
    """One process: how it is started, and how it has fared."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_seconds: float = FIRST_PAUSE_SECONDS
    start_at: float = 0.0
    starts: int = 0


def _die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the supervisor is gone, however it went."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def own_command(config_file: Path, *arguments: str) -> list[str]:
    """Return the command line of one of our own commands."""
    return [sys.executable, "-m", "dicom_node", "--config", str(config_file), *arguments]


def parts_of(config: Config, config_file: Path) -> list[Part]:
    """Return the parts of a whole node, the broker first."""

    def own(*arguments: str) -> list[str]:
        return own_command(config_file, *arguments)

    parts = []
    if config.broker.url == "embedded":
        parts.append(Part("broker", embedded_server_command(config.broker_socket)))
    parts += [Part(f"listen-{n + 1}", own("listen")) for n in range(config.node.listeners)]
    parts += [Part("send", own("work", "--queue", "send")), Part("sweep", own("sweep"))]
    parts += [
        Part(f"assess-{n + 1}", own("work", "--queue", "assess"))
        for n in range(config.inference.workers)
    ]
    parts.append(Part("worklist", own("worklist")))
    return parts


class Supervisor:
    """Runs parts until it is told to stop."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        self._stop = threading.Event()
        self.exit_code = 0

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    def run(self) -> None:
        """Start every part, start again what dies, until SIGTERM or SIGINT; then stop all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        try:
            while not self._stop.is_set():
                for part in self.parts:
                    self._look_after(part)
                self._stop.wait(POLL_SECONDS)
        finally:
            self._stop_all()

    def _look_after(self, part: Part) -> None:
        """Start a part that is not there, once its pause is over."""
        moment = time.monotonic()
        if part.process is not None:
            code = part.process.poll()
            if code is None:
                return
            self._mourn(part, code, moment)
        if moment >= part.start_at:
            part.process = subprocess.Popen(
                part.command,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no other thread runs here
            )
            part.started_at = moment
            part.starts += 1
            log.info("started", part=part.name, pid=part.process.pid)

    def _mourn(self, part: Part, code: int, moment: float) -> None:
        """Note that a part died, and when it may start again.

        One that cannot use the configuration from the very start never will: all stop.
        """
        if code == ConfigError.exit_code and part.starts == 1:
            log.error("bad configuration", part=part.name)
            self.exit_code = code
            self.stop()
        if moment - part.started_at > HEALTHY_SECONDS:
            part.pause_seconds = FIRST_PAUSE_SECONDS
        log.error("ended", part=part.name, exit=code, pause_seconds=part.pause_seconds)
        part.process = None
        part.start_at = moment + part.pause_seconds
        part.pause_seconds = min(2 * part.pause_seconds, LONGEST_PAUSE_SECONDS)

    def _stop_all(self) -> None:
        """Stop the parts, the broker last, and kill what does not end."""
        living = [part for part in self.parts if part.process and part.process.poll() is None]
        brokers = [part for part in living if part.name == "broker"]
        _end([part for part in living if part not in brokers])
        _end(brokers)


def _end(parts: list[Part]) -> None:
    """Send SIGTERM, wait, then SIGKILL."""
    processes = [part.process for part in parts if part.process is not None]
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
