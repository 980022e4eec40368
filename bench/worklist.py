"""How long the worklist takes to answer at a million jobs: ``python -m bench.worklist``.

Fills SQLite and PostgreSQL (as the tests start it) with invented jobs, serves the page from a
process of its own, and asks for each view again and again over HTTP. Prints a table.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import yaml

from dicom_node import migrations
from dicom_node.broker import embedded_server_command
from dicom_node.config import load_config
from dicom_node.db import now
from dicom_node.node import Node
from tests.peers import HOST, free_port, is_listening, running, start_postgresql
from worklist import accounts, passwords, seed, tokens
from worklist.access import Role
from worklist.tokens import NewToken

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT: Final = Path(__file__).resolve().parents[1]
LIMITS_MS: Final = {"postgresql": 200.0, "sqlite": 300.0}
READER: Final = "bench"
FAILED: Final = "delivery=refused&delivery=exhausted"
TODAY: Final = now().date()


def day(days_ago: int) -> date:
    """Return a day of the past."""
    return TODAY - timedelta(days=days_ago)


VIEWS: Final = {
    "all, newest first": "",
    "all, oldest first": "sort=oldest",
    "all, by study date": "sort=study",
    "all, by bone age": "sort=bone-age",
    "all, longest in its state": "sort=longest",
    "needs attention": "state=failed&state=rejected",
    "needs attention, longest in its state": "state=failed&state=rejected&sort=longest",
    "failed sends of the last 7 days": f"{FAILED}&days=7",
    "failed sends, ever": FAILED,
    "failed sends, ever, by bone age": f"{FAILED}&sort=bone-age",
    "today": "days=1",
    "one state": "state=sent",
    "one state, by study date": "state=confirmed&sort=study-earliest",
    "a rare state": "state=queued",
    "a month, by bone age": f"since={day(200)}&until={day(170)}&sort=bone-age-lowest",
    "one day, by study date": f"since={day(200)}&until={day(200)}&sort=study",
    "one caller": "caller=DX_CHILDREN",
    "a rare caller, longest in its state": "caller=FILM_SCANNER&sort=longest",
    "one destination": "destination=ARCHIVE",
    "failed at one destination": f"{FAILED}&destination=RESEARCH",
    "one determination": "determination=advanced",
    "caller, state and determination": "caller=CR_ROOM_2&state=sent&determination=delayed",
    "the same, by study date": "caller=CR_ROOM_2&state=sent&determination=delayed&sort=study",
    "much of each, nothing together": "state=sent&delivery=refused&delivery=exhausted",
    "a name": "q=phantom-zz",
    "a name that many have": "q=phantom",
    "a patient ID": "q=PHANTOM-0000123",
    "an accession number": "q=PH00500000",
    "a Study Instance UID": f"q=2.25.{2 * 10**30 + 500_000}",
    "a name and a state, by bone age": "q=phantom-z&state=sent&sort=bone-age",
}


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.worklist", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--database", choices=sorted(LIMITS_MS), action="append")
    parser.add_argument("--config", type=Path, help="of a node whose database is filled already")
    given = parser.parse_args()
    if given.config is not None:
        config = load_config(given.config)
        backend = "sqlite" if config.database.url == "sqlite" else "postgresql"
        ask(given.config.resolve(), config.worklist.port, given.repeats, backend)
        return
    for backend in given.database or sorted(LIMITS_MS):
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="bone-age-bench-"))
            stack.callback(shutil.rmtree, folder)
            url = "sqlite"
            if backend == "postgresql":
                cluster = stack.enter_context(start_postgresql(folder))
                url = stack.enter_context(cluster.database())
            node_folder = folder / "node"
            node_folder.mkdir()
            port = free_port()
            file = node_folder / "config.yaml"
            values = {"data_directory": ".", "database": {"url": url}, "worklist": {"port": port}}
            file.write_text(yaml.safe_dump(values), "utf-8")
            fill(file, given.jobs, backend)
            ask(file, port, given.repeats, backend)


def fill(file: Path, jobs: int, backend: str) -> None:
    """Fill the database and say how long that took."""
    config = load_config(file)
    migrations.upgrade(config)
    start = time.perf_counter()
    seed.seed(config, jobs, 0)
    print(f"{backend}: {jobs:,} jobs in {time.perf_counter() - start:.0f} s", flush=True)


def ask(file: Path, port: int, repeats: int, backend: str) -> None:
    """Serve the page and its broker, and print a table of its answers."""
    words = [sys.executable, "-m", "worklist", "--config", file]
    headers = {"Authorization": f"Bearer {reader(file)}"}
    environment = {"PYTHONPATH": str(PROJECT)}
    broker = file.parent / "valkey"
    broker.mkdir(exist_ok=True)
    with (
        running(embedded_server_command(load_config(file).broker_socket), broker),
        running(words, file.parent, environment=environment) as page,
        httpx.Client(
            base_url=f"http://{HOST}:{port}", headers=headers, trust_env=False, timeout=60
        ) as client,
    ):
        page.wait_for(lambda: is_listening(port), "the worklist")
        client.get("/healthz")
        print(f"\n| view | {backend} least, ms | p50 | p95 | jobs |", flush=True)
        print("|---|---|---|---|---|", flush=True)
        slow = [name for name, times in timed(client, repeats) if times[0] > LIMITS_MS[backend]]
        limit = LIMITS_MS[backend]
        print(f"\n{backend}: median slower than {limit:g} ms: {', '.join(slow) or 'none'}\n")


def reader(file: Path) -> str:
    """Return an API token of a user who may read."""
    node = Node.of(load_config(file))
    with node.database.write() as session:
        account = accounts.found(session, READER) or accounts.add(
            session, READER, Role.VIEWER, passwords.hashed(READER * 4, READER), actor=READER
        )
        _, secret = tokens.create(session, account, NewToken(READER, Role.VIEWER, 1), actor=READER)
    node.close()
    return secret


def timed(client: httpx.Client, repeats: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield each view with the median and the 95th percentile of its times, in ms.

    Printed is the least, too: other work on the machine touches that one least.
    """
    for name, query in {**VIEWS, **further_pages(client)}.items():
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            answer = client.get(f"/?{query}")
            times.append((time.perf_counter() - start) * 1e3)
            if answer.status_code not in {200, 400}:
                sys.exit(f"{name}: {answer.status_code}")
        least, p50, p95 = (
            min(times),
            statistics.median(times),
            statistics.quantiles(times, n=20)[18],
        )
        count = client.get(f"/api/jobs?{query}").json().get("count", "-")
        count = "more" if count is None else f"{count:,}" if count != "-" else count
        print(f"| {name} | {least:.0f} | {p50:.0f} | {p95:.0f} | {count} |", flush=True)
        yield name, (p50, p95)


def further_pages(client: httpx.Client) -> dict[str, str]:
    """Return pages behind the first: the hundredth, and the one before the last, to and fro."""
    cursor = ""
    for _ in range(100):
        cursor = client.get("/api/jobs", params={"after": cursor}).json()["next"]
    last = client.get("/api/jobs", params={"sort": "oldest"}).json()["next"]
    return {
        "the 101st page": str(httpx.QueryParams({"after": cursor})),
        "a page back": str(httpx.QueryParams({"before": cursor})),
        "near the last page": str(httpx.QueryParams({"before": last})),
        "a state's second page": str(
            httpx.QueryParams(
                {
                    "state": "sent",
                    "after": client.get("/api/jobs?state=sent").json()["next"],
                }
            )
        ),
    }


if __name__ == "__main__":
    main()
