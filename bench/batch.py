"""How long a batch of re-runs takes to be enqueued, and what a listener waits meanwhile.

    python -m bench.batch [--jobs 1000] [--postgresql]

Jobs with real files are made in a new folder, all re-run in one batch with a broker of its own.
Meanwhile another thread writes new arrivals as the listener does, one after another. The database
is SQLite, or a fresh PostgreSQL that is started for it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from dicom_node import batches, jobs, migrations
from dicom_node.actions import Order
from dicom_node.broker import embedded_server_command
from dicom_node.config import Config, DatabaseSection
from dicom_node.node import Node
from dicom_node.states import JobState, Priority
from tests.builders import add_job, cr_header, kept_instance, new_instance
from tests.peers import running, start_postgresql


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time a batch of re-runs.")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--postgresql", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        url = "sqlite"
        if given.postgresql:
            server = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            cluster = stack.enter_context(start_postgresql(server))
            url = stack.enter_context(cluster.database())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = Config(data_directory=folder, database=DatabaseSection(url=url))
        migrations.upgrade(config)
        node = Node.of(config)
        stack.callback(node.close)
        command = embedded_server_command(config.broker_socket)
        peer = stack.enter_context(running(command, folder))
        peer.wait_for(lambda: node.broker.depth("assess") == 0, "the broker")
        _measure(node, folder, given.jobs)


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
    took: list[float] = []
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
