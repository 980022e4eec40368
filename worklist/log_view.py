"""The log lines of one job, found by reading the files of every part backwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dicom_node.errors import NoSuchJobError
from dicom_node.log import ENDING
from worklist.access import Viewer
from worklist.job_parts import no_such_job, part_page, source_of
from worklist.web import READ, NodeOfApp

MOST_LINES: Final = 200
MOST_BYTES: Final = 64_000_000
"""Read for one page, the newest files first; what lies further back is not found."""

BLOCK_BYTES: Final = 1 << 18
LONGEST_LINE: Final = 1 << 16
"""A longer one is none of ours."""

COMMON: Final = frozenset({"timestamp", "level", "event", "job"})

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log.

    Attributes
    ----------
    at : str
        When, in ISO 8601; empty where it does not say.
    part : str
        The part of the node that wrote it.
    level, event : str
        How grave it is, and what happened.
    details : str
        The rest, as ``key=value``.
    """

    at: str
    part: str
    level: str
    event: str
    details: str


def lines_of_job(folder: Path, job_id: int, since: datetime, most: int = MOST_LINES) -> list[Line]:
    """Return the last lines of a job, oldest first.

    Parameters
    ----------
    folder : Path
        Where the log files lie.
    job_id : int
        The job.
    since : datetime
        When it came: no older line is looked at.
    most : int
        At most so many.
    """
    # `"job": 12` and nothing more of a number; the writer puts the blank.
    needle = re.compile(rb'"job": %d[,}]' % job_id)
    start = since.strftime("%Y-%m-%dT%H:%M:%S")
    left_bytes, found = MOST_BYTES, []
    for path in _newest_first(folder, since):
        taken = 0
        for raw in _backwards(path, left_bytes):
            left_bytes -= len(raw)
            line = _line(raw, path) if needle.search(raw) else None
            if line is not None:
                found.append(line)
                taken += 1
            if taken == most or _is_older(raw, start):
                break
        if left_bytes <= 0:
            break
    return sorted(found, key=attrgetter("at"))[-most:]


def _newest_first(folder: Path, since: datetime) -> list[Path]:
    """Return the files that were written to since then, those of every part, newest first."""
    dated = []
    for path in folder.glob(f"*{ENDING}*"):
        try:
            dated.append((path.stat().st_mtime, path))
        except OSError:  # renamed in this moment
            continue
    return [path for at, path in sorted(dated, reverse=True) if at >= since.timestamp()]


def _backwards(path: Path, limit_bytes: int) -> Iterator[bytes]:
    """Yield a file's lines, the last one first, as far back as is allowed."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            first, rest = max(0, end - limit_bytes), b""
            while end > first:
                begin = max(first, end - BLOCK_BYTES)
                file.seek(begin)
                block = file.read(end - begin) + rest
                rest, *lines = block.split(b"\n")
                yield from (line for line in reversed(lines) if line)
                rest, end = rest[:LONGEST_LINE], begin
            if rest and first == 0:
                yield rest
    except OSError:
        return


def _is_older(raw: bytes, start: str) -> bool:
    """Tell whether a line was written before a moment, without reading all of it."""
    stamp = re.search(rb'"timestamp": "([^"]{19})', raw)
    return stamp is not None and stamp[1].decode(errors="replace") < start


def _line(raw: bytes, path: Path) -> Line | None:
    """Return a line of the log for a reader, None where it is none."""
    try:
        values = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    rest = {key: value for key, value in values.items() if key not in COMMON}
    return Line(
        at=_moment(values.get("timestamp")),
        part=path.name.partition(ENDING)[0],
        level=str(values.get("level", "")),
        event=str(values.get("event", "")),
        details=", ".join(f"{key}={_words(value)}" for key, value in rest.items()),
    )


def _moment(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a moment in ISO 8601, empty where it is none."""
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        return ""


def _words(value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a value of a line, a list by its parts."""
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


@router.api_route("/jobs/{job_id:int}/log", methods=READ)
def show_log(request: Request, node: NodeOfApp, _user: Viewer, job_id: int) -> Response:
    """Show the last log lines of a job."""
    try:
        source = source_of(node, job_id)
    except NoSuchJobError as error:
        return no_such_job(request, error, job_id)
    lines = lines_of_job(node.config.log_folder, job_id, source.instance.received_at)
    context = {"lines": lines, "most": MOST_LINES, "is_kept": node.config.log.file}
    return part_page(request, "job_log.html", "Log lines", job_id, context)
