"""What reaches the log: ids and places, never the text of an exception or of a header."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "Doe^Jane"  # noqa: S105 - what a log must not tell

BEGIN = f"""
import logging, sys, threading, warnings
import structlog
from dicom_node import log
log.configure()
ours, theirs = structlog.get_logger(), logging.getLogger("celery.app.trace")
SECRET = {SECRET!r}

def fail():
    raise ValueError(f"no such patient: {{SECRET}}")
"""


def lines_of(program: str, expected_exit: int = 0) -> list[dict[str, Any]]:
    """Run a program after `configure` and return its log; the secret must not be in it."""
    ended = subprocess.run(
        [sys.executable, "-W", "default", "-c", BEGIN + program],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == expected_exit, ended.stderr
    assert ended.stdout == ""
    assert SECRET not in ended.stderr
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_an_event() -> None:
    [line] = lines_of("ours.info('received', job=7); ours.debug('not at this level')")
    assert (line["event"], line["job"], line["level"]) == ("received", 7, "info")
    assert line["timestamp"].endswith("Z")


def test_an_exception() -> None:
    told = (
        "ours.exception('not stored', job=7)",
        "ours.error('not stored', job=7, exc_info=True)",
        "ours.error('not stored', job=7, exc_info=error)",
        "ours.error('not stored', job=7, exc_info=sys.exc_info())",
    )
    lines = lines_of("".join(f"try: fail()\nexcept ValueError as error: {way}\n" for way in told))
    assert len(lines) == len(told)
    for line in lines:
        assert (line["event"], line["job"], line["error"]) == ("not stored", 7, "ValueError")
        assert line["frames"][-1] == "<string>:10 fail"


def test_an_exception_that_a_library_logs() -> None:
    told = "theirs.error('task raised unexpected: %r', error, exc_info=True)"
    [line] = lines_of(f"try: fail()\nexcept ValueError as error: {told}")
    assert line["logger"] == "celery.app.trace"
    assert line["error"] == "ValueError"
    assert line["frames"][-1].endswith("fail")


def test_a_librarys_warning() -> None:
    [line] = lines_of("theirs.warning('connection %s lost', 3); theirs.info('quiet')")
    assert line == {
        "event": "connection 3 lost",
        "level": "warning",
        "logger": "celery.app.trace",
    }


def test_an_exception_that_ends_a_thread_or_the_process() -> None:
    thread, process = lines_of(
        "thread = threading.Thread(target=fail, name='intake')\n"
        "thread.start(); thread.join()\n"
        "leaving = threading.Thread(target=sys.exit, args=(1,))\n"
        "leaving.start(); leaving.join(); fail()",
        expected_exit=1,
    )
    assert (thread["event"], thread["thread"]) == ("a thread was ended by an error", "intake")
    assert process["event"] == "ended by an error"
    assert thread["error"] == process["error"] == "ValueError"


def test_what_pydicom_says_of_a_value() -> None:
    """It repeats the value, in a warning and in a log of its own."""
    program = """
from pydicom import Dataset
header = Dataset()
header.PatientBirthDate = SECRET
header.StudyInstanceUID = SECRET
logging.getLogger('pydicom').error(SECRET)
logging.getLogger('pynetdicom.dsutils').error(SECRET)
"""
    assert lines_of(program) == []
    told = subprocess.run(
        [sys.executable, "-c", BEGIN.replace("log.configure()", "") + program],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert SECRET in told.stderr  # without `configure` it does


# --- files -------------------------------------------------------------------------------------

KEEP = "from pathlib import Path\nlog.keep(Path({folder!r}), 'assess', 1, 2)\n"


def kept(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file; the secret must not be in it."""
    text = path.read_text("utf-8")
    assert SECRET not in text
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_has_the_same_lines(tmp_path: Path) -> None:
    program = KEEP.format(folder=str(tmp_path / "log")) + (
        "with structlog.contextvars.bound_contextvars(job=7):\n"
        "    ours.info('reported')\n"
        "    theirs.warning('lost %s', 3)\n"
        "    theirs.info('quiet')\n"
        "    logging.getLogger('pydicom').error(SECRET)\n"
        "    try: fail()\n"
        "    except ValueError: ours.exception('failed')\n"
    )
    lines = lines_of(program)
    assert [line["event"] for line in lines] == ["reported", "lost 3", "failed"]
    assert [line["job"] for line in lines] == [7, 7, 7]
    assert kept(tmp_path / "log" / "assess.jsonl") == lines


def test_a_full_file_is_put_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    said = "for at in range(30): ours.info('x' * 100_000, at=at)"
    lines_of(KEEP.format(folder=str(tmp_path)) + said)
    assert {path.name for path in tmp_path.glob("*.jsonl*")} == {"assess.jsonl", "assess.jsonl.1"}
    assert kept(tmp_path / "assess.jsonl")[-1]["at"] == 29
    assert kept(tmp_path / "assess.jsonl.1")[-1]["at"] < 29


def test_two_processes_of_a_part_have_a_file_each(tmp_path: Path) -> None:
    keep = KEEP.format(folder=str(tmp_path))
    program = keep + "ours.info('first')\n" + f"child = {BEGIN + keep + 'ours.info(1)'!r}\n"
    program += "import subprocess\nsubprocess.run([sys.executable, '-c', child], check=True)\n"
    lines_of(program)
    assert [line["event"] for line in kept(tmp_path / "assess.jsonl")] == ["first"]
    assert [line["event"] for line in kept(tmp_path / "assess-2.jsonl")] == [1]
    lines_of(keep + "ours.info('later')")  # a name is free again when its process is gone
    assert [line["event"] for line in kept(tmp_path / "assess.jsonl")] == ["first", "later"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file", "utf-8")
    lines = lines_of(KEEP.format(folder=str(tmp_path / "log")) + "ours.info('on')")
    assert [line["event"] for line in lines] == ["no log file", "on"]
    assert lines[0]["error"] == "FileExistsError"
