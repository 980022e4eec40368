"""The log lines of one job, found in the files of every part without reading all of them."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from worklist import log_view
from worklist.log_view import lines_of_job

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RECEIVED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def line(seconds: float, event: str, **values: Any) -> str:  # noqa: ANN401 - JSON
    at = (RECEIVED + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
    return json.dumps({**values, "event": event, "level": "info", "timestamp": at}) + "\n"


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(lines), "utf-8")
    # As if the last line had just been written.
    os.utime(path, times=(RECEIVED.timestamp() + 60, RECEIVED.timestamp() + 60))


def events(folder: Path, job_id: int = 7, **options: Any) -> list[str]:  # noqa: ANN401
    return [found.event for found in lines_of_job(folder, job_id, RECEIVED, **options)]


def test_the_lines_of_every_part_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "listen.jsonl", line(0, "received", job=7), line(3, "received", job=77))
    write(tmp_path / "assess-2.jsonl", line(2, "reported", job=7, deliveries=1, frames=["a", "b"]))
    write(tmp_path / "assess-2.jsonl.1", line(1, "claimed", job=7))
    found = lines_of_job(tmp_path, 7, RECEIVED)
    assert [(entry.part, entry.event) for entry in found] == [
        ("listen", "received"),
        ("assess-2", "claimed"),
        ("assess-2", "reported"),
    ]
    assert found[-1].details == "deliveries=1, frames=a; b"
    assert found[0].at == "2026-03-04T05:06:07+00:00"


def test_only_the_last_ones(tmp_path: Path) -> None:
    lines = [line(at, f"event {at}", job=7) for at in range(300)]
    write(tmp_path / "assess.jsonl", *lines)
    assert events(tmp_path) == [f"event {at}" for at in range(100, 300)]
    assert events(tmp_path, most=2) == ["event 298", "event 299"]


def test_what_is_no_line_of_ours(tmp_path: Path) -> None:
    write(
        tmp_path / "assess.jsonl",
        line(1, "ours", job=7),
        '{"job": 7, "event": "cut sho\n',
        '"a string: \\"job\\": 7, and so on"\n',
        '{"job": 7, "event": "no moment", "timestamp": "yesterday"}\n',
        line(2, 'says "job": 7, of another', job=8),
        "\n",
        "x" * 300_000 + "\n",
    )
    assert events(tmp_path) == ["no moment", "ours"]
    assert events(tmp_path / "none") == []


def test_older_lines_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "assess.jsonl", line(-9, "of another day", job=7), line(-5, "x"), line(1, "y"))
    write(tmp_path / "send.jsonl", line(1, "sent", job=7))
    old = RECEIVED.timestamp() - 60
    write(tmp_path / "sweep.jsonl", line(1, "impossible", job=7))
    os.utime(tmp_path / "sweep.jsonl", times=(old, old))
    assert events(tmp_path) == ["sent"]


def test_a_line_across_two_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_view, "BLOCK_BYTES", 50)
    write(tmp_path / "assess.jsonl", *(line(at, f"event {at}", job=7) for at in range(20)))
    assert events(tmp_path) == [f"event {at}" for at in range(20)]


def test_no_more_is_read_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = line(1, "first", job=7), line(2, "last", job=7)
    write(tmp_path / "assess.jsonl", first, line(1, "x" * 5000), last)
    monkeypatch.setattr(log_view, "MOST_BYTES", 2000)
    assert events(tmp_path) == ["last"]
