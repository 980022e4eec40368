"""Whether what the database promises is on the disk."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from dicom_node.db import InstanceRow, JobFileRow, OutputRow
from dicom_node.storage import content_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dicom_node.node import Node


def verify(node: Node) -> dict[str, Any]:
    """Hash every received and every result file against its row.

    Returns
    -------
    dict
        ``files``: how many were checked; ``problems``: a line each.
    """
    with node.database.read() as session:
        received = session.execute(select(InstanceRow.path, InstanceRow.sha256)).all()
        made = [
            *session.execute(select(OutputRow.path, OutputRow.sha256)),
            *session.execute(select(JobFileRow.path, JobFileRow.sha256)),
        ]
    problems = [
        problem
        for rows, digest in ((received, content_hash), (made, _file_hash))
        for path, sha256 in rows
        if (problem := _problem(node.storage.absolute(path), sha256, digest))
    ]
    return {"files": len(received) + len(made), "problems": problems}


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _problem(path: Path, sha256: str, digest: Callable[[Path], str]) -> str | None:
    if not path.is_file():
        return f"{path}: missing"
    try:
        return None if digest(path) == sha256 else f"{path}: altered"
    except (OSError, ValueError) as error:
        return f"{path}: cannot be read ({type(error).__name__})"
