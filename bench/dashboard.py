"""Dashboard and metrics over a long history: ``python -m bench.dashboard [--jobs N] [--days N]``.

The history is made anew on SQLite in a temporary folder, evenly over the days: about eight events
a job. With ``--config`` it is that of a node, on any database, that was filled before
(``python -m worklist seed``).
"""

from __future__ import annotations

import argparse
import statistics
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


def main() -> None:
    """Print how long each takes."""
    parser = argparse.ArgumentParser(prog="python -m bench.dashboard", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--config", type=Path, help="of a node that was filled before")
    given = parser.parse_args()
    if given.config is not None:
        node = Node.of(load_config(given.config))
        measure(node)
        node.close()
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_text(
            "data_directory: .\n"
            "destinations: [{name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1}]\n",
            "utf-8",
        )
        node = Node.of(load_config(file))
        migrations.upgrade(node.config)
        write_history(node, given.jobs, given.days)
        measure(node)
        node.close()


def measure(node: Node) -> None:
    """Count the hours, then ask again and again."""
    write_heartbeats(node)
    began = time.perf_counter()
    hours = tally.close_hours(node.database)
    print(f"{hours} hours counted in {time.perf_counter() - began:.1f} s")
    registry = CollectorRegistry()
    registry.register(NodeCollector(node))
    _measure("/metrics", lambda: generate_latest(registry))
    _measure("dashboard, 24 hours", lambda: look(node, "hour"))
    _measure("dashboard, 30 days", lambda: look(node, "day"))


def _measure(name: str, action: Callable[[], object]) -> None:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        action()
        taken.append(1000 * (time.perf_counter() - began))
    least, median, most = min(taken), statistics.median(taken), max(taken)
    print(f"{name}: least {least:.1f} ms, median {median:.1f}, most {most:.1f}")


if __name__ == "__main__":
    main()
