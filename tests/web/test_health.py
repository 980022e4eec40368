"""``/healthz`` over a real database and a real broker: what runs, and what does not."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node import migrations
from dicom_node.db import HeartbeatRow, now
from dicom_node.node import Node
from dicom_node.storage import Storage
from tests.web.conftest import embedded_broker, served
from worklist.app import create_app
from worklist.health import check_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

PARTS = ("listen", "assess", "send", "sweep")
ENTRIES = ("database", "broker", "workers", "listener", "sweeper", "disk")


def beat_late(node: Node, part: str, seconds: float, owner: str = "other@host:1") -> None:
    """Write a heartbeat as a process wrote it some time ago."""
    with node.database.write() as session:
        at = now() - timedelta(seconds=seconds)
        session.merge(HeartbeatRow(owner=owner, part=part, at=at, detail=""))


def forget(node: Node, part: str) -> None:
    """Remove the heartbeats of a part."""
    with node.database.write() as session:
        session.query(HeartbeatRow).filter_by(part=part).delete()


def states(values: dict[str, Any]) -> dict[str, str]:
    """Return the state of every entry."""
    return {entry: values[entry]["state"] for entry in ENTRIES}


@pytest.fixture
def running_node(node: Node, broker: None) -> Node:
    """Return a node with its broker, every part of which has just said that it lives."""
    del broker
    for part in PARTS:
        node.beat(part)
    return node


def test_everything_runs(running_node: Node, client: httpx.Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    values = answer.json()
    assert values["state"] == "ok"
    assert states(values) == dict.fromkeys(ENTRIES, "ok")
    assert set(values) == {"state", *ENTRIES}
    assert values["workers"]["assess"]["state"] == values["workers"]["send"]["state"] == "ok"
    for entry in ENTRIES:
        assert values[entry]["reason"]
    running_node.broker.enqueue("send", 1)
    assert "0 to assess, 1 to send" in client.get("/healthz").json()["broker"]["reason"]


def test_head_says_the_same_without_a_body(running_node: Node, client: httpx.Client) -> None:
    assert client.head("/healthz").status_code == 200
    forget(running_node, "send")
    answer = client.head("/healthz")
    assert answer.status_code == 503
    assert answer.content == b""


def test_nothing_runs(node: Node, client: httpx.Client) -> None:
    """A new database, no process, no broker: only database and disk are there."""
    answer = client.get("/healthz")
    assert answer.status_code == 503
    values = answer.json()
    assert values["state"] == "down"
    assert states(values) == {
        "database": "ok",
        "broker": "down",
        "workers": "down",
        "listener": "down",
        "sweeper": "down",
        "disk": "ok",
    }
    assert "not been heard from" in values["listener"]["reason"]
    assert "does not answer" in values["broker"]["reason"]
    assert node.broker.depth("assess") is None


@pytest.mark.parametrize(
    ("part", "entry"), [("listen", "listener"), ("send", "workers"), ("sweep", "sweeper")]
)
def test_an_old_beat_is_a_process_that_is_gone(
    running_node: Node, client: httpx.Client, part: str, entry: str
) -> None:
    forget(running_node, part)
    beat_late(running_node, part, 3600)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    values = answer.json()
    assert values["state"] == "down"
    assert [name for name in ENTRIES if values[name]["state"] != "ok"] == [entry]
    assert "the last beat came 36" in values[entry]["reason"]


def test_one_old_beat_beside_a_fresh_one_is_no_harm(running_node: Node) -> None:
    """A process that was restarted leaves its old heartbeat behind."""
    beat_late(running_node, "listen", 1800)
    health = check_node(running_node)
    assert health.state == "ok"
    assert "1800" not in health.listener.reason


def test_a_clock_ahead_of_ours_is_no_harm(running_node: Node) -> None:
    forget(running_node, "assess")
    beat_late(running_node, "assess", -5)
    check = check_node(running_node).assess
    assert (check.state, check.reason) == ("ok", "the last beat came 0 s ago")


def test_fewer_processes_than_configured_is_a_warning(
    make_node: Callable[[str], Node], tmp_path: Path
) -> None:
    node = make_node("inference: {workers: 2}\nnode: {listeners: 2}\n")
    migrations.upgrade(node.config)
    for part in PARTS:
        node.beat(part)
    beat_late(node, "listen", 1)
    with embedded_broker(node, tmp_path / "valkey"), served(create_app(node)) as client:
        answer = client.get("/healthz")
    assert answer.status_code == 200
    values = answer.json()
    assert values["state"] == values["workers"]["state"] == "warning"
    assert values["workers"]["assess"]["reason"].startswith("only 1 of 2 processes run")
    assert values["listener"]["state"] == "ok"


def test_without_workers_of_its_own_a_node_misses_none(
    make_node: Callable[[str], Node], tmp_path: Path
) -> None:
    node = make_node("inference: {workers: 0}\n")
    migrations.upgrade(node.config)
    for part in ("listen", "send", "sweep"):
        node.beat(part)
    with embedded_broker(node, tmp_path / "valkey"), served(create_app(node)) as client:
        answer = client.get("/healthz")
        assert answer.status_code == 200
        assert "inference.workers is 0" in answer.json()["workers"]["assess"]["reason"]
        beat_late(node, "assess", 1)  # that of another host
        assert "the last beat" in client.get("/healthz").json()["workers"]["assess"]["reason"]


def test_a_slow_sweeper_has_the_time_it_was_given(
    make_node: Callable[[str], Node],
) -> None:
    node = make_node("leases: {sweep_seconds: 60}\n")
    migrations.upgrade(node.config)
    beat_late(node, "sweep", 100)
    assert check_node(node).sweeper.state == "ok"
    beat_late(node, "sweep", 200)
    assert check_node(node).sweeper.state == "down"


def test_a_database_without_tables_is_down(make_node: Callable[[str], Node]) -> None:
    with served(create_app(make_node(""))) as client:
        answer = client.get("/healthz")
    assert answer.status_code == 503
    values = answer.json()
    assert values["database"]["state"] == "down"
    assert "db upgrade" in values["database"]["reason"]
    assert values["listener"] == {
        "state": "warning",
        "reason": "not known: heartbeats are kept in the database",
    }


@pytest.mark.parametrize(
    ("times_free", "state", "words"),
    [(1.5, "down", "turned away"), (0.75, "warning", "nearly full"), (0.25, "ok", "GB free")],
)
def test_the_disk_is_held_against_its_reserve(
    node: Node, times_free: float, state: str, words: str
) -> None:
    megabytes = int(node.storage.free_bytes() * times_free / 1e6)
    storage = Storage(node.storage.root, megabytes)
    full = Node(node.config, node.database, storage, node.broker)
    check = check_node(full).disk
    assert check.state == state
    assert words in check.reason


def test_a_data_directory_that_is_gone_is_down(node: Node, tmp_path: Path) -> None:
    storage = Storage(tmp_path / "gone")
    for folder in (storage.received, storage.results, storage.partial, storage.root):
        os.rmdir(folder)  # noqa: PTH106 - a folder at a time, and only when empty
    check = check_node(Node(node.config, node.database, storage, node.broker)).disk
    assert (check.state, check.reason) == (
        "down",
        "the data directory cannot be read (FileNotFoundError)",
    )


def test_no_reason_names_a_password(make_node: Callable[[str], Node]) -> None:
    node = make_node(
        "broker: {url: 'redis://:s3cret@127.0.0.1:1/0'}\n"
        "database: {url: 'postgresql+psycopg://node:s3cret@127.0.0.1:1/node'}\n"
    )
    with served(create_app(node)) as client:
        health, page = client.get("/healthz"), client.get("/", follow_redirects=True)
    assert health.json()["database"]["state"] == health.json()["broker"]["state"] == "down"
    assert page.status_code == 503
    assert "s3cret" not in health.text + page.text
