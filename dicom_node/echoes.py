"""The last C-ECHO to each destination: made in the background, kept, read by the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from dicom_node.db import EchoRow, now
from dicom_node.probe import probe

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from dicom_node.config import Destination
    from dicom_node.node import Node

ABANDONED: Final = timedelta(minutes=2)
"""A test that began so long ago and has no end died with its process."""


def begin(node: Node, destination: Destination) -> None:
    """Note that a test begins."""
    with node.database.write() as session:
        row = session.get(EchoRow, destination.name)
        if row is None:
            session.add(EchoRow(destination=destination.name, started_at=now(), failures=0))
        else:
            row.started_at = now()


def run(node: Node, destination: Destination) -> None:
    """Test a destination, and keep how far it got."""
    begin(node, destination)
    finish(node, destination)


def finish(node: Node, destination: Destination) -> None:
    """Test a destination whose test has been noted as begun."""
    found = probe(node.config.node.ae_title, destination)
    with node.database.write() as session:
        row = session.get_one(EchoRow, destination.name)
        row.ended_at = now()
        row.steps = found.as_values()
        row.failed_step = found.failed.name if found.failed else None
        row.failures = row.failures + 1 if found.failed else 0
        if found.failed is None:
            row.failing_since = None
        elif row.failing_since is None:
            row.failing_since = row.ended_at


def last(session: Session) -> dict[str, EchoRow]:
    """Return the last test of every destination that was ever tested."""
    return {row.destination: row for row in session.scalars(select(EchoRow))}


def is_running(row: EchoRow) -> bool:
    """Return whether a test is under way."""
    unfinished = row.ended_at is None or row.ended_at < row.started_at
    return unfinished and now() - row.started_at < ABANDONED


def due(node: Node, before: datetime) -> list[Destination]:
    """Return the destinations that were not tested since a moment."""
    with node.database.read() as session:
        rows = last(session)
    return [
        destination
        for destination in node.config.destinations
        if destination.name not in rows or rows[destination.name].started_at <= before
    ]


def run_due(node: Node) -> int:
    """Test the destinations whose turn it is; returns their number."""
    seconds = node.config.monitoring.echo_seconds
    if not seconds:
        return 0
    destinations = due(node, now() - timedelta(seconds=seconds))
    for destination in destinations:
        run(node, destination)
    return len(destinations)
