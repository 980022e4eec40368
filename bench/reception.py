"""What a modality waits for one C-STORE: this checkout's listener beside that of another.

``python -m bench.reception --other FOLDER [--database postgresql]``: two listeners, each over a
database of its own, are sent small radiographs in turn, a block each, over one association. Prints
the medians of the answers' times and their ratio. FOLDER is a checkout, as `git worktree` makes it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import yaml
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from dicom_node.broker import embedded_server_command
from dicom_node.config import load_config
from dicom_node.radiograph import wrap_radiograph
from tests.peers import HOST, free_port, is_listening, running, start_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pynetdicom.association import Association

PROJECT: Final = Path(__file__).resolve().parents[1]
CALLER: Final = "MODALITY"
BLOCK: Final = 20
WARM_UP: Final = 10
PICTURE: Final = np.linspace(0, 1, 300 * 300, dtype=np.float32).reshape(300, 300)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.reception", description=__doc__)
    parser.add_argument("--other", type=Path, required=True)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="sqlite")
    parser.add_argument("--blocks", type=int, default=15, help=f"each of {BLOCK} radiographs")
    given = parser.parse_args()
    checkouts = {"other": given.other.resolve(), "this": PROJECT}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = dict.fromkeys(checkouts, "sqlite")
        if given.database == "postgresql":
            folder.chmod(0o755)
            cluster = stack.enter_context(start_postgresql(folder))
            urls = {name: stack.enter_context(cluster.database()) for name in checkouts}
        nodes = {
            name: stack.enter_context(listening(checkout, folder / name, urls[name]))
            for name, checkout in checkouts.items()
        }
        times: dict[str, list[float]] = {name: [] for name in nodes}
        for association in nodes.values():
            send(association, WARM_UP)
        ratios = []
        for _ in range(given.blocks):
            block = {name: send(association, BLOCK) for name, association in nodes.items()}
            for name, some in block.items():
                times[name] += some
            ratios.append(statistics.median(block["this"]) / statistics.median(block["other"]))
    for name, some in times.items():
        p95 = statistics.quantiles(some, n=20)[18]
        print(f"{given.database}, {name}: median {statistics.median(some):.1f} ms, p95 {p95:.1f}")
    print(f"ratio of the blocks, this to other: median {statistics.median(ratios):.2f}")


@contextmanager
def listening(checkout: Path, folder: Path, url: str) -> Iterator[Association]:
    """Run a checkout's listener and its broker, and give an association with it."""
    folder.mkdir()
    port, file = free_port(), folder / "config.yaml"
    values = {
        "data_directory": ".",
        "database": {"url": url},
        "node": {"port": port},
        "callers": [{"ae_title": CALLER}],
    }
    file.write_text(yaml.safe_dump(values), "utf-8")
    broker = folder / "valkey"
    broker.mkdir()
    variables = {"PYTHONPATH": str(checkout), "DICOM_NODE_CONFIG": str(file)}
    command = [sys.executable, "-m", "dicom_node"]
    subprocess.run(
        [*command, "db", "upgrade"], check=True, cwd=folder, env={**os.environ, **variables}
    )
    with (
        running(embedded_server_command(load_config(file).broker_socket), broker),
        running([*command, "listen"], folder, environment=variables) as peer,
    ):
        peer.wait_for(lambda: is_listening(port), "the listener")
        entity = AE(CALLER)
        entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
        association = entity.associate(HOST, port, ae_title="BONEAGE")
        if not association.is_established:
            sys.exit(peer.log_text())
        yield association
        association.release()


def send(association: Association, count: int) -> list[float]:
    """Return how long each of some new radiographs took to be answered, in ms."""
    times = []
    for dataset in [radiograph() for _ in range(count)]:
        began = time.perf_counter()
        status = association.send_c_store(dataset)
        times.append(1e3 * (time.perf_counter() - began))
        if status.Status:
            sys.exit(f"refused: {status.Status:04X}")
    return times


def radiograph() -> Dataset:
    """Return a small radiograph of a study of its own."""
    made = wrap_radiograph(PICTURE, sex="F", age_months=126)
    made.StudyInstanceUID = generate_uid(prefix=None)
    return made


if __name__ == "__main__":
    main()
