"""Dashboard and metrics over a long history: ``python -m bench.dashboard [JOBS [DAYS]]``.

The history is made anew in a temporary folder, evenly over the days: about eight events
a job.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from dicom_node import migrations, tally
from dicom_node.config import load_config
from dicom_node.node import Node
from tests.web.history import write_heartbeats, write_history
from worklist.metrics import NodeCollector
from worklist.statistics import look

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 15


def main(jobs: int = 1_000_000, days: int = 365) -> None:
    """Print how long each takes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(
            "data_directory: .\n"
            "destinations: [{name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1}]\n",
            "utf-8",
        )
        node = Node.of(load_config(file))
        migrations.upgrade(node.config)
        write_history(node, jobs, days)
        write_heartbeats(node)
        began = time.perf_counter()
        hours = tally.close_hours(node.database)
        took = time.perf_counter() - began
        print(f"{jobs} jobs in {days} days: {hours} hours counted in {took:.1f} s")
        registry = CollectorRegistry()
        registry.register(NodeCollector(node))
        _measure("/metrics", lambda: generate_latest(registry))
        _measure("dashboard, 24 hours", lambda: look(node, "hour"))
        _measure("dashboard, 30 days", lambda: look(node, "day"))
        node.close()


def _measure(name: str, action: Callable[[], object]) -> None:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - began))
    print(f"{name}: median {statistics.median(taken):.1f} ms, slowest {max(taken):.1f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
