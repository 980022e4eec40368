"""How long searches of DICOMweb take in a store of many radiographs.

Run from the checkout: ``.venv/bin/python -m bench.dicomweb_search [COUNT]``. Prints
the slowest of five runs of each search, in ms, on SQLite in a temporary folder; half of the
radiographs have a report and a page.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert, text

from dicom_node import migrations
from dicom_node.config import load_config
from dicom_node.db import InstanceRow, JobRow, OutputRow
from dicom_node.node import Node
from worklist.dicomweb_keys import read_keys
from worklist.dicomweb_query import search
from worklist.dicomweb_store import Address

BATCH = 20_000
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def fill(node: Node, count: int) -> None:
    """Insert radiographs, jobs and results."""
    for start in range(1, count + 1, BATCH):
        numbers = range(start, min(start + BATCH, count + 1))
        with node.database.write() as session:
            session.execute(insert(InstanceRow), [instance(n) for n in numbers])
            session.execute(insert(JobRow), [job(n) for n in numbers])
            made = [output(n, kind) for n in numbers if n % 2 for kind in ("sc", "sr")]
            session.execute(insert(OutputRow), made)
    with node.database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))


def instance(number: int) -> dict[str, object]:
    """Return the row of a radiograph."""
    header = {
        "Modality": "DX",
        "StudyDate": f"20{number % 25:02d}{number % 12 + 1:02d}{number % 28 + 1:02d}",
        "AccessionNumber": f"A{number}",
        "PatientName": f"Name{number % 5000}^Given{number % 300}",
        "PatientID": f"P{number}",
    }
    uids = {
        f"{level}_instance_uid": f"2.25.{number}.{level_number}"
        for level_number, level in enumerate(("study", "series", "sop"), 1)
    }
    return {
        **uids,
        "id": number,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "revision": 1,
        "sha256": f"{number:064d}",
        "size_bytes": 1,
        "path": "none",
        "calling_ae_title": "MODALITY",
        "peer_address": "127.0.0.1",
        "received_at": MOMENT,
        "header": header,
        "patient_id": f"P{number}",
    }


def job(number: int) -> dict[str, object]:
    """Return the row of its job."""
    moments = {"created_at": MOMENT, "updated_at": MOMENT}
    return {"id": number, "instance_id": number, "state": "sent", "attempts": 1, **moments}


def output(number: int, kind: str) -> dict[str, object]:
    """Return the row of a result."""
    return {
        "job_id": number,
        "kind": kind,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.88.34",
        "sop_instance_uid": f"2.25.{number}.{kind == 'sr':d}.9",
        "series_instance_uid": f"2.25.{number}.{kind == 'sr':d}.8",
        "series_number": 9101,
        "instance_number": 1,
        "path": "none",
        "sha256": f"{number:064d}",
    }


def main(count: int) -> None:
    """Fill a store and ask it."""
    middle = count // 2 | 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text("data_directory: .\n", "utf-8")
        node = Node.of(load_config(file))
        migrations.upgrade(node.config)
        fill(node, count)
        for level, address, query in (
            ("studies", Address(), {}),
            ("studies", Address(), {"limit": "1000", "offset": "10000"}),
            ("studies", Address(), {"StudyInstanceUID": f"2.25.{middle}.1"}),
            ("studies", Address(), {"PatientID": f"P{middle}"}),
            ("studies", Address(), {"ModalitiesInStudy": "SR"}),
            ("studies", Address(), {"StudyDate": "20240101-20241231"}),
            ("studies", Address(), {"PatientName": "Name77^*"}),
            ("studies", Address(), {"AccessionNumber": f"A{middle}"}),
            ("series", Address(f"2.25.{middle}.1"), {}),
            ("series", Address(), {}),
            ("series", Address(), {"SeriesInstanceUID": f"2.25.{middle}.1.8"}),
            ("instances", Address(), {}),
            ("instances", Address(), {"SOPInstanceUID": f"2.25.{middle}.3"}),
        ):
            slowest = max(timed(node, level, address, query) for _ in range(5))
            print(f"{slowest:9.1f} ms  {level} {address.path} {query}")
        node.close()


def timed(node: Node, level: str, address: Address, query: dict[str, str]) -> float:
    """Return how long one search takes, in ms."""
    began = time.perf_counter()
    with node.database.read() as session:
        search(session, level, address, read_keys(level, query.items()), "http://x/dicomweb")
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
