"""How long searches of DICOMweb take in a store of many radiographs.

Run from the checkout: ``python -m bench.dicomweb_search [--jobs N] [--database …]``. Fills SQLite,
or PostgreSQL as the tests start it, with invented jobs (`worklist.seed`), every second one with a
report and a page. Prints the least, the median and the most of the runs of each search, in ms.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml
from sqlalchemy import String, cast, func, insert, literal, select, text

from dicom_node.config import load_config
from dicom_node.db import InstanceRow, JobRow, OutputRow
from dicom_node.node import Node
from tests.peers import start_postgresql
from worklist import seed
from worklist.dicomweb_keys import Level, read_keys
from worklist.dicomweb_query import search
from worklist.dicomweb_store import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.config import Config

RUNS: Final = 9
KINDS: Final = ("sc", "sr")
Search = tuple[str, Level, Address, dict[str, str]]


def main() -> None:
    """Fill a store and ask it."""
    parser = argparse.ArgumentParser(prog="python -m bench.dicomweb_search", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="sqlite")
    parser.add_argument("--config", type=Path, help="of a node that was filled before")
    given = parser.parse_args()
    if given.config is not None:
        ask(load_config(given.config))
        return
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="bone-age-bench-"))
        stack.callback(shutil.rmtree, folder)
        url = "sqlite"
        if given.database == "postgresql":
            cluster = stack.enter_context(start_postgresql(folder))
            url = stack.enter_context(cluster.database())
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump({"data_directory": ".", "database": {"url": url}}), "utf-8")
        config = load_config(file)
        seed.seed(config, given.jobs, 0)
        ask(config)


def ask(config: Config) -> None:
    """Print how long each search takes."""
    node = Node.of(config)
    add_results(node)
    for name, level, address, query in searches(node):
        times = sorted(timed(node, level, address, query) for _ in range(RUNS))
        median = statistics.median(times)
        print(f"| {name} | {times[0]:.0f} | {median:.0f} | {times[-1]:.0f} |", flush=True)
    node.close()


def add_results(node: Node) -> None:
    """Give every second job a report and a page, if none has any."""
    with node.database.write() as session:
        if session.scalars(select(OutputRow.id).limit(1)).first() is not None:
            return
        for number, kind in enumerate(KINDS):
            uid = literal("2.25.") + cast(JobRow.id, String) + literal(f".{number}")
            columns = {
                "job_id": JobRow.id,
                "kind": literal(kind),
                "sop_class_uid": literal("1.2.840.10008.5.1.4.1.1.88.34"),
                "sop_instance_uid": uid + literal(".9"),
                "series_instance_uid": uid + literal(".8"),
                "series_number": literal(9101 + number),
                "instance_number": literal(1),
                "path": literal("none"),
                "sha256": literal("0" * 64),
            }
            of_jobs = select(*columns.values()).where(JobRow.id % 2 == 1)
            session.execute(insert(OutputRow).from_select(list(columns), of_jobs))
    if node.database.backend == "postgresql":
        with node.database.engine.connect() as connection:
            own = connection.execution_options(isolation_level="AUTOCOMMIT")
            own.execute(text("VACUUM (ANALYZE) output"))


def searches(node: Node) -> Iterator[Search]:
    """Yield what is asked for: by what a radiograph in the middle of the store says."""
    with node.database.read() as session:
        middle = (session.scalars(select(func.max(InstanceRow.id))).one() // 2) | 1
        one = session.get_one(InstanceRow, middle)
        job = session.scalars(select(JobRow).where(JobRow.id % 2 == 1, JobRow.id > middle)).first()
        header, study, patient = one.header, one.study_instance_uid, one.patient_id
        sop, accession, day = one.sop_instance_uid, one.accession_number, header["StudyDate"]
    family = header["PatientName"].partition("^")[0]
    series = f"2.25.{job.id if job else 1}.1.8"
    everywhere = Address()
    yield "studies, newest first", "studies", everywhere, {}
    yield "the same, far down", "studies", everywhere, {"limit": "1000", "offset": "10000"}
    yield "a Study Instance UID", "studies", everywhere, {"StudyInstanceUID": study}
    yield "a PatientID", "studies", everywhere, {"PatientID": patient}
    yield "studies with SR", "studies", everywhere, {"ModalitiesInStudy": "SR"}
    yield "a day", "studies", everywhere, {"StudyDate": day}
    yield "half a year", "studies", everywhere, {"StudyDate": f"{day[:4]}0101-{day[:4]}0630"}
    yield "a day that has none", "studies", everywhere, {"StudyDate": "19000101"}
    yield "a whole name", "studies", everywhere, {"PatientName": header["PatientName"]}
    yield "a family name", "studies", everywhere, {"PatientName": f"{family}^*"}
    yield "the start that all have", "studies", everywhere, {"PatientName": "Phantom*"}
    yield "a name that nobody has", "studies", everywhere, {"PatientName": "Zzz*"}
    yield "an AccessionNumber", "studies", everywhere, {"AccessionNumber": accession}
    yield "the series of a study", "series", Address(study), {}
    yield "series, newest first", "series", everywhere, {}
    yield "series of a day", "series", everywhere, {"StudyDate": day}
    yield "a Series Instance UID", "series", everywhere, {"SeriesInstanceUID": series}
    yield "instances, newest first", "instances", everywhere, {}
    yield "instances of a family name", "instances", everywhere, {"PatientName": f"{family}^*"}
    yield "a SOP Instance UID", "instances", everywhere, {"SOPInstanceUID": sop}


def timed(node: Node, level: Level, address: Address, query: dict[str, str]) -> float:
    """Return how long one search takes, in ms."""
    began = time.perf_counter()
    with node.database.read() as session:
        search(session, level, address, read_keys(level, query.items()), "http://x/dicomweb")
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
