"""The supervisor with real processes: what dies is started again, what runs is stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.config import BrokerSection, Config, InferenceSection, NodeSection
from dicom_node.supervisor import FIRST_PAUSE_SECONDS, Part, parts_of
from tests.peers import running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers import Peer

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 60.0

SUPERVISOR = """
import json, sys
from dicom_node import log, supervisor
log.configure()
supervisor.POLL_SECONDS, supervisor.LONGEST_PAUSE_SECONDS = 0.01, 0.05
supervisor.STOP_SECONDS = float(sys.argv[1])
parts = [supervisor.Part(*part, pause_seconds=0.01) for part in json.loads(sys.argv[2])]
supervisor.Supervisor(parts).run()
"""

# A part that says so when it is asked to stop, and then stops. One write a line: two parts share
# a log, and an unbuffered print writes a line in pieces.
POLITE = """
import os, signal, sys
def say(what):
    os.write(1, f"{sys.argv[1]} {what}\\n".encode())
def stop(*_):
    say("stops")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say("runs")
while True: signal.pause()
"""

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(sys.argv[1], "runs", flush=True)
while True: signal.pause()
"""


def part(name: str, program: str) -> tuple[str, list[str]]:
    return name, [sys.executable, "-c", program, name]


@contextmanager
def supervising(
    folder: Path, *parts: tuple[str, list[str]], stop_seconds: float = SECONDS
) -> Iterator[Peer]:
    command = [sys.executable, "-c", SUPERVISOR, stop_seconds, json.dumps(parts)]
    with running(command, folder, environment={"PYTHONPATH": str(PROJECT)}) as peer:
        yield peer


def events(peer: Peer, event: str) -> list[dict[str, Any]]:
    lines = [line for line in peer.log_text().splitlines() if line.startswith("{")]
    found = [json.loads(line) for line in lines if line.endswith("}")]
    return [line for line in found if line["event"] == event]


def wait_for(peer: Peer, text: str) -> None:
    peer.wait_for(lambda: text in peer.log_text(), text)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_what_dies_is_started_again_after_a_growing_pause(tmp_path: Path) -> None:
    dying = part("mayfly", "raise SystemExit(3)")
    with supervising(tmp_path, dying, part("steady", POLITE)) as peer:
        wait_for(peer, "steady runs")
        [steady] = [line for line in events(peer, "started") if line["part"] == "steady"]
        os.kill(steady["pid"], signal.SIGKILL)
        peer.wait_for(lambda: peer.log_text().count("steady runs") == 2, "a second steady part")
        peer.wait_for(lambda: len(deaths(peer, "mayfly")) >= 5, "five deaths")
    pauses = [line["pause_seconds"] for line in deaths(peer, "mayfly")]
    assert pauses[:5] == [0.01, 0.02, 0.04, 0.05, 0.05]
    assert {line["exit"] for line in deaths(peer, "mayfly")} == {3}
    assert [line["exit"] for line in deaths(peer, "steady")] == [-signal.SIGKILL]
    pids = [line["pid"] for line in events(peer, "started") if line["part"] == "steady"]
    assert len(set(pids)) == 2


def deaths(peer: Peer, name: str) -> list[dict[str, Any]]:
    return [line for line in events(peer, "ended") if line["part"] == name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_the_broker_last(tmp_path: Path, number: signal.Signals) -> None:
    names = ("broker", "listen", "sweep")
    with supervising(tmp_path, *(part(name, POLITE) for name in names)) as peer:
        for name in names:
            wait_for(peer, f"{name} runs")
        peer.process.send_signal(number)
        assert peer.process.wait(SECONDS) == 0
    stopped = [line for line in peer.log_text().splitlines() if line.endswith(" stops")]
    assert sorted(stopped[:2]) == ["listen stops", "sweep stops"]
    assert stopped[2:] == ["broker stops"]
    assert all(is_gone(line["pid"]) for line in events(peer, "started"))


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with supervising(tmp_path, part("stubborn", STUBBORN), stop_seconds=0.1) as peer:
        wait_for(peer, "stubborn runs")
        peer.process.terminate()
        assert peer.process.wait(SECONDS) == 0
    assert all(is_gone(line["pid"]) for line in events(peer, "started"))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells a child only on Linux")
def test_a_supervisor_that_is_killed_takes_its_parts_along(tmp_path: Path) -> None:
    with supervising(tmp_path, part("orphan", POLITE)) as peer:
        wait_for(peer, "orphan runs")
        peer.process.kill()
        peer.process.wait(SECONDS)
        wait_until(lambda: "orphan stops" in peer.log_text(), SECONDS, "the orphan to stop")


def test_the_parts_of_a_node(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    config = Config(
        data_directory=tmp_path,
        node=NodeSection(listeners=2),
        inference=InferenceSection(workers=2),
    )
    parts = parts_of(config, file)
    names = ["broker", "listen-1", "listen-2", "send", "sweep", "assess-1", "assess-2", "worklist"]
    assert [found.name for found in parts] == names
    assert list(parts[-2].command) == [
        *(sys.executable, "-m", "dicom_node", "--config", str(file)),
        *("work", "--queue", "assess"),
    ]
    assert parts[0].command[1:5] == ["--port", "0", "--unixsocket", str(config.broker_socket)]
    assert config.broker_socket.parent.stat().st_mode & 0o077 == 0
    assert parts[0].pause_seconds == FIRST_PAUSE_SECONDS
    elsewhere = config.model_copy(update={"broker": BrokerSection(url="redis://h")})
    assert [found.name for found in parts_of(elsewhere, file)] == names[1:]
    assert isinstance(parts[0], Part)
