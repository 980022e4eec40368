"""What the sweeper's process does beside sweeping goes on by itself, and stops with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from dicom_node import echoes, tally, watch
from dicom_node.db import MarkRow
from tests.peers import wait_until
from tests.web.conftest import Jobs

if TYPE_CHECKING:
    from dicom_node.db import EchoRow
    from dicom_node.node import Node

SECONDS = 20.0


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom leaves it
def test_hours_are_counted_and_destinations_tried(node: Node) -> None:
    Jobs(node).received()
    stop = threading.Event()
    threads = watch.start(node, stop)

    def tested() -> EchoRow | None:
        with node.database.read() as session:
            row = echoes.last(session).get("PACS")
            counted = session.get(MarkRow, tally.MARK) is not None
        return row if row is not None and row.ended_at is not None and counted else None

    try:
        row = wait_until(tested, SECONDS, "a C-ECHO and the hours")
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert (row.failed_step, row.failures) == ("tcp", 1)
    assert row.failing_since is not None
    assert echoes.run_due(node) == 0, "its turn is in five minutes"
