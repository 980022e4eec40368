"""How long a batch of re-runs takes to be enqueued, and what a listener waits meanwhile.

    python -m bench.batch [--jobs 1000] [--database URL]

Jobs with real files are made in a new folder, all re-run in one batch with a broker of its own.
Meanwhile another thread writes new arrivals as the listener does, one after another. Without a URL
the database is SQLite.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from dicom_node import batches, jobs, migrations
from dicom_node.actions import Order
from dicom_node.broker import embedded_server_command
from dicom_node.config import Config, DatabaseSection
from dicom_node.node import Node
from dicom_node.states import JobState, Priority
from tests.builders import add_job, cr_header, kept_instance, new_instance


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time a batch of re-runs.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--database", default="sqlite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = Config(data_directory=Path(folder), database=DatabaseSection(url=given.database))
        migrations.upgrade(config)
        node = Node.of(config)
        server = subprocess.Popen(embedded_server_command(config.broker_socket))
        try:
            _measure(node, Path(folder), given.jobs)
        finally:
            node.close()
            server.terminate()
            server.wait()


def _measure(node: Node, folder: Path, count: int) -> None:
    """Make jobs, re-run them, and say how long it took."""
    made = []
    for number in range(count):
        instance = kept_instance(node.storage, folder, cr_header(PatientID=str(number)))
        with node.database.write() as session:
            made.append(add_job(session, JobState.REPORTED, instance))
    alone = _arrivals(node, threading.Event(), 200)
    stop, waits = threading.Event(), list[float]()
    arriving = threading.Thread(target=lambda: waits.extend(_arrivals(node, stop)))
    arriving.start()
    started = time.perf_counter()
    batch_id = batches.create(node, "bench", Order("rerun"), made)
    created = time.perf_counter()
    batches.run(node, batch_id)
    ended = time.perf_counter()
    stop.set()
    arriving.join()
    waiting = node.broker.depth("assess", Priority.BULK)
    print(f"{node.database.backend}: {count} jobs")
    print(f"  written {created - started:.2f} s, re-run {ended - created:.2f} s; {waiting} in bulk")
    print(f"  an arrival is written in: alone {_words(alone)}; meanwhile {_words(waits)}")


def _arrivals(node: Node, stop: threading.Event, most: int = 1_000_000) -> list[float]:
    """Write arrivals until told to stop; returns what each took, in milliseconds."""
    took = []
    while not stop.is_set() and len(took) < most:
        started = time.perf_counter()
        with node.database.write() as session:
            jobs.receive(session, new_instance())
        took.append(1000 * (time.perf_counter() - started))
        stop.wait(0.005)
    return took


def _words(took: list[float]) -> str:
    ordered = sorted(took)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return f"median {statistics.median(took):.1f} ms, p95 {p95:.1f} ms, most {ordered[-1]:.1f} ms"


if __name__ == "__main__":
    main()
